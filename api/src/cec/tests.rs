use super::*;

#[test]
fn names_and_scope_are_ciliums() {
    let crds = crds();
    let names: Vec<_> = crds.iter().map(|crd| crd.metadata.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["ciliumenvoyconfigs.cilium.io", "ciliumclusterwideenvoyconfigs.cilium.io"]);
    for (crd, (scope, short)) in crds.iter().zip([("Namespaced", "cec"), ("Cluster", "ccec")]) {
        assert_eq!(crd.spec.scope, scope);
        assert_eq!(crd.spec.names.short_names, Some(vec![short.to_owned()]));
        assert_eq!(crd.spec.names.categories, Some(vec!["cilium".to_owned()]));
        let version = &crd.spec.versions[0];
        assert!(version.subresources.as_ref().unwrap().status.is_some());
        let columns: Vec<_> = version.additional_printer_columns.iter().flatten().map(|c| c.name.as_str()).collect();
        assert_eq!(columns, ["Accepted", "Resolved", "Programmed", "Nodes", "Age"]);
    }
}

#[test]
fn elements_of_resources_keep_every_field() {
    for crd in crds() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let resources = &schema["openAPIV3Schema"]["properties"]["spec"]["properties"]["resources"];
        assert_eq!(resources["items"]["x-kubernetes-preserve-unknown-fields"], true);
        assert_eq!(resources["minItems"], 1);
    }
}

#[test]
fn backend_ports_are_called_number() {
    let spec: CiliumEnvoyConfigSpec = serde_json::from_value(serde_json::json!({
        "backendServices": [{ "name": "echo", "number": ["80", "http"] }],
        "resources": [{ "@type": "x" }],
    }))
    .unwrap();
    assert_eq!(spec.backend_services[0].ports, ["80", "http"]);
}

/// The API server warns of any other format at every `kubectl apply`.
#[test]
fn every_format_is_known_to_kubernetes() {
    fn formats(schema: &serde_json::Value, found: &mut Vec<String>) {
        match schema {
            serde_json::Value::Object(fields) => {
                found.extend(fields.get("format").and_then(|it| it.as_str()).map(str::to_owned));
                fields.values().for_each(|value| formats(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|value| formats(value, found)),
            _ => {}
        }
    }
    for crd in crds() {
        let mut found = Vec::new();
        formats(&serde_json::to_value(&crd.spec.versions).unwrap(), &mut found);
        found.retain(|format| !matches!(format.as_str(), "int32" | "int64" | "date-time"));
        assert_eq!(found, Vec::<String>::new());
    }
}
