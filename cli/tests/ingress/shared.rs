//! Shared mode: all Ingresses at one address, by shards and our module in Envoy, and by one table without it.

use axoneme_testnet::manifest::endpoint_slices;

use crate::curl::Curl;
use crate::scene::{PORT, Scene, ingress, path, rule};

/// Both ways to find a host's routes, with flags of `axonctl up`.
const SHARDS: (&str, &[&str]) = ("shards", &[]);
const ONE_TABLE: (&str, &[&str]) = ("whole", &["--envoy-module", "off"]);

/// An Ingress in shared mode: namespace and name, the day on which it was made, and its spec.
fn shared(name: &str, day: u32, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: {namespace}, \
         creationTimestamp: \"2026-01-{day:02}T00:00:00Z\", annotations: {{ingress.cilium.io/loadbalancer-mode: \
         shared}}}}\nspec:\n  ingressClassName: cilium\n  {spec}\n---\n"
    )
}

/// One host whose requests all go to one Service.
fn host(name: &str, day: u32, host: &str, service: &str) -> String {
    shared(name, day, &format!("rules: [{}]", rule(host, &[&path("Prefix", "/", service)])))
}

/// What stands in every scene: a host that answers `web`.
fn up() -> String {
    host("shop/up", 1, "up.example", "web")
}

fn scene(name: &str, (form, flags): (&str, &[&str]), manifests: &str) -> Scene {
    let scene = Scene::start_with(&format!("sh-{name}-{form}"), &[], &format!("{manifests}{}", up()), flags);
    scene.until(&ask(&scene, "http://up.example/"), |answer| answer.body == "web");
    let log = scene.log();
    assert_eq!(log.contains("it gets one table of all shared Ingresses"), form == ONE_TABLE.0, "{log}");
    scene
}

fn ask(scene: &Scene, url: &str) -> Curl {
    Curl::new(url, scene.shared_at(80))
}

/// What answers: a text, or a status.
fn said(scene: &Scene, curl: &Curl) -> String {
    let answer = curl.ask(&scene.outside);
    if answer.status == 200 { answer.body } else { answer.status.to_string() }
}

#[test]
fn edge_15_hosts_of_one_address_in_shards() {
    hosts(SHARDS);
}

#[test]
fn edge_15_hosts_of_one_address_in_one_table() {
    hosts(ONE_TABLE);
}

/// The same in both forms: an exact host before a wildcard of one label before all others, in whatever way it is written.
fn hosts(form: (&str, &[&str])) {
    let below = rule("a.foo.example", &[&path("Prefix", "/", "web")]);
    let half = rule("half.foo.example", &[&path("Exact", "/half", "web")]);
    let any = rule("", &[&path("Exact", "/any", "web")]);
    let manifests = [
        shared("shop/exact", 2, &format!("rules: [{below}]")),
        host("shop/wild", 2, "*.foo.example", "api"),
        host("shop/deep", 2, "*.b.foo.example", "web"),
        shared("shop/half", 2, &format!("rules: [{half}]")),
        shared("shop/any", 2, &format!("rules: [{any}]")),
    ];
    let scene = scene("hosts", form, &manifests.concat());
    for (host, path, wanted) in [
        ("a.foo.example", "/", "web"),
        ("A.Foo.EXAMPLE", "/", "web"),
        ("a.foo.example:8080", "/", "web"),
        ("a.foo.example.", "/", "web"),
        ("A.foo.example.:80", "/", "web"),
        ("x.foo.example", "/", "api"),
        ("x.foo.example:80", "/", "api"),
        ("X.FOO.example.", "/", "api"),
        ("b.foo.example", "/", "api"),
        ("x.b.foo.example", "/", "web"),
        ("x.y.foo.example", "/", "404"),
        ("x.y.foo.example", "/any", "web"),
        ("y.x.b.foo.example", "/any", "web"),
        ("foo.example", "/", "404"),
        ("half.foo.example", "/half", "web"),
        ("half.foo.example", "/", "404"),
        ("half.foo.example", "/any", "404"),
        ("unknown.example", "/any", "web"),
        ("unknown.example", "/", "404"),
        ("192.0.2.1", "/any", "web"),
        ("[::1]:80", "/any", "web"),
    ] {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let url = format!("http://front.example{path}");
            let curl = ask(&scene, &url).header(&format!("host: {host}")).with(&[version]);
            assert_eq!(said(&scene, &curl), wanted, "{} {host} {path} {version}", form.0);
        }
    }
    // What the module says to Envoy, no client can say.
    let forged = ask(&scene, "http://a.foo.example/").header("x-axoneme-host: x.foo.example");
    assert_eq!(said(&scene, &forged.header("x-axoneme-shard: 1")), "web");
}

#[test]
fn edge_15_the_oldest_ingress_has_a_path_and_the_next_one_takes_over() {
    let scene = scene("old", SHARDS, &host("shop/old", 2, "a.example", "web"));
    // Service `web` of namespace `other` answers `api`.
    let slices = endpoint_slices("other", "web", "", PORT, &[scene.pods[1].address]);
    let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: other}\nspec: {ports: [{port: 80}]}\n---\n";
    scene.write("other.yaml", &format!("{service}{slices}"));
    let both = rule("a.example", &[&path("Prefix", "/", "web"), &path("Prefix", "/mine", "web")]);
    scene.write("young.yaml", &shared("other/young", 3, &format!("rules: [{both}]")));
    let mine = ask(&scene, "http://a.example/mine");
    scene.until(&mine, |answer| answer.body == "api");
    for _ in 0..4 {
        assert_eq!(said(&scene, &ask(&scene, "http://a.example/")), "web", "two tenants never take turns");
    }
    scene.says(&["RouteConflict", "Ingress shop/old is older", "a.example"]);
    // The next one takes over.
    scene.write("ingress.yaml", &up());
    scene.until(&ask(&scene, "http://a.example/"), |answer| answer.body == "api");
    scene.delete("young.yaml");
    scene.until(&mine, |answer| answer.status == 404);
    assert_eq!(said(&scene, &ask(&scene, "http://up.example/")), "web");
}

#[test]
fn edge_18_plain_requests_to_a_shared_host_go_to_https() {
    let a = rule("a.example", &[&path("Prefix", "/a", "web")]);
    let tls = format!("tls: [{{hosts: [a.example], secretName: none}}]\n  rules: [{a}]");
    let proof = rule("a.example", &[&path("Exact", "/.well-known/acme-challenge/x", "api")]);
    let manifests = [shared("shop/a", 2, &tls), shared("shop/proof", 3, &format!("rules: [{proof}]"))];
    let scene = scene("https", SHARDS, &manifests.concat());
    for path in ["/a?b=c", "/unknown"] {
        // Who says that TLS ended elsewhere is not believed.
        let plain = ask(&scene, &format!("http://a.example{path}")).header("x-forwarded-proto: https");
        let answer = plain.ask(&scene.outside);
        assert_eq!((answer.status, answer.header("location")), (308, format!("https://a.example{path}").as_str()));
    }
    assert_eq!(said(&scene, &ask(&scene, "http://a.example/.well-known/acme-challenge/x")), "api");
    assert_eq!(said(&scene, &ask(&scene, "http://up.example/a")), "web", "others are not sent");
}

#[test]
fn edge_14_an_ingress_moves_to_the_shared_address_and_back() {
    let spec = format!("rules: [{}]", rule("a.example", &[&path("Prefix", "/", "web")]));
    let own = ingress("a", "", &spec);
    let scene = Scene::start("sh-moves", &["a"], &[own.clone(), up()].concat());
    let first = Curl::new("http://a.example/", scene.at("a", 80));
    scene.until(&first, |answer| answer.body == "web");
    let at_shared = ask(&scene, "http://a.example/");

    scene.write("ingress.yaml", &[shared("shop/a", 2, &spec), up()].concat());
    scene.until(&at_shared, |answer| answer.body == "web");
    scene.until(&first.clone().with(&["--connect-timeout", "1"]), |answer| answer.exit != 0);
    scene.write("ingress.yaml", &[own, up()].concat());
    scene.until(&at_shared, |answer| answer.status == 404);
    scene.until(&first, |answer| answer.body == "web");
}
