//! The certificates of shared mode: each host shows that of the oldest Ingress that brings one, unless it is passed through.

use std::collections::{BTreeMap, BTreeSet};

use axoneme_xds::Key;

use super::Engine;
use crate::intents::Intent;
use crate::model::Host;
use crate::problem::{Problem, Reason};
use crate::shared::Handshake;
use crate::source::{Ingress, Name, ObjectKey};
use crate::translate::shared::{Origin, secret};

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

    /// Another Ingress shows another certificate for some hosts of this one, or has them passed through.
    pub(in crate::engine) fn lost_certificates(&self, owner: &ObjectKey) -> Vec<Problem> {
        let Some(ingress) = self.index.ingress(&owner.name) else { return Vec::new() };
        let problem = |(host, winner, handshake): (&Host, &ObjectKey, &Handshake)| {
            let name = host.pattern();
            let why = match handshake {
                Handshake::Certificate(_) => format!(
                    "{winner} is older and has the certificate of {name} in shared mode; clients that ask for that name see it as \
                     long as it has"
                ),
                Handshake::Passed(_) => format!(
                    "{winner} has {name} passed through in shared mode; clients that ask for that name see the certificate of its \
                     backend"
                ),
            };
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
