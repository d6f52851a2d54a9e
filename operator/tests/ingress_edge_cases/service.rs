//! 14 and 21: the Service of an Ingress, and when it is written.

use axoneme_operator::local::Local;
use axoneme_operator::model::IngressDefaults;
use axoneme_operator::{Changes, Engine, Object, SourceEvent, Write};
use k8s_openapi::api::core::v1::Service;

use crate::support;
use crate::world::{WEB, ingress, rule};

/// The engine alone: what it wants written stays to be looked at.
fn engine(defaults: IngressDefaults) -> Engine {
    let mut engine = Engine::new().with_defaults(defaults);
    let mut local = Local::new(support::pools());
    for event in support::text(WEB).resets() {
        engine.apply(local.complete(event));
    }
    engine
}

fn apply(engine: &mut Engine, text: &str) -> Changes {
    let mut events = support::applies(&support::text(text));
    assert_eq!(events.len(), 1);
    engine.apply(events.remove(0))
}

fn text(metadata: &str, annotations: &str) -> String {
    ingress(annotations, &format!("rules: [{}]", rule("a.example"))).replacen(
        "name: web,",
        &format!("name: web, {metadata}"),
        1,
    )
}

/// The Service that changes ask for.
fn written(changes: &Changes) -> Option<Service> {
    changes.writes.iter().find_map(|write| match write {
        Write::Service(service) => Some(service.to_object()),
        _ => None,
    })
}

fn asked(annotations: &str) -> Service {
    written(&apply(&mut engine(IngressDefaults::default()), &text("", annotations))).unwrap()
}

#[test]
fn edge_14_the_service_is_what_the_annotations_ask_for() {
    let spec = asked("").spec.unwrap();
    assert_eq!(
        (spec.type_.as_deref(), spec.external_traffic_policy.as_deref()),
        (Some("LoadBalancer"), Some("Cluster"))
    );
    assert_eq!(
        spec.ports.unwrap().iter().map(|port| (port.port, port.node_port)).collect::<Vec<_>>(),
        [(80, None), (443, None)]
    );

    let prefix = "ingress.cilium.io";
    let spec = asked(&format!(
        "{prefix}/service-type: NodePort, {prefix}/insecure-node-port: '30080', {prefix}/secure-node-port: '30443', \
         {prefix}/service-external-traffic-policy: Local, {prefix}/loadbalancer-class: x"
    ));
    let spec = spec.spec.unwrap();
    assert_eq!((spec.type_.as_deref(), spec.external_traffic_policy.as_deref()), (Some("NodePort"), Some("Local")));
    assert_eq!(spec.load_balancer_class, None);
    let ports = spec.ports.unwrap();
    assert_eq!(ports.iter().map(|port| port.node_port).collect::<Vec<_>>(), [Some(30080), Some(30443)]);
    let class = asked(&format!("{prefix}/loadbalancer-class: example.com/lb")).spec.unwrap().load_balancer_class;
    assert_eq!(class.as_deref(), Some("example.com/lb"));
}

#[test]
fn edge_14_what_is_copied_and_what_never_is() {
    let labels = "labels: {lbipam.cilium.io/pool: blue, argocd.argoproj.io/instance: a, team: x},";
    let annotations = "metallb.io/address-pool: green, argocd.argoproj.io/tracking-id: b, note: y";
    // Not even when somebody asks for everything.
    let everything = vec!["metallb.io/".to_owned(), "lbipam.cilium.io/".to_owned(), "argocd.argoproj.io/".to_owned()];
    let defaults = IngressDefaults { copied_prefixes: everything, ..IngressDefaults::default() };
    let service = written(&apply(&mut engine(defaults), &text(labels, annotations))).unwrap();
    let keys = |map: Option<std::collections::BTreeMap<String, String>>| map.unwrap().into_keys().collect::<Vec<_>>();
    assert_eq!(
        keys(service.metadata.labels),
        ["app.kubernetes.io/managed-by", "cilium.io/ingress", "lbipam.cilium.io/pool"]
    );
    assert_eq!(keys(service.metadata.annotations), ["ingress.axoneme.io/copied", "metallb.io/address-pool"]);
}

/// What the API server shows of a Service that was applied, with what others wrote on it.
fn stored(mut service: Service) -> SourceEvent {
    let annotations = service.metadata.annotations.get_or_insert_default();
    annotations.insert("metallb.io/ip-allocated-from-pool".to_owned(), "green".to_owned());
    let spec = service.spec.get_or_insert_default();
    spec.cluster_ip = Some("10.96.0.9".to_owned());
    if spec.type_.as_deref() == Some("LoadBalancer") {
        spec.load_balancer_class = Some("given.by/webhook".to_owned());
    }
    for (port, node_port) in spec.ports.iter_mut().flatten().zip([30_001, 30_002]) {
        port.node_port.get_or_insert(node_port);
    }
    SourceEvent::Apply(Object::Service((&service).into()))
}

#[test]
fn edge_21_what_stands_as_asked_is_not_written_again() {
    for annotations in [
        "",
        "metallb.io/address-pool: green",
        "ingress.cilium.io/service-type: NodePort, ingress.cilium.io/insecure-node-port: '30080'",
        "ingress.cilium.io/service-external-traffic-policy: Local",
        "ingress.cilium.io/load-balancer-source-ranges: '192.0.2.0/24,10.0.0.0/8'",
        "ingress.cilium.io/load-balancer-source-ranges: nobody",
    ] {
        let mut engine = engine(IngressDefaults::default());
        let service = written(&apply(&mut engine, &text("", annotations))).unwrap();
        assert_eq!(written(&engine.apply(stored(service))), None, "{annotations}");
        let outstanding = engine.outstanding_writes();
        assert!(!outstanding.iter().any(|write| matches!(write, Write::Service(_))), "{annotations}: {outstanding:?}");
    }
}

#[test]
fn edge_14_an_annotation_that_is_taken_back_is_taken_off_the_service() {
    let mut engine = engine(IngressDefaults::default());
    let pool = "metallb.io/address-pool: green";
    let service = written(&apply(&mut engine, &text("", pool))).unwrap();
    engine.apply(stored(service));
    let service = written(&apply(&mut engine, &text("", ""))).unwrap();
    assert_eq!(service.metadata.annotations, None);
    // A class that is there stays: it cannot change.
    assert_eq!(service.spec.unwrap().load_balancer_class.as_deref(), Some("given.by/webhook"));
}
