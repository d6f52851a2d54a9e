//! What a person wants to know of each object: is it served, where, and what is wrong.

use axoneme_api::{
    intent::{REDIRECT, Redirect},
    names,
};
use axoneme_xds::type_urls;
use prost::Message as _;

use super::Engine;
use crate::intents::Programmed;
use crate::problem::Problem;
use crate::source::ObjectKey;

/// One Ingress that is ours, or one Envoy config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which.
    pub object: ObjectKey,
    /// What it takes: the Service ports with the addresses that clients dial, and the listener that answers.
    pub redirects: Vec<Redirected>,
    /// Ports of the nodes that it has, in host network mode.
    pub host_ports: Vec<u16>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// How many nodes run it.
    pub programmed: Programmed,
}

/// Where an object answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirected {
    /// `namespace/service:port`.
    pub service: String,
    /// Addresses with ports.
    pub addresses: Vec<String>,
    /// Ports of every node.
    pub node_ports: Vec<u32>,
    /// Full name of the Envoy listener.
    pub listener: String,
}

impl Engine {
    /// Every Ingress that is ours and every Envoy config, in order. Costs all of them: for people, not for machines.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.index.owners().map(|object| self.report(object)).collect()
    }

    fn report(&self, object: ObjectKey) -> Report {
        let shared = self.shared_parts(&object);
        let redirects = [&object].into_iter().chain(shared.as_ref().map(|shared| &shared.owner));
        let redirects = redirects.flat_map(|owner| self.intents.owned(owner, REDIRECT)).filter_map(|resource| {
            let redirect = Redirect::decode(resource.body.clone()).ok()?;
            let addresses = redirect.frontends.iter().filter_map(|frontend| frontend.socket_addr());
            Some(Redirected {
                service: resource.name.to_string(),
                addresses: addresses.map(|address| address.to_string()).collect(),
                node_ports: redirect.node_ports,
                listener: redirect.listener,
            })
        });
        let listeners = self.intents.owned(&object, type_urls::LISTENER);
        Report {
            redirects: redirects.collect(),
            host_ports: listeners.filter_map(|it| names::host_listener_port(&it.name)).collect(),
            problems: self.problems.get(&object).cloned().unwrap_or_default(),
            programmed: match &shared {
                Some(shared) => self.intents.programmed_of(shared.tables.iter().map(|(owner, key)| (owner, key))),
                None => self.intents.programmed(&object),
            },
            object,
        }
    }
}
