//! What an IngressClass says of its Ingresses by its `parameters`.

use axoneme_operator::model::options::RequestedType;
use axoneme_operator::{Kind, Write};

use crate::cluster::Cluster;
use crate::world::{ingress, rule};

fn class(parameters: &str) -> String {
    format!(
        "\n---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: cilium}}\nspec: {{controller: \
         cilium.io/ingress-controller, parameters: {{{parameters}}}}}\n"
    )
}

const REFERENCE: &str = "kind: ConfigMap, scope: Namespace, namespace: mesh, name: edge";

fn map(data: &str) -> String {
    format!("\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: edge, namespace: mesh}}\ndata: {{{data}}}\n")
}

fn web(annotations: &str) -> String {
    ingress(annotations, &format!("rules: [{}]", rule("a.example")))
}

/// A cluster whose class names a ConfigMap.
fn cluster(text: &str) -> Cluster {
    let mut cluster = Cluster::new("");
    cluster.apply(&class(REFERENCE));
    cluster.apply(text);
    cluster
}

fn type_of(cluster: &Cluster) -> RequestedType {
    let mut services = cluster.written.iter().rev().filter_map(|write| match write {
        Write::Service(service) => Some(service.options.type_),
        _ => None,
    });
    services.next().unwrap()
}

fn problems(cluster: &Cluster) -> Vec<String> {
    let all = cluster.engine.problems().values().flatten();
    all.map(|problem| format!("{:?} {} {problem}", problem.severity, problem.reason.as_str())).collect()
}

#[test]
fn annotations_stand_before_the_class_and_the_class_before_the_flags() {
    let node_port = map("service-type: NodePort");
    assert_eq!(type_of(&Cluster::new(&web(""))), RequestedType::LoadBalancer);
    assert_eq!(type_of(&cluster(&[web(""), node_port.clone()].concat())), RequestedType::NodePort);
    let annotation = "ingress.cilium.io/service-type: LoadBalancer";
    assert_eq!(type_of(&cluster(&[web(annotation), node_port.clone()].concat())), RequestedType::LoadBalancer);
    // An annotation that is wrong leaves what the class says.
    let wrong = "ingress.cilium.io/service-type: Balancer";
    assert_eq!(type_of(&cluster(&[web(wrong), node_port].concat())), RequestedType::NodePort);
}

#[test]
fn an_edit_of_the_config_map_reaches_the_ingresses_of_the_class() {
    let mut cluster = cluster(&[web(""), map("request-timeout: 5s")].concat());
    assert_eq!(problems(&cluster), [""; 0]);
    cluster.told = Default::default();
    cluster.apply(&map("request-timeout: 6s"));
    let changed: Vec<_> = cluster.told.intents.iter().map(|(_, name)| name.to_string()).collect();
    assert_eq!(changed, ["shop/cilium-ingress-shop-web/listener-insecure"]);
    // The same once more, and one that no class names.
    cluster.told = Default::default();
    cluster
        .apply(&[map("request-timeout: 6s"), map("request-timeout: 9s").replace("name: edge", "name: other")].concat());
    assert!(cluster.told.intents.is_empty());
}

#[test]
fn what_is_wrong_with_it_is_told_and_changes_nothing_that_works() {
    let mut cluster = cluster(&[web(""), map("service-type: NodePort")].concat());
    cluster.apply(&map("service-type: Balancer, forced-https: 'true', insecure-node-port: '30080'"));
    assert_eq!(type_of(&cluster), RequestedType::NodePort);
    let of_class = "Warning Invalid parameters of IngressClass cilium: ConfigMap mesh/edge: ";
    let expected = [
        "forced-https: there is no such option; it has no effect",
        "insecure-node-port: is for one Ingress alone, as an annotation; it has no effect",
        "service-type: \"Balancer\" is not LoadBalancer or NodePort; \"NodePort\" stays in force",
    ];
    assert_eq!(problems(&cluster), expected.map(|why| format!("{of_class}{why}")));

    cluster.delete(Kind::ConfigMap, "mesh", "edge");
    let gone = "Warning ResourceNotFound parameters of IngressClass cilium: ConfigMap mesh/edge does not exist; what it said last \
                stays in force";
    assert_eq!((type_of(&cluster), problems(&cluster)), (RequestedType::NodePort, vec![gone.to_owned()]));
    cluster.apply(&map("service-type: LoadBalancer"));
    assert_eq!((type_of(&cluster), problems(&cluster)), (RequestedType::LoadBalancer, Vec::new()));
    // A class that names none says nothing.
    cluster.apply(&map("service-type: NodePort"));
    cluster.apply(crate::cluster::CLASS);
    assert_eq!(type_of(&cluster), RequestedType::LoadBalancer);
}

#[test]
fn a_reference_that_cannot_be_used_is_told() {
    for parameters in [
        "apiGroup: example.com, kind: Config, name: edge",
        "kind: ConfigMap, name: edge",
        "kind: Secret, scope: Namespace, namespace: mesh, name: edge",
    ] {
        let mut cluster = cluster(&web(""));
        cluster.apply(&class(parameters));
        let said = problems(&cluster);
        assert!(said.len() == 1 && said[0].ends_with("only a ConfigMap with scope Namespace can be used"), "{said:?}");
    }
}

#[test]
fn nothing_is_written_before_the_class_is_known() {
    let mut cluster = Cluster::new("");
    cluster.told = Default::default();
    cluster.apply(&class(REFERENCE));
    let edge = axoneme_operator::Name::new("mesh", "edge");
    assert_eq!(cluster.told.config_maps, [(edge.clone(), true)].into());
    cluster.apply(&web(""));
    assert_eq!((cluster.news(), problems(&cluster)), (Vec::new(), Vec::new()), "nobody looked for it yet");
    cluster.apply(&map("service-type: NodePort"));
    assert_eq!(type_of(&cluster), RequestedType::NodePort);
    // Others than ours are not looked for.
    cluster.told = Default::default();
    cluster.apply(&class(REFERENCE).replace("cilium.io/", "someone.else/"));
    assert_eq!(cluster.told.config_maps, [(edge, false)].into());
}

#[test]
fn a_config_map_that_is_not_there_leaves_the_flags() {
    let mut cluster = cluster(&web(""));
    cluster.delete(Kind::ConfigMap, "mesh", "edge");
    assert_eq!(type_of(&cluster), RequestedType::LoadBalancer);
    let said = problems(&cluster);
    assert!(said.len() == 1 && said[0].ends_with("does not exist; the operator's flags hold"), "{said:?}");
}
