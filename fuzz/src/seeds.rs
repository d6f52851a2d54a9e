//! Where a search begins: what the repository's own manifests become, so that the seeds are never out of date.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use axoneme_api::intent::{Frontend, REDIRECT, Redirect};
use axoneme_envoy::{EnvoyResource, decode};
use axoneme_node::{reconcile::Record, state_file};
use axoneme_operator::{file_source, yaml};
use axoneme_xds::{Request, Resource, proto::Status, type_urls};
use prost::Message as _;
use serde_json::{Value as Json, json};

use crate::{frames, intent};

const LISTENER: &str = "envoy.config.listener.v3.Listener";

/// Folders with manifests, from the root of the repository.
const FOLDERS: [&str; 5] =
    ["examples", "e2e/corpus", "e2e/tests/manifests", "envoy/tests/it/data", "operator/tests/golden"];

/// Longer seeds make a slow search, and show little that short ones do not.
const LONGEST: u64 = 16 << 10;

/// The texts of all manifests.
///
/// # Errors
/// The system's.
pub fn manifests() -> io::Result<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in FOLDERS.map(|folder| root.join(folder)).into_iter().filter(|folder| folder.is_dir()) {
        file_source::list(&folder, &mut files)?;
    }
    let short = |file: &PathBuf| file.metadata().is_ok_and(|file| file.len() <= LONGEST);
    files.into_iter().filter(short).map(fs::read_to_string).collect()
}

/// Hosts in all their forms.
///
/// # Errors
/// None.
pub fn hostkey() -> io::Result<Vec<Vec<u8>>> {
    let hosts = [
        "",
        "*.example.com",
        "Shop.example.com:8080",
        "a.b.example.com.",
        "[::1]:80",
        "10.0.0.1",
        "_",
        "a..b",
        "*.[::1]",
    ];
    Ok(hosts.map(Vec::from).to_vec())
}

/// The elements of every `spec.resources`, right ones and wrong ones.
///
/// # Errors
/// The system's.
pub fn resources() -> io::Result<Vec<Json>> {
    let documents = manifests()?.into_iter().flat_map(|text| yaml::parse(&text).unwrap_or_default());
    let resources = documents.flat_map(|document| {
        document.value.pointer("/spec/resources").and_then(Json::as_array).cloned().unwrap_or_default()
    });
    Ok(resources.collect())
}

/// JSON for the walker.
///
/// # Errors
/// The system's.
pub fn walker() -> io::Result<Vec<Vec<u8>>> {
    Ok(resources()?.iter().map(|json| json.to_string().into_bytes()).collect())
}

/// Texts.
///
/// # Errors
/// The system's.
pub fn yaml() -> io::Result<Vec<Vec<u8>>> {
    Ok(manifests()?.into_iter().map(String::into_bytes).collect())
}

/// Intents as they are on the wire.
///
/// # Errors
/// The system's.
pub fn intent() -> io::Result<Vec<Vec<u8>>> {
    let seed = |resource: &Resource| {
        let number = intent::TYPES.iter().position(|type_url| *type_url == &*resource.type_url).unwrap_or_default();
        let mut seed = vec![u8::try_from(number).unwrap_or_default()];
        seed.extend(&resource.body);
        seed
    };
    Ok(intents()?.iter().map(seed).collect())
}

/// Files of one to three records.
///
/// # Errors
/// The system's.
pub fn state_file() -> io::Result<Vec<Vec<u8>>> {
    let record = |(number, resource): (u32, &Resource)| Record { resource: resource.clone(), number: 10_000 + number };
    let intents = intents()?;
    let files = (0..).zip(&intents).map(record).map(|record| state_file::seal(&record)).collect::<Vec<_>>();
    Ok(files.chunks(3).map(|files| frames::join(files.iter().map(Vec::as_slice))).collect())
}

/// Streams of a few requests and edits.
///
/// # Errors
/// None.
pub fn xds_request() -> io::Result<Vec<Vec<u8>>> {
    let (edit, removal): (&[u8], &[u8]) = (&[0, 0, 1], &[0, 0]);
    let first = Request { type_url: type_urls::CLUSTER.to_owned(), ..Request::default() };
    let ack = Request { response_nonce: "1".to_owned(), ..first.clone() };
    let nack = Request { error_detail: Some(Status { message: "no".to_owned(), ..Status::default() }), ..ack.clone() };
    let named = Request { resource_names_subscribe: vec!["a".to_owned(), "*".to_owned()], ..first.clone() };
    let less = Request { resource_names_unsubscribe: vec!["a".to_owned(), "*".to_owned()], ..first.clone() };
    let held = Request { initial_resource_versions: [("a".to_owned(), "1".to_owned())].into(), ..named.clone() };
    let stream = |requests: &[&Request]| {
        let requests = requests.iter().map(|request| request.encode_to_vec()).collect::<Vec<_>>();
        let steps = requests.iter().flat_map(|request| [edit, request.as_slice(), removal]);
        frames::join(steps)
    };
    Ok(vec![
        stream(&[&first, &ack]),
        stream(&[&first, &nack]),
        stream(&[&named, &less]),
        stream(&[&held, &less, &named]),
    ])
}

/// Listeners with what the node adds to them by itself, in one way and the other.
fn listeners() -> [Json; 2] {
    let original_dst = json!({"name": "envoy.filters.listener.original_dst", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
    }});
    let at = json!({"socket_address": {"address": "::1", "port_value": 80}});
    let of = |name: &str| json!({"@type": format!("type.googleapis.com/{LISTENER}"), "name": name});
    let (mut unbound, mut rich) = (of("unbound"), of("rich"));
    unbound["bind_to_port"] = json!(false);
    rich["listener_filters"] = json!([original_dst]);
    rich["additional_addresses"] = json!([{"address": at}]);
    rich["socket_options"] = json!([{"level": 1, "name": 36, "int_value": 7}]);
    [unbound, rich]
}

/// What right resources become, and a redirect.
fn intents() -> io::Result<Vec<Resource>> {
    let right = resources()?
        .iter()
        .chain(&listeners())
        .filter_map(|json| decode(json, "").ok())
        .collect::<Vec<EnvoyResource>>();
    let encoded = right.iter().map(|it| Resource::new(it.kind().type_url(), it.name(), it.encode()));
    let redirect = Redirect {
        frontends: ["10.96.0.1:80", "[fd00::1]:80"]
            .iter()
            .filter_map(|at| at.parse().ok())
            .map(Frontend::new)
            .collect(),
        node_ports: vec![30_080],
        listener: "default/web/listener".to_owned(),
        owner: "CiliumEnvoyConfig default/web".to_owned(),
        has_backends: true,
        ..Redirect::default()
    };
    Ok(encoded.chain([Resource::new(REDIRECT, "default/web:80", redirect.encode_to_vec())]).collect())
}
