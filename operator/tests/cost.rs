//! An edit costs what it changes: nobody else's resources are touched, however many there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fmt::Write as _;

use axoneme_operator::local::Local;
use axoneme_operator::source::EndpointSlice;
use axoneme_operator::{Changes, Engine, Kind, Object, ObjectKey, SourceEvent};

const INGRESSES: usize = 1000;

fn ingress(at: usize, path: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web-{at}}}\nspec:\n  ingressClassName: cilium\n  \
         rules:\n  - host: h{at}.example\n    http: {{paths: [{{path: {path}, pathType: Prefix, backend: {{service: \
         {{name: app-{at}, port: {{number: 80}}}}}}}}]}}\n---\n"
    )
}

fn app(at: usize, address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: app-{at}}}\nspec: {{ports: [{{port: 80}}]}}\n---\napiVersion: \
         discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: app-{at}, labels: {{kubernetes.io/service-name: \
         app-{at}}}}}\naddressType: IPv4\nports: [{{port: 8080}}]\nendpoints: [{{addresses: [{address}]}}]\n---\n"
    )
}

fn world() -> (Engine, Local) {
    let mut text = String::new();
    for at in 0..INGRESSES {
        write!(text, "{}{}", ingress(at, "/"), app(at, "10.0.0.1")).unwrap();
    }
    support::run(&support::text(&text))
}

/// Applies the last object of a text.
fn edit(engine: &mut Engine, local: &mut Local, text: &str) -> Changes {
    let event = support::applies(&support::text(text)).pop().unwrap();
    local.drive(engine, event)
}

fn names(changes: &Changes) -> Vec<String> {
    changes.intents.iter().map(|(url, name)| format!("{} {name}", url.rsplit('.').next().unwrap())).collect()
}

#[test]
fn edits_touch_their_own_keys_only() {
    let (mut engine, mut local) = world();
    assert_eq!(engine.intents().view("n").iter().count(), 7 * INGRESSES);

    // A backend moves: one assignment.
    let changes = edit(&mut engine, &mut local, &app(500, "10.0.0.2"));
    assert_eq!(names(&changes), ["ClusterLoadAssignment default/app-500:80"]);

    // A path changes: one route configuration, and no listener.
    let changes = edit(&mut engine, &mut local, &ingress(500, "/new"));
    let routes = "RouteConfiguration default/cilium-ingress-default-web-500/listener-insecure";
    assert_eq!(names(&changes), [routes]);

    // The same once more: nothing.
    let changes = edit(&mut engine, &mut local, &ingress(500, "/new"));
    assert_eq!(changes, Changes::default());

    // A slice that nobody asked for: nothing.
    let changes = edit(&mut engine, &mut local, &app(INGRESSES, "10.0.0.3"));
    assert_eq!(names(&changes), Vec::<String>::new());
}

#[test]
fn a_status_that_somebody_else_writes_encodes_nothing_again() {
    let (mut engine, mut local) = world();
    let slice = |address: &str| {
        let event = support::applies(&support::text(&app(1, address))).into_iter().find_map(|event| match event {
            SourceEvent::Apply(Object::EndpointSlice(slice)) => Some(slice),
            _ => None,
        });
        event.unwrap()
    };
    // Not ready is not there, and a pod that was never ready changes nothing.
    let mut one: EndpointSlice = slice("10.0.0.1");
    let mut other = slice("10.0.0.9").endpoints.remove(0);
    other.ready = false;
    one.endpoints.push(other);
    let changes = local.drive(&mut engine, SourceEvent::Apply(Object::EndpointSlice(one)));
    assert_eq!(changes, Changes::default());
}

#[test]
fn a_change_of_one_slice_sends_one_assignment() {
    const SLICES: usize = 100;
    let slice = |at: usize, address: &str| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: big-{at}, labels: \
             {{kubernetes.io/service-name: big}}}}\naddressType: IPv4\nports: [{{name: web, port: 8080}}]\nendpoints: \
             [{{addresses: [{address}], zone: z, nodeName: n}}]\n---\n"
        )
    };
    let cluster = |name: &str| {
        format!("{{\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: {name:?}, type: EDS}}")
    };
    let mut text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: big}}\nspec: {{ports: [{{name: web, port: 80}}]}}\n---\n\
         apiVersion: cilium.io/v2\nkind: CiliumEnvoyConfig\nmetadata: {{name: x}}\nspec: {{resources: [{}, {}]}}\n---\n",
        cluster("default/big:80"),
        cluster("default/other:80"),
    );
    for at in 0..SLICES {
        text += &slice(at, &format!("10.0.{at}.1"));
    }
    let (mut engine, mut local) = support::run(&support::text(&text));
    let changes = edit(&mut engine, &mut local, &slice(7, "10.0.7.2"));
    assert_eq!(names(&changes), ["ClusterLoadAssignment default/big:80"]);
    let changes =
        local.drive(&mut engine, SourceEvent::Delete(ObjectKey::new(Kind::EndpointSlice, "default", "big-7")));
    assert_eq!(names(&changes), ["ClusterLoadAssignment default/big:80"]);
}

const SHARED_HOSTS: usize = 10_000;
const HOSTS_OF_ONE: usize = 100;
/// What a message has besides a table: its name, version and type, the latter twice.
const ENVELOPE: usize = 250;

/// A shared Ingress with a hundred hosts.
fn shared_ingress(at: usize, path: &str) -> String {
    let rule = |host: usize| {
        format!(
            "{{host: h{host}.shop-{at}.example, http: {{paths: [{{path: {path}, pathType: Prefix, backend: {{service: {{name: \
             app, port: {{number: 80}}}}}}}}]}}}}"
        )
    };
    let rules: Vec<_> = (0..HOSTS_OF_ONE).map(rule).collect();
    shared(&format!("web-{at}"), &rules.join(", "))
}

fn shared(name: &str, rules: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, annotations: \
         {{ingress.cilium.io/loadbalancer-mode: shared}}}}\nspec: {{ingressClassName: cilium, rules: [{rules}]}}\n---\n"
    )
}

#[test]
fn at_ten_thousand_shared_hosts_an_edit_is_one_small_table() {
    let (mut engine, mut local) = (Engine::new(), Local::new(support::pools()));
    engine.node_opens("n", true);
    let all: String = (0..SHARED_HOSTS / HOSTS_OF_ONE).map(|at| shared_ingress(at, "/")).collect();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: app}\nspec: {ports: [{port: 80}]}\n---\n";
    for event in support::text(&(all + service)).resets() {
        local.drive(&mut engine, event);
    }
    let tables = || {
        let view = engine.intents().view("n");
        view.iter().filter(|it| it.type_url.ends_with(".RouteConfiguration")).collect::<Vec<_>>()
    };
    let largest = tables().iter().map(|table| table.body.len()).max().unwrap();
    assert!(largest + ENVELOPE <= 2000, "a table of {largest} bytes");
    let table_of = |host: &str| format!("axoneme/cilium-ingress/shard-{}", axoneme_hostkey::shard(host.as_bytes()));
    // A host that comes into a table of others.
    let mut hosts = (0..).map(|at| format!("one-{at}.example"));
    let host = hosts.find(|host| tables().iter().any(|table| *table.name == table_of(host))).unwrap();
    let rule = |path: &str| {
        format!(
            "{{host: {host}, http: {{paths: [{{path: {path}, pathType: Prefix, backend: {{service: {{name: app, port: \
             {{number: 80}}}}}}}}]}}}}"
        )
    };
    let table = format!("RouteConfiguration {}", table_of(&host));
    for path in ["/", "/new"] {
        let changes = edit(&mut engine, &mut local, &shared("one", &rule(path)));
        assert_eq!(names(&changes), std::slice::from_ref(&table), "added, or edited");
    }
    // The same once more: nothing.
    assert_eq!(edit(&mut engine, &mut local, &shared("one", &rule("/new"))), Changes::default());
    let changes = local.drive(&mut engine, SourceEvent::Delete(ObjectKey::new(Kind::Ingress, "default", "one")));
    assert_eq!(names(&changes), [table]);
    // All hosts of all Ingresses share the clusters of their backend.
    let view = engine.intents().view("n");
    let clusters = view.iter().filter(|it| it.type_url.ends_with(".Cluster"));
    assert_eq!(clusters.count(), 2);
}

const SHARED_NAMES: usize = 200;

/// A shared Ingress of hosts with TLS.
fn shared_names(name: &str, hosts: &[String]) -> String {
    let path = "{path: /, pathType: Prefix, backend: {service: {name: app, port: {number: 80}}}}";
    let rules: Vec<_> = hosts.iter().map(|host| format!("{{host: {host}, http: {{paths: [{path}]}}}}")).collect();
    let tls = format!("tls: [{{hosts: [{}], secretName: pair}}], rules: ", hosts.join(", "));
    shared(name, &rules.join(", ")).replace("rules: ", &tls)
}

#[test]
fn at_many_shared_names_with_tls_a_new_one_is_one_chain_more() {
    let (mut engine, mut local) = (Engine::new(), Local::new(support::pools()));
    engine.node_opens("n", true);
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let indent = |pem: String| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: pair}}\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}---\n",
        indent(made.cert.pem()),
        indent(made.signing_key.serialize_pem())
    );
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: app}\nspec: {ports: [{port: 80}]}\n---\n";
    let hosts: Vec<_> = (0..SHARED_NAMES).map(|at| format!("h{at}.example")).collect();
    for event in support::text(&[shared_names("many", &hosts), secret, service.to_owned()].concat()).resets() {
        local.drive(&mut engine, event);
    }
    let listener = |engine: &Engine| {
        let view = engine.intents().view("n");
        let (url, name) = (axoneme_xds::type_urls::LISTENER, "axoneme/cilium-ingress/listener");
        axoneme_xds::View::get(&view, url, name).unwrap().body
    };
    let before = listener(&engine);
    let changes = edit(&mut engine, &mut local, &shared_names("one", &["h100a.example".to_owned()]));
    let shard = axoneme_hostkey::shard(b"h100a.example");
    let wanted = ["Listener axoneme/cilium-ingress/listener".to_owned()].into_iter();
    let table = ["RouteConfiguration", "ScopedRouteConfiguration"]
        .map(|it| format!("{it} axoneme/cilium-ingress/shard-{shard}"));
    assert_eq!(names(&changes), wanted.chain(table).collect::<Vec<_>>());
    let after = listener(&engine);
    // The new chain stands between two others, which are as they were to the byte: Envoy tells chains by their bytes.
    let same = before.iter().zip(after.iter()).take_while(|(one, other)| one == other).count();
    let rest = before.len() - same;
    assert!(after.ends_with(&before[before.len() - rest..]), "other chains changed");
    let chain = after.len() - before.len();
    assert!(chain > 500 && chain < 3000, "a chain of {chain} bytes");
}
