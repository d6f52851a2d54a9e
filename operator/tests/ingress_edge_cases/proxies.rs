//! 22: proxies in front: whom to believe about the client's address.

use axoneme_envoy::ResourceKind;
use axoneme_operator::model::IngressDefaults;
use serde_json::Value;

use crate::world::{World, ingress, rule, secret};

fn listener(defaults: IngressDefaults, annotations: &str) -> (Value, Vec<String>) {
    let spec = format!("tls: [{{hosts: [a.example], secretName: one}}], rules: [{}]", rule("a.example"));
    let world = World::with(defaults, &[ingress(annotations, &spec), secret("shop", "one")].concat());
    (world.resources(ResourceKind::Listener).remove(0).1, world.problems())
}

#[test]
fn edge_22_proxy_protocol_by_flag_and_by_annotation() {
    let filters = |flag: bool, annotations: &str| {
        let defaults = IngressDefaults { proxy_protocol: flag, ..IngressDefaults::default() };
        let (listener, problems) = listener(defaults, annotations);
        let all = listener["listener_filters"].as_array().unwrap();
        let names = all.iter().map(|it| it["name"].as_str().unwrap().rsplit('.').next().unwrap().to_owned());
        (names.collect::<Vec<_>>(), problems.len())
    };
    let (with, without) =
        (vec!["proxy_protocol".to_owned(), "tls_inspector".to_owned()], vec!["tls_inspector".to_owned()]);
    assert_eq!(filters(false, ""), (without.clone(), 0));
    assert_eq!(filters(true, ""), (with.clone(), 0));
    assert_eq!(filters(false, "ingress.axoneme.io/proxy-protocol: enabled"), (with.clone(), 0));
    assert_eq!(filters(true, "ingress.axoneme.io/proxy-protocol: disabled"), (without, 0));
    assert_eq!(filters(true, "ingress.axoneme.io/proxy-protocol: v3"), (with, 1));
}

#[test]
fn edge_22_a_header_is_taken_as_it_comes_when_the_peer_is_no_client() {
    for (flag, hops) in [(true, 0), (false, 0), (false, 1)] {
        let defaults = IngressDefaults { use_remote_address: flag, trusted_hops: hops, ..IngressDefaults::default() };
        let (listener, _) = listener(defaults, "");
        for chain in listener["filter_chains"].as_array().unwrap() {
            let manager = &chain["filters"][0]["typed_config"];
            assert_eq!(manager["use_remote_address"], flag);
            assert_eq!(manager["xff_num_trusted_hops"].as_u64().unwrap_or_default(), u64::from(hops));
        }
    }
}

#[test]
fn edge_22_who_ended_tls_in_front_is_believed_to_have_done_so() {
    let spec = format!("tls: [{{hosts: [a.example], secretName: one}}], rules: [{}]", rule("a.example"));
    let text = [ingress("", &spec), secret("shop", "one")].concat();
    let defaults = IngressDefaults { use_remote_address: false, ..IngressDefaults::default() };
    let routes = World::with(defaults, &text).routes("listener-insecure", "a.example");
    assert!(routes.iter().any(|it| it["match"]["headers"][0]["name"] == "x-forwarded-proto"), "{routes:#?}");
    assert!(routes.last().unwrap()["route"]["cluster"].is_string(), "and then it is served");
}
