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

#[test]
fn edge_17_a_name_that_no_rule_has_is_answered_by_who_is_for_all() {
    let pair = Pair::of(&["one.example", "other.example"]);
    let spec = format!(
        "tls: [{{hosts: [one.example, other.example], secretName: both}}]\n  defaultBackend: {{service: {{name: api, port: \
         {{number: 80}}}}}}\n  rules: [{}]",
        rule("one.example", &[&path("Prefix", "/", "web")])
    );
    let scene = Scene::start("ing-norule", &["web"], &[ingress("web", "", &spec), pair.secret("both")].concat());
    let trusted = pair.file();
    let ask = |url: &str| scene.curl(url).trust(&trusted);
    scene.until(&ask("https://one.example/"), |answer| answer.body == "web");
    scene.until(&ask("https://other.example/"), |answer| answer.body == "api");
    // Nobody is sent to https who has no certificate there.
    assert_eq!(scene.get("http://other.example/").status, 308);
    assert_eq!(scene.get("http://third.example/").body, "api");
}

#[test]
fn edge_17_cve_2023_34242_a_certificate_of_another_namespace_is_not_shown() {
    // Joined with a dash, both Secrets would have one name: `shop-op` and `c`, `shop` and `op-c`.
    let (mine, theirs) = (Pair::of(&["one.example"]), Pair::of(&["one.example"]));
    let rules = ["one.example", "two.example"].map(|host| rule(host, &[&path("Prefix", "/", "web")])).join(", ");
    let tls = "[{hosts: [one.example], secretName: op-c}, {hosts: [two.example], secretName: two}]";
    let web = ingress("web", "", &format!("tls: {tls}\n  rules: [{rules}]"));
    let two = Pair::of(&["two.example"]);
    let foreign = [theirs.secret_of("shop-op", "c"), theirs.secret_of("other", "op-c")].join("---\n");
    let scene = Scene::start("ing-foreign", &["web"], &[web, foreign, "---\n".to_owned(), two.secret("two")].concat());
    let trust_two = two.file();
    scene.until(&scene.curl("https://two.example/").trust(&trust_two), |answer| answer.status == 200);
    assert_eq!(scene.curl("https://one.example/").with(&["--insecure"]).ask(&scene.outside).exit, 35);
    scene.says(&["spec.tls[0].secretName", "Secret shop/op-c is not there"]);

    scene.write("mine.yaml", &mine.secret("op-c"));
    let (trust_mine, trust_theirs) = (mine.file(), theirs.file());
    scene.until(&scene.curl("https://one.example/").trust(&trust_mine), |answer| answer.status == 200);
    scene.until(&scene.curl("https://one.example/").trust(&trust_theirs), |answer| answer.exit == 60);
}

#[test]
fn edge_17_what_is_wrong_with_one_certificate_is_no_matter_of_others() {
    let hosts = ["good.example", "mixed.example", "words.example", "bare.example", "twice.example"];
    let rules = hosts.map(|host| rule(host, &[&path("Prefix", "/", "web")])).join(", ");
    let entry = |host: &str, secret: &str| format!("{{hosts: [{host}], secretName: {secret}}}");
    let entries = [
        entry("good.example", "good"),
        entry("mixed.example", "mixed"),
        entry("words.example", "words"),
        entry("twice.example", "first"),
        entry("twice.example", "second"),
        "{hosts: [bare.example]}".to_owned(),
    ];
    let web = ingress("web", "", &format!("tls: [{}]\n  rules: [{rules}]", entries.join(", ")));
    let (good, first, second) =
        (Pair::of(&["good.example"]), Pair::of(&["twice.example"]), Pair::of(&["twice.example"]));
    let mixed = Pair { certificate: good.certificate.clone(), key: first.key.clone() };
    let words = Pair { certificate: "no certificate".to_owned(), key: "no key".to_owned() };
    let secrets = [("good", &good), ("mixed", &mixed), ("words", &words), ("first", &first), ("second", &second)];
    let secrets: Vec<_> = secrets.iter().map(|(name, pair)| pair.secret(name)).collect();
    let scene = Scene::start("ing-broken", &["web"], &[web, secrets.join("---\n")].concat());
    scene.until(&scene.curl("https://good.example/").trust(&good.file()), |answer| answer.status == 200);
    scene.until(&scene.curl("https://twice.example/").trust(&first.file()), |answer| answer.status == 200);
    for host in ["mixed.example", "words.example", "bare.example"] {
        let answer = scene.curl(&format!("https://{host}/")).with(&["--insecure"]).ask(&scene.outside);
        assert_eq!(answer.exit, 35, "{host}: {answer:?}");
    }
    scene.says(&["spec.tls[1].secretName", "Secret shop/mixed"]);
    scene.says(&["spec.tls[2].secretName", "Secret shop/words"]);
    scene.says(&["spec.tls[4].hosts[0]", "the first one counts"]);
    scene.says(&["spec.tls[5]", "names no Secret"]);
}

#[test]
fn edge_17_a_default_secret_is_for_entries_that_name_none() {
    let (default, own) = (Pair::of(&["one.example"]), Pair::of(&["two.example"]));
    let rules = ["one.example", "two.example"].map(|host| rule(host, &[&path("Prefix", "/", "web")])).join(", ");
    let tls = "[{hosts: [one.example]}, {hosts: [two.example], secretName: own}]";
    let web = ingress("web", "", &format!("tls: {tls}\n  rules: [{rules}]"));
    let manifests = [web, own.secret("own"), "---\n".to_owned(), default.secret_of("edge", "default")].concat();
    let scene = Scene::start_with("ing-defaults", &["web"], &manifests, &["--ingress-default-secret=edge/default"]);
    for (host, pair) in [("one.example", &default), ("two.example", &own)] {
        let trusted = pair.file();
        scene.until(&scene.curl(&format!("https://{host}/")).trust(&trusted), |answer| answer.status == 200);
    }
    let trusted = default.file();
    scene.until(&scene.curl("https://two.example/").trust(&trusted), |answer| answer.exit == 60);
}
