//! What an Ingress wants at the shared address and another one has.

use super::Shared;
use crate::model::{Host, PathMatch};
use crate::source::ObjectKey;

/// A route that an older Ingress has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Of which host.
    pub host: Host,
    /// Which path.
    pub matcher: PathMatch,
    /// Who has it.
    pub winner: ObjectKey,
    /// One of both has the host passed through, so that all of it is the winner's.
    pub is_whole: bool,
}

impl Shared {
    /// Routes of an Ingress that others have. Costs its hosts, with what others say of them.
    #[must_use]
    pub fn lost(&self, owner: &ObjectKey) -> Vec<Lost> {
        let mut lost = Vec::new();
        let Some(claim) = self.claims.get(owner) else { return lost };
        for host in &claim.hosts {
            let Some(all) = self.hosts.get(host).filter(|all| all.len() > 1) else { continue };
            let Some(mine) = all.get(&claim.rank) else { continue };
            let Some((oldest, first)) = self.heard(host).next() else { continue };
            let is_whole = first.passage().is_some() || mine.passage().is_some();
            let winners = self.winners(host);
            let routes = mine.routes.iter().filter(|route| !route.implied || *host == Host::Any);
            // What is passed through is what the rule says of every path.
            let everything = mine.passage().map(|_| PathMatch::Prefix("/".to_owned()));
            for matcher in routes.map(|route| route.matcher.clone()).chain(everything) {
                let winner = if is_whole { Some(oldest) } else { winners.get(&matcher).map(|(winner, ..)| *winner) };
                if let Some(winner) = winner.filter(|winner| **winner != claim.rank) {
                    lost.push(Lost { host: host.clone(), matcher, winner: winner.1.clone(), is_whole });
                }
            }
        }
        lost
    }
}
