//! Shared mode: what all Ingresses at one address say of each host, and which of them is heard.
//!
//! An Ingress contributes hosts. A host is merged from all that is contributed to it: for each path the oldest Ingress counts,
//! and the others are told. Pure, and no order of events shows in the result. An edit costs the hosts that the Ingress names or
//! named, each with what others say of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::intents::Rank;
use crate::model::options::Range;
use crate::model::{Action, Backend, Host, HttpModel, Limits, PathMatch, RedirectCode, Route, Target};
use crate::source::{Name, ObjectKey};

mod handshake;
mod lost;
mod place;
mod regex;

pub use handshake::{Handshake, Passage};
pub use lost::Lost;
pub use place::{Place, place};

/// What one Ingress says of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contribution {
    /// The more specific match first. Empty when it brings a certificate only, or the host is passed through.
    pub routes: Vec<Route>,
    /// Limits of requests to these routes.
    pub limits: Limits,
    /// Plain requests to these routes are sent to https.
    pub https_only: Option<RedirectCode>,
    /// Who may send requests to these routes. `None`: everybody.
    pub sources: Option<BTreeSet<Range>>,
    /// What becomes of handshakes for the host, as far as this Ingress can say.
    pub tls: Option<Handshake>,
}

impl Contribution {
    /// Whether a rule names the host. Otherwise it only falls under the Ingress's `tls` or default backend.
    fn is_written(&self) -> bool {
        self.passage().is_some() || self.routes.iter().any(|route| !route.implied)
    }
}

/// A host as all of its Ingresses together have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedHost {
    /// The more specific match first. No match is there twice.
    pub routes: Vec<SharedRoute>,
    /// What becomes of requests to other paths: 404, after a redirect to https where the oldest Ingress asks for it. `None` when
    /// there are no other paths.
    pub others: Option<Option<RedirectCode>>,
    /// Its TLS does not end here, so no request in TLS is meant for us.
    pub is_passed: bool,
}

/// A route, with what its Ingress says of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRoute {
    /// The route.
    pub route: Route,
    /// Limits of its requests.
    pub limits: Limits,
    /// Plain requests are sent to https.
    pub https_only: Option<RedirectCode>,
    /// Who may send requests. `None`: everybody.
    pub sources: Option<BTreeSet<Range>>,
}

/// What a mutation changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Hosts that may be others now, or gone.
    pub hosts: BTreeSet<Host>,
    /// Other Ingresses that say something of these hosts: they may have won or lost a route.
    pub rivals: BTreeSet<ObjectKey>,
    /// Backends that nobody named before, or nobody names any more.
    pub backends: BTreeSet<Backend>,
    /// Targets of passthrough, likewise.
    pub targets: BTreeSet<Target>,
    /// Secrets with certificates of whose Ingresses something changed.
    pub secrets: BTreeSet<Name>,
}

impl Change {
    /// Both.
    pub fn extend(&mut self, other: Self) {
        self.hosts.extend(other.hosts);
        self.rivals.extend(other.rivals);
        self.backends.extend(other.backends);
        self.targets.extend(other.targets);
        self.secrets.extend(other.secrets);
    }
}

/// The hosts. See the module's text.
#[derive(Debug, Default)]
pub struct Shared {
    hosts: BTreeMap<Host, BTreeMap<Rank, Contribution>>,
    claims: BTreeMap<ObjectKey, Claim>,
    /// How many Ingresses name each backend.
    backends: BTreeMap<Backend, usize>,
    /// How many Ingresses pass connections on to each target.
    targets: BTreeMap<Target, usize>,
    /// How many Ingresses bring a certificate out of each Secret.
    secrets: BTreeMap<Name, usize>,
}

/// What one Ingress has a part in.
#[derive(Debug)]
struct Claim {
    rank: Rank,
    hosts: BTreeSet<Host>,
    backends: BTreeSet<Backend>,
    targets: BTreeSet<Target>,
    secrets: BTreeSet<Name>,
}

/// What an Ingress contributes, by its model. What Envoy would refuse is not among it: it would refuse other Ingresses' routes with
/// it.
#[must_use]
pub fn contributions(model: &HttpModel) -> BTreeMap<Host, Contribution> {
    let named = model.hosts.keys().chain(model.certificates.keys());
    let contribution = |host: &Host| {
        let served = model.hosts.get(host);
        let routes = served.into_iter().flat_map(|it| &it.routes);
        Contribution {
            routes: routes.filter(|route| refusal(route).is_none()).cloned().collect(),
            limits: model.limits,
            https_only: served.and_then(|it| it.https_only),
            sources: model.sources.clone(),
            tls: Handshake::of(model, host),
        }
    };
    let all = named.map(|host| (host.clone(), contribution(host)));
    all.filter(|(_, it)| !it.routes.is_empty() || it.tls.is_some()).collect()
}

impl Shared {
    /// Replaces what an Ingress contributes; nothing at all when it is not in shared mode any more.
    pub fn set(&mut self, rank: &Rank, wanted: BTreeMap<Host, Contribution>) -> Change {
        let owner = &rank.1;
        let mut change = Change::default();
        let before = self.claims.remove(owner);
        let backends: BTreeSet<_> = wanted.values().flat_map(backends).cloned().collect();
        let targets: BTreeSet<_> = wanted.values().filter_map(Contribution::target).cloned().collect();
        let secrets: BTreeSet<_> = wanted.values().filter_map(Contribution::certificate).cloned().collect();
        change.backends = count(&mut self.backends, before.as_ref().map(|claim| &claim.backends), &backends);
        change.targets = count(&mut self.targets, before.as_ref().map(|claim| &claim.targets), &targets);
        change.secrets = count(&mut self.secrets, before.as_ref().map(|claim| &claim.secrets), &secrets);
        // Also those that it named before: what is in them may be new.
        change.secrets.extend(secrets.iter().cloned());

        let claim = Claim { rank: rank.clone(), hosts: wanted.keys().cloned().collect(), backends, targets, secrets };
        if let Some(before) = before {
            for host in before.hosts.iter().filter(|host| before.rank != *rank || !claim.hosts.contains(*host)) {
                self.remove(&before.rank, host);
                change.hosts.insert(host.clone());
            }
        }
        for (host, contribution) in wanted {
            let all = self.hosts.entry(host.clone()).or_default();
            if all.get(rank) != Some(&contribution) {
                all.insert(rank.clone(), contribution);
                change.hosts.insert(host);
            }
        }
        if !claim.hosts.is_empty() {
            self.claims.insert(owner.clone(), claim);
        }
        let others = change.hosts.iter().filter_map(|host| self.hosts.get(host)).flat_map(BTreeMap::keys);
        change.rivals = others.map(|rank| &rank.1).filter(|rival| *rival != owner).cloned().collect();
        change
    }

    fn remove(&mut self, rank: &Rank, host: &Host) {
        if let Some(all) = self.hosts.get_mut(host) {
            all.remove(rank);
            if all.is_empty() {
                self.hosts.remove(host);
            }
        }
    }

    /// Whether nobody contributes anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Every host that somebody contributes to.
    pub fn all(&self) -> impl Iterator<Item = &Host> {
        self.hosts.keys()
    }

    /// The Ingresses that contribute to a host.
    pub fn owners(&self, host: &Host) -> impl Iterator<Item = &ObjectKey> {
        self.hosts.get(host).into_iter().flat_map(BTreeMap::keys).map(|rank| &rank.1)
    }

    /// The hosts that an Ingress contributes to.
    pub fn of(&self, ingress: &ObjectKey) -> impl Iterator<Item = &Host> {
        self.claims.get(ingress).into_iter().flat_map(|claim| &claim.hosts)
    }

    /// Whether some Ingress names this backend.
    #[must_use]
    pub fn names(&self, backend: &Backend) -> bool {
        self.backends.contains_key(backend)
    }

    /// Whether some Ingress passes connections on to this target.
    #[must_use]
    pub fn passes_to(&self, target: &Target) -> bool {
        self.targets.contains_key(target)
    }

    /// Whether some Ingress brings a certificate out of this Secret.
    #[must_use]
    pub fn names_secret(&self, secret: &Name) -> bool {
        self.secrets.contains_key(secret)
    }

    /// What is said of a host, by those who are heard, the oldest first.
    fn heard(&self, host: &Host) -> impl Iterator<Item = (&Rank, &Contribution)> {
        let all = self.hosts.get(host);
        // A rule that names the host is stronger than what merely falls under it. What no rule of any host matches is another
        // matter: there the default backend stands beside rules without a host.
        let written = *host != Host::Any && all.is_some_and(|all| all.values().any(Contribution::is_written));
        let heard = all.into_iter().flatten().filter(move |(_, it)| !written || it.is_written());
        // A host is passed through or served, as the oldest has it.
        let is_passed = heard.clone().next().is_some_and(|(_, it)| it.passage().is_some());
        heard.filter(move |(_, it)| it.passage().is_some() == is_passed)
    }

    /// Whose each path of a host is. What is written counts before what is implied, then the older.
    fn winners(&self, host: &Host) -> BTreeMap<&PathMatch, (&Rank, &Route, &Contribution)> {
        let mut winners = BTreeMap::new();
        for implied in [false, true] {
            for (rank, contribution) in self.heard(host) {
                for route in contribution.routes.iter().filter(|route| route.implied == implied) {
                    winners.entry(&route.matcher).or_insert((rank, route, contribution));
                }
            }
        }
        winners
    }

    /// A host, `None` when no route of it is there and it is not passed through.
    #[must_use]
    pub fn host(&self, host: &Host) -> Option<SharedHost> {
        if let Some((_, oldest)) = self.heard(host).next().filter(|(_, it)| it.passage().is_some()) {
            return Some(SharedHost { others: Some(oldest.https_only), is_passed: true, ..SharedHost::default() });
        }
        let winners = self.winners(host);
        let shared = |(_, route, it): &(&Rank, &Route, &Contribution)| SharedRoute {
            route: Route::clone(route),
            limits: it.limits,
            https_only: it.https_only,
            sources: it.sources.clone(),
        };
        let routes: Vec<_> = winners.values().map(shared).collect();
        let is_whole = routes.last()?.route.matcher == PathMatch::Prefix("/".to_owned());
        let oldest = self.heard(host).find(|(_, it)| !it.routes.is_empty());
        let others = (!is_whole).then(|| oldest.and_then(|(_, it)| it.https_only));
        Some(SharedHost { routes, others, is_passed: false })
    }
}

/// Expressions that an Ingress contributes nothing for: host, path and why.
pub fn refusals(model: &HttpModel) -> impl Iterator<Item = (&Host, &PathMatch, String)> {
    let routes = model.hosts.iter().flat_map(|(host, it)| it.routes.iter().map(move |route| (host, route)));
    routes.filter(|(_, route)| !route.implied).filter_map(|(host, route)| Some((host, &route.matcher, refusal(route)?)))
}

fn refusal(route: &Route) -> Option<String> {
    let PathMatch::Regex(regex) = &route.matcher else { return None };
    regex::check(regex).err()
}

/// Counts who names what. Gives what nobody named before, or nobody names any more.
fn count<T: Ord + Clone>(
    counts: &mut BTreeMap<T, usize>,
    before: Option<&BTreeSet<T>>,
    after: &BTreeSet<T>,
) -> BTreeSet<T> {
    let none = BTreeSet::new();
    let before = before.unwrap_or(&none);
    let mut changed = BTreeSet::new();
    for named in after.difference(before) {
        let count = counts.entry(named.clone()).or_default();
        if *count == 0 {
            changed.insert(named.clone());
        }
        *count += 1;
    }
    for named in before.difference(after) {
        let Some(count) = counts.get_mut(named) else { continue };
        *count -= 1;
        if *count == 0 {
            counts.remove(named);
            changed.insert(named.clone());
        }
    }
    changed
}

fn backends(contribution: &Contribution) -> impl Iterator<Item = &Backend> {
    contribution.routes.iter().filter_map(|route| match &route.action {
        Action::Forward(backend) => Some(backend),
        Action::Unavailable => None,
    })
}

#[cfg(test)]
mod tests;
