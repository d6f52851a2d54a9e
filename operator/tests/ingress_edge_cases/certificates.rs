//! 17 and 18: whose certificate is shown, and who is sent to https.

use axoneme_envoy::ResourceKind;
use axoneme_operator::model::{IngressDefaults, RedirectCode};
use axoneme_operator::{Kind, Name};

use crate::world::{World, changed, ingress, rule, secret};

const ORIGIN: &str = "shop/cilium-ingress-shop-web";

fn tls(entries: &str) -> String {
    ingress("", &format!("tls: [{entries}], rules: [{}]", rule("a.example")))
}

#[test]
fn edge_17_names_and_their_secrets() {
    let text =
        tls("{hosts: [a.example, b.example], secretName: one}, {hosts: [B.example, '*.c.example'], secretName: two}");
    let world = World::new(&[text, secret("shop", "one"), secret("shop", "two")].concat());
    let names = world.certificates();
    let expected = [("a.example", "one"), ("b.example", "one"), ("*.c.example", "two")];
    assert_eq!(names, expected.map(|(name, secret)| (name.to_owned(), format!("{ORIGIN}/shop:{secret}"))));
    assert_eq!(
        world.problems(),
        ["Warning Conflict spec.tls[1].hosts[0]: b.example has Secret shop/one further up; the first one counts"]
    );
}

#[test]
fn edge_17_the_default_secret_is_for_entries_that_name_none() {
    let text = [tls("{hosts: [a.example]}"), secret("edge", "default")].concat();
    let without = World::new(&text);
    assert_eq!(without.certificates(), []);
    assert!(without.problems()[0].starts_with("Warning Invalid spec.tls[0]: names no Secret"));
    let defaults = IngressDefaults { secret: Some(Name::new("edge", "default")), ..IngressDefaults::default() };
    let with = World::with(defaults, &text);
    assert_eq!(with.certificates(), [("a.example".to_owned(), format!("{ORIGIN}/edge:default"))]);
    assert_eq!(with.problems(), Vec::<String>::new());
}

#[test]
fn edge_17_a_secret_of_another_namespace_is_nobodys_here() {
    // `a-b/c` and `a/b-c` are one name where namespace and name are joined with a dash.
    let text =
        [tls("{hosts: [a.example], secretName: op-c}"), secret("shop-op", "c"), secret("sh", "op-op-c")].concat();
    let world = World::new(&text);
    assert_eq!(world.certificates(), []);
    assert!(world.problems()[0].contains("Secret shop/op-c is not there"), "{:?}", world.problems());
    assert_eq!(world.resources(ResourceKind::Secret), []);
}

#[test]
fn edge_17_what_an_edit_of_a_certificate_touches() {
    let entries = "{hosts: [a.example], secretName: one}, {hosts: [b.example], secretName: two}";
    let mut world = World::new(&[tls(entries), secret("shop", "one")].concat());
    assert_eq!(world.certificates().len(), 1);

    let mine = "Secret shop:one".to_owned();
    assert_eq!(changed(&world.apply(&secret("shop", "one"))), [mine], "a rotation is one Secret");
    let before = world.chains();
    let changes = world.apply(&secret("shop", "two"));
    assert_eq!(changed(&changes), ["Listener listener", "Secret shop:two"]);
    let after = world.chains();
    assert_eq!(after[..before.len()], before, "the chains of other names are as they were");

    world.delete(Kind::Secret, "two");
    assert_eq!(world.chains(), before);
    // The first certificate brings a table, the last one takes it along.
    let changes = world.delete(Kind::Secret, "one");
    assert_eq!(changed(&changes), ["Listener listener", "RouteConfiguration listener-secure", "Secret shop:one"]);
}

#[test]
fn edge_17_a_broken_pair_leaves_the_last_good_one() {
    let mut world = World::new(&[tls("{hosts: [a.example], secretName: one}"), secret("shop", "one")].concat());
    let good = world.resources(ResourceKind::Secret);
    let [one, two] = [secret("shop", "one"), secret("shop", "one")];
    let (certificate, _) = one.split_once("  tls.key").unwrap();
    let (_, key) = two.split_once("  tls.key").unwrap();
    assert_eq!(changed(&world.apply(&format!("{certificate}  tls.key{key}"))), Vec::<String>::new());
    assert_eq!(world.resources(ResourceKind::Secret), good);
    assert!(world.problems()[0].ends_with("its last good version stays in force"), "{:?}", world.problems());
    // What is no certificate at all.
    let other =
        "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: one, namespace: shop}\nstringData: {generic: x}\n";
    world.apply(other);
    assert_eq!(world.certificates(), []);
    assert!(world.problems()[0].contains("has no tls.crt and tls.key"), "{:?}", world.problems());
}

#[test]
fn edge_18_flag_and_annotation() {
    let location = |flag: bool, annotation: &str| {
        let defaults = IngressDefaults { enforce_https: flag, ..IngressDefaults::default() };
        let spec = format!("tls: [{{hosts: [a.example], secretName: one}}], rules: [{}]", rule("a.example"));
        let world = World::with(defaults, &[ingress(annotation, &spec), secret("shop", "one")].concat());
        assert!(world.routes("listener-secure", "a.example").iter().all(|route| route["redirect"].is_null()));
        let last = world.routes("listener-insecure", "a.example").pop().unwrap();
        last["redirect"]["response_code"].as_str().unwrap_or_default().to_owned()
    };
    let permanent = "PERMANENT_REDIRECT";
    assert_eq!(location(true, ""), permanent);
    assert_eq!(location(false, ""), "");
    for word in ["enabled", "true"] {
        assert_eq!(location(false, &format!("ingress.cilium.io/force-https: {word:?}")), permanent);
    }
    for word in ["disabled", "false"] {
        assert_eq!(location(true, &format!("ingress.axoneme.io/force-https: {word:?}")), "");
    }
    // Ours is stronger than Cilium's.
    assert_eq!(location(true, "ingress.axoneme.io/force-https: disabled, ingress.cilium.io/force-https: enabled"), "");
}

#[test]
fn edge_18_the_code_and_a_proxy_in_front() {
    let text = [tls("{hosts: [a.example], secretName: one}"), secret("shop", "one")].concat();
    let moved = IngressDefaults { redirect_code: RedirectCode::MovedPermanently, ..IngressDefaults::default() };
    let last = World::with(moved, &text).routes("listener-insecure", "a.example").pop().unwrap();
    // Envoy's own default, which its JSON leaves out.
    assert_eq!(last["redirect"]["https_redirect"], true);
    assert_ne!(last["redirect"]["response_code"], "PERMANENT_REDIRECT");

    // Who ended TLS in front of us says so, and would otherwise be sent round in circles.
    let trusting = IngressDefaults { trusted_hops: 1, ..IngressDefaults::default() };
    let routes = World::with(trusting, &text).routes("listener-insecure", "a.example");
    let redirect = routes.iter().position(|route| !route["redirect"].is_null()).unwrap();
    assert_eq!(routes[redirect]["match"]["headers"][0]["name"], "x-forwarded-proto");
    assert!(routes[redirect + 1..].iter().any(|route| route["route"]["cluster"].is_string()));
}

#[test]
fn edge_18_hosts_that_no_rule_names_are_sent_too_and_others_are_not() {
    let spec = "tls: [{hosts: [a.example, '*.b.example'], secretName: one}], defaultBackend: {service: {name: web, port: \
                {number: 80}}}";
    let world = World::new(&[ingress("", spec), secret("shop", "one")].concat());
    let redirects = |host: &str| world.routes("listener-insecure", host).iter().any(|it| !it["redirect"].is_null());
    assert!(redirects("a.example") && redirects("*.b.example") && !redirects("*"));
}

#[test]
fn edge_17_a_secret_that_nobody_looked_for_yet_is_not_missing() {
    use axoneme_operator::{Engine, ObjectKey, SourceEvent};

    // In a cluster a Secret is looked for when it is named.
    let mut engine = Engine::new();
    let folder = crate::support::text(&tls("{hosts: [a.example], secretName: one}"));
    for event in folder.resets() {
        engine.apply(event);
    }
    let class = "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: cilium}, spec: {controller: \
                 cilium.io/ingress-controller}}";
    let told = |engine: &Engine| {
        let all = engine.problems().values().flatten();
        all.filter(|problem| problem.field == "spec.tls[0].secretName").count()
    };
    for event in crate::support::applies(&crate::support::text(class)) {
        let changes = engine.apply(event);
        assert_eq!(changes.secrets, [(Name::new("shop", "one"), true)].into());
    }
    assert_eq!(told(&engine), 0);
    engine.apply(SourceEvent::Delete(ObjectKey::new(Kind::Secret, "shop", "one")));
    assert_eq!(told(&engine), 1, "looked for in vain");
    for event in crate::support::applies(&crate::support::text(&secret("shop", "one"))) {
        engine.apply(event);
    }
    assert_eq!(told(&engine), 0);
    // At the start the list tells.
    engine.apply(SourceEvent::reset(Kind::Secret, Vec::new()));
    assert_eq!(told(&engine), 1);
}
