//! Who may connect from outside: the ranges of a redirect, and the frontends that they are about.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use axoneme_api::intent;

use super::{Op, Reconcile};
use crate::datapath::{ServiceId, SourceRange, Sources};

/// What a redirect says of it.
#[derive(Debug, Default)]
pub(super) struct Gate {
    ranges: BTreeSet<SourceRange>,
    /// The frontends that only these may dial.
    listed: BTreeSet<SocketAddr>,
    /// The kernel's words, if it did not take the ranges. Who is not in the map is refused.
    pub(super) failure: Option<String>,
}

impl Gate {
    pub(super) fn of(spec: &intent::Redirect) -> Self {
        let ranges = spec.sources.iter().filter_map(intent::SourceRange::prefix);
        let listed = spec.frontends.iter().filter(|frontend| frontend.listed_sources_only);
        Self {
            ranges: ranges.map(|(address, length)| SourceRange::new(address, length)).collect(),
            listed: listed.filter_map(intent::Frontend::socket_addr).collect(),
            failure: None,
        }
    }

    pub(super) fn of_frontend(&self, address: SocketAddr) -> Sources {
        if self.listed.contains(&address) { Sources::Listed } else { Sources::All }
    }
}

impl Reconcile {
    /// Lists who may connect to a redirect's frontends, if that is somebody and not as `before`.
    pub(super) fn list_sources(&mut self, name: &Arc<str>, before: &Gate) {
        let Some(redirect) = self.redirects.get(name) else { return };
        let ranges = redirect.gate.ranges.clone();
        if !ranges.is_empty() && (ranges != before.ranges || before.failure.is_some()) {
            self.say(Op::SetSources(name.clone(), redirect.service, ranges));
        }
    }

    /// Lists nobody any more, if the redirect is gone or names no range now.
    pub(super) fn forget_sources(&mut self, name: &Arc<str>, service: ServiceId, before: &Gate) {
        let of_use = self.redirects.get(name).is_some_and(|redirect| !redirect.gate.ranges.is_empty());
        if !of_use && !before.ranges.is_empty() {
            self.say(Op::SetSources(name.clone(), service, BTreeSet::new()));
        }
    }

    pub(super) fn sources_set(&mut self, name: &Arc<str>, result: Result<(), String>) {
        if let Some(redirect) = self.redirects.get_mut(name) {
            redirect.gate.failure = result.err();
            self.settle_redirect(name);
        }
    }
}
