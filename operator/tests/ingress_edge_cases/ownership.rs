//! 13: whose an Ingress is.

use axoneme_envoy::ResourceKind;

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
