//! `spec.tls`: which names are served with TLS, and with which Secret.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::options::Passthrough;
use super::{Host, IngressDefaults};
use crate::index::Index;
use crate::problem::{Problem, Reason};
use crate::source::{Ingress, Name, Tls};

/// The names that an Ingress asks TLS for.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// Every name, whether or not its certificate can be shown: plain requests for it may have to go to https.
    pub(super) hosts: BTreeSet<Host>,
    /// Those that can be served, each with its Secret.
    pub(super) usable: BTreeMap<Host, Name>,
    pub(super) problems: Vec<Problem>,
}

/// The Secrets that an Ingress names, whether or not they exist.
#[must_use]
pub fn named_secrets(ingress: &Ingress, defaults: &IngressDefaults) -> BTreeSet<Name> {
    ingress.tls.iter().filter_map(|tls| secret(ingress, tls, defaults)).collect()
}

/// A Secret of the Ingress's own namespace, or that of the flag, which the operator's owner answers for.
fn secret(ingress: &Ingress, tls: &Tls, defaults: &IngressDefaults) -> Option<Name> {
    let own = tls.secret.as_deref().filter(|name| !name.is_empty());
    own.map(|name| Name::new(&ingress.meta.name.namespace, name)).or_else(|| defaults.secret.clone())
}

/// Understands `spec.tls`. The first entry for a name counts.
pub(super) fn certificates(
    ingress: &Ingress,
    index: &Index,
    defaults: &IngressDefaults,
    passthrough: &Passthrough,
) -> Certificates {
    let mut found = Certificates::default();
    let mut claimed: BTreeMap<Host, Name> = BTreeMap::new();
    for (at, tls) in ingress.tls.iter().enumerate() {
        let field = format!("spec.tls[{at}]");
        if *passthrough == Passthrough::All {
            let why = "has no effect with TLS passthrough: backends show their own certificates";
            found.problems.push(Problem::warning(Reason::Unsupported, field, why));
            continue;
        }
        let hosts = found.hosts_of(&field, tls);
        let Some(secret) = secret(ingress, tls, defaults) else {
            let why = "names no Secret, and the operator has no default one: its hosts are served without TLS only";
            found.problems.push(Problem::warning(Reason::Invalid, field, why));
            continue;
        };
        let is_usable = found.check(&field, &secret, index);
        for (field, host) in hosts {
            if passthrough.includes(&host) {
                let why = format!("{} is passed through: its backend shows its own certificate", host.pattern());
                found.problems.push(Problem::warning(Reason::Conflict, field, why));
                continue;
            }
            match claimed.entry(host.clone()) {
                Entry::Vacant(free) => drop(free.insert(secret.clone())),
                Entry::Occupied(first) if *first.get() == secret => {}
                Entry::Occupied(first) => {
                    let why = format!("{} has Secret {} further up; the first one counts", host.pattern(), first.get());
                    found.problems.push(Problem::warning(Reason::Conflict, field, why));
                    continue;
                }
            }
            if is_usable {
                found.usable.insert(host.clone(), secret.clone());
            }
            found.hosts.insert(host);
        }
    }
    found
}

impl Certificates {
    /// Without hosts an entry is for every name.
    fn hosts_of(&mut self, field: &str, tls: &Tls) -> Vec<(String, Host)> {
        if tls.hosts.is_empty() {
            return vec![(field.to_owned(), Host::Any)];
        }
        let mut hosts = Vec::new();
        for (at, host) in tls.hosts.iter().enumerate() {
            let field = format!("{field}.hosts[{at}]");
            match Host::parse(host) {
                Ok(host) => hosts.push((field, host)),
                Err(why) => {
                    let why = format!("{why}; it is ignored");
                    self.problems.push(Problem::error(Reason::Invalid, field, why));
                }
            }
        }
        hosts
    }

    /// Whether the Secret can be served: as it is, or its last good version.
    fn check(&mut self, field: &str, name: &Name, index: &Index) -> bool {
        let field = format!("{field}.secretName");
        let waits = "its hosts are not served with TLS until it is";
        let Some(held) = index.secret(name) else {
            // Its watch begins when it is named, and tells in a moment.
            if index.is_absent(name) {
                let why = format!("Secret {name} is not there; {waits}");
                self.problems.push(Problem::error(Reason::ResourceNotFound, field, why));
            }
            return false;
        };
        // A Secret in force that has a certificate has its key too: `Credential` saw to that.
        let is_usable = held.in_force().is_some_and(|secret| secret.data.contains_key("tls.crt"));
        let wrong = held.wrong().or_else(|| (!is_usable).then_some("has no tls.crt and tls.key"));
        if let Some(wrong) = wrong {
            let so = if is_usable { "its last good version stays in force" } else { waits };
            let why = format!("Secret {name} {wrong}; {so}");
            self.problems.push(Problem::error(Reason::InvalidSecret, field, why));
        }
        is_usable
    }
}
