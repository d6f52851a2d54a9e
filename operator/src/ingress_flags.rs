//! Flags that concern Ingresses, under the names of Cilium's operator where it has them.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use axoneme_api::names;
use clap::{ArgAction, Args};

use crate::{
    Name,
    model::{HostNetwork, IngressDefaults, RedirectCode, options, options::Mode},
    source::Selector,
};

/// What holds of Ingresses that do not say otherwise.
#[derive(Clone, Debug, Args)]
pub struct IngressFlags {
    /// Whether an Ingress that does not say so has an address of its own (dedicated), or that of all the others (shared); the
    /// annotation loadbalancer-mode says otherwise.
    #[arg(long, env = "AXONEME_INGRESS_DEFAULT_LB_MODE", default_value = "dedicated", value_parser = mode)]
    ingress_default_lb_mode: Mode,

    /// The Service of all Ingresses in shared mode, in the operator's namespace.
    #[arg(long, env = "AXONEME_INGRESS_SHARED_LB_SERVICE_NAME", default_value = names::SHARED_SERVICE, value_name = "NAME")]
    ingress_shared_lb_service_name: String,

    /// externalTrafficPolicy of that Service, Cluster or Local. An Ingress with an address of its own has the annotation
    /// service-external-traffic-policy.
    #[arg(long, env = "AXONEME_INGRESS_SHARED_LB_EXTERNAL_TRAFFIC_POLICY", default_value = "Cluster", value_name = "POLICY",
          action = ArgAction::Set, value_parser = is_local)]
    ingress_shared_lb_external_traffic_policy: bool,

    /// Whether plain requests for hosts with TLS are sent to https; the annotation force-https says otherwise.
    #[arg(long, env = "AXONEME_ENFORCE_INGRESS_HTTPS", default_value_t = true, action = ArgAction::Set)]
    enforce_ingress_https: bool,

    /// The status that sends them there: 308, or 301 for clients that do not know it.
    #[arg(long, env = "AXONEME_INGRESS_REDIRECT_CODE", default_value = "308", value_parser = redirect_code)]
    ingress_redirect_code: RedirectCode,

    /// Secret with the certificate of hosts whose tls entry names none, as NAMESPACE/NAME.
    #[arg(long, env = "AXONEME_INGRESS_DEFAULT_SECRET", value_parser = name)]
    ingress_default_secret: Option<Name>,

    /// How long a request may take, such as 30s; 0 for as long as it wants. The annotation request-timeout says otherwise.
    #[arg(long, env = "AXONEME_INGRESS_DEFAULT_REQUEST_TIMEOUT", default_value = "0", value_parser = duration)]
    ingress_default_request_timeout: Duration,

    /// How long a request may be silent in both directions; 0 for as long as it wants. The annotation stream-idle-timeout says
    /// otherwise.
    #[arg(long, env = "AXONEME_INGRESS_DEFAULT_STREAM_IDLE_TIMEOUT", default_value = "300s", value_parser = duration)]
    ingress_default_stream_idle_timeout: Duration,

    /// How many proxies in front of the mesh append to x-forwarded-for and are believed.
    #[arg(long, env = "AXONEME_INGRESS_DEFAULT_XFF_NUM_TRUSTED_HOPS", default_value_t = 0)]
    ingress_default_xff_num_trusted_hops: u32,

    /// Whether the address of a connection is the client's own, which x-forwarded-for must end with. With false the header is
    /// taken as it comes: for proxies in front that write it.
    #[arg(long, env = "AXONEME_INGRESS_USE_REMOTE_ADDRESS", default_value_t = true, action = ArgAction::Set)]
    ingress_use_remote_address: bool,

    /// Whether connections must begin with a PROXY protocol header, which says the client's address; others are closed. The
    /// annotation proxy-protocol says otherwise.
    #[arg(long, env = "AXONEME_ENABLE_INGRESS_PROXY_PROTOCOL", default_value_t = false, action = ArgAction::Set)]
    enable_ingress_proxy_protocol: bool,

    /// Whether Ingresses are served at ports of the nodes themselves, each at its own: the annotation host-listener-port.
    #[arg(long, env = "AXONEME_INGRESS_HOSTNETWORK_ENABLED", default_value_t = false, action = ArgAction::Set)]
    ingress_hostnetwork_enabled: bool,

    /// Labels of the nodes that do so, as KEY=VALUE,...; all nodes without.
    #[arg(long, env = "AXONEME_INGRESS_HOSTNETWORK_NODELABELSELECTOR", default_value = "", value_parser = selector)]
    ingress_hostnetwork_nodelabelselector: Selector,

    /// The port of all Ingresses in shared mode, there.
    #[arg(long, env = "AXONEME_INGRESS_HOSTNETWORK_SHARED_LISTENER_PORT", default_value_t = HostNetwork::PORT, value_name = "PORT",
          value_parser = clap::value_parser!(u16).range(1..))]
    ingress_hostnetwork_shared_listener_port: u16,

    /// The range of the nodes' own --port-range, which no Ingress may ask for.
    #[arg(long, env = "AXONEME_PROXY_PORT_RANGE", default_value = "10000-20000", value_parser = ports)]
    proxy_port_range: RangeInclusive<u16>,

    /// Annotations and labels of an Ingress that start so are copied to its Service.
    #[arg(long, env = "AXONEME_INGRESS_LB_ANNOTATION_PREFIXES", value_delimiter = ',', value_name = "PREFIX")]
    ingress_lb_annotation_prefixes: Option<Vec<String>>,
}

/// All Ingresses of shared mode are at a port that the nodes give to redirected listeners: sooner or later one of them has it.
#[derive(Debug, thiserror::Error)]
#[error(
    "--ingress-hostnetwork-shared-listener-port={port} is one of the ports {}-{} that the proxy takes itself (--proxy-port-range, \
     the chart's node.portRange); choose another",
    taken.start(), taken.end()
)]
pub struct SharedPortTaken {
    port: u16,
    taken: RangeInclusive<u16>,
}

impl IngressFlags {
    /// What the flags amount to for an operator of this namespace.
    ///
    /// # Errors
    /// [`SharedPortTaken`] in host network mode.
    pub fn defaults(self, namespace: &str) -> Result<IngressDefaults, SharedPortTaken> {
        let flags = self;
        let (port, taken) = (flags.ingress_hostnetwork_shared_listener_port, &flags.proxy_port_range);
        if flags.ingress_hostnetwork_enabled && taken.contains(&port) {
            return Err(SharedPortTaken { port, taken: taken.clone() });
        }
        let selector = flags.ingress_hostnetwork_nodelabelselector;
        let host_network = HostNetwork {
            nodes: (!selector.labels.is_empty()).then_some(selector),
            proxy_ports: flags.proxy_port_range,
            shared_port: flags.ingress_hostnetwork_shared_listener_port,
        };
        Ok(IngressDefaults {
            mode: flags.ingress_default_lb_mode,
            shared_service: Name::new(namespace, &flags.ingress_shared_lb_service_name),
            shared_local_traffic_only: flags.ingress_shared_lb_external_traffic_policy,
            enforce_https: flags.enforce_ingress_https,
            redirect_code: flags.ingress_redirect_code,
            secret: flags.ingress_default_secret,
            request_timeout: flags.ingress_default_request_timeout,
            stream_idle_timeout: flags.ingress_default_stream_idle_timeout,
            trusted_hops: flags.ingress_default_xff_num_trusted_hops,
            use_remote_address: flags.ingress_use_remote_address,
            proxy_protocol: flags.enable_ingress_proxy_protocol,
            host_network: flags.ingress_hostnetwork_enabled.then_some(host_network),
            class: BTreeMap::new(),
            copied_prefixes: flags
                .ingress_lb_annotation_prefixes
                .unwrap_or_else(|| IngressDefaults::default().copied_prefixes),
        })
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    Mode::parse(text).ok_or_else(|| "want dedicated or shared".to_owned())
}

fn is_local(text: &str) -> Result<bool, String> {
    options::is_local(text).ok_or_else(|| "want Cluster or Local".to_owned())
}

fn redirect_code(text: &str) -> Result<RedirectCode, String> {
    text.parse::<u16>().map_err(|error| error.to_string()).and_then(RedirectCode::try_from)
}

fn name(text: &str) -> Result<Name, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => Ok(Name::new(namespace, name)),
        _ => Err("want NAMESPACE/NAME".to_owned()),
    }
}

/// A duration as flags and annotations say it.
///
/// # Errors
/// What is wanted in its place.
pub fn duration(text: &str) -> Result<Duration, String> {
    options::duration(text).ok_or_else(|| "want a duration such as 30s, 1m30s or 0".to_owned())
}

fn selector(text: &str) -> Result<Selector, String> {
    let pair = |pair: &str| pair.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    let pairs = text.split(',').filter(|text| !text.trim().is_empty());
    let labels = pairs.map(pair).collect::<Option<_>>().ok_or("want KEY=VALUE,...")?;
    let selector = Selector { labels, ..Selector::default() };
    match selector.mistakes().into_iter().next() {
        Some((_, why)) => Err(why),
        None => Ok(selector),
    }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = text.split_once('-').and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
    range.filter(|range| !range.is_empty()).ok_or_else(|| "want a range of ports such as 10000-20000".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        ingress: IngressFlags,
    }

    fn defaults(flags: &[&str]) -> Result<IngressDefaults, SharedPortTaken> {
        Flags::parse_from([&["operator"], flags].concat()).ingress.defaults("mesh")
    }

    #[test]
    fn the_port_of_shared_mode_is_none_of_the_proxys() {
        let port = "--ingress-hostnetwork-shared-listener-port=10001";
        assert!(defaults(&[port]).is_ok(), "without host network mode there is no such port");
        let enabled = "--ingress-hostnetwork-enabled=true";
        let refused = defaults(&[enabled, port]).unwrap_err().to_string();
        assert!(refused.contains("10001") && refused.contains("10000-20000"), "{refused}");
        assert!(defaults(&[enabled, port, "--proxy-port-range=20001-30000"]).is_ok());
        assert!(defaults(&[enabled]).is_ok());
    }
}
