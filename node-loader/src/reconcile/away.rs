//! While there is no proxy: what is refused meanwhile, and who is told.
//!
//! A Service with backends of its own is reached around the proxy, unless it is to be refused. An address without any is refused from
//! the moment when it is known: whoever dials it would hang otherwise, whatever the proxy is waiting for.

use std::{net::SocketAddr, sync::Arc};

use axoneme_api::intent::{PROXY_AWAY, REDIRECT};

use super::{Op, Reconcile, redirects::Redirect};
use crate::datapath::{Entry, FrontendState, OnProxyFailure};

impl Reconcile {
    pub(super) fn envoy_connects(&mut self) {
        self.envoy_connected = true;
        self.away = false;
    }

    /// The operator hears which redirects are not in force. Cost: all redirects.
    pub(super) fn proxy_away(&mut self) {
        self.away = true;
        let names: Vec<Arc<str>> = self.redirects.keys().cloned().collect();
        for name in names {
            let Some(redirect) = self.redirects.get_mut(&name) else { continue };
            if std::mem::take(&mut redirect.on) {
                // It will send it again, and be refused.
                self.say(Op::TakeBack((REDIRECT.into(), name.clone()), None));
            }
            self.settle_redirect(&name);
        }
    }

    /// The ports that the kernel leads to.
    pub fn proxy_ports(&self) -> impl Iterator<Item = u16> {
        self.loads.keys().copied().filter(|port| *port != 0)
    }

    /// What the operator is told of a redirect that nobody serves.
    pub(super) fn why_away(&self, redirect: &Redirect) -> Option<String> {
        let so = match self.on_failure(redirect) {
            OnProxyFailure::Bypass => "new connections go around it",
            OnProxyFailure::Refuse | OnProxyFailure::RefuseAll => "new connections are refused",
        };
        self.away.then(|| format!("{PROXY_AWAY}Envoy does not run; {so}"))
    }

    /// The entry of a frontend whose listener is not there yet, where connections must not go around the proxy.
    ///
    /// A Service that asks to be refused is, while there is no Envoy at all. While Envoy only takes up its listener, the redirect is
    /// new, and those who reach the Service now still do.
    pub(super) fn shut_entry(&self, name: &str, address: SocketAddr) -> Option<Entry> {
        let redirect = self.redirects.get(name)?;
        let on_proxy_failure = self.on_failure(redirect);
        let shut = match on_proxy_failure {
            OnProxyFailure::Bypass => false,
            OnProxyFailure::Refuse => !self.envoy_connected,
            OnProxyFailure::RefuseAll => true,
        };
        let (service, sources) = (redirect.service, redirect.gate.of_frontend(address));
        shut.then_some(Entry { proxy_port: 0, state: FrontendState::On, on_proxy_failure, service, sources })
    }

    /// Whether an entry is such a one, and still right: what was refused is until somebody listens.
    pub(super) fn stays_shut(&self, name: &str, now: &Entry) -> bool {
        let right =
            |redirect: &Redirect| now.on_proxy_failure == self.on_failure(redirect) && now.service == redirect.service;
        now.proxy_port == 0 && self.redirects.get(name).is_some_and(right)
    }
}
