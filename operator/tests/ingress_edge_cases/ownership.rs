//! 13: whose an Ingress is.

use axoneme_envoy::ResourceKind;
use axoneme_operator::source::LoadBalancerAddress;
use axoneme_operator::{Kind, Object, ObjectKey, Write};

use crate::cluster::Cluster;
use crate::world::{PATH, World};

fn text(class: &str, annotation: &str) -> String {
    format!(
        "\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web, namespace: shop{annotation}}}\nspec: \
         {{{class}rules: [{{http: {{paths: [{PATH}]}}}}]}}\n"
    )
}

fn class(controller: &str, is_default: bool) -> String {
    format!(
        "\n---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: edge, annotations: \
         {{ingressclass.kubernetes.io/is-default-class: \"{is_default}\"}}}}\nspec: {{controller: {controller}}}\n"
    )
}

fn is_served(world: &World) -> bool {
    !world.resources(ResourceKind::Listener).is_empty()
}

#[test]
fn edge_13_class_by_field_and_by_annotation() {
    let annotated = |class: &str| format!(", annotations: {{kubernetes.io/ingress.class: {class:?}}}");
    for (field, annotation, served) in [
        ("cilium", None, true),
        ("axoneme", None, true),
        ("nginx", None, false),
        ("nginx", Some("cilium"), true),
        ("cilium", Some("nginx"), false),
        ("cilium", Some(""), false),
        ("", Some("cilium"), true),
        ("", None, false),
    ] {
        let field_text = if field.is_empty() { String::new() } else { format!("ingressClassName: {field}, ") };
        let annotation_text = annotation.map(annotated).unwrap_or_default();
        let world = World::new(&text(&field_text, &annotation_text));
        assert_eq!(is_served(&world), served, "field {field:?}, annotation {annotation:?}");
    }
}

#[test]
fn edge_13_the_controller_decides_and_the_default_class_comes_and_goes() {
    let mut world = World::new(&[text("", ""), class("axoneme.io/ingress-controller", false)].concat());
    assert!(!is_served(&world));
    world.apply(&class("axoneme.io/ingress-controller", true));
    assert!(is_served(&world));
    world.apply(&class("someone.else/controller", true));
    assert!(!is_served(&world));
    assert_eq!(world.engine.intents().view("node").iter().count(), 0, "nothing is left");
    let own = axoneme_operator::Name::new("shop", "cilium-ingress-web");
    assert!(world.engine.index().service(&own).is_none(), "its Service is deleted");
}

/// What is left to do when an Ingress is not ours any more, each once.
fn is_cleaned_up(cluster: &mut Cluster, how: &str) {
    let mut written = cluster.news();
    written.sort_by_key(|write| matches!(write, Write::DeleteService(_)));
    assert!(
        matches!(&written[..], [_, _, Write::DeleteService(_)])
            && written.iter().any(|write| matches!(write, Write::DeleteEndpointSlice(_)))
            && written.iter().any(|write| matches!(write, Write::ClearIngressStatus(_))),
        "{how}: {written:?}"
    );
    assert_eq!((cluster.own("web"), cluster.shown("web")), (Vec::new(), Vec::new()), "{how}");
    assert_eq!(cluster.engine.intents().view("node").iter().count(), 0, "{how}");
}

const CLASS: &str = "ingressClassName: edge, ";
const OURS: &str = "axoneme.io/ingress-controller";

#[test]
fn edge_13_what_is_lost_is_cleaned_up_once_and_comes_back() {
    let default_text = text("", "");
    type Step = fn(&mut Cluster);
    let ways: [(&str, &str, bool, Step, Step); 5] = [
        (
            "the field",
            CLASS,
            false,
            |it| it.apply(&text("ingressClassName: nginx, ", "")),
            |it| it.apply(&text(CLASS, "")),
        ),
        (
            "the annotation",
            CLASS,
            false,
            |it| it.apply(&text(CLASS, ", annotations: {kubernetes.io/ingress.class: nginx}")),
            |it| it.apply(&text(CLASS, "")),
        ),
        ("the class", CLASS, false, |it| it.delete(Kind::IngressClass, "", "edge"), |it| it.apply(&class(OURS, false))),
        (
            "its controller",
            CLASS,
            false,
            |it| it.apply(&class("someone.else/controller", false)),
            |it| it.apply(&class(OURS, false)),
        ),
        ("the default", "", true, |it| it.apply(&class(OURS, false)), |it| it.apply(&class(OURS, true))),
    ];
    for (how, field, is_default, lose, regain) in ways {
        let manifest = if field.is_empty() { default_text.clone() } else { text(field, "") };
        let mut cluster = Cluster::new(&[manifest, class(OURS, is_default)].concat());
        let shown = cluster.shown("web");
        assert_eq!((cluster.own("web").len(), shown.len()), (2, 1), "{how}");
        cluster.news();

        lose(&mut cluster);
        is_cleaned_up(&mut cluster, how);
        let mut edited = cluster.ingress("web");
        edited.labels.insert("a".to_owned(), "b".to_owned());
        cluster.put(Object::Ingress(edited));
        cluster.relist();
        cluster.restart();
        assert_eq!(cluster.news(), [], "{how}");

        regain(&mut cluster);
        assert_eq!((cluster.own("web").len(), cluster.shown("web")), (2, shown), "{how}");
    }
}

#[test]
fn edge_13_at_the_shared_address_only_the_status_is_left_to_clear() {
    let shared = ", annotations: {ingress.cilium.io/loadbalancer-mode: shared}";
    let mut cluster = Cluster::new(&[text(CLASS, shared), class(OURS, false)].concat());
    assert_eq!((cluster.own("web"), cluster.shown("web").len()), (Vec::new(), 1));
    cluster.news();
    let mut lost = cluster.ingress("web");
    lost.class = Some("nginx".to_owned());
    cluster.put_unseen(Object::Ingress(lost));
    cluster.restart();
    let written = cluster.news();
    assert!(matches!(&written[..], [Write::ClearIngressStatus(_)]), "{written:?}");
    assert_eq!(cluster.shown("web"), [""; 0]);
}

#[test]
fn edge_13_what_the_new_owner_wrote_is_not_touched() {
    let mut cluster = Cluster::new(&[text(CLASS, ""), class(OURS, false)].concat());
    cluster.news();
    let mut taken = cluster.ingress("web");
    taken.class = Some("nginx".to_owned());
    // The API server takes the field from us when somebody else writes it.
    (taken.load_balancer, taken.shows_ours) = (vec![LoadBalancerAddress::ip("198.51.100.7")], false);
    cluster.put(Object::Ingress(taken));
    cluster.restart();
    assert!(cluster.news().iter().all(|write| !matches!(write, Write::ClearIngressStatus(_))));
    assert_eq!(cluster.shown("web"), ["198.51.100.7"]);
}

#[test]
fn edge_13_what_was_lost_while_the_operator_was_down_is_cleaned_up() {
    let mut cluster = Cluster::new(&[text(CLASS, ""), class(OURS, false)].concat());
    cluster.news();
    let mut lost = cluster.ingress("web");
    lost.class = Some("nginx".to_owned());
    cluster.put_unseen(Object::Ingress(lost));
    cluster.restart();
    is_cleaned_up(&mut cluster, "while it was down");

    // It leads only later: what a follower saw is outstanding.
    let mut cluster = Cluster::new(&[text(CLASS, ""), class(OURS, false)].concat());
    let mut lost = cluster.ingress("web");
    lost.class = Some("nginx".to_owned());
    cluster.engine.apply(axoneme_operator::SourceEvent::Apply(Object::Ingress(lost)));
    assert_eq!(cluster.engine.outstanding_writes().len(), 3);
}

#[test]
fn edge_13_the_api_server_tells_who_wrote_a_status() {
    let ingress = |manager: &str, operation: &str, subresource: &str, field: &str| {
        let manifest = serde_json::json!({ "metadata": { "name": "web", "managedFields": [{
            "manager": manager, "operation": operation, "subresource": subresource, "fieldsType": "FieldsV1",
            "fieldsV1": { "f:status": { "f:loadBalancer": { field: {} } } },
        }] } });
        let object: k8s_openapi::api::networking::v1::Ingress = serde_json::from_value(manifest).unwrap();
        axoneme_operator::source::Ingress::from(&object).shows_ours
    };
    assert!(ingress("axoneme-operator", "Apply", "status", "f:ingress"));
    assert!(!ingress("nginx", "Apply", "status", "f:ingress"));
    assert!(!ingress("axoneme-operator", "Update", "status", "f:ingress"));
    assert!(!ingress("axoneme-operator", "Apply", "", "f:ingress"));
    assert!(!ingress("axoneme-operator", "Apply", "status", "."));
}

#[test]
fn edge_13_what_another_controller_wrote_stays_until_there_is_something_to_show() {
    let given = |_: &axoneme_operator::Name| Vec::new();
    let text = [text(CLASS, ""), class(OURS, false), crate::world::WEB.to_owned()].concat();
    let mut cluster = Cluster::with(Default::default(), given, &text);
    let mut ingress = cluster.ingress("web");
    ingress.load_balancer = vec![LoadBalancerAddress::ip("198.51.100.7")];
    cluster.put(Object::Ingress(ingress));
    assert_eq!(cluster.shown("web"), ["198.51.100.7"]);
}

/// Classes with a name and an age.
fn dated(name: &str, day: u32, default: &str) -> String {
    format!(
        "\n---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}, creationTimestamp: \
         \"2026-01-{day:02}T00:00:00Z\", annotations: {{ingressclass.kubernetes.io/is-default-class: {default:?}}}}}\nspec: \
         {{controller: {OURS}}}\n"
    )
}

fn said_of_class(cluster: &Cluster, name: &str) -> Vec<String> {
    let problems = cluster.engine.problems().get(&ObjectKey::new(Kind::IngressClass, "", name));
    problems.into_iter().flatten().map(ToString::to_string).collect()
}

#[test]
fn edge_13_of_two_default_classes_the_newest_counts() {
    let mut cluster = Cluster::new(&[text("", ""), dated("a", 1, "true"), dated("b", 2, "true")].concat());
    let of = |cluster: &Cluster| {
        let ingress = cluster.ingress("web");
        cluster.engine.index().class(&ingress).map(|class| class.meta.name.name.to_string())
    };
    assert_eq!(of(&cluster).as_deref(), Some("b"));
    let said = said_of_class(&cluster, "a");
    assert!(
        said.len() == 1 && said[0].ends_with("IngressClass b is the default too and is newer: that one counts"),
        "{said:?}"
    );
    assert_eq!(said_of_class(&cluster, "b"), [""; 0]);
    cluster.apply(&dated("b", 2, "false"));
    assert_eq!((of(&cluster).as_deref(), said_of_class(&cluster, "a")), (Some("a"), Vec::new()));
    // As old as each other: by name.
    cluster.apply(&dated("b", 1, "true"));
    assert_eq!(of(&cluster).as_deref(), Some("a"));
}

#[test]
fn edge_13_a_malformed_default_is_none_and_is_told() {
    let mut cluster = Cluster::new(&[text("", ""), dated("a", 1, "yes")].concat());
    assert_eq!(cluster.own("web"), []);
    let said = said_of_class(&cluster, "a");
    assert!(said.len() == 1 && said[0].contains("\"yes\" is neither true nor false"), "{said:?}");
    cluster.delete(Kind::IngressClass, "", "a");
    assert_eq!(said_of_class(&cluster, "a"), [""; 0]);
    // Another's mistake is not ours to tell.
    cluster.apply(&dated("a", 1, "yes").replace(OURS, "someone.else/controller"));
    assert_eq!(said_of_class(&cluster, "a"), [""; 0]);
}
