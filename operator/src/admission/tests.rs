use kube::core::admission::AdmissionReview;
use serde_json::{Value, json};

use super::*;

const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

fn config(resources: &Value) -> Value {
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumEnvoyConfig",
        "metadata": { "name": "a", "namespace": "default" }, "spec": { "resources": resources },
    })
}

fn request(kind: &str, object: &Value, old: &Value) -> AdmissionRequest<DynamicObject> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "7", "name": "a", "operation": if old.is_null() { "CREATE" } else { "UPDATE" }, "userInfo": {},
            "kind": { "group": "cilium.io", "version": "v2", "kind": kind },
            "resource": { "group": "cilium.io", "version": "v2", "resource": "ciliumenvoyconfigs" },
            "object": object, "oldObject": old,
        },
    });
    serde_json::from_value::<AdmissionReview<DynamicObject>>(review).unwrap().try_into().unwrap()
}

fn verdict(object: &Value, old: &Value) -> Verdict {
    judge(&request("CiliumEnvoyConfig", object, old), &Policy::default(), |_| panic!("no Ingress"))
}

#[test]
fn all_errors_are_told_at_once_with_their_fields() {
    let wrong = config(&json!([
        { "@type": CLUSTER, "name": "c", "connect_timeouts": "1s" },
        { "@type": "type.googleapis.com/envoy.config.cluster.v3.Clusters" },
    ]));
    let verdict = verdict(&wrong, &Value::Null);
    assert_eq!(verdict.label(), "refused");
    let response = respond(&request("CiliumEnvoyConfig", &wrong, &Value::Null), &verdict);
    assert!(!response.allowed);
    assert_eq!((response.uid.as_str(), response.result.code, response.result.reason.as_str()), ("7", 422, "Invalid"));
    let causes = response.result.details.unwrap().causes;
    let fields: Vec<_> = causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(fields, ["spec.resources[0].connect_timeouts", "spec.resources[1].@type"]);
    assert!(response.result.message.starts_with("2 errors\n- spec.resources[0].connect_timeouts: "));
}

#[test]
fn what_is_missing_is_a_warning_and_no_reason_to_refuse() {
    let hcm = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let listener = json!([{
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener", "name": "l",
        "filter_chains": [{ "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": hcm, "stat_prefix": "l", "rds": { "route_config_name": "r" },
            "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": { "@type": router } }],
        }}]}],
    }]);
    let object = config(&listener);
    let verdict = verdict(&object, &Value::Null);
    assert_eq!(verdict.errors, []);
    let response = respond(&request("CiliumEnvoyConfig", &object, &Value::Null), &verdict);
    assert!(response.allowed);
    let warnings = response.warnings.unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("no RouteConfiguration default/a/r")), "{warnings:?}");
}

#[test]
fn a_filter_that_is_dropped_is_warned_of_at_the_door() {
    let hcm = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let object = config(&json!([{
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener", "name": "l",
        "filter_chains": [{ "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": hcm, "stat_prefix": "l", "route_config": { "name": "r" },
            "http_filters": [
                { "name": "cilium.l7policy", "typed_config": { "@type": "type.googleapis.com/cilium.L7Policy" } },
                { "name": "envoy.filters.http.router", "typed_config": { "@type": router } },
            ],
        }}]}],
    }]));
    let verdict = verdict(&object, &Value::Null);
    let response = respond(&request("CiliumEnvoyConfig", &object, &Value::Null), &verdict);
    assert!(response.allowed, "{verdict:?}");
    let warnings = response.warnings.unwrap();
    assert!(warnings.iter().any(|it| it.contains("http_filters[0]") && it.contains("cilium")), "{warnings:?}");
}

#[test]
fn a_wrong_object_that_stands_already_can_be_labelled_and_deleted() {
    let wrong = config(&json!([{ "@type": CLUSTER, "name": "c", "connect_timeouts": "1s" }]));
    let mut labelled = wrong.clone();
    labelled["metadata"]["labels"] = json!({ "a": "b" });
    assert_eq!(verdict(&labelled, &wrong), Verdict::default());

    let mut edited = wrong.clone();
    edited["spec"]["resources"][0]["connect_timeouts"] = json!("2s");
    assert_eq!(verdict(&edited, &wrong).label(), "refused");
    edited["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(verdict(&edited, &wrong), Verdict::default());
}

#[test]
fn an_object_that_does_not_decode_is_refused_and_a_strange_kind_passes() {
    let mut object = config(&json!([]));
    object["spec"]["services"] = json!([{ "name": 7 }]);
    assert_eq!(verdict(&object, &Value::Null).label(), "refused");
    assert_eq!(
        judge(&request("Service", &object, &Value::Null), &Policy::default(), |_| panic!("no Ingress")),
        Verdict::default()
    );
}

#[test]
fn an_ingress_of_ours_is_warned_of_and_another_one_is_left_alone() {
    let ingress = |class: &str| {
        let rule = json!({ "host": "no name", "http": { "paths": [] } });
        let missing = json!({ "service": { "name": "later", "port": { "number": 80 } } });
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "a", "namespace": "default" },
            "spec": { "ingressClassName": class, "rules": [rule], "defaultBackend": missing },
        })
    };
    let mut index = Index::default();
    let class = json!({ "metadata": { "name": "mine" }, "spec": { "controller": "axoneme.io/ingress-controller" } });
    let class: networking::IngressClass = serde_json::from_value(class).unwrap();
    index.apply(crate::Object::IngressClass((&class).into()));
    let warnings = |class| {
        let verdict = judge(&request("Ingress", &ingress(class), &Value::Null), &Policy::default(), |it| {
            look(it, &index, &IngressDefaults::default())
        });
        assert_eq!(verdict.errors, []);
        verdict.warnings.into_iter().map(|problem| problem.field).collect::<Vec<_>>()
    };
    assert_eq!(warnings("mine"), ["spec.rules[0].host"]);
    assert_eq!(warnings("theirs"), [""; 0]);
}
