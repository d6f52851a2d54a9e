//! 17 in shared mode: the oldest Ingress that brings a certificate for a name has it shown, and others do not notice edits.

use axoneme_envoy::ResourceKind;
use axoneme_operator::Kind;

use crate::world::{PATH, World, changed, secret};

const ORIGIN: &str = "axoneme/cilium-ingress";

/// A shared Ingress of namespace `shop` with a rule and a certificate for each host: name, day of birth, hosts, Secret.
fn ingress(name: &str, day: u32, hosts: &[&str], secret: &str) -> String {
    let rules: Vec<_> = hosts.iter().map(|host| format!("{{host: '{host}', http: {{paths: [{PATH}]}}}}")).collect();
    let quoted: Vec<_> = hosts.iter().map(|host| format!("'{host}'")).collect();
    format!(
        "\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: shop, \
         creationTimestamp: \"2026-01-{day:02}T00:00:00Z\", annotations: {{ingress.cilium.io/loadbalancer-mode: shared}}}}\n\
         spec: {{ingressClassName: cilium, tls: [{{hosts: [{}], secretName: {secret}}}], rules: [{}]}}\n",
        quoted.join(", "),
        rules.join(", ")
    )
}

fn shown(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, secret)| ((*name).to_owned(), format!("{ORIGIN}/shop:{secret}"))).collect()
}

fn secrets(world: &World) -> Vec<String> {
    world.resources(ResourceKind::Secret).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn edge_17_every_name_is_a_chain_of_the_shared_listener() {
    let one = ingress("one", 1, &["a.example", "*.a.example"], "one");
    let two = ingress("two", 2, &["b.example"], "two");
    for has_module in [false, true] {
        let text = [one.clone(), two.clone(), secret("shop", "one"), secret("shop", "two")].concat();
        let mut world = World::new(&text);
        world.engine.node_opens("node", has_module);
        assert_eq!(world.problems(), Vec::<String>::new());
        let mut names = world.certificates();
        names.sort();
        assert_eq!(names, shown(&[("*.a.example", "one"), ("a.example", "one"), ("b.example", "two")]), "{has_module}");
        assert_eq!(secrets(&world), [format!("{ORIGIN}/shop:one"), format!("{ORIGIN}/shop:two")]);
        // Plain and secure are one kind of table, found in the same way.
        let managers = world.chains().into_iter().map(|chain| chain["filters"][0]["typed_config"].clone());
        assert!(managers.into_iter().all(|it| it["scoped_routes"].is_object() == has_module));
    }
}

#[test]
fn edge_17_the_oldest_has_the_certificate_until_it_goes() {
    let old = ingress("old", 1, &["a.example"], "old");
    let new = ingress("new", 2, &["a.example", "b.example"], "new");
    let mut world = World::new(&[old, new, secret("shop", "old"), secret("shop", "new")].concat());
    assert_eq!(world.certificates(), shown(&[("a.example", "old"), ("b.example", "new")]));
    let told = "Warning Conflict spec.tls[0].hosts[0]: Ingress shop/old is older and has the certificate of a.example in shared \
                mode; clients that ask for that name see it as long as it has";
    assert!(world.problems().iter().any(|problem| problem == told), "{:?}", world.problems());

    world.delete(Kind::Ingress, "old");
    assert_eq!(world.certificates(), shown(&[("a.example", "new"), ("b.example", "new")]));
    assert_eq!(secrets(&world), [format!("{ORIGIN}/shop:new")]);
    assert_eq!(world.problems(), Vec::<String>::new());
}

#[test]
fn edge_17_an_older_ingress_whose_secret_is_missing_holds_up_nobody() {
    let old = ingress("old", 1, &["a.example"], "missing");
    let new = ingress("new", 2, &["a.example"], "new");
    let mut world = World::new(&[old, new, secret("shop", "new")].concat());
    assert_eq!(world.certificates(), shown(&[("a.example", "new")]));
    world.apply(&secret("shop", "missing"));
    assert_eq!(world.certificates(), shown(&[("a.example", "missing")]));
    world.delete(Kind::Secret, "missing");
    assert_eq!(world.certificates(), shown(&[("a.example", "new")]));
}

#[test]
fn edge_17_what_an_edit_of_a_shared_certificate_touches() {
    let text =
        [ingress("one", 1, &["a.example"], "one"), ingress("two", 2, &["b.example"], "two"), secret("shop", "one")];
    let mut world = World::new(&text.concat());
    let before = world.chains();
    assert_eq!(changed(&world.apply(&secret("shop", "one"))), ["Secret shop:one"], "a rotation is one Secret");
    assert_eq!(world.chains(), before);
    let changes = changed(&world.apply(&secret("shop", "two")));
    assert!(changes.contains(&"Listener listener".to_owned()) && changes.contains(&"Secret shop:two".to_owned()));
    let after = world.chains();
    assert_eq!(after.len(), before.len() + 1);
    assert!(before.iter().all(|chain| after.contains(chain)), "the chains of other names are as they were");
    // Routes are no matter of the listener.
    let changes = changed(&world.apply(&ingress("one", 1, &["a.example", "c.example"], "missing")));
    assert!(changes.contains(&"Listener listener".to_owned()), "a certificate went");
    let changes = changed(&world.apply(&ingress("one", 1, &["a.example"], "missing")));
    assert!(!changes.contains(&"Listener listener".to_owned()), "{changes:?}");
}

#[test]
fn edge_17_the_listener_of_nodes_with_the_module_is_no_rival_of_the_other() {
    let one = ingress("one", 1, &["a.example"], "one");
    let mut world = World::new(&[one, secret("shop", "one")].concat());
    world.engine.node_opens("without", false);
    world.engine.node_opens("with", true);
    world.apply(&[ingress("two", 2, &["b.example"], "two"), secret("shop", "two")].concat());
    assert_eq!(world.problems(), Vec::<String>::new());
}
