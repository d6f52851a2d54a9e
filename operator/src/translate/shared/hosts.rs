//! A host as a piece of a route table.
//!
//! One table serves both ways in, plain and with TLS: what is for https only looks at `x-forwarded-proto`, which Envoy itself
//! writes unless a proxy in front is believed. So an edit is one resource, whether or not the host has TLS.

use axoneme_envoy::ResourceKind;
use axoneme_hostkey::Key;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Origin, decode, table};
use crate::model::{Backend, Host, PathMatch, RedirectCode};
use crate::problem::Problem;
use crate::shared::{SharedHost, SharedRoute};
use crate::translate::gate;
use crate::translate::routes::{self, Side, Table};

/// How Envoy finds the host of a request.
#[derive(Clone, Copy, Debug)]
pub enum Form<'a> {
    /// By the key that the module wrote into a header.
    Key,
    /// By its `Host`. What a wildcard of Envoy matches beyond that of an Ingress goes where every other host does.
    Pattern {
        /// The host of all others.
        anywhere: Option<&'a SharedHost>,
    },
}

/// A host as a piece of a table, encoded.
///
/// # Errors
/// What Envoy would refuse.
pub fn piece(origin: &Origin, host: &Host, shared: &SharedHost, form: Form<'_>) -> Result<Bytes, Vec<Problem>> {
    let virtual_host = match form {
        Form::Key => virtual_host(host, &key(host), routes(origin, shared, None)),
        Form::Pattern { anywhere } => {
            let mut all = routes(origin, shared, routes::one_label(host, false).as_ref());
            if let Some(others) = routes::one_label(host, true) {
                all.extend(anywhere.into_iter().flat_map(|it| routes(origin, it, Some(&others))));
            }
            virtual_host(host, &host.pattern(), all)
        }
    };
    let json = json!({
        "@type": ResourceKind::Route.type_url(), "name": table::PIECE, "virtual_hosts": [virtual_host],
    });
    Ok(table::without_name(decode(&json)?.encode()))
}

fn virtual_host(host: &Host, domain: &str, routes: Vec<Value>) -> Value {
    json!({ "name": host.pattern(), "domains": [domain], "routes": routes })
}

/// The key by which the module asks for a host.
fn key(host: &Host) -> String {
    match host {
        Host::Any => String::from_utf8_lossy(Key::CATCH_ALL.as_bytes()).into_owned(),
        Host::Exact(name) => name.clone(),
        Host::Wildcard(parent) => format!("_.{parent}"),
    }
}

/// The shard that a host is in.
#[must_use]
pub fn shard(host: &Host) -> u32 {
    axoneme_hostkey::shard(key(host).as_bytes())
}

fn routes(origin: &Origin, host: &SharedHost, condition: Option<&Value>) -> Vec<Value> {
    let conditions: Vec<_> = condition.into_iter().cloned().collect();
    let mut all: Vec<_> = host.routes.iter().flat_map(|it| route(origin, it, &conditions)).collect();
    if let Some(https_only) = host.others {
        let everything = routes::everything();
        all.extend(https_only.map(|code| to_https(&everything, code, &conditions)));
        // The host is known, so nobody else has its other paths.
        let nothing = |conditions: &[Value]| json!({ "match": routes::matches(&everything, conditions), "direct_response": { "status": 404 } });
        if host.is_passed {
            all.push(nothing(&[&conditions[..], &[routes::is_plain()]].concat()));
            all.push(routes::misdirected(&conditions));
        } else {
            all.push(nothing(&conditions));
        }
    }
    all
}

fn route(origin: &Origin, it: &SharedRoute, conditions: &[Value]) -> Vec<Value> {
    let cluster = |backend: &Backend, http2: bool| origin.cluster(backend, http2);
    let table = Table { side: Side::Secure, is_trusted: false, limits: it.limits, cluster };
    let redirect = it.https_only.map(|code| to_https(&it.route.matcher, code, conditions));
    let all = redirect.into_iter().chain(table.route(&it.route, conditions));
    match &it.sources {
        Some(sources) => all.map(|route| gate::only_for(route, sources)).collect(),
        None => all.collect(),
    }
}

/// Sends plain requests to https, except those of authorities that look for proof before there is a certificate.
fn to_https(matcher: &PathMatch, code: RedirectCode, conditions: &[Value]) -> Value {
    let mut conditions = conditions.to_vec();
    conditions.push(routes::is_plain());
    if routes::may_be_challenge(matcher) {
        let mut others = routes::is_challenge();
        others["invert_match"] = json!(true);
        conditions.push(others);
    }
    routes::redirect(matcher, code, &conditions)
}
