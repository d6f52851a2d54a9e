//! The certificates of shared mode: each host shows that of the oldest Ingress that brings one.

use std::collections::{BTreeMap, BTreeSet};

use axoneme_xds::Key;

use super::Engine;
use crate::intents::Intent;
use crate::model::Host;
use crate::problem::{Problem, Reason};
use crate::shared::Shared;
use crate::source::{Ingress, Name, ObjectKey};
use crate::translate::shared::{Origin, secret};

/// Which Secret proves who we are, by the host that clients ask for.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    by_host: BTreeMap<Host, Name>,
    revision: u64,
}

impl Certificates {
    /// Takes in hosts that changed. Costs these.
    pub(super) fn update(&mut self, hosts: &Shared, changed: &BTreeSet<Host>) {
        for host in changed {
            let now = hosts.certificate(host);
            if self.by_host.get(host) == now {
                continue;
            }
            match now {
                Some(secret) => drop(self.by_host.insert(host.clone(), secret.clone())),
                None => drop(self.by_host.remove(host)),
            }
            self.revision += 1;
        }
    }

    pub(super) fn by_host(&self) -> &BTreeMap<Host, Name> {
        &self.by_host
    }

    /// Another number means that some host shows a certificate out of another Secret, or shows none any more.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }
}

impl Engine {
    /// What nodes are told of these Secrets: what is in force, while some Ingress brings a certificate out of them.
    pub(super) fn shared_secrets(&self, names: &BTreeSet<Name>) -> BTreeMap<Key, Option<Intent>> {
        let origin = Origin::of(&self.defaults);
        let intent = |name: &Name| {
            let wanted = self.shared.hosts.names_secret(name);
            (origin.secret_key(name), wanted.then(|| secret(&origin, name, &self.index)).flatten())
        };
        names.iter().map(intent).collect()
    }

    /// An older Ingress shows another certificate for some hosts of this one.
    pub(in crate::engine) fn lost_certificates(&self, owner: &ObjectKey) -> Vec<Problem> {
        let Some(ingress) = self.index.ingress(&owner.name) else { return Vec::new() };
        let problem = |(host, winner): (&Host, &ObjectKey)| {
            let why = format!(
                "{winner} is older and has the certificate of {} in shared mode; clients that ask for that name see it as long as \
                 it has",
                host.pattern()
            );
            Problem::warning(Reason::Conflict, field(ingress, host), why)
        };
        self.shared.hosts.lost_certificates(owner).map(problem).collect()
    }
}

/// Where an Ingress asks for the certificate of a host.
fn field(ingress: &Ingress, host: &Host) -> String {
    let is_it = |written: &String| Host::parse(written).is_ok_and(|parsed| parsed == *host);
    for (at, tls) in ingress.tls.iter().enumerate() {
        if tls.hosts.is_empty() && *host == Host::Any {
            return format!("spec.tls[{at}]");
        }
        if let Some(place) = tls.hosts.iter().position(is_it) {
            return format!("spec.tls[{at}].hosts[{place}]");
        }
    }
    "spec.tls".to_owned()
}
