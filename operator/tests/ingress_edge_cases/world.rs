//! An engine with Ingresses of namespace `shop`, and what it says.

use axoneme_envoy::{EnvoyResource, ResourceKind};
use axoneme_operator::local::Local;
use axoneme_operator::model::IngressDefaults;
use axoneme_operator::{Changes, Engine};
use serde_json::Value;

use crate::support;

/// An engine and the stand-in for a cluster that gives it what it writes.
pub(crate) struct World {
    pub(crate) engine: Engine,
    local: Local,
}

/// A Service with which every Ingress here can do.
pub(crate) const WEB: &str = "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{name: http, \
                              port: 80}]}\n";

/// A path that leads to it.
pub(crate) const PATH: &str = "{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}";

/// An Ingress `web`: annotations and the fields of its spec, in YAML's one-line form.
pub(crate) fn ingress(annotations: &str, spec: &str) -> String {
    format!(
        "\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web, namespace: shop, annotations: \
         {{{annotations}}}}}\nspec: {{ingressClassName: cilium, {spec}}}\n"
    )
}

/// A rule for a host.
pub(crate) fn rule(host: &str) -> String {
    format!("{{host: {host:?}, http: {{paths: [{PATH}]}}}}")
}

/// A Secret with a certificate of its own.
pub(crate) fn secret(namespace: &str, name: &str) -> String {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let indent = |pem: String| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\nstringData:\n  tls.crt: |\n{}  \
         tls.key: |\n{}",
        indent(made.cert.pem()),
        indent(made.signing_key.serialize_pem())
    )
}

impl World {
    pub(crate) fn new(text: &str) -> Self {
        Self::with(IngressDefaults::default(), text)
    }

    pub(crate) fn with(defaults: IngressDefaults, text: &str) -> Self {
        let mut world = Self { engine: Engine::new().with_defaults(defaults), local: Local::new(support::pools()) };
        for event in support::text(&format!("{text}{WEB}")).resets() {
            world.local.drive(&mut world.engine, event);
        }
        world
    }

    /// Applies the objects of a text.
    pub(crate) fn apply(&mut self, text: &str) -> Changes {
        let mut all = Changes::default();
        for event in support::applies(&support::text(text)) {
            all.merge(self.local.drive(&mut self.engine, event));
        }
        all
    }

    /// Applies the objects of a text in a cluster that does nothing of what it is told.
    pub(crate) fn apply_alone(&mut self, text: &str) -> Changes {
        let mut all = Changes::default();
        for event in support::applies(&support::text(text)) {
            all.merge(self.engine.apply(self.local.complete(event)));
        }
        all
    }

    /// Something happens to an object.
    pub(crate) fn drive(&mut self, event: axoneme_operator::SourceEvent) -> Changes {
        self.local.drive(&mut self.engine, event)
    }

    pub(crate) fn delete(&mut self, kind: axoneme_operator::Kind, name: &str) -> Changes {
        let key = axoneme_operator::ObjectKey::new(kind, "shop", name);
        self.local.drive(&mut self.engine, axoneme_operator::SourceEvent::Delete(key))
    }

    /// Resources of a kind that a node gets: name and JSON.
    pub(crate) fn resources(&self, kind: ResourceKind) -> Vec<(String, Value)> {
        let view = self.engine.intents().view("node");
        let mine = view.iter().filter(|resource| *resource.type_url == *kind.type_url());
        let json = |resource: &axoneme_xds::Resource| {
            let json = EnvoyResource::from_bytes(kind, &resource.body).unwrap().to_json().unwrap();
            (resource.name.to_string(), json)
        };
        mine.map(json).collect()
    }

    /// The filter chains of the one listener.
    pub(crate) fn chains(&self) -> Vec<Value> {
        let mut listeners = self.resources(ResourceKind::Listener);
        assert_eq!(listeners.len(), 1);
        listeners.remove(0).1["filter_chains"].as_array().unwrap().clone()
    }

    /// The names that are answered with TLS, each with its secret.
    pub(crate) fn certificates(&self) -> Vec<(String, String)> {
        let chains = self.chains();
        let with_tls = chains.iter().filter(|chain| chain["filter_chain_match"]["transport_protocol"] == "tls");
        let pair = |chain: &Value| {
            let context = &chain["transport_socket"]["typed_config"]["common_tls_context"];
            let secret = context["tls_certificate_sds_secret_configs"][0]["name"].as_str().unwrap();
            let name = chain["filter_chain_match"]["server_names"][0].as_str().unwrap_or("*");
            (name.to_owned(), secret.to_owned())
        };
        with_tls.map(pair).collect()
    }

    /// The routes of a host in one of the tables.
    pub(crate) fn routes(&self, table: &str, host: &str) -> Vec<Value> {
        let tables = self.resources(ResourceKind::Route);
        let table = &tables.iter().find(|(name, _)| name.ends_with(table)).unwrap().1;
        let hosts = table["virtual_hosts"].as_array().unwrap();
        let host = hosts.iter().find(|it| it["name"] == host).unwrap_or_else(|| panic!("no {host} in {table:#}"));
        host["routes"].as_array().unwrap().clone()
    }

    /// Everything that is wrong, in one line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let all = self.engine.problems().values().flatten();
        all.map(|problem| format!("{:?} {} {problem}", problem.severity, problem.reason.as_str())).collect()
    }
}

/// The kinds and names of what changed.
pub(crate) fn changed(changes: &Changes) -> Vec<String> {
    let short = |url: &str| url.rsplit('.').next().unwrap_or_default().to_owned();
    let name = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    changes.intents.iter().map(|(url, key)| format!("{} {}", short(url), name(key))).collect()
}
