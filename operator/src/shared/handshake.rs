//! What becomes of a TLS handshake at the shared address, by the name that the client asks for: it ends here, with the certificate
//! of the oldest Ingress that brings one, or the connection is passed on as it is.

use std::collections::BTreeSet;

use super::{Contribution, Shared};
use crate::intents::Rank;
use crate::model::options::Range;
use crate::model::{Host, HttpModel, Target};
use crate::source::{Name, ObjectKey};

/// What becomes of handshakes for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// They end here, with the certificate in this Secret, which can be used.
    Certificate(Name),
    /// Their connections are passed on as they are.
    Passed(Passage),
}

/// How connections are passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Where to. `None`: what the rule names is not there, and they are closed at once.
    pub target: Option<Target>,
    /// Whose. `None`: everybody's.
    pub sources: Option<BTreeSet<Range>>,
}

impl Handshake {
    /// What an Ingress says of a host.
    pub(super) fn of(model: &HttpModel, host: &Host) -> Option<Self> {
        let certificate = model.certificates.get(host).cloned().map(Self::Certificate);
        let passage = |target: &Option<Target>| Passage { target: target.clone(), sources: model.sources.clone() };
        certificate.or_else(|| model.passthrough.get(host).map(passage).map(Self::Passed))
    }
}

impl Contribution {
    pub(super) fn certificate(&self) -> Option<&Name> {
        match &self.tls {
            Some(Handshake::Certificate(secret)) => Some(secret),
            _ => None,
        }
    }

    pub(super) fn passage(&self) -> Option<&Passage> {
        match &self.tls {
            Some(Handshake::Passed(passage)) => Some(passage),
            _ => None,
        }
    }

    pub(super) fn target(&self) -> Option<&Target> {
        self.passage()?.target.as_ref()
    }
}

impl Shared {
    /// What becomes of handshakes for a host. `None`: nobody brings a certificate, and nobody has them passed on.
    #[must_use]
    pub fn handshake(&self, host: &Host) -> Option<&Handshake> {
        self.decided(host).map(|(_, handshake)| handshake)
    }

    /// The same, with who decided it: where the host is not passed through, the oldest that brings a certificate.
    fn decided(&self, host: &Host) -> Option<(&Rank, &Handshake)> {
        let (rank, oldest) = self.heard(host).next()?;
        if let Some(passed @ Handshake::Passed(_)) = &oldest.tls {
            return Some((rank, passed));
        }
        let mut all = self.hosts.get(host)?.iter().filter(|(_, it)| it.certificate().is_some());
        all.find_map(|(rank, it)| Some((rank, it.tls.as_ref()?)))
    }

    /// Hosts for which an Ingress brings a certificate that is not shown, each with whose word counts and what that is. Costs its
    /// hosts.
    pub fn lost_certificates(&self, owner: &ObjectKey) -> impl Iterator<Item = (&Host, &ObjectKey, &Handshake)> {
        let claim = self.claims.get(owner);
        claim.into_iter().flat_map(|claim| claim.hosts.iter().map(move |host| (claim, host))).filter_map(
            |(claim, host)| {
                let mine = self.hosts.get(host)?.get(&claim.rank)?;
                mine.certificate()?;
                let (winner, handshake) = self.decided(host)?;
                (mine.tls.as_ref() != Some(handshake)).then_some((host, &winner.1, handshake))
            },
        )
    }
}
