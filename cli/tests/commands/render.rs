//! `axonctl render`: objects of each kind, a folder, one node, each form. No secret is ever printed.

use crate::{axonctl, golden};

#[test]
fn a_folder_becomes_resources_and_redirects_of_each_object() {
    let files = ["mesh/configs.yaml", "mesh/services.yaml", "mesh/nodes.yaml"];
    golden("render-configs", &axonctl(&[&["render"], &files[..]].concat()).whole());
}

#[test]
fn a_node_gets_what_is_for_it() {
    let of = |node: &str| axonctl(&["render", "-o", "json", "--node", node, "mesh"]).json();
    let objects = |json: &serde_json::Value| -> Vec<String> {
        json.as_array().unwrap().iter().map(|it| it["object"].as_str().unwrap().to_owned()).collect()
    };
    let (a, b) = (objects(&of("node-a")), objects(&of("node-b")));
    let only_b = "CiliumClusterwideEnvoyConfig zone-b".to_owned();
    assert!(!a.contains(&only_b) && b.contains(&only_b), "{a:?} {b:?}");
    assert_eq!(a, b.into_iter().filter(|it| *it != only_b).collect::<Vec<_>>());
}

#[test]
fn an_ingress_becomes_a_config_that_is_valid() {
    let yaml = axonctl(&["render", "--form", "config", "mesh"]);
    let json = axonctl(&["render", "--form", "config", "-o", "json", "mesh"]).json();
    assert_eq!((&json["kind"], json["items"].as_array().map(Vec::len)), (&"List".into(), Some(1)));
    let spec = &json["items"][0]["spec"];
    assert_eq!(spec["services"][0]["ports"], serde_json::json!([80, 443]));
    // The certificate is the Secret of Kubernetes, and no resource.
    assert!(yaml.out.contains("name: shop/cert\n") && !yaml.out.contains("v3.Secret\n"), "{}", yaml.out);
    // What it names stands in the folder, not in what is printed.
    let said = crate::axonctl_with(&["validate", "-o", "short", "-"], &yaml.out);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn no_form_prints_a_secret() {
    let secrets =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/commands/input/mesh/secret.yaml"));
    let key = secrets.unwrap().lines().find(|line| line.contains("MIG")).unwrap().trim().to_owned();
    for args in [&["render", "mesh"][..], &["render", "-o", "json", "mesh"], &["render", "--form", "config", "mesh"]] {
        let said = axonctl(args);
        assert_eq!(said.code, 0, "{said:?}");
        // As it stands in the file, and as base64 of the whole text would begin.
        for part in [key.as_str(), "BEGIN PRIVATE KEY", "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t"] {
            assert!(!said.out.contains(part), "{args:?} prints {part}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_failure() {
    assert_eq!(axonctl(&["render", "no-such-file.yaml"]).code, 2);
}
