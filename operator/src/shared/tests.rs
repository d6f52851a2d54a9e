use std::time::Duration;

use super::*;
use crate::model::Speaks;
use crate::source::Kind;

fn rank(created: i64, name: &str) -> Rank {
    (created, ObjectKey::new(Kind::Ingress, "shop", name))
}

fn exact(name: &str) -> Host {
    Host::Exact(name.to_owned())
}

fn backend(service: &str) -> Backend {
    Backend { service: Name::new("shop", service), port: "80".to_owned(), speaks: Speaks::Http1, keeps_clients: false }
}

fn route(path: &str, service: &str, implied: bool) -> Route {
    let matcher = PathMatch::Prefix(path.to_owned());
    Route { matcher, action: Action::Forward(backend(service)), implied }
}

fn says(routes: &[Route]) -> Contribution {
    Contribution { routes: routes.to_vec(), ..Contribution::default() }
}

/// Which Service has which path of a host.
fn served(shared: &Shared, host: &Host) -> Vec<(String, String)> {
    let host = shared.host(host).unwrap_or_default();
    let pair = |it: &SharedRoute| match (&it.route.matcher, &it.route.action) {
        (PathMatch::Prefix(path), Action::Forward(backend)) => (path.clone(), backend.service.name.to_string()),
        other => panic!("{other:?}"),
    };
    host.routes.iter().map(pair).collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(path, service)| ((*path).to_owned(), (*service).to_owned())).collect()
}

#[test]
fn the_oldest_has_a_path_and_the_next_one_takes_over() {
    let mut shared = Shared::default();
    let host = exact("a.example");
    let (old, new) = (rank(1, "old"), rank(2, "new"));
    let mine = |routes: &[Route]| BTreeMap::from([(host.clone(), says(routes))]);
    shared.set(&new, mine(&[route("/x", "new", false), route("/", "new", false)]));
    let change = shared.set(&old, mine(&[route("/x", "old", false)]));
    assert_eq!(change.hosts, [host.clone()].into());
    assert_eq!(change.rivals, [new.1.clone()].into());
    assert_eq!(change.backends, [backend("old")].into());
    assert_eq!(served(&shared, &host), pairs(&[("/x", "old"), ("/", "new")]));
    let (matcher, winner) = (PathMatch::Prefix("/x".to_owned()), old.1.clone());
    let lost = Lost { host: host.clone(), matcher, winner, is_whole: false };
    assert_eq!((shared.lost(&new.1), shared.lost(&old.1)), (vec![lost], vec![]));

    shared.set(&old, BTreeMap::new());
    assert_eq!(served(&shared, &host), pairs(&[("/x", "new"), ("/", "new")]));
    assert_eq!(shared.lost(&new.1), []);
    assert!(!shared.names(&backend("old")));
    shared.set(&new, BTreeMap::new());
    assert!(shared.is_empty() && shared.host(&host).is_none());
}

#[test]
fn what_a_rule_says_counts_before_what_follows_from_tls_or_a_default_backend() {
    let mut shared = Shared::default();
    let host = exact("a.example");
    // An older Ingress has a certificate for the host, and a default backend.
    let implied = BTreeMap::from([
        (host.clone(), says(&[route("/foo", "old", true), route("/", "old", true)])),
        (Host::Any, says(&[route("/", "old", true)])),
    ]);
    shared.set(&rank(1, "old"), implied);
    assert_eq!(served(&shared, &host), pairs(&[("/foo", "old"), ("/", "old")]));
    let written = BTreeMap::from([
        (host.clone(), says(&[route("/bar", "new", false)])),
        (Host::Any, says(&[route("/any", "new", false)])),
    ]);
    let new = rank(2, "new");
    shared.set(&new, written);
    assert_eq!(served(&shared, &host), pairs(&[("/bar", "new")]));
    assert_eq!(shared.host(&host).unwrap().others, Some(None), "its other paths are nobody's");
    assert_eq!(served(&shared, &Host::Any), pairs(&[("/any", "new"), ("/", "old")]));
    // Of all other hosts, too, what is written counts before an older default backend, which is told.
    let written = BTreeMap::from([(Host::Any, says(&[route("/", "third", false)]))]);
    shared.set(&rank(3, "third"), written);
    assert_eq!(served(&shared, &Host::Any), pairs(&[("/any", "new"), ("/", "third")]));
    assert_eq!(shared.lost(&rank(1, "old").1).len(), 1);
    // Its own default backend has the paths that it left open.
    let routes = [route("/bar", "new", false), route("/", "new", true)];
    shared.set(&new, BTreeMap::from([(host.clone(), says(&routes))]));
    assert_eq!(served(&shared, &host), pairs(&[("/bar", "new"), ("/", "new")]));
    assert_eq!(shared.host(&host).unwrap().others, None);
}

#[test]
fn what_an_ingress_says_of_requests_is_said_of_its_own_routes() {
    let mut shared = Shared::default();
    let host = exact("a.example");
    let limits = Limits { request: Duration::from_secs(5), idle: Duration::ZERO };
    let https_only = Some(RedirectCode::PermanentRedirect);
    let with = |routes: &[Route]| Contribution { limits, https_only, ..says(routes) };
    shared.set(&rank(1, "old"), BTreeMap::from([(host.clone(), with(&[route("/a", "old", false)]))]));
    shared.set(&rank(2, "new"), BTreeMap::from([(host.clone(), says(&[route("/b", "new", false)]))]));
    let served = shared.host(&host).unwrap();
    let said: Vec<_> = served.routes.iter().map(|it| (it.limits, it.https_only)).collect();
    assert_eq!(said, [(limits, https_only), (Limits::default(), None)]);
    assert_eq!(served.others, Some(https_only), "the oldest says it of other paths");
}

#[test]
fn the_same_again_changes_nothing_and_another_age_is_another_rank() {
    let mut shared = Shared::default();
    let host = exact("a.example");
    let mine = || BTreeMap::from([(host.clone(), says(&[route("/", "web", false)]))]);
    shared.set(&rank(1, "a"), mine());
    assert_eq!(shared.set(&rank(1, "a"), mine()), Change::default());
    // Deleted and made anew while nobody looked.
    let change = shared.set(&rank(5, "a"), mine());
    assert_eq!((change.hosts, change.backends), ([host.clone()].into(), BTreeSet::new()));
    shared.set(&rank(3, "b"), BTreeMap::from([(host.clone(), says(&[route("/", "b", false)]))]));
    assert_eq!(served(&shared, &host), pairs(&[("/", "b")]));
}

#[test]
fn a_certificate_alone_makes_no_host() {
    let mut shared = Shared::default();
    let tls = Some(Handshake::Certificate(Name::new("shop", "cert")));
    let host = exact("a.example");
    shared.set(&rank(1, "a"), BTreeMap::from([(host.clone(), Contribution { tls, ..says(&[]) })]));
    assert_eq!(shared.host(&host), None);
}

fn passes(service: &str) -> Contribution {
    let service = Name::new("shop", service);
    let target = Some(Target { service, port: "443".to_owned(), keeps_clients: false });
    Contribution { tls: Some(Handshake::Passed(Passage { target, sources: None })), ..Contribution::default() }
}

#[test]
fn a_host_is_passed_through_or_served_as_the_oldest_has_it() {
    let mut shared = Shared::default();
    let host = exact("a.example");
    let (old, new, newest) = (rank(1, "old"), rank(2, "new"), rank(3, "newest"));
    let certificate = Handshake::Certificate(Name::new("shop", "cert"));
    let serves = Contribution { tls: Some(certificate.clone()), ..says(&[route("/x", "new", false)]) };
    shared.set(&newest, BTreeMap::from([(host.clone(), passes("newest"))]));
    let change = shared.set(&old, BTreeMap::from([(host.clone(), passes("old"))]));
    let old_target = passes("old").target().unwrap().clone();
    assert_eq!((change.targets, change.backends), ([old_target.clone()].into(), BTreeSet::new()));
    shared.set(&new, BTreeMap::from([(host.clone(), serves)]));

    let passed = |shared: &Shared| match shared.handshake(&host) {
        Some(Handshake::Passed(passage)) => passage.target.as_ref().map(|it| it.service.name.to_string()),
        _ => None,
    };
    let winners = |shared: &Shared, who: &Rank| {
        let lost = shared.lost(&who.1);
        lost.into_iter()
            .map(|it| (it.matcher.describe(), it.winner.name.name.to_string(), it.is_whole))
            .collect::<Vec<_>>()
    };
    let one = |path: &str, winner: &str| vec![(format!("paths from {path}"), winner.to_owned(), true)];
    assert_eq!(passed(&shared).as_deref(), Some("old"));
    assert_eq!(shared.host(&host), Some(SharedHost { others: Some(None), is_passed: true, ..SharedHost::default() }));
    assert_eq!([&old, &new, &newest].map(|who| winners(&shared, who)), [vec![], one("/x", "old"), one("/", "old")]);
    assert_eq!(shared.lost_certificates(&new.1).count(), 1);

    shared.set(&old, BTreeMap::new());
    assert!(!shared.passes_to(&old_target));
    assert_eq!(shared.handshake(&host), Some(&certificate));
    assert_eq!(served(&shared, &host), pairs(&[("/x", "new")]));
    assert_eq!([&new, &newest].map(|who| winners(&shared, who)), [vec![], one("/", "new")]);
    assert_eq!(shared.lost_certificates(&new.1).count(), 0);

    shared.set(&new, BTreeMap::new());
    assert_eq!(passed(&shared).as_deref(), Some("newest"));
    assert_eq!(winners(&shared, &newest), []);
}

#[test]
fn who_only_has_a_certificate_for_a_host_does_not_keep_it_from_being_passed_through() {
    let mut shared = Shared::default();
    let host = exact("a.example");
    let old = rank(1, "old");
    let tls = Some(Handshake::Certificate(Name::new("shop", "cert")));
    shared.set(&old, BTreeMap::from([(host.clone(), Contribution { tls, ..says(&[route("/", "old", true)]) })]));
    shared.set(&rank(2, "new"), BTreeMap::from([(host.clone(), passes("new"))]));
    assert_eq!(shared.handshake(&host), passes("new").tls.as_ref());
    assert_eq!(shared.lost_certificates(&old.1).count(), 1);
    assert_eq!((shared.lost(&old.1), shared.lost(&rank(2, "new").1)), (vec![], vec![]));
}
