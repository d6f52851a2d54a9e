//! What annotations say of TLS passthrough.

use std::collections::BTreeSet;

use super::Reader;
use super::values::boolean;
use crate::model::Host;
use crate::problem::Reason;

const PASSTHROUGH: &str = "tls-passthrough";

/// `tls-passthrough`: which names are not served but passed on to their backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Passthrough {
    /// None.
    #[default]
    Off,
    /// Those of all rules.
    All,
    /// These, and all others are served.
    Hosts(BTreeSet<Host>),
}

impl Passthrough {
    /// Whether the rule of a host is one of them.
    #[must_use]
    pub fn includes(&self, host: &Host) -> bool {
        match self {
            Self::Off => false,
            Self::All => true,
            Self::Hosts(hosts) => hosts.contains(host),
        }
    }
}

impl Reader<'_> {
    pub(super) fn passthrough(&mut self) -> Passthrough {
        let passthrough = self.take(PASSTHROUGH, "enabled, disabled or a list of hosts", parse).unwrap_or_default();
        if let Passthrough::Hosts(hosts) = &passthrough {
            let ruled: BTreeSet<_> =
                self.ingress.rules.iter().filter_map(|rule| Host::parse(rule.host.as_deref()?).ok()).collect();
            for host in hosts.difference(&ruled) {
                let why = format!("no rule is for {}; nothing of it is passed through", host.pattern());
                self.warn(Reason::Invalid, PASSTHROUGH, why);
            }
        }
        passthrough
    }
}

/// A name without a dot is rather a misspelt word than a host.
fn parse(value: &str) -> Option<Passthrough> {
    if let Some(all) = boolean(value) {
        return Some(if all { Passthrough::All } else { Passthrough::Off });
    }
    let host = |text: &str| Host::parse(text.trim()).ok().filter(|_| text.contains('.'));
    value.split(',').map(host).collect::<Option<_>>().map(Passthrough::Hosts)
}
