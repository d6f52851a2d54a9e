//! At whose address an Ingress is served, and what cannot be asked of an address that is not its own.

use super::{IngressDefaults, Reader};
use crate::problem::Reason;
use crate::source::Ingress;

const MODE: &str = "loadbalancer-mode";

/// Options of an address or a listener, of which there is one for all Ingresses of shared mode. Only those of their
/// operator's flags hold there.
const OF_OWN_ADDRESS: [&str; 9] = [
    "escaped-slashes",
    "header-underscores",
    "host-listener-port",
    "insecure-node-port",
    "loadbalancer-class",
    "proxy-protocol",
    "secure-node-port",
    "service-external-traffic-policy",
    "service-type",
];

/// At whose address an Ingress is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One of its own.
    #[default]
    Dedicated,
    /// One for all that are in this mode.
    Shared,
}

impl Mode {
    /// As annotations and flags say it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "dedicated" => Some(Self::Dedicated),
            "shared" => Some(Self::Shared),
            _ => None,
        }
    }

    /// The mode of an Ingress, without a look at anything else of it.
    #[must_use]
    pub fn of(ingress: &Ingress, defaults: &IngressDefaults) -> Self {
        let asked = ingress.options.get(MODE).and_then(|annotation| Self::parse(annotation.value.trim()));
        let class = || defaults.class.get(MODE).and_then(|value| Self::parse(value.trim()));
        asked.or_else(class).unwrap_or(defaults.mode)
    }
}

impl Reader<'_> {
    pub(super) fn mode(&mut self, defaults: &IngressDefaults) -> Mode {
        let mode = self.take(MODE, "dedicated or shared", Mode::parse).unwrap_or(defaults.mode);
        if mode == Mode::Shared {
            for option in OF_OWN_ADDRESS {
                let why = "has no effect in shared mode, where all Ingresses have one Service and one listener; ask for an \
                           address of its own with loadbalancer-mode: dedicated";
                self.warn(Reason::Unsupported, option, why.to_owned());
            }
        }
        mode
    }
}
