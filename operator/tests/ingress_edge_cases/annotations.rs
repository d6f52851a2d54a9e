//! 14 and 23: annotations that say nothing sensible, and limits.

use std::time::Duration;

use axoneme_envoy::ResourceKind;
use axoneme_operator::model::IngressDefaults;

use crate::support;
use crate::world::{World, ingress, rule};

fn world(annotations: &str) -> World {
    World::new(&ingress(annotations, &format!("rules: [{}]", rule("a.example"))))
}

#[test]
fn edge_14_a_value_that_does_not_parse_is_told_and_leaves_the_default() {
    let options = [
        "loadbalancer-mode",
        "loadbalancer-class",
        "service-type",
        "service-external-traffic-policy",
        "insecure-node-port",
        "secure-node-port",
        "force-https",
        "request-timeout",
        "stream-idle-timeout",
        "path-type",
        "escaped-slashes",
        "header-underscores",
        "tls-passthrough",
        "proxy-protocol",
    ];
    let plain = support::view(&world("").engine, "node");
    for prefix in ["ingress.axoneme.io", "ingress.cilium.io", "io.cilium.ingress"] {
        for option in options {
            let value = if option == "loadbalancer-class" { "" } else { "-1x" };
            let world = world(&format!("{prefix}/{option}: {value:?}"));
            let problems = world.problems();
            assert_eq!(problems.len(), 1, "{option}: {problems:?}");
            let said = format!("Warning Invalid metadata.annotations[\"{prefix}/{option}\"]: {value:?} is not ");
            assert!(problems[0].starts_with(&said), "{problems:?}");
            assert!(problems[0].ends_with("; the default holds"), "{problems:?}");
            assert_eq!(support::view(&world.engine, "node"), plain, "{option}");
        }
    }
}

#[test]
fn edge_14_what_has_no_effect_is_told() {
    for annotation in [
        "ingress.cilium.io/request-body-size: 8m",
        "ingress.cilium.io/host-listener-port: '8080'",
        "ingress.cilium.io/insecure-node-port: '30080'",
    ] {
        let problems = world(annotation).problems();
        let (key, _) = annotation.split_once(':').unwrap();
        let said = format!("Warning Unsupported metadata.annotations[\"{key}\"]");
        assert!(problems.len() == 1 && problems[0].starts_with(&said), "{annotation}: {problems:?}");
    }
}

#[test]
fn edge_23_timeouts_of_flag_and_annotation() {
    let timeouts = |flag: u64, annotations: &str| {
        let request_timeout = Duration::from_secs(flag);
        let defaults = IngressDefaults { request_timeout, ..IngressDefaults::default() };
        let text = ingress(annotations, &format!("rules: [{}]", rule("a.example")));
        let world = World::with(defaults, &text);
        let routes = world.routes("listener-insecure", "a.example");
        let [grpc, other] = &routes[..] else { panic!("{routes:?}") };
        assert_eq!(grpc["route"]["timeout"], other["route"]["timeout"]);
        ["timeout", "idle_timeout"].map(|field| other["route"][field].as_str().unwrap().to_owned())
    };
    let expect = |got: [String; 2], wanted: [&str; 2]| assert_eq!(got, wanted);
    expect(timeouts(0, ""), ["0s", "300s"]);
    expect(timeouts(30, ""), ["30s", "300s"]);
    expect(timeouts(30, "ingress.cilium.io/request-timeout: 0s"), ["0s", "300s"]);
    expect(timeouts(0, "ingress.cilium.io/request-timeout: 1m30s"), ["90s", "300s"]);
    expect(timeouts(30, "ingress.cilium.io/request-timeout: soon"), ["30s", "300s"]);
    expect(timeouts(0, "ingress.axoneme.io/stream-idle-timeout: '0'"), ["0s", "0s"]);
}

#[test]
fn edge_23_a_limit_of_requests_leaves_the_listener_alone() {
    let mut world = world("");
    let changes = world.apply(&ingress(
        "ingress.cilium.io/request-timeout: 5s, ingress.cilium.io/stream-idle-timeout: 5s",
        &format!("rules: [{}]", rule("a.example")),
    ));
    assert_eq!(crate::world::changed(&changes), ["RouteConfiguration listener-insecure"]);
}

#[test]
fn edge_22_proxies_in_front_are_believed_as_far_as_the_flag_says() {
    for hops in 0..3 {
        let defaults = IngressDefaults { trusted_hops: hops, ..IngressDefaults::default() };
        let world = World::with(defaults, &ingress("", &format!("rules: [{}]", rule("a.example"))));
        let listeners = world.resources(ResourceKind::Listener);
        let manager = &listeners[0].1["filter_chains"][0]["filters"][0]["typed_config"];
        assert_eq!(manager["xff_num_trusted_hops"].as_u64().unwrap_or_default(), u64::from(hops));
        assert_eq!(manager["use_remote_address"], true);
    }
}

#[test]
fn edge_14_ranges_that_are_none_let_nobody_in() {
    let gate = |annotations: &str| {
        let world = world(annotations);
        let filters = world.chains()[0]["filters"].as_array().unwrap().clone();
        let rules = (filters.len() == 2).then(|| filters[0]["typed_config"]["rules"].clone());
        let ranges = rules.map(|rules| {
            let all = rules["policies"]["sources"]["principals"].as_array().cloned().unwrap_or_default();
            let text = |it: &serde_json::Value| {
                let it = &it["remote_ip"];
                format!("{}/{}", it["address_prefix"].as_str().unwrap_or_default(), it["prefix_len"])
            };
            all.iter().map(text).collect::<Vec<_>>()
        });
        (ranges, world.problems().len())
    };
    let strings = |all: &[&str]| Some(all.iter().map(ToString::to_string).collect::<Vec<_>>());
    let own = "ingress.axoneme.io/load-balancer-source-ranges";
    let of_service = "service.beta.kubernetes.io/load-balancer-source-ranges";
    assert_eq!(gate(""), (None, 0));
    assert_eq!(
        gate(&format!("{own}: '192.0.2.0/24, 2001:db8::/32'")),
        (strings(&["192.0.2.0/24", "2001:db8::/32"]), 0)
    );
    assert_eq!(gate(&format!("{of_service}: 192.0.2.0/24")), (strings(&["192.0.2.0/24"]), 0));
    assert_eq!(gate(&format!("{own}: 'here, 192.0.2.0/24, 10.0.0.0/33'")), (strings(&["192.0.2.0/24"]), 1));
    for nobody in ["''", "here", "10.0.0.1"] {
        assert_eq!(gate(&format!("{own}: {nobody}")), (strings(&[]), 1), "{nobody}");
    }
}
