//! `axonctl status ingress`: the Ingresses of the mesh in manifests.

use super::{axonctl, axonctl_with, golden};

#[test]
fn ingresses_with_what_is_wrong_with_them() {
    let said = axonctl(&["status", "ingress", "-f", "mesh"]);
    golden("status-ingress", &said.whole());
}

#[test]
fn one_namespace_or_one_ingress() {
    let said = axonctl(&["status", "ingress", "-n", "nowhere", "-f", "mesh"]);
    assert_eq!((said.code, &*said.out), (0, "no Ingress is one of the mesh\n"), "{said:?}");
    let said = axonctl(&["status", "ingress", "shop", "-n", "shop", "-f", "mesh", "-o", "json"]);
    let json = said.json();
    let ingresses = json["ingresses"].as_array().unwrap();
    assert_eq!(
        (ingresses.len(), &ingresses[0]["name"], &ingresses[0]["mode"]),
        (1, &"shop".into(), &"dedicated".into())
    );
    assert_eq!(ingresses[0]["tls"][0]["usable"], true, "{json:#}");
}

#[test]
fn who_is_not_one_of_the_mesh_is_told_why() {
    for (name, why) in [
        ("foreign", "the class of Ingress shop/foreign, \"nginx\", is not one of the mesh"),
        ("nobody", "there is no Ingress shop/nobody"),
    ] {
        let said = axonctl(&["status", "ingress", name, "-n", "shop", "-f", "mesh"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.errors.contains(why), "{said:?}");
    }
    let said = axonctl(&["status", "ingress"]);
    assert!(said.code == 2 && said.errors.contains("cannot find the cluster"), "{said:?}");
}

#[test]
fn a_class_says_what_holds_for_its_ingresses() {
    let text = "\
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: internal}
spec:
  controller: axoneme.io/ingress-controller
  parameters: {kind: ConfigMap, scope: Namespace, namespace: mesh, name: internal}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: internal, namespace: mesh}
data: {loadbalancer-mode: shared, request-timeout: soon}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  ingressClassName: internal
  rules: [{host: a.example}]
  tls: [{hosts: [a.example], secretName: cert}]
";
    let said = axonctl_with(&["status", "ingress", "-f", "-"], text);
    golden("status-ingress-class", &said.whole());
}
