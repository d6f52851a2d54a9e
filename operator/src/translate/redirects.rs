//! Which addresses of a Service go to a listener.

use std::net::SocketAddr;
use std::sync::Arc;

use axoneme_api::intent::{Frontend, REDIRECT, Redirect};
use axoneme_api::names;
use axoneme_xds::Resource;
use prost::Message as _;

use crate::intents::Intent;
use crate::source::{ObjectKey, Service, ServicePort};

/// The redirect of one port of a Service. `None` while the Service has no address that clients could dial.
pub(super) fn redirect(service: &Service, port: &ServicePort, listener: &str, owner: &ObjectKey) -> Option<Intent> {
    let frontends: Vec<Frontend> =
        service.addresses().into_iter().map(|ip| Frontend::new(SocketAddr::new(ip, port.port))).collect();
    if frontends.is_empty() && port.node_port.is_none() {
        return None;
    }
    let name = &service.meta.name;
    let redirect = Redirect {
        frontends,
        node_ports: port.node_port.map(u32::from).into_iter().collect(),
        listener: listener.to_owned(),
        owner: owner.to_string(),
        has_backends: !service.is_ingress,
    };
    let name: Arc<str> = names::redirect(&name.namespace, &name.name, port.port).into();
    let resource = Resource::new(REDIRECT, name, redirect.encode_to_vec());
    Some(Intent { resource, awaited: true, endpoints: None })
}
