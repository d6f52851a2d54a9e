//! Encoded resources, good and bad, by their field numbers: a node has no descriptors.

use axoneme_api::intent::{Frontend, REDIRECT, Redirect};
use axoneme_xds::{
    Resource,
    type_urls::{LISTENER, ROUTE},
};
use prost::Message as _;

pub(crate) const ROUTER: &str = "http.router.v3.Router";
pub(crate) const FRONTEND: &str = "10.0.0.1:80";

/// An encoded protobuf field with a body.
pub(crate) fn field(number: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = Vec::new();
    prost::encoding::encode_varint(u64::from(number) << 3 | 2, &mut out);
    prost::encoding::encode_varint(body.len() as u64, &mut out);
    out.extend(body);
    out
}

pub(crate) fn any(type_name: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    [field(1, format!("type.googleapis.com/envoy.extensions.filters.{type_name}")), field(2, value)].concat()
}

/// A filter whose routes come by RDS.
pub(crate) fn web(routes: &str, router: &str) -> Vec<u8> {
    web_of(routes, &[[field(1, "router"), field(4, any(router, ""))].concat()])
}

/// The same with these HTTP filters.
pub(crate) fn web_of(routes: &str, filters: &[Vec<u8>]) -> Vec<u8> {
    // `ads: {}` and `resource_api_version: V3` of the config source.
    let source = [field(3, ""), vec![6 << 3, 2]].concat();
    let rds = [field(1, source), field(2, routes)].concat();
    let filters = filters.iter().flat_map(|filter| field(5, filter)).collect();
    let manager = [field(2, "test"), field(3, rds), filters].concat();
    let manager = any("network.http_connection_manager.v3.HttpConnectionManager", manager);
    [field(1, "http"), field(4, manager)].concat()
}

/// An HTTP listener without an address.
pub(crate) fn listener(name: &str, routes: &str, router: &str) -> Resource {
    Resource::new(LISTENER, name, [field(1, name), field(3, field(3, web(routes, router)))].concat())
}

/// Routes that answer every request with 200 and a text.
pub(crate) fn routes(name: &str, text: &str) -> Resource {
    let direct = [vec![1 << 3, 0xc8, 0x01], field(2, field(3, text))].concat();
    let route = [field(1, field(1, "/")), field(7, direct)].concat();
    let host = [field(1, "all"), field(2, "*"), field(3, route)].concat();
    Resource::new(ROUTE, name, [field(1, name), field(2, host)].concat())
}

pub(crate) fn redirect(name: &str, listener: &str, address: &str) -> Resource {
    let spec = Redirect {
        frontends: vec![Frontend::new(address.parse().expect("an address"))],
        listener: listener.to_owned(),
        owner: "Ingress default/web".to_owned(),
        ..Redirect::default()
    };
    Resource::new(REDIRECT, name, spec.encode_to_vec())
}

/// A listener that Envoy 1.40 dies of: transparent and not bound. It has an address, so the node does not touch it.
pub(crate) fn deadly(name: &str) -> Resource {
    let address = field(1, [field(2, "127.0.0.1"), vec![3 << 3, 0x01]].concat());
    let transparent = [10 << 3 | 2, 2, 1 << 3, 1];
    let not_bound = field(26, "");
    let web = listener(name, "r", ROUTER).body;
    Resource::new(LISTENER, name, [&*web, &field(2, address), &transparent, &not_bound].concat())
}

/// A chain that every connection matches. Its routes are in it, and lead to a cluster.
pub(crate) fn chain_to(cluster: &str) -> Vec<u8> {
    let route = [field(1, field(1, "/")), field(2, field(1, cluster))].concat();
    let host = [field(1, "all"), field(2, "*"), field(3, route)].concat();
    let router = [field(1, "router"), field(4, any(ROUTER, ""))].concat();
    let manager = [field(2, "test"), field(4, field(2, host)), field(5, router)].concat();
    let manager = any("network.http_connection_manager.v3.HttpConnectionManager", manager);
    field(3, [field(1, "http"), field(4, manager)].concat())
}

/// A listener that shows the certificate of a secret.
pub(crate) fn tls(name: &str, secret: &str) -> Resource {
    let source = [field(3, ""), vec![6 << 3, 2]].concat();
    let common = field(6, [field(1, secret), field(2, source)].concat());
    let context = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
    let context = [field(1, context), field(2, field(1, common))].concat();
    let socket = field(6, [field(1, "tls"), field(3, context)].concat());
    let chain = [field(3, web("r", ROUTER)), socket].concat();
    Resource::new(LISTENER, name, [field(1, name), field(3, chain)].concat())
}
