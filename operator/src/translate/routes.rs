//! Routes of an HTTP model as Envoy RouteConfigurations: one for plain requests, one for those over TLS.

use std::time::Duration;

use serde_json::{Value, json};

use crate::model::{Action, Backend, Host, HttpModel, Limits, PathMatch, RedirectCode, Route, Speaks, VirtualHost};

/// Where authorities that give out certificates look for proof, over plain HTTP (RFC 8555, 8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Which requests a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// Without TLS.
    Plain,
    /// With TLS.
    Secure,
}

impl Side {
    /// As Cilium calls the table, which is also its prefix in Envoy's statistics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "listener-insecure",
            Self::Secure => "listener-secure",
        }
    }
}

/// The RouteConfiguration `name`. `cluster` names the cluster of a backend, for HTTP/2 or not.
pub(super) fn route_configuration(
    name: &str,
    model: &HttpModel,
    side: Side,
    cluster: impl Fn(&Backend, bool) -> String,
) -> Value {
    let table = Table { side, is_trusted: model.is_behind_proxy(), limits: model.limits, cluster };
    let anywhere = model.hosts.get(&Host::Any);
    let virtual_host = |(host, it): (&Host, &VirtualHost)| {
        let mut routes = table.routes(it, one_label(host, false).as_ref());
        if matches!(host, Host::Wildcard(_)) {
            // Envoy's `*.` stands for any number of labels, that of an Ingress for one. The others are nobody's in
            // particular.
            routes.extend(anywhere.into_iter().flat_map(|it| table.routes(it, one_label(host, true).as_ref())));
        }
        json!({ "name": host.pattern(), "domains": [host.pattern()], "routes": routes })
    };
    json!({
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": name,
        // Hosts are compared without their port, so that `example.org:8080` needs no domain of its own.
        "ignore_port_in_host_matching": true,
        "virtual_hosts": model.hosts.iter().map(virtual_host).collect::<Vec<_>>(),
    })
}

/// As protobuf writes durations in JSON.
pub(super) fn duration(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        nanos => format!("{}.{nanos:09}s", duration.as_secs()),
    }
}

/// For a wildcard, the condition that the host has exactly one label more, or that it has not.
pub(super) fn one_label(host: &Host, invert: bool) -> Option<Value> {
    let Host::Wildcard(rest) = host else { return None };
    let regex = format!(r"(?i)[^.]+\.{}(:\d+)?", rest.replace('.', r"\."));
    let mut matcher = json!({ "name": ":authority", "string_match": { "safe_regex": { "regex": regex } } });
    if invert {
        matcher["invert_match"] = json!(true);
    }
    Some(matcher)
}

/// What the routes of a table have in common.
pub(super) struct Table<F> {
    pub(super) side: Side,
    /// A proxy in front may say that the client came by https.
    pub(super) is_trusted: bool,
    pub(super) limits: Limits,
    /// The cluster of a backend, for HTTP/2 or not.
    pub(super) cluster: F,
}

impl<F: Fn(&Backend, bool) -> String> Table<F> {
    /// The routes of a virtual host, each under a condition.
    fn routes(&self, host: &VirtualHost, condition: Option<&Value>) -> Vec<Value> {
        let conditions: Vec<_> = condition.into_iter().cloned().collect();
        // A host without routes is one that is passed through.
        if host.routes.is_empty() && self.side == Side::Secure {
            return vec![misdirected(&conditions)];
        }
        let Some(code) = host.https_only.filter(|_| self.side == Side::Plain) else {
            return self.all(host, &conditions);
        };
        let to_challenges = [conditions.clone(), vec![is_challenge()]].concat();
        let open = host.routes.iter().filter(|route| may_be_challenge(&route.matcher));
        let mut routes: Vec<_> = open.flat_map(|route| self.route(route, &to_challenges)).collect();
        if !self.is_trusted {
            routes.push(redirect(&everything(), code, &conditions));
            return routes;
        }
        routes.push(redirect(&everything(), code, &[conditions.clone(), vec![is_plain()]].concat()));
        routes.extend(self.all(host, &conditions));
        routes
    }

    fn all(&self, host: &VirtualHost, conditions: &[Value]) -> Vec<Value> {
        host.routes.iter().flat_map(|route| self.route(route, conditions)).collect()
    }

    /// A route under conditions; two where the protocol depends on the request.
    pub(super) fn route(&self, route: &Route, conditions: &[Value]) -> Vec<Value> {
        let backend = match &route.action {
            Action::Unavailable => {
                let matches = matches(&route.matcher, conditions);
                return vec![json!({ "match": matches, "direct_response": { "status": 503 } })];
            }
            Action::Forward(backend) => backend,
        };
        let forward = |conditions: &[Value], http2: bool| {
            json!({
                "match": matches(&route.matcher, conditions),
                "route": {
                    "cluster": (self.cluster)(backend, http2),
                    // Written out, because without it Envoy cuts every request after 15 s: uploads, SSE, gRPC streams.
                    "timeout": duration(self.limits.request),
                    "idle_timeout": duration(self.limits.idle),
                },
            })
        };
        match backend.speaks {
            Speaks::Http1 => vec![forward(conditions, false)],
            Speaks::Http2 => vec![forward(conditions, true)],
            Speaks::Unknown => {
                let is_grpc = json!({ "name": "content-type", "string_match": { "prefix": "application/grpc" } });
                vec![forward(&[conditions, &[is_grpc]].concat(), true), forward(conditions, false)]
            }
        }
    }
}

/// The match of a path under conditions.
pub(super) fn matches(matcher: &PathMatch, conditions: &[Value]) -> Value {
    let mut matches = match matcher {
        PathMatch::Exact(path) => json!({ "path": path }),
        PathMatch::Regex(regex) => json!({ "safe_regex": { "regex": regex } }),
        PathMatch::Prefix(path) if path == "/" => json!({ "prefix": "/" }),
        PathMatch::Prefix(path) => json!({ "path_separated_prefix": path }),
    };
    if !conditions.is_empty() {
        matches["headers"] = json!(conditions);
    }
    matches
}

/// Every path.
pub(super) fn everything() -> PathMatch {
    PathMatch::Prefix("/".to_owned())
}

/// The condition that the client came without TLS, as Envoy says it, or a proxy that is believed.
pub(super) fn is_plain() -> Value {
    json!({
        "name": "x-forwarded-proto",
        "string_match": { "exact": "https" },
        "invert_match": true,
        "treat_missing_header_as_empty": true,
    })
}

/// The condition that an authority looks for proof.
pub(super) fn is_challenge() -> Value {
    json!({ "name": ":path", "string_match": { "prefix": CHALLENGES } })
}

/// Answers requests in TLS for a host whose TLS does not end here: a client that has a connection for another name, whose
/// certificate fits this one too, may try it there (RFC 9113, 9.1.1). With 421 it opens one of its own (RFC 9110, 15.5.20).
pub(super) fn misdirected(conditions: &[Value]) -> Value {
    json!({ "match": matches(&everything(), conditions), "direct_response": { "status": 421 } })
}

/// Sends requests to https.
pub(super) fn redirect(matcher: &PathMatch, code: RedirectCode, conditions: &[Value]) -> Value {
    json!({
        "match": matches(matcher, conditions),
        "redirect": { "https_redirect": true, "response_code": code.envoy_name() },
    })
}

/// Whether a match is about challenges or may be about them, among others.
pub(super) fn may_be_challenge(matcher: &PathMatch) -> bool {
    match matcher {
        PathMatch::Exact(path) => path.starts_with(CHALLENGES),
        PathMatch::Regex(_) => true,
        PathMatch::Prefix(path) => {
            let below = format!("{}/", path.trim_end_matches('/'));
            below.starts_with(CHALLENGES) || CHALLENGES.starts_with(&below)
        }
    }
}
