//! TLS: which name is answered with which certificate, and what becomes of plain requests.

use crate::certificates::Pair;
use crate::scene::{Scene, ingress, path, rule};

/// Two names with certificates, one of them a wildcard, and one without.
fn web(annotations: &str) -> String {
    let rules =
        ["one.example", "*.wild.example", "plain.example"].map(|host| rule(host, &[&path("Prefix", "/", "web")]));
    let tls = "[{hosts: [one.example], secretName: one}, {hosts: ['*.wild.example'], secretName: wild}]";
    ingress("web", annotations, &format!("tls: {tls}\n  rules: [{}]", rules.join(", ")))
}

#[test]
fn edge_17_each_name_is_answered_with_its_certificate() {
    let (one, wild) = (Pair::of(&["one.example"]), Pair::of(&["*.wild.example"]));
    let manifests = [web(""), one.secret("one"), "---\n".to_owned(), wild.secret("wild")].concat();
    let scene = Scene::start("ing-certs", &["web"], &manifests);
    let (trust_one, trust_wild) = (one.file(), wild.file());

    let first = scene.until(&scene.curl("https://one.example/").trust(&trust_one), |answer| answer.status == 200);
    assert_eq!((first.version.as_str(), first.body.as_str()), ("2", "web"), "{first:?}");
    let old = scene.curl("https://one.example/").trust(&trust_one).with(&["--http1.1"]).ask(&scene.outside);
    assert_eq!((old.status, old.version.as_str()), (200, "1.1"), "{old:?}");
    let below = scene.until(&scene.curl("https://a.wild.example/").trust(&trust_wild), |answer| answer.status == 200);
    assert_eq!(below.body, "web");
    // Not each other's.
    assert_eq!(scene.curl("https://one.example/").trust(&trust_wild).ask(&scene.outside).exit, 60);
    // Nobody's: there is no certificate to show.
    for url in ["https://plain.example/", "https://wild.example/"] {
        assert_eq!(scene.curl(url).with(&["--insecure"]).ask(&scene.outside).exit, 35, "{url}");
    }

    let version = |version: &str| {
        let only = [&format!("--tlsv{version}"), "--tls-max", version, "--ciphers", "DEFAULT@SECLEVEL=0"];
        scene.curl("https://one.example/").trust(&trust_one).with(&only).ask(&scene.outside)
    };
    assert_eq!((version("1.2").status, version("1.3").status), (200, 200));
    assert_eq!((version("1.1").exit, version("1.0").exit), (35, 35));
}

#[test]
fn edge_18_plain_requests_of_names_with_tls_go_to_https() {
    let pair = Pair::of(&["one.example", "*.wild.example"]);
    let manifests = [web(""), pair.secret("one"), "---\n".to_owned(), pair.secret("wild")].concat();
    let scene = Scene::start("ing-https", &["web"], &manifests);

    let sent = scene.get("http://one.example/a/b?c=d&e");
    assert_eq!((sent.status, sent.header("location")), (308, "https://one.example/a/b?c=d&e"), "{sent:?}");
    assert_eq!(scene.get("http://a.wild.example/").status, 308);
    assert_eq!(scene.get("http://a.b.wild.example/").status, 404, "one label, with TLS as without");
    assert_eq!(scene.get("http://plain.example/").body, "web");
    // An authority asks for proof without TLS, before there is a certificate.
    assert_eq!(scene.get("http://one.example/.well-known/acme-challenge/token").body, "web");
    assert_eq!(scene.get("http://one.example/.well-known/acme-challenge/../../secret").status, 308);

    scene.write("ingress.yaml", &[web("ingress.cilium.io/force-https: disabled"), pair.secret("one")].concat());
    scene.until(&scene.curl("http://one.example/"), |answer| answer.status == 200);
    scene.write("ingress.yaml", &[web("ingress.axoneme.io/force-https: maybe"), pair.secret("one")].concat());
    scene.until(&scene.curl("http://one.example/"), |answer| answer.status == 308);
    scene.says(&["ingress.axoneme.io/force-https", "\"maybe\" is not enabled or disabled"]);
}

#[test]
fn edge_17_an_entry_without_hosts_is_for_every_name() {
    let pair = Pair::of(&["any.example"]);
    let spec = format!("tls: [{{secretName: any}}]\n  rules: [{}]", rule("", &[&path("Prefix", "/", "web")]));
    let scene = Scene::start("ing-any", &["web"], &[ingress("web", "", &spec), pair.secret("any")].concat());
    let trusted = pair.file();
    scene.until(&scene.curl("https://any.example/").trust(&trusted), |answer| answer.status == 200);
    // Nor does a client need to ask for a name.
    let address = scene.at("web", 443).ip();
    assert_eq!(scene.curl(&format!("https://{address}/")).with(&["--insecure"]).ask(&scene.outside).body, "web");
    assert_eq!(scene.get("http://any.example/").status, 308);
}
