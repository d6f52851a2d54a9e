use proptest::prelude::*;
use prost_reflect::{MessageDescriptor, ReflectMessage as _};
use serde_json::json;

use super::*;
use crate::{encode, pool};

mod random;

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";

fn read(message: &str, json: &Json) -> (DynamicMessage, Vec<String>) {
    let (message, problems) = from_json(json, &pool::message_of(message).unwrap(), "r");
    (message, problems.iter().map(ToString::to_string).collect())
}

/// The problems of a cluster with these fields.
fn problems_of(json: &Json) -> Vec<String> {
    read(CLUSTER, json).1
}

#[test]
fn fields_go_by_both_spellings() {
    let snake = read(CLUSTER, &json!({"connect_timeout": "1.5s", "per_connection_buffer_limit_bytes": 7}));
    let camel = read(CLUSTER, &json!({"connectTimeout": "1.5s", "perConnectionBufferLimitBytes": "7"}));
    assert_eq!(snake.1, Vec::<String>::new());
    assert_eq!(encode::encode(&snake.0), encode::encode(&camel.0));
    assert!(!encode::encode(&snake.0).is_empty());
}

#[test]
fn all_mistakes_are_told_each_with_its_path() {
    let json = json!({
        "nam": "c",
        "type": "EDSS",
        "connect_timeout": "5m",
        "lb_policy": true,
        "per_connection_buffer_limit_bytes": -1,
        "health_checks": [{}, {"timeout": 1}],
        "typed_extension_protocol_options": {"a": {"@type": "type.googleapis.com/no.Such"}, "b": {}, "c": 1},
        "transport_socket_matches": {},
    });
    insta::assert_snapshot!(problems_of(&json).join("\n"));
}

#[test]
fn one_field_twice_and_two_of_a_oneof_are_refused() {
    assert_eq!(
        problems_of(&json!({"connectTimeout": "1s", "connect_timeout": "1s"})),
        ["r.connect_timeout: is the same field as connectTimeout"]
    );
    let both = problems_of(&json!({"type": "EDS", "cluster_type": {"name": "x"}}));
    assert_eq!(both.len(), 1);
    assert!(both[0].contains("cannot be set together with") && both[0].contains("choose one of"), "{both:?}");
}

#[test]
fn null_means_not_set() {
    assert_eq!(
        problems_of(&json!({"name": null, "health_checks": null, "connect_timeout": null})),
        Vec::<String>::new()
    );
    let metadata = json!({"metadata": {"filter_metadata": {"f": {"null": null}}}});
    assert_eq!(problems_of(&metadata), Vec::<String>::new());
    assert_eq!(problems_of(&json!({"health_checks": [null]})).len(), 1);
}

#[test]
fn numbers_are_range_checked() {
    let port = |value: Json| read("envoy.config.core.v3.SocketAddress", &json!({"port_value": value})).1;
    for right in [json!(80), json!(80.0), json!("80")] {
        assert_eq!(port(right), Vec::<String>::new());
    }
    assert_eq!(port(json!(4294967296_u64)), ["r.port_value: must be between 0 and 4294967295, not 4294967296"]);
    assert_eq!(port(json!(1.5)), ["r.port_value: must be an integer, not 1.5"]);
    assert_eq!(port(json!("x")), ["r.port_value: must be an integer, not \"x\""]);
    let double = |value: Json| read("google.protobuf.DoubleValue", &json!({"value": value})).1;
    assert_eq!(double(json!("NaN")), Vec::<String>::new());
    assert_eq!(double(json!("nan")).len(), 1);
    let float = |value: Json| read("google.protobuf.FloatValue", &json!({"value": value})).1;
    assert_eq!(float(json!(1e39)).len(), 1);
}

#[test]
fn bytes_are_base64_of_any_kind() {
    let source = |text: &str| read("envoy.config.core.v3.DataSource", &json!({"inline_bytes": text}));
    let standard = source("+/+/+w==");
    assert_eq!(standard.1, Vec::<String>::new());
    for other in ["+/+/+w", "-_-_-w==", "-_-_-w"] {
        assert_eq!(encode::encode(&source(other).0), encode::encode(&standard.0));
    }
    assert_eq!(source("*").1, ["r.inline_bytes: must be base64, not \"*\""]);
}

#[test]
fn well_known_types_in_an_any_stand_under_value() {
    let any = |inner: Json| problems_of(&json!({"typed_extension_protocol_options": {"k": inner}}));
    assert_eq!(
        any(json!({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"})),
        Vec::<String>::new()
    );
    assert_eq!(
        any(json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"a": 1}})),
        Vec::<String>::new()
    );
    let wrong = any(json!({"@type": "type.googleapis.com/google.protobuf.Duration", "value": 1}));
    assert_eq!(
        wrong,
        [r#"r.typed_extension_protocol_options["k"].value: must be a duration in seconds, like "1.5s", not 1"#]
    );
}

#[test]
fn nesting_has_a_limit() {
    let deep = (0..200).fold(json!({"prefix": "/"}), |inner, _| json!({"not_rule": inner}));
    let (_, problems) = read("envoy.config.rbac.v3.Permission", &deep);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].ends_with("more than 100 messages inside each other"), "{problems:?}");
}

#[test]
fn what_protobuf_cannot_read_again_is_refused() {
    let of_depth = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let decode = |depth| {
        let list = json!({"@type": "type.googleapis.com/google.protobuf.ListValue", "value": of_depth(depth)});
        crate::decode(
            &json!({
                "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
                "name": "c",
                "metadata": {"filter_metadata": {"f": {"deep": of_depth(depth)}}, "typed_filter_metadata": {"f": list}},
            }),
            "r",
        )
    };
    let mut refused = 0;
    for depth in 1..100 {
        match decode(depth) {
            Ok(resource) => {
                let again = DynamicMessage::decode(resource.message.descriptor(), resource.encode());
                assert!(again.is_ok() && refused == 0, "depth {depth}");
            }
            Err(problems) => {
                refused += 1;
                assert!(problems.iter().all(|problem| problem.message == TOO_DEEP), "{problems:?}");
            }
        }
    }
    assert!((1..80).contains(&refused), "{refused}");
}

#[test]
fn filters_of_cilium_are_left_out_with_a_warning() {
    let chain = json!({"filters": [
        {"name": "cilium.network", "typed_config": {"@type": "type.googleapis.com/cilium.NetworkFilter"}},
        {"name": "mine", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}},
    ]});
    let json = json!({"listener_filters": [{"name": "cilium.bpf_metadata"}], "filter_chains": [chain]});
    let (mut message, problems) =
        from_json(&json, &pool::message_of("envoy.config.listener.v3.Listener").unwrap(), "r");
    let paths = problems.iter().map(|problem| (problem.path.as_str(), problem.severity)).collect::<Vec<_>>();
    assert_eq!(
        paths,
        [
            ("r.filter_chains[0].filters[0]", crate::Severity::Warning),
            ("r.listener_filters[0]", crate::Severity::Warning)
        ]
    );
    cilium::prune(&mut message);
    let json = to_json(&message, "").unwrap();
    assert!(json.get("listener_filters").is_none());
    assert_eq!(json["filter_chains"][0]["filters"][0]["name"], "mine");
}

#[test]
fn other_types_of_cilium_are_not_known() {
    let tls =
        json!({"transport_socket": {"name": "x", "typed_config": {"@type": "type.googleapis.com/cilium.TlsWrapper"}}});
    let found = problems_of(&tls);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("\"type.googleapis.com/cilium.TlsWrapper\" is not known to this Envoy"), "{found:?}");
}

#[test]
fn a_resource_whose_type_is_misspelt_is_told_the_right_one() {
    let told = |url: &str| crate::decode(&json!({"@type": url}), "r").err().unwrap()[0].to_string();
    let near = told("type.googleapis.com/envoy.config.cluster.v3.Clutser");
    assert!(near.ends_with(", did you mean type.googleapis.com/envoy.config.cluster.v3.Cluster?"), "{near}");
    assert!(!told("type.googleapis.com/envoy.config.cluster.v3.Nonsense").contains("did you mean"));
}

fn same_after_json(message: &DynamicMessage, descriptor: &MessageDescriptor, proto_names: bool) -> Result<(), String> {
    let options = SerializeOptions::new().use_proto_field_name(proto_names).stringify_64_bit_integers(!proto_names);
    let json = message.serialize_with_options(serde_json::value::Serializer, &options);
    let json = json.map_err(|error| error.to_string())?;
    // What is at the top of a resource is always an object.
    let wrapped = json!({"@type": format!("type.googleapis.com/{}", descriptor.full_name())});
    let mut wrapped = wrapped.as_object().cloned().unwrap_or_default();
    wrapped.extend(json.as_object().cloned().unwrap_or_default());
    let (again, problems) = from_json(&Json::Object(wrapped), descriptor, "r");
    match problems.first() {
        Some(problem) => Err(format!("{problem} in {json}")),
        None if encode::encode(&again) != encode::encode(message) => Err(format!("{json} reads as another message")),
        None => Ok(()),
    }
}

/// Puts `strange` to where one comes by these choices, one a level.
fn put(json: &mut Json, choices: &[u8], strange: Json) {
    let choice = choices.first().map(|choice| usize::from(*choice));
    let inner = match (json, choice) {
        (Json::Object(object), Some(choice)) if !object.is_empty() => {
            let index = choice % object.len();
            object.values_mut().nth(index)
        }
        (Json::Array(items), Some(choice)) if !items.is_empty() => {
            let index = choice % items.len();
            items.get_mut(index)
        }
        (leaf, _) => {
            *leaf = strange;
            return;
        }
    };
    if let Some(inner) = inner {
        put(inner, &choices[1..], strange);
    }
}

proptest! {
    /// Whatever message of whatever type: its JSON, in both spellings, reads as the same message.
    #[test]
    fn json_and_back_gives_the_same_message(which in 0_usize..10_000, choices in prop::collection::vec(any::<u8>(), 0..400)) {
        let types = random::types();
        let descriptor = &types[which % types.len()];
        let message = random::message(descriptor, choices);
        for proto_names in [true, false] {
            prop_assert_eq!(same_after_json(&message, descriptor, proto_names), Ok(()), "{}", descriptor.full_name());
        }
    }

    /// Whatever stands wherever: it is read, or it is refused with a path below the root. Nothing panics.
    #[test]
    fn no_json_is_too_strange(
        which in 0_usize..10_000,
        choices in prop::collection::vec(any::<u8>(), 0..400),
        place in prop::collection::vec(any::<u8>(), 0..6),
        strange in prop::sample::select(vec![
            json!(null), json!(true), json!(-1), json!(1e300), json!(""), json!("\u{0}é"), json!([]), json!([null, [1]]), json!({}),
            json!({"@type": 1}), json!({"@type": "type.googleapis.com/google.protobuf.Any", "value": {}}),
            json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"fields": 1}}),
            json!({"@type": "/", "name": "cilium.network", "typed_config": null}),
        ]),
    ) {
        let types = random::types();
        let descriptor = &types[which % types.len()];
        let mut json = to_json(&random::message(descriptor, choices), "t/x").unwrap_or_default();
        put(&mut json, &place, strange);
        let (mut message, mut problems) = from_json(&json, descriptor, "r");
        crate::fill::fill(crate::ResourceKind::Cluster, &mut message);
        crate::pgv::check(&message, Path::new("r"), &mut problems);
        crate::check::check(crate::ResourceKind::Listener, &message, Path::new("r"), &mut problems);
        cilium::prune(&mut message);
        encode::encode(&message);
        for problem in problems {
            prop_assert!(problem.path.starts_with('r') && !problem.message.is_empty());
        }
    }
}
