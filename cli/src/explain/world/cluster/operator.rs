//! What the operator of a cluster was told by flags and environment, as its Deployment has it: without it answers would be those of
//! an operator with the defaults. `docs/adr/0038-axonctl-reads-the-operators-deployment.md`.

use std::collections::{BTreeMap, BTreeSet};

use axoneme_envoy::Policy;
use axoneme_operator::{ingress_flags::IngressFlags, model::IngressDefaults, policy_flags::PolicyFlags};
use clap::{Arg, ArgAction, Args, Command, FromArgMatches};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Container};
use kube::{Api, Client, api::ListParams};

/// Name of the Deployment, and how the chart labels it.
const NAME: &str = "axoneme-operator";
const LABEL: &str = "app.kubernetes.io/part-of=axoneme";
const CONTAINER: &str = "operator";
/// What clap takes for no.
const NO: [&str; 7] = ["", "0", "f", "false", "n", "no", "off"];

/// What the flags amount to.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) policy: Policy,
    pub(super) ingress: IngressDefaults,
}

/// Those of the cluster's operator; where they are not to be had, the defaults and a note that says why.
pub(super) async fn settings(client: &Client) -> (Settings, Option<String>) {
    let unknown = |why: String| {
        let note = format!("the operator's own flags are not known here, their defaults are taken: {why}");
        (Settings::default(), Some(note))
    };
    let all = Api::<Deployment>::all(client.clone()).list(&ListParams::default().labels(LABEL)).await;
    let all = match all {
        Ok(all) => all.items,
        Err(error) => return unknown(super::plain(error).to_string()),
    };
    match all.iter().find(|deployment| deployment.metadata.name.as_deref() == Some(NAME)) {
        Some(deployment) => match of(deployment) {
            Ok(settings) => (settings, None),
            Err(why) => unknown(format!("Deployment {NAME}: {why}")),
        },
        None => unknown(format!("there is no Deployment {NAME} with the label {LABEL}")),
    }
}

/// # Errors
/// What of its flags is not understood here.
fn of(deployment: &Deployment) -> Result<Settings, String> {
    let containers = deployment.spec.template.spec.iter().flat_map(|pod| &pod.containers);
    let operator = containers.into_iter().find(|it| it.name == CONTAINER);
    let operator = operator.ok_or_else(|| format!("it has no container {CONTAINER}"))?;
    let command = PolicyFlags::augment_args(IngressFlags::augment_args(Command::new(NAME).no_binary_name(true)));
    let flags = flags(&command, operator);
    // The environment that counts is the operator's, not that of whoever asks.
    let command = command.mut_args(|arg| arg.env(None::<&str>));
    let said = |error: clap::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    let matches = command.try_get_matches_from(flags).map_err(said)?;
    let policy = PolicyFlags::from_arg_matches(&matches).map_err(said)?.policy();
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let ingress = IngressFlags::from_arg_matches(&matches).map_err(said)?.defaults(namespace);
    Ok(Settings { policy, ingress: ingress.map_err(|error| error.to_string())? })
}

/// The flags of a container that this command knows, from its arguments and, where they do not say it, its environment.
fn flags(command: &Command, container: &Container) -> Vec<String> {
    let known: BTreeMap<&str, &Arg> = command.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg))).collect();
    let (mut flags, mut given) = (Vec::new(), BTreeSet::new());
    let mut args = container.command.iter().chain(&container.args).flatten();
    while let Some(text) = args.next() {
        let Some(flag) = text.strip_prefix("--") else { continue };
        let name = flag.split_once('=').map_or(flag, |(name, _)| name);
        let Some(arg) = known.get(name) else { continue };
        given.insert(name);
        flags.push(text.clone());
        if name == flag && arg.get_action().takes_values() {
            flags.extend(args.next().cloned());
        }
    }
    let variables = container.env.iter().flatten();
    let variables: BTreeMap<&str, &str> =
        variables.filter_map(|it| Some((it.name.as_str(), it.value.as_deref()?))).collect();
    for (name, arg) in known.into_iter().filter(|(name, _)| !given.contains(name)) {
        let Some(value) = arg.get_env().and_then(|env| variables.get(env.to_str()?)) else { continue };
        match arg.get_action() {
            ArgAction::SetTrue if NO.contains(&&*value.to_ascii_lowercase()) => {}
            ArgAction::SetTrue => flags.push(format!("--{name}")),
            _ => flags.push(format!("--{name}={value}")),
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use axoneme_operator::{Name, model::options::Mode};
    use serde_json::{Value, json};

    use super::*;

    fn deployment(container: Value) -> Deployment {
        let template = json!({ "spec": { "containers": [{ "name": "sidecar" }, container] } });
        let spec = json!({ "selector": {}, "template": template });
        serde_json::from_value(json!({ "metadata": { "name": NAME, "namespace": "mesh" }, "spec": spec })).unwrap()
    }

    #[test]
    fn the_environment_holds_unless_an_argument_says_otherwise() {
        let env = |name: &str, value: &str| json!({ "name": name, "value": value });
        let settings = of(&deployment(json!({
            "name": CONTAINER,
            "args": ["--log-format=json", "--namespace", "elsewhere", "--allow-extensions", "lua",
                     "--ingress-default-lb-mode=shared"],
            "env": [
                { "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                env("AXONEME_INGRESS_DEFAULT_LB_MODE", "dedicated"),
                env("AXONEME_FORBID_FOREIGN_BACKENDS", "true"),
                env("AXONEME_INGRESS_HOSTNETWORK_ENABLED", "true"),
                env("AXONEME_INGRESS_HOSTNETWORK_NODELABELSELECTOR", ""),
            ],
        })))
        .unwrap();
        assert_eq!(settings.ingress.mode, Mode::Shared);
        assert_eq!(settings.ingress.shared_service, Name::new("mesh", "cilium-ingress"));
        assert!(settings.ingress.host_network.is_some_and(|network| network.nodes.is_none()));
        let lua = [axoneme_envoy::Capability::Lua].into_iter().collect::<Policy>();
        assert_eq!(settings.policy, lua.with_foreign_backends_forbidden(true));
    }

    #[test]
    fn without_flags_the_defaults_hold() {
        let settings = of(&deployment(json!({
            "name": CONTAINER, "env": [{ "name": "AXONEME_FORBID_FOREIGN_BACKENDS", "value": "false" }],
        })))
        .unwrap();
        let shared_service = Name::new("mesh", "cilium-ingress");
        assert_eq!(settings.ingress, IngressDefaults { shared_service, ..IngressDefaults::default() });
        assert_eq!(settings.policy, Policy::default());
    }

    #[test]
    fn flags_of_a_later_version_are_told() {
        let later = json!({ "name": CONTAINER, "args": ["--ingress-default-lb-mode=mirrored"] });
        let why = of(&deployment(later)).unwrap_err();
        assert!(why.contains("mirrored") && why.contains("--ingress-default-lb-mode"), "{why}");
        assert!(of(&deployment(json!({ "name": "other" }))).is_err());
    }
}
