//! Thousands of Ingresses of another class: each event of theirs leads to nothing, and they take little memory.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use axoneme_operator::source::{Ingress, PackedIngress};
use axoneme_operator::{Changes, Engine, Kind, Object, ObjectKey, SourceEvent};
use serde_json::Value;

const INGRESSES: usize = 5000;
/// Bytes that all of them may take.
const BUDGET: usize = 10_000_000;

/// How an Ingress comes in.
type Source = fn(Value) -> Object;
/// From a folder, and from the API server.
const SOURCES: [Source; 2] = [decoded, packed];

fn decoded(manifest: Value) -> Object {
    let object: k8s_openapi::api::networking::v1::Ingress = serde_json::from_value(manifest).unwrap();
    Object::Ingress(Ingress::from(&object))
}

fn packed(manifest: Value) -> Object {
    let text = manifest.to_string();
    Object::PackedIngress(PackedIngress::read(&mut serde_json::Deserializer::from_str(&text)).unwrap().0)
}

/// An Ingress as charts write them.
fn foreign(at: usize, path: &str) -> Value {
    let host = |name: &str| format!("{name}.service-{at}.example.com");
    let path_of = |path: &str, service: &str| {
        serde_json::json!({
            "path": path, "pathType": "Prefix",
            "backend": { "service": { "name": service, "port": { "number": 8080 } } },
        })
    };
    serde_json::json!({
        "metadata": {
            "namespace": format!("team-{}", at % 50), "name": format!("service-{at}"),
            "uid": format!("00000000-0000-4000-8000-{at:012}"), "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                "app.kubernetes.io/name": "service", "app.kubernetes.io/instance": format!("service-{at}"),
                "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "service-1.2.3",
            },
            "annotations": {
                "nginx.ingress.kubernetes.io/proxy-body-size": "8m",
                "nginx.ingress.kubernetes.io/proxy-read-timeout": "60",
                "cert-manager.io/cluster-issuer": "letsencrypt",
                "meta.helm.sh/release-name": format!("service-{at}"),
                "kubectl.kubernetes.io/last-applied-configuration": "x".repeat(1500),
            },
        },
        "spec": {
            "ingressClassName": "nginx",
            "rules": [
                { "host": host("www"), "http": { "paths": [path_of(path, "web"), path_of("/api", "api")] } },
                { "host": host("admin"), "http": { "paths": [path_of("/", "admin")] } },
            ],
            "tls": [{ "hosts": [host("www"), host("admin")], "secretName": format!("service-{at}-tls") }],
        },
        "status": { "loadBalancer": { "ingress": [{ "ip": "198.51.100.1" }] } },
    })
}

fn class(controller: &str) -> SourceEvent {
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: nginx}}\nspec: {{controller: {controller}}}\n"
    );
    support::applies(&support::text(&text)).remove(0)
}

/// What one of these leads to, besides that it was seen.
fn nothing() -> Changes {
    Changes { foreign: true, ..Changes::default() }
}

/// An engine with so many Ingresses of another class, each of which led to nothing.
fn engine(ingresses: usize, source: Source) -> Engine {
    let mut engine = Engine::new();
    for kind in Kind::ALL {
        engine.apply(SourceEvent::reset(kind, Vec::new()));
    }
    engine.apply(class("k8s.io/ingress-nginx"));
    for at in 0..ingresses {
        assert_eq!(engine.apply(SourceEvent::Apply(source(foreign(at, "/")))), nothing());
    }
    engine
}

#[test]
fn ingresses_of_others_lead_to_nothing_and_take_little_memory() {
    for source in SOURCES {
        let mut engine = engine(INGRESSES, source);
        // Each has its place in three ordered maps, by its name.
        let taken: usize = engine.index().foreigners().map(|(_, foreign)| foreign.bytes() + 300).sum();
        assert!(taken < BUDGET, "{INGRESSES} Ingresses of another class take {taken} bytes");
        for at in 0..INGRESSES {
            assert_eq!(engine.apply(SourceEvent::Apply(source(foreign(at, "/v2")))), nothing());
        }
        assert_eq!((engine.index().count(Kind::Ingress), engine.outstanding_writes()), (INGRESSES, Vec::new()));
    }
}

#[test]
fn nothing_of_them_is_lost_when_their_class_becomes_ours() {
    for source in SOURCES {
        let mut engine = engine(10, source);
        let changes = engine.apply(class("axoneme.io/ingress-controller"));
        assert_eq!(
            changes.writes.len(),
            2 * 10,
            "a Service and a slice; their old address stays until they have a new one"
        );
        for at in 0..10 {
            let Object::Ingress(wanted) = decoded(foreign(at, "/")) else { unreachable!() };
            assert_eq!(engine.index().ingress(&wanted.meta.name), Some(&wanted));
        }
        // And back: they are others' again, whole.
        engine.apply(class("k8s.io/ingress-nginx"));
        for (at, (_, foreign)) in engine.index().foreigners().enumerate() {
            assert!(foreign.unpack().is_ok(), "{at}");
        }
        assert_eq!(engine.index().foreigners().count(), 10);
    }
}

#[test]
fn one_that_cannot_be_decoded_is_told_when_it_is_ours_and_not_before() {
    let mut engine = engine(2, packed);
    let mut wrong = foreign(7, "/");
    wrong["spec"]["rules"] = Value::from("none");
    let key = ObjectKey::new(Kind::Ingress, "team-7", "service-7");
    assert_eq!(engine.apply(SourceEvent::Apply(packed(wrong.clone()))), nothing());
    let changes = engine.apply(class("axoneme.io/ingress-controller"));
    assert_eq!(changes.problems[&key].added.len(), 1, "{:?}", changes.problems);
    assert_eq!(engine.index().owners().count(), 2, "the others are served");

    // What was good before stays in force.
    engine.apply(SourceEvent::Apply(packed(foreign(7, "/"))));
    let is_told = |engine: &Engine| {
        engine.problems().get(&key).into_iter().flatten().any(|problem| problem.message.contains("invalid type"))
    };
    assert!(!is_told(&engine));
    let changes = engine.apply(SourceEvent::Apply(packed(wrong)));
    assert!(is_told(&engine) && !changes.foreign);
    assert!(engine.index().ingress(&key.name).is_some());
}
