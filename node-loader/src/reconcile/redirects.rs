//! Redirects: which addresses go to which listener.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axoneme_api::intent;
use axoneme_xds::{Key, Resource, type_urls::LISTENER};
use prost::Message as _;

use super::{Op, Reconcile, Record, Ticket, sources::Gate};
use crate::{
    datapath::{Entry, FrontendState, OnProxyFailure, ServiceId, Sources},
    event::NodeEvent,
};

/// One redirect as the operator wants it.
#[derive(Debug)]
pub(super) struct Redirect {
    resource: Resource,
    pub(super) spec: intent::Redirect,
    ticket: Option<Ticket>,
    /// Its number in the kernel's counters.
    pub(super) service: ServiceId,
    /// Where it applies on this node.
    pub(super) addresses: BTreeSet<SocketAddr>,
    /// Who may connect from outside.
    pub(super) gate: Gate,
    /// All of it was in force at some time.
    pub(super) on: bool,
}

impl Reconcile {
    pub(super) fn put_redirect(&mut self, resource: Resource, ticket: Option<Ticket>) {
        let (key, name) = (resource.key(), resource.name.clone());
        let spec = match read(&resource) {
            Ok(spec) => spec,
            Err(message) => return self.reject(&key, ticket, message),
        };
        self.rejections.remove(&key);
        let service = ServiceId(self.services.number(&name));
        let (addresses, gate) = (addresses(&spec, &self.addresses), Gate::of(&spec));
        self.redirects_to.entry(spec.listener.as_str().into()).or_default().insert(name.clone());
        let redirect = Redirect { resource, spec, ticket, service, addresses, gate, on: false };
        let before = self.redirects.insert(name.clone(), redirect);
        let (mut old, mut old_gate) = (BTreeSet::new(), Gate::default());
        if let Some(before) = before {
            self.overtake(before.ticket);
            self.unlink(&name, &before.spec.listener);
            (old, old_gate) = (before.addresses, before.gate);
        }
        // Who is let in is known before anybody looks, and forgotten after: nobody is refused in between.
        self.list_sources(&name, &old_gate);
        self.claim(&name, &old);
        self.refresh_redirect(&name);
        self.forget_sources(&name, service, &old_gate);
        self.sweep();
    }

    pub(super) fn remove_redirect(&mut self, name: &Arc<str>, ticket: Ticket) {
        let key: Key = (intent::REDIRECT.into(), name.clone());
        self.rejections.remove(&key);
        self.say(Op::Forget(key));
        if let Some(before) = self.redirects.remove(name) {
            self.overtake(before.ticket);
            self.unlink(name, &before.spec.listener);
            self.services.release(name);
            self.claim(name, &before.addresses);
            self.forget_sources(name, before.service, &before.gate);
            self.tell(NodeEvent::RedirectOff { name: name.clone() });
        }
        self.settle(Some(ticket), Ok(()));
        self.sweep();
    }

    /// The node's addresses are others now: O(redirects with node ports).
    pub(super) fn readdress(&mut self, node: Vec<IpAddr>) {
        self.addresses = node;
        let with_node_ports = self.redirects.iter().filter(|(_, redirect)| !redirect.spec.node_ports.is_empty());
        let names: Vec<_> = with_node_ports.map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(redirect) = self.redirects.get_mut(&name) else { continue };
            let now = addresses(&redirect.spec, &self.addresses);
            let before = std::mem::replace(&mut redirect.addresses, now);
            self.claim(&name, &before);
            self.refresh_redirect(&name);
        }
        self.sweep();
    }

    /// Looks at all addresses of a redirect.
    pub(super) fn refresh_redirect(&mut self, name: &Arc<str>) {
        let Some(redirect) = self.redirects.get(name) else { return };
        for address in redirect.addresses.clone() {
            self.refresh(address);
        }
        self.settle_redirect(name);
    }

    /// The entry that a redirect's frontend should have: none until a socket listens.
    pub(super) fn entry(&self, name: &str, address: SocketAddr) -> Option<Entry> {
        let sources = self.redirects.get(name)?.gate.of_frontend(address);
        self.open_entry(name).map(|entry| Entry { sources, ..entry })
    }

    /// The same, but for who may connect.
    fn open_entry(&self, name: &str) -> Option<Entry> {
        let redirect = self.redirects.get(name)?;
        let listener = self.items.get(&(LISTENER.into(), redirect.spec.listener.as_str().into()))?;
        listener.wanted.as_ref()?;
        let served = listener.served.as_ref()?;
        let in_force = |served: &super::items::Served| self.runs(served).then_some(served.port).flatten();
        let port = in_force(served).or_else(|| in_force(served.good.as_ref()?))?;
        self.listening.contains(&port).then_some(Entry {
            proxy_port: port,
            state: FrontendState::On,
            on_proxy_failure: self.on_failure(redirect),
            service: redirect.service,
            sources: Sources::All,
        })
    }

    /// What becomes of a redirect's connections while nobody listens.
    pub(super) fn on_failure(&self, redirect: &Redirect) -> OnProxyFailure {
        match (redirect.spec.has_backends, self.settings.on_proxy_failure) {
            (false, _) => OnProxyFailure::RefuseAll,
            (true, crate::config::OnProxyFailure::Bypass) => OnProxyFailure::Bypass,
            (true, crate::config::OnProxyFailure::Refuse) => OnProxyFailure::Refuse,
        }
    }

    /// Answers the operator once every address of the redirect is in force, or one cannot be.
    pub(super) fn settle_redirect(&mut self, name: &Arc<str>) {
        let Some(redirect) = self.redirects.get(name) else { return };
        let key: Key = (intent::REDIRECT.into(), name.clone());
        let listener: Key = (LISTENER.into(), redirect.spec.listener.as_str().into());
        let entry = self.open_entry(name);
        let mut problem = if entry.is_none() { self.why_away(redirect) } else { None };
        if self.items.get(&listener).is_some_and(|item| item.is_bound_as_written()) {
            problem =
                Some(format!("listener {} has an address of its own; nothing can be redirected to it", listener.1));
        }
        if let Some(failure) = &redirect.gate.failure {
            problem = Some(format!("sources: {failure}"));
        }
        let mut all = entry.is_some();
        for address in &redirect.addresses {
            match self.claims.get(address).and_then(BTreeSet::first) {
                Some(owner) if owner != name => problem = Some(format!("{address} belongs to redirect {owner}")),
                _ => {}
            }
            let frontend = self.frontends.get(address);
            if let Some(failure) = frontend.and_then(|frontend| frontend.failure.as_ref()) {
                problem = Some(format!("{address}: {failure}"));
            }
            let wanted = entry.map(|entry| Entry { sources: redirect.gate.of_frontend(*address), ..entry });
            all &= frontend.is_some_and(|frontend| Some(frontend.entry) == wanted && frontend.set);
        }
        if let Some(problem) = problem {
            let ticket = self.redirects.get_mut(name).and_then(|redirect| redirect.ticket.take());
            self.reject(&key, ticket, problem);
        } else if all && let Some(port) = entry.map(|entry| entry.proxy_port) {
            self.redirect_on(name, &key, port);
        }
    }

    fn redirect_on(&mut self, name: &Arc<str>, key: &Key, port: u16) {
        let Some(redirect) = self.redirects.get_mut(name) else { return };
        let (ticket, first) = (redirect.ticket.take(), !std::mem::replace(&mut redirect.on, true));
        if !first && ticket.is_none() && !self.rejections.contains_key(key) {
            return;
        }
        let record = Record { resource: redirect.resource.clone(), number: redirect.service.0 };
        let owner = redirect.spec.owner.clone();
        self.say(Op::Persist(record));
        self.succeed(key, ticket);
        self.tell(NodeEvent::RedirectOn { name: name.clone(), owner, port });
    }

    /// Enters a redirect's addresses, takes it off those that it had before, and looks at these.
    fn claim(&mut self, name: &Arc<str>, before: &BTreeSet<SocketAddr>) {
        let now = self.redirects.get(name).map(|redirect| redirect.addresses.clone()).unwrap_or_default();
        for address in &now {
            self.claims.entry(*address).or_default().insert(name.clone());
        }
        for address in before.difference(&now) {
            if let Some(claims) = self.claims.get_mut(address) {
                claims.remove(name);
                if claims.is_empty() {
                    self.claims.remove(address);
                }
            }
            self.refresh(*address);
            if let Some(heir) = self.claims.get(address).and_then(BTreeSet::first).cloned() {
                self.settle_redirect(&heir);
            }
        }
    }

    fn unlink(&mut self, name: &Arc<str>, listener: &str) {
        let still = self.redirects.get(name).is_some_and(|redirect| redirect.spec.listener == listener);
        if let Some(redirects) = self.redirects_to.get_mut(listener).filter(|_| !still) {
            redirects.remove(name);
            if redirects.is_empty() {
                self.redirects_to.remove(listener);
            }
        }
    }
}

fn read(resource: &Resource) -> Result<intent::Redirect, String> {
    let spec = intent::Redirect::decode(resource.body.clone()).map_err(|error| format!("no redirect: {error}"))?;
    if let Some(frontend) = spec.frontends.iter().find(|frontend| frontend.socket_addr().is_none()) {
        return Err(format!("frontends: {:?} port {} is no address", frontend.address, frontend.port));
    }
    if let Some(range) = spec.sources.iter().find(|range| range.prefix().is_none()) {
        return Err(format!("sources: {:?}/{} is no range of addresses", range.address, range.length));
    }
    let wrong = |port: &&u32| !(1..=65_535).contains(*port);
    if let Some(port) = spec.node_ports.iter().find(wrong) {
        return Err(format!("node_ports: {port} is no port"));
    }
    Ok(spec)
}

fn addresses(spec: &intent::Redirect, node: &[IpAddr]) -> BTreeSet<SocketAddr> {
    let frontends = spec.frontends.iter().filter_map(intent::Frontend::socket_addr);
    let node_ports = spec.node_ports.iter().filter_map(|port| u16::try_from(*port).ok());
    let on_node = node_ports.flat_map(|port| node.iter().map(move |ip| SocketAddr::new(*ip, port)));
    frontends.chain(on_node).collect()
}
