//! One test per rule of a session.

use super::*;
use crate::type_urls::{CLUSTER, ENDPOINTS, LISTENER, ROUTE, SECRET};
use crate::{Change, Resource, Store};

/// What a response says, short: `+name` for a resource, `-name` for a removal, `.` for nothing.
fn said(responses: &[Response]) -> Vec<String> {
    let one = |response: &Response| {
        let kind = response.type_url.rsplit('.').next().unwrap_or_default();
        let puts = response.resources.iter().map(|resource| format!("+{}", resource.name));
        let gone = response.removed_resources.iter().map(|name| format!("-{name}"));
        let words: Vec<String> = puts.chain(gone).collect();
        format!("{kind} {}", if words.is_empty() { ".".to_owned() } else { words.join(" ") })
    };
    responses.iter().map(one).collect()
}

fn store(resources: &[(&str, &str, &str)]) -> Store {
    let mut store = Store::default();
    for (type_url, name, body) in resources {
        put(&mut store, type_url, name, body);
    }
    store
}

fn put(store: &mut Store, type_url: &str, name: &str, body: &str) -> BTreeSet<Key> {
    let resource = Resource::new(type_url, name, body.to_owned());
    store.apply([(resource.key(), Change::Put(resource))])
}

fn remove(store: &mut Store, type_url: &str, name: &str) -> BTreeSet<Key> {
    store.apply([((type_url.into(), name.into()), Change::Remove)])
}

fn ask(type_url: &str, subscribe: &[&str], unsubscribe: &[&str]) -> Request {
    Request {
        type_url: type_url.to_owned(),
        resource_names_subscribe: subscribe.iter().map(ToString::to_string).collect(),
        resource_names_unsubscribe: unsubscribe.iter().map(ToString::to_string).collect(),
        ..Request::default()
    }
}

/// A first request of a client that already holds something: `(name, body)`.
fn ask_holding(type_url: &str, subscribe: &[&str], held: &[(&str, &str)]) -> Request {
    let version = |(name, body): &(&str, &str)| {
        (name.to_string(), Resource::new(type_url, *name, body.to_string()).version.to_string())
    };
    Request { initial_resource_versions: held.iter().map(version).collect(), ..ask(type_url, subscribe, &[]) }
}

fn answer(response: &Response, error: Option<&str>) -> Request {
    let error_detail = error.map(|message| crate::proto::Status { code: 13, message: message.to_owned() });
    Request {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        error_detail,
        ..Request::default()
    }
}

fn acked(type_url: &str, name: &str, body: &str) -> Outcome {
    let resource = Resource::new(type_url, name, body.to_owned());
    Outcome::Acked { type_url: resource.type_url, name: resource.name, version: Some(resource.version) }
}

/// A stream whose client took and acknowledged everything of these types.
fn settled(store: &Store, types: &[&str]) -> Session {
    let mut session = Session::new(Policy::envoy());
    for type_url in types {
        for response in session.on_request(ask(type_url, &["*"], &[]), store).responses {
            session.on_request(answer(&response, None), store);
        }
    }
    session
}

#[test]
fn first_wildcard_is_answered_even_when_there_is_nothing() {
    let mut session = Session::new(Policy::envoy());
    let nothing = Store::default();
    assert_eq!(said(&session.on_request(ask(CLUSTER, &[], &[]), &nothing).responses), ["Cluster ."]);
    assert_eq!(said(&session.on_request(ask(SECRET, &["*"], &[]), &nothing).responses), ["Secret ."]);
    let again = session.on_request(ask(CLUSTER, &[], &[]), &nothing);
    assert!(again.responses.is_empty(), "only once");
}

#[test]
fn no_names_mean_everything_for_some_types_only() {
    let store = store(&[(LISTENER, "l", "1"), (SECRET, "s", "1")]);
    let mut session = Session::new(Policy::envoy());
    assert_eq!(said(&session.on_request(ask(LISTENER, &[], &[]), &store).responses), ["Listener +l"]);
    assert!(session.on_request(ask(SECRET, &[], &[]), &store).responses.is_empty());
}

#[test]
fn one_resource_per_response() {
    let store = store(&[(CLUSTER, "a", "1"), (CLUSTER, "b", "1")]);
    let responses = Session::new(Policy::envoy()).on_request(ask(CLUSTER, &["*"], &[]), &store).responses;
    assert_eq!(said(&responses), ["Cluster +a", "Cluster +b"]);
    assert_ne!(responses[0].nonce, responses[1].nonce);
}

#[test]
fn a_name_is_answered_alone_and_again_when_asked_again() {
    let store = store(&[(SECRET, "a", "1"), (SECRET, "b", "1")]);
    let mut session = Session::new(Policy::envoy());
    assert_eq!(said(&session.on_request(ask(SECRET, &["a"], &[]), &store).responses), ["Secret +a"]);
    assert_eq!(said(&session.on_request(ask(SECRET, &["a"], &[]), &store).responses), ["Secret +a"]);
}

#[test]
fn an_unknown_name_is_removed_or_held() {
    let mut store = Store::default();
    let mut session = Session::new(Policy::envoy());
    assert_eq!(said(&session.on_request(ask(SECRET, &["s"], &[]), &store).responses), ["Secret -s"]);
    assert!(session.on_request(ask(ROUTE, &["r"], &[]), &store).responses.is_empty());
    let changed = put(&mut store, ROUTE, "r", "1");
    assert_eq!(said(&session.on_change(&changed, &store)), ["RouteConfiguration +r"]);
}

#[test]
fn what_went_and_came_back_before_the_stream_looked_is_answered_once_more() {
    let mut store = store(&[(CLUSTER, "a", "1")]);
    for (policy, expected) in [(Policy::envoy(), vec!["Cluster +a"]), (Policy::intents(), vec![])] {
        let mut session = Session::new(policy);
        session.on_request(ask(CLUSTER, &["*"], &[]), &store);
        let mut changed = remove(&mut store, CLUSTER, "a");
        changed.extend(put(&mut store, CLUSTER, "a", "1"));
        let responses = session.on_change(&changed, &store);
        assert_eq!(said(&responses), expected, "{}", policy.client);
        for response in responses {
            assert_eq!(session.on_request(answer(&response, None), &store).outcomes, [acked(CLUSTER, "a", "1")]);
        }
        // What came and went is nothing to tell.
        let mut changed = put(&mut store, CLUSTER, "b", "1");
        changed.extend(remove(&mut store, CLUSTER, "b"));
        assert!(session.on_change(&changed, &store).is_empty());
    }
}

#[test]
fn unsubscribed_names_are_forgotten() {
    let mut store = store(&[(SECRET, "a", "1"), (SECRET, "b", "1")]);
    let mut session = Session::new(Policy::envoy());
    session.on_request(ask(SECRET, &["a", "b"], &[]), &store);
    assert!(session.on_request(ask(SECRET, &[], &["a"]), &store).responses.is_empty());
    let mut changed = put(&mut store, SECRET, "a", "2");
    changed.extend(put(&mut store, SECRET, "b", "2"));
    assert_eq!(said(&session.on_change(&changed, &store)), ["Secret +b"]);
}

#[test]
fn a_name_unsubscribed_under_a_wildcard_is_told() {
    let store = store(&[(CLUSTER, "a", "1")]);
    let mut session = Session::new(Policy::envoy());
    session.on_request(ask(CLUSTER, &["*", "a", "b"], &[]), &store);
    let responses = session.on_request(ask(CLUSTER, &[], &["a", "b"]), &store).responses;
    assert_eq!(said(&responses), ["Cluster +a", "Cluster -b"]);
}

#[test]
fn a_wildcard_comes_and_goes() {
    let mut store = store(&[(SECRET, "a", "1"), (SECRET, "b", "1")]);
    let mut session = Session::new(Policy::envoy());
    session.on_request(ask(SECRET, &["a"], &[]), &store);
    assert_eq!(said(&session.on_request(ask(SECRET, &["*"], &[]), &store).responses), ["Secret +b"]);
    assert!(session.on_request(ask(SECRET, &[], &["*"]), &store).responses.is_empty());
    let mut changed = put(&mut store, SECRET, "a", "2");
    changed.extend(put(&mut store, SECRET, "b", "2"));
    assert_eq!(said(&session.on_change(&changed, &store)), ["Secret +a"]);
}

#[test]
fn a_change_is_said_once() {
    let mut store = store(&[(LISTENER, "l", "1")]);
    let mut session = Session::new(Policy::intents());
    session.on_request(ask(LISTENER, &["*"], &[]), &store);
    let changed = put(&mut store, LISTENER, "l", "2");
    assert_eq!(said(&session.on_change(&changed, &store)), ["Listener +l"]);
    assert!(session.on_change(&changed, &store).is_empty());
}

#[test]
fn changes_in_order_then_removals_in_reverse() {
    let mut store = store(&[(CLUSTER, "old", "1"), (ROUTE, "old", "1"), (LISTENER, "old", "1")]);
    let mut session = settled(&store, &[CLUSTER, LISTENER, ROUTE]);
    let mut changed = BTreeSet::new();
    for type_url in [ROUTE, LISTENER, CLUSTER] {
        changed.extend(remove(&mut store, type_url, "old"));
        changed.extend(put(&mut store, type_url, "new", "1"));
    }
    assert_eq!(
        said(&session.on_change(&changed, &store)),
        [
            "Cluster +new",
            // An address is given free before another listener takes it.
            "Listener -old",
            "Listener +new",
            "RouteConfiguration +new",
            "RouteConfiguration -old",
            "Cluster -old"
        ]
    );
}

#[test]
fn an_assignment_follows_its_cluster() {
    let mut store = store(&[(CLUSTER, "c", "1"), (CLUSTER, "d", "1"), (ENDPOINTS, "c", "1")]);
    let mut session = settled(&store, &[CLUSTER]);
    session.on_request(ask(ENDPOINTS, &["c", "d"], &[]), &store);
    let mut changed = put(&mut store, CLUSTER, "c", "2");
    changed.extend(put(&mut store, CLUSTER, "d", "2"));
    assert_eq!(
        said(&session.on_change(&changed, &store)),
        ["Cluster +c", "Cluster +d", "ClusterLoadAssignment +c", "ClusterLoadAssignment -d"],
        "also that there is none: Envoy waits for either"
    );
    let changed = put(&mut store, ENDPOINTS, "c", "2");
    assert_eq!(said(&session.on_change(&changed, &store)), ["ClusterLoadAssignment +c"]);
}

#[test]
fn an_assignment_follows_its_cluster_over_a_reconnect() {
    let store = store(&[(CLUSTER, "c", "2"), (ENDPOINTS, "c", "1"), (ENDPOINTS, "d", "1")]);
    let mut session = Session::new(Policy::envoy());
    session.on_request(ask_holding(CLUSTER, &[], &[("c", "1")]), &store);
    let held = ask_holding(ENDPOINTS, &["c", "d"], &[("c", "1"), ("d", "1")]);
    assert_eq!(said(&session.on_request(held, &store).responses), ["ClusterLoadAssignment +c"]);
}

#[test]
fn a_view_tells_which_assignment_follows() {
    struct Renamed(Store);
    impl View for Renamed {
        fn get(&self, type_url: &str, name: &str) -> Option<Resource> {
            self.0.get(type_url, name)
        }
        fn names(&self, type_url: &str) -> Vec<Arc<str>> {
            self.0.names(type_url)
        }
        fn follow(&self, _: &str, _: &str) -> Option<Key> {
            Some((ENDPOINTS.into(), "service".into()))
        }
    }
    let mut view = Renamed(store(&[(CLUSTER, "c", "1"), (ENDPOINTS, "service", "1")]));
    let mut session = settled(&view.0, &[CLUSTER]);
    session.on_request(ask(ENDPOINTS, &["service"], &[]), &view);
    let changed = put(&mut view.0, CLUSTER, "c", "2");
    assert_eq!(said(&session.on_change(&changed, &view)), ["Cluster +c", "ClusterLoadAssignment +service"]);
}

#[test]
fn a_reconnect_sends_what_differs_and_acknowledges_the_rest() {
    let store = store(&[(CLUSTER, "same", "1"), (CLUSTER, "changed", "2"), (CLUSTER, "new", "1")]);
    let mut session = Session::new(Policy::envoy());
    let held = [("same", "1"), ("changed", "1"), ("gone", "1")];
    let reaction = session.on_request(ask_holding(CLUSTER, &["*"], &held), &store);
    assert_eq!(said(&reaction.responses), ["Cluster +changed", "Cluster +new", "Cluster -gone"]);
    assert_eq!(reaction.outcomes, [acked(CLUSTER, "same", "1")]);
}

#[test]
fn a_reconnect_with_names_answers_only_what_is_not_held() {
    let store = store(&[(SECRET, "same", "1"), (SECRET, "fresh", "1")]);
    let mut session = Session::new(Policy::envoy());
    let held = [("same", "1"), ("gone", "1"), ("not-asked-for", "1")];
    let reaction = session.on_request(ask_holding(SECRET, &["same", "fresh", "gone"], &held), &store);
    assert_eq!(said(&reaction.responses), ["Secret +fresh", "Secret -gone"]);
    assert_eq!(reaction.outcomes, [acked(SECRET, "same", "1")]);
}

#[test]
fn answers_find_their_resource_late_and_in_any_order() {
    let mut store = store(&[(CLUSTER, "a", "1"), (CLUSTER, "b", "1")]);
    let mut session = Session::new(Policy::envoy());
    let first = session.on_request(ask(CLUSTER, &["*"], &[]), &store).responses;
    let second = session.on_change(&remove(&mut store, CLUSTER, "b"), &store);
    let outcomes = |session: &mut Session, request| session.on_request(request, &Store::default()).outcomes;

    let (type_url, name): (Arc<str>, Arc<str>) = (CLUSTER.into(), "b".into());
    let removed = Outcome::Acked { type_url, name, version: None };
    assert_eq!(outcomes(&mut session, answer(&second[0], None)), [removed]);
    assert_eq!(outcomes(&mut session, answer(&first[1], None)), [], "overtaken by the removal");
    assert_eq!(outcomes(&mut session, answer(&first[0], None)), [acked(CLUSTER, "a", "1")]);
    assert_eq!(outcomes(&mut session, answer(&first[0], None)), [], "only once");
    let stray = Request { response_nonce: "no number".to_owned(), ..answer(&first[0], None) };
    assert_eq!(outcomes(&mut session, stray), []);
}

#[test]
fn a_refused_version_is_named_and_not_repeated() {
    let mut store = store(&[(LISTENER, "l", "good")]);
    let mut session = settled(&store, &[LISTENER]);
    let changed = put(&mut store, LISTENER, "l", "bad");
    let bad = session.on_change(&changed, &store);
    let reaction = session.on_request(answer(&bad[0], Some("Address already in use")), &store);
    let Outcome::Acked { type_url, name, version } = acked(LISTENER, "l", "bad") else { unreachable!() };
    let message = "Address already in use".to_owned();
    assert_eq!(reaction.outcomes, [Outcome::Nacked { type_url, name, version, message }]);
    assert!(reaction.responses.is_empty());
    assert!(session.on_request(ask(LISTENER, &[], &[]), &store).responses.is_empty());
    let back = put(&mut store, LISTENER, "l", "good");
    assert_eq!(said(&session.on_change(&back, &store)), ["Listener +l"]);
}

#[test]
fn a_client_that_never_answers_costs_one_flight_per_name() {
    let mut store = Store::default();
    let mut session = settled(&store, &[LISTENER]);
    for edit in 0..1000 {
        let changed = put(&mut store, LISTENER, "l", &edit.to_string());
        assert_eq!(session.on_change(&changed, &store).len(), 1);
    }
    assert_eq!(session.flights.len(), (1, 1));
}

#[test]
fn an_edit_looks_at_what_changed_and_at_nothing_else() {
    struct Counted(Store, std::cell::Cell<usize>);
    impl View for Counted {
        fn get(&self, type_url: &str, name: &str) -> Option<Resource> {
            self.1.set(self.1.get() + 1);
            self.0.get(type_url, name)
        }
        fn names(&self, _: &str) -> Vec<Arc<str>> {
            panic!("an edit has no need of all names")
        }
    }
    let mut view = Counted(Store::default(), std::cell::Cell::new(0));
    for name in 0..10_000 {
        put(&mut view.0, CLUSTER, &name.to_string(), "1");
    }
    let mut session = settled(&view.0, &[CLUSTER]);
    let changed = put(&mut view.0, CLUSTER, "5000", "2");
    let responses = session.on_change(&changed, &view);
    assert_eq!((said(&responses), view.1.take()), (vec!["Cluster +5000".to_owned()], 1));
    session.on_request(answer(&responses[0], None), &view);
    assert_eq!(view.1.take(), 0, "an answer looks at nothing");
}

#[test]
fn a_change_of_what_nobody_asked_for_is_not_said() {
    let mut store = Store::default();
    let mut session = Session::new(Policy::intents());
    let changed = put(&mut store, SECRET, "s", "1");
    assert!(session.on_change(&changed, &store).is_empty());
}

#[test]
fn a_node_hears_of_endpoints_before_clusters_and_of_clusters_before_routes() {
    let mut session = Session::new(Policy::intents());
    let mut store = Store::default();
    let types = [LISTENER, ROUTE, CLUSTER, ENDPOINTS, SECRET];
    for type_url in types {
        session.on_request(ask(type_url, &["*"], &[]), &store);
    }
    let new: BTreeSet<Key> = types.iter().flat_map(|type_url| put(&mut store, type_url, "n", "1")).collect();
    let order = ["Secret +n", "ClusterLoadAssignment +n", "Cluster +n", "RouteConfiguration +n", "Listener +n"];
    assert_eq!(said(&session.on_change(&new, &store)), order);
    let gone: BTreeSet<Key> = types.iter().flat_map(|type_url| remove(&mut store, type_url, "n")).collect();
    let mut back = order.map(|word| word.replace('+', "-"));
    back.reverse();
    assert_eq!(said(&session.on_change(&gone, &store)), back);
}
