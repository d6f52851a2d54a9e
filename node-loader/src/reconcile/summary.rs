//! The state of a node for people, sorted.

use std::{net::SocketAddr, sync::Arc};

use axoneme_xds::type_urls::{LISTENER, ROUTE};
use serde::{Deserialize, Serialize};

use super::Reconcile;
use crate::datapath::{FrontendState, ServiceId};

/// What `axonctl status` shows of the core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Whether the operator has said all that it has to say, at least once.
    pub synced: bool,
    /// Whether Envoy has its stream.
    pub envoy_connected: bool,
    /// Resources that the operator wants here, redirects aside.
    pub resources: usize,
    /// Wanted listeners.
    pub listeners: Vec<ListenerSummary>,
    /// Wanted redirects.
    pub redirects: Vec<RedirectSummary>,
    /// Resources that are not offered until it is known which of them Envoy dies of.
    #[serde(default)]
    pub held_back: Vec<String>,
    /// Listeners and routes that Envoy has not answered in a long time.
    #[serde(default)]
    pub unanswered: Vec<String>,
    /// What is not in force, and why.
    pub rejections: Vec<Rejection>,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerSummary {
    /// Resource name.
    pub name: String,
    /// Proxy port; none for a listener with an address of its own.
    pub port: Option<u16>,
    /// Whether a socket listens on the proxy port.
    pub listening: bool,
    /// Routes that it waits for.
    pub waits_for: Vec<String>,
}

/// One redirect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedirectSummary {
    /// `namespace/service:port`.
    pub name: String,
    /// Who asked for it.
    pub owner: String,
    /// The listener that it leads to.
    pub listener: String,
    /// Its frontends.
    pub frontends: Vec<FrontendSummary>,
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendSummary {
    /// What clients dial.
    pub address: SocketAddr,
    /// Whether new connections go to the proxy.
    pub on: bool,
    /// The kernel's words when it refused the entry.
    pub failure: Option<String>,
}

/// One resource that is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Its type.
    pub type_url: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub message: String,
}

impl Reconcile {
    /// The state for people: O(everything), for a request of theirs.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let rejections = self.rejections.iter().map(|((type_url, name), message)| Rejection {
            type_url: type_url.to_string(),
            name: name.to_string(),
            message: message.clone(),
        });
        Summary {
            synced: self.complete,
            envoy_connected: self.envoy_connected,
            resources: self.items.values().filter(|item| item.wanted.is_some()).count(),
            listeners: self.listeners(),
            redirects: self.redirects.keys().filter_map(|name| self.redirect(name)).collect(),
            held_back: self.held.keys().map(|(_, name)| name.to_string()).collect(),
            unanswered: self.overdue.iter().map(|(_, name)| name.to_string()).collect(),
            rejections: rejections.collect(),
        }
    }

    /// Frontends that new connections do not use any more, with the redirect that they are of, or were.
    pub fn draining(&self) -> impl Iterator<Item = (SocketAddr, Option<&Arc<str>>)> {
        let draining = self.frontends.iter().filter(|(_, it)| it.entry.state == FrontendState::Draining);
        draining.map(|(address, frontend)| (*address, self.services.name(frontend.entry.service.0)))
    }

    /// The redirect that a frontend in the kernel is of, or was.
    #[must_use]
    pub fn redirect_of(&self, address: SocketAddr) -> Option<&Arc<str>> {
        self.services.name(self.frontends.get(&address)?.entry.service.0)
    }

    /// Which redirect a number in the kernel's counters stands for.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &Arc<str>)> {
        self.services.iter().map(|(name, number)| (ServiceId(number), name))
    }

    fn listeners(&self) -> Vec<ListenerSummary> {
        let listeners = self.items.iter().filter(|((type_url, _), _)| &**type_url == LISTENER);
        let summary = listeners.filter_map(|((_, name), item)| {
            let wanted = item.wanted.as_ref()?;
            let port = self.ports.get(name);
            let missing = wanted.references.iter().filter(|need| &*need.0 == ROUTE && !self.is_served(need));
            Some(ListenerSummary {
                name: name.to_string(),
                port,
                listening: port.is_some_and(|port| self.listening.contains(&port)),
                waits_for: missing.map(|(_, name)| name.to_string()).collect(),
            })
        });
        summary.collect()
    }

    fn redirect(&self, name: &Arc<str>) -> Option<RedirectSummary> {
        let redirect = self.redirects.get(name)?;
        let frontends = redirect.addresses.iter().map(|address| {
            let frontend = self.frontends.get(address);
            FrontendSummary {
                address: *address,
                on: frontend.is_some_and(|it| {
                    let leads_there = it.entry.service == redirect.service && it.entry.proxy_port != 0;
                    it.set && it.entry.state == FrontendState::On && leads_there
                }),
                failure: frontend.and_then(|it| it.failure.clone()),
            }
        });
        Some(RedirectSummary {
            name: name.to_string(),
            owner: redirect.spec.owner.clone(),
            listener: redirect.spec.listener.clone(),
            frontends: frontends.collect(),
        })
    }
}
