use std::path::Path;

use axoneme_xds::{Outcome, type_urls};

use super::*;
use crate::file_source::Folder;
use crate::problem::Reason;
use crate::source;
use crate::source::{LoadBalancerAddress, Object};

/// The objects of a text, one event each.
fn events(text: &str) -> Vec<SourceEvent> {
    let mut folder = Folder::default();
    let events = folder.update(Path::new("test.yaml"), Some(text));
    assert_eq!(folder.problems(), []);
    events
}

fn one(text: &str) -> SourceEvent {
    let mut events = events(text);
    assert_eq!(events.len(), 1);
    events.remove(0)
}

/// An engine that has seen an empty cluster.
fn synced() -> Engine {
    let mut engine = Engine::new();
    for kind in Kind::ALL {
        assert_eq!(engine.apply(SourceEvent::reset(kind, Vec::new())), Changes::default());
    }
    engine
}

const CLASS: &str = "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: cilium}, \
                     spec: {controller: cilium.io/ingress-controller}}";
const INGRESS: &str = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, uid: u-1}, \
                       spec: {ingressClassName: cilium, rules: []}}";

fn own() -> Name {
    Name::new("default", "cilium-ingress-web")
}

/// What an API server makes of the Service that the engine asked for.
fn service(load_balancer: &str) -> SourceEvent {
    one(&format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: cilium-ingress-web, labels: {{cilium.io/ingress: \"true\"}}}}, \
         spec: {{type: LoadBalancer, clusterIP: 10.96.0.9, ports: [{{name: http, port: 80, nodePort: 30080}}, \
         {{name: https, port: 443, nodePort: 30443}}]}}, status: {{loadBalancer: {{ingress: [{load_balancer}]}}}}}}"
    ))
}

fn targets(changes: &Changes) -> Vec<Target> {
    changes.writes.iter().map(Write::target).collect()
}

#[test]
fn an_ingress_gets_its_service_once() {
    let mut engine = synced();
    engine.apply(one(CLASS));
    let changes = engine.apply(one(INGRESS));
    assert_eq!(targets(&changes), [Target::Service(own()), Target::EndpointSlice(own())]);
    let Write::Service(wanted) = &changes.writes[0] else { panic!("{changes:?}") };
    let object = wanted.to_object();
    assert_eq!(object.metadata.owner_references.unwrap()[0].uid, "u-1");
    assert_eq!(object.spec.unwrap().selector, None);

    // Asked for already: other events of the Ingress's world bring no second write.
    assert_eq!(engine.apply(one(CLASS)).writes, []);
    // The Service came, without an address yet.
    assert_eq!(engine.apply(service("")).writes, []);
    // It got one: the Ingress must show it.
    let changes = engine.apply(service("{ip: 192.0.2.1}"));
    let addresses = vec![LoadBalancerAddress::ip("192.0.2.1")];
    assert_eq!(changes.writes, [Write::IngressStatus { ingress: Name::new("default", "web"), addresses }]);
    // Both ports: what asks for TLS in vain is closed by Envoy, at once.
    let redirect = |port| (axoneme_api::intent::REDIRECT.into(), format!("default/cilium-ingress-web:{port}").into());
    assert_eq!(changes.intents, BTreeSet::from([redirect(80), redirect(443)]));

    // A new holder of the lease writes what is not there yet, and only that.
    let outstanding: Vec<_> = engine.outstanding_writes().iter().map(Write::target).collect();
    let status = Target::IngressStatus(Name::new("default", "web"));
    assert_eq!(outstanding, [Target::EndpointSlice(own()), status]);
}

#[test]
fn somebody_who_edits_the_service_is_corrected() {
    let mut engine = synced();
    engine.apply(one(CLASS));
    engine.apply(one(INGRESS));
    engine.apply(service(""));
    let SourceEvent::Apply(Object::Service(mut edited)) = service("") else { panic!() };
    edited.ports.pop();
    let changes = engine.apply(SourceEvent::Apply(Object::Service(edited)));
    assert_eq!(targets(&changes), [Target::Service(own())]);
}

#[test]
fn what_belongs_to_no_ingress_of_ours_is_deleted() {
    let mut engine = synced();
    engine.apply(one(CLASS));
    engine.apply(one(INGRESS));
    engine.apply(service(""));
    let changes = engine.apply(one(&INGRESS.replace("cilium", "nginx")));
    assert_eq!(changes.writes, [Write::DeleteService(own())]);
    // Not before, and not for Services that only have the name.
    let mut engine = synced();
    let SourceEvent::Apply(Object::Service(mut foreign)) = service("") else { panic!() };
    foreign.is_ingress = false;
    assert_eq!(engine.apply(SourceEvent::Apply(Object::Service(foreign))).writes, []);
}

#[test]
fn an_ingress_on_its_way_out_is_served_but_gets_nothing_new() {
    let mut engine = synced();
    engine.apply(one(CLASS));
    let deleting = INGRESS.replace("uid: u-1", "deletionTimestamp: \"2026-01-01T00:00:00Z\"");
    let changes = engine.apply(one(&deleting));
    assert_eq!(changes.writes, []);
    assert_eq!(changes.intents.len(), 2);
}

#[test]
fn nothing_is_written_before_everything_was_listed() {
    let mut engine = Engine::new();
    let SourceEvent::Apply(Object::Service(service)) = service("") else { panic!() };
    let services = SourceEvent::reset(Kind::Service, vec![Object::Service(service)]);
    assert_eq!(engine.apply(services).writes, [], "its Ingress may be listed later");
    for kind in NEEDED_FOR_WRITES.into_iter().filter(|kind| *kind != Kind::Service) {
        assert!(!engine.can_write());
        let changes = engine.apply(SourceEvent::reset(kind, Vec::new()));
        let expected = if engine.can_write() { vec![Write::DeleteService(own())] } else { Vec::new() };
        assert_eq!(changes.writes, expected, "after {kind}");
    }
}

fn config(name: &str, field: &str) -> SourceEvent {
    one(&format!(
        "{{apiVersion: cilium.io/v2, kind: CiliumEnvoyConfig, metadata: {{name: {name}, generation: 2}}, spec: {{resources: \
         [{{\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: c, {field}}}]}}}}"
    ))
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::CiliumEnvoyConfig, "default", name)
}

fn conditions(writes: &[Write]) -> Vec<String> {
    let [Write::ConfigStatus { status, .. }] = writes else { panic!("{writes:?}") };
    assert_eq!(status.observed_generation, Some(2));
    status.conditions.iter().map(|it| format!("{} {}: {}", it.type_, it.status, it.message)).collect()
}

#[test]
fn an_invalid_version_leaves_the_last_good_one_in_force() {
    let mut engine = synced();
    engine.apply(config("a", "connect_timeout: 1s"));
    let good = engine.intents().view("n").get(type_urls::CLUSTER, "default/a/c").unwrap();

    let changes = engine.apply(config("a", "connect_timeouts: 1s"));
    assert_eq!(changes.intents, BTreeSet::new());
    assert_eq!(engine.intents().view("n").get(type_urls::CLUSTER, "default/a/c"), Some(good));
    let fields: Vec<_> = changes.problems[&key("a")].added.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["spec.resources[0].connect_timeouts", ""]);

    let changes = engine.apply(config("a", "connect_timeout: 2s"));
    assert_eq!(changes.intents.len(), 1);
    assert_eq!(changes.problems[&key("a")].cleared.len(), 2);
    assert_eq!(engine.problems().len(), 0);
}

#[test]
fn answers_of_nodes_become_one_status() {
    let mut engine = synced();
    engine.node_connected("n1");
    engine.node_connected("n2");
    engine.apply(config("a", "connect_timeout: 1s"));
    let resource = engine.intents().view("n1").get(type_urls::CLUSTER, "default/a/c").unwrap();
    let status = conditions(&engine.take_status_writes());
    assert_eq!(status[2], "Programmed False: 0/2 nodes; waiting for n1, n2");
    assert_eq!(engine.take_status_writes(), []);

    let (type_url, name) = resource.key();
    let acked =
        Outcome::Acked { type_url: type_url.clone(), name: name.clone(), version: Some(resource.version.clone()) };
    assert_eq!(engine.node_answered("n1", &acked), [key("a")]);
    let version = Some(resource.version);
    engine.node_answered("n2", &Outcome::Nacked { type_url, name, version, message: "no such thing".to_owned() });
    assert!(engine.has_unsettled_status());
    let status = conditions(&engine.take_status_writes());
    assert_eq!(status[0], "Accepted True: valid");
    assert_eq!(status[2], "Programmed False: 1/2 nodes; n2 refused default/a/c: no such thing");

    // What was said of an older version says nothing of a newer one; a node that is gone is not waited for.
    engine.apply(config("a", "connect_timeout: 2s"));
    engine.node_gone("n2");
    engine.forget_node("n2");
    assert_eq!(conditions(&engine.take_status_writes())[2], "Programmed False: 0/1 nodes; waiting for n1");
}

fn node(name: &str, labels: &str) -> SourceEvent {
    one(&format!("{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{{labels}}}}}}}"))
}

fn acked(engine: &Engine, node: &str) -> Outcome {
    let resource = engine.intents().view(node).get(type_urls::CLUSTER, "default/a/c").unwrap();
    let (type_url, name) = resource.key();
    Outcome::Acked { type_url, name, version: Some(resource.version) }
}

fn programmed(engine: &mut Engine) -> String {
    conditions(&engine.take_status_writes()).remove(2)
}

#[test]
fn a_node_with_a_loader_counts_whether_it_is_connected_or_not() {
    let mut engine = synced();
    for name in ["n1", "n2", "n3"] {
        engine.apply(node(name, ""));
    }
    // n3 has no loader, such as behind a taint; n4 left the cluster, its pod is not collected yet.
    engine.expect_nodes(["n1", "n2", "n4"].map(Arc::from).into());
    engine.node_connected("n1");
    engine.apply(config("a", "connect_timeout: 1s"));
    assert_eq!(programmed(&mut engine), "Programmed False: 0/2 nodes; waiting for n1; n2 is not connected");
    engine.node_answered("n1", &acked(&engine, "n1"));
    assert_eq!(programmed(&mut engine), "Programmed False: 1/2 nodes; n2 is not connected");
    engine.node_connected("n2");
    engine.node_answered("n2", &acked(&engine, "n2"));
    assert_eq!(programmed(&mut engine), "Programmed True: 2/2 nodes");

    // A loader that is restarted shows in nothing; one that stays away does.
    engine.node_gone("n2");
    assert_eq!(engine.take_status_writes(), []);
    engine.forget_node("n2");
    assert_eq!(programmed(&mut engine), "Programmed False: 1/2 nodes; n2 is not connected");
    engine.apply(SourceEvent::Delete(ObjectKey::new(Kind::Node, "", "n2")));
    assert_eq!(programmed(&mut engine), "Programmed True: 1/1 nodes");
}

#[test]
fn only_nodes_that_the_object_is_for_count() {
    let mut engine = synced();
    engine.apply(node("n1", "zone: a"));
    engine.apply(node("n2", "zone: b"));
    engine.expect_nodes(["n1", "n2"].map(Arc::from).into());
    let SourceEvent::Apply(Object::EnvoyConfig(mut config)) = config("a", "connect_timeout: 1s") else { panic!() };
    let labels = BTreeMap::from([("zone".to_owned(), "b".to_owned())]);
    config.node_selector = Some(source::Selector { labels, expressions: Vec::new() });
    engine.apply(SourceEvent::Apply(Object::EnvoyConfig(config)));
    assert_eq!(programmed(&mut engine), "Programmed False: 0/1 nodes; n2 is not connected");
    engine.apply(node("n1", "zone: b"));
    assert_eq!(programmed(&mut engine), "Programmed False: 0/2 nodes; n1, n2 are not connected");
    engine.apply(node("n1", ""));
    engine.apply(node("n2", ""));
    assert_eq!(programmed(&mut engine), "Programmed Unknown: 0/0 nodes; no node with a loader is meant");
}

#[test]
fn a_version_that_is_refused_is_not_what_nodes_run() {
    let mut engine = synced();
    engine.node_connected("n1");
    engine.apply(config("a", "connect_timeouts: 1s"));
    assert_eq!(programmed(&mut engine), "Programmed False: 0/0 nodes; no version of this object is in force");
    engine.apply(config("a", "connect_timeout: 1s"));
    engine.node_answered("n1", &acked(&engine, "n1"));
    assert_eq!(programmed(&mut engine), "Programmed True: 1/1 nodes");
    engine.apply(config("a", "connect_timeouts: 2s"));
    assert_eq!(programmed(&mut engine), "Programmed False: 1/1 nodes run the last good version of this object");
}

/// What a first status of the config `a` leads to, once the API server shows it.
fn first_status_is_shown(engine: &mut Engine) -> Changes {
    let SourceEvent::Apply(Object::EnvoyConfig(mut config)) = config("a", "connect_timeout: 1s") else { panic!() };
    engine.apply(SourceEvent::Apply(Object::EnvoyConfig(config.clone())));
    let writes = engine.take_status_writes();
    let [Write::ConfigStatus { status, .. }] = &writes[..] else { panic!("{writes:?}") };
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
    let shown = status.to_status(&now);
    (config.conditions, config.observed_generation) = (shown.conditions, shown.observed_generation);
    engine.apply(SourceEvent::Apply(Object::EnvoyConfig(config)))
}

#[test]
fn a_status_that_came_true_by_itself_takes_the_place_of_one_that_may_wait() {
    let mut engine = synced();
    first_status_is_shown(&mut engine);
    assert_eq!(engine.take_status_writes(), []);

    engine.node_connected("n");
    assert_eq!(programmed(&mut engine), "Programmed False: 0/1 nodes; waiting for n");
    engine.node_gone("n");
    engine.forget_node("n");
    assert_eq!(programmed(&mut engine), "Programmed Unknown: 0/0 nodes; no node with a loader is meant");
    engine.unsettle_all();
    assert_eq!(engine.take_status_writes(), []);
}

#[test]
fn an_object_that_cannot_be_read_keeps_its_last_good_version_over_a_relist() {
    let mut engine = synced();
    engine.apply(config("a", "connect_timeout: 1s"));
    let intents = |engine: &Engine| engine.intents().view("n").iter().count();
    assert_eq!(intents(&engine), 1);
    let unreadable = source::Unreadable { key: key("a"), uid: Some("u".to_owned()), why: "no such shape".to_owned() };
    let listed = |unreadable: Vec<source::Unreadable>| SourceEvent::Reset {
        kind: Kind::CiliumEnvoyConfig,
        objects: Vec::new(),
        unreadable,
    };

    let changes = engine.apply(listed(vec![unreadable.clone()]));
    assert_eq!((intents(&engine), changes.intents.len()), (1, 0));
    assert!(changes.problems[&key("a")].added[0].message.ends_with("no such shape"));
    let status = conditions(&engine.take_status_writes());
    assert!(status[0].starts_with("Accepted False: the present version of this object cannot be read"), "{status:?}");
    assert_eq!(engine.apply(SourceEvent::Unreadable(unreadable.clone())).problems.len(), 0, "told once");

    // Gone is gone; and one that nobody ever could read is told of, with its uid, and skipped.
    assert_eq!(engine.apply(listed(Vec::new())).problems[&key("a")].cleared.len(), 1);
    assert_eq!(intents(&engine), 0);
    assert_eq!(engine.apply(SourceEvent::Unreadable(unreadable)).problems[&key("a")].added.len(), 1);
    assert_eq!((intents(&engine), engine.uid(&key("a"))), (0, Some("u")));
    // Repaired.
    assert_eq!(engine.apply(config("a", "connect_timeout: 1s")).problems[&key("a")].cleared.len(), 1);
    assert_eq!(intents(&engine), 1);
}

#[test]
fn a_status_that_is_shown_is_not_written() {
    let mut engine = synced();
    let changes = first_status_is_shown(&mut engine);
    assert_eq!(changes.intents, BTreeSet::new());
    assert_eq!(engine.take_status_writes(), []);

    // What changes gets a new time, what stays keeps the old one.
    engine.node_connected("n");
    let writes = engine.take_status_writes();
    let [Write::ConfigStatus { status, .. }] = &writes[..] else { panic!("{writes:?}") };
    let since: Vec<_> = status.conditions.iter().map(|condition| condition.since.is_some()).collect();
    assert_eq!(since, [true, true, false]);
}

/// Two pairs of a certificate and its key, PEM.
fn pairs() -> [(String, String); 2] {
    [(); 2].map(|()| {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    })
}

fn secret(name: &str, certificate: &str, key: &str) -> SourceEvent {
    let data = [("tls.crt", certificate), ("tls.key", key)];
    let data = data.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
    SourceEvent::Apply(Object::Secret(source::Secret { meta: source::Meta::named("default", name), data: data.into() }))
}

fn uses_secret(name: &str) -> SourceEvent {
    config(
        name,
        "transport_socket: {name: tls, typed_config: {\"@type\": \
         type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: \
         {tls_certificate_sds_secret_configs: [{name: default/mine}]}}}",
    )
}

#[test]
fn a_secret_goes_where_it_is_named_and_nowhere_else() {
    let mut engine = synced();
    engine.apply(uses_secret("a"));
    assert_eq!(engine.problems()[&key("a")][0].reason, Reason::ResourceNotFound);
    let [one, two] = pairs();
    assert_eq!(engine.apply(secret("other", &one.0, &one.1)), Changes::default());

    let told = BTreeSet::from([(type_urls::SECRET.into(), "default/mine".into())]);
    let changes = engine.apply(secret("mine", &one.0, &one.1));
    assert_eq!(changes.intents, told);
    assert_eq!(changes.problems[&key("a")].cleared.len(), 1);
    assert_eq!(engine.apply(secret("mine", &two.0, &two.1)).intents, told);

    engine.apply(SourceEvent::Delete(key("a")));
    assert_eq!(engine.intents().view("n").iter().count(), 0);
    assert_eq!(engine.apply(secret("mine", &one.0, &one.1)), Changes::default());
}

#[test]
fn a_pair_that_does_not_match_leaves_the_last_good_one_in_force() {
    let mut engine = synced();
    engine.apply(uses_secret("a"));
    let [one, two] = pairs();
    let told = BTreeSet::from([(type_urls::SECRET.into(), "default/mine".into())]);
    assert_eq!(engine.apply(secret("mine", &one.0, &two.1)).intents, BTreeSet::new(), "no version was good yet");
    assert_eq!(engine.problems()[&key("a")][0].reason, Reason::InvalidSecret);
    assert_eq!(engine.apply(secret("mine", &one.0, &one.1)).intents, told);
    assert_eq!(engine.problems().len(), 0);

    for half in [(&two.0, &one.1), (&one.0, &two.1)] {
        assert_eq!(engine.apply(secret("mine", half.0, half.1)).intents, BTreeSet::new());
        let message = &engine.problems()[&key("a")][0].message;
        assert!(message.ends_with("its last good version stays in force"), "{message}");
    }
    assert_eq!(engine.apply(secret("mine", &two.0, &two.1)).intents, told);
}

#[test]
fn a_secret_is_asked_for_while_somebody_names_it() {
    let mut engine = synced();
    let mine = Name::new("default", "mine");
    let asked = |wanted| BTreeMap::from([(mine.clone(), wanted)]);
    assert_eq!(engine.apply(uses_secret("a")).secrets, asked(true));
    assert_eq!(engine.apply(uses_secret("b")).secrets, BTreeMap::new());
    assert_eq!(engine.apply(config("a", "connect_timeout: 1s")).secrets, BTreeMap::new());
    assert_eq!(engine.apply(SourceEvent::Delete(key("b"))).secrets, asked(false));
}
