//! A case: a file of the corpus. Its first document is the [`Case`]'s own, the others are what `kubectl apply` takes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use axoneme_operator::yaml;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Where the cases are.
pub(crate) const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/corpus");

/// One file.
pub(crate) struct Case {
    /// `valid/canary-by-weight`.
    pub(crate) name: String,
    /// Its namespace, which is the file's name; further ones begin with it.
    pub(crate) namespace: String,
    /// The whole file.
    pub(crate) text: String,
    /// What it says of itself.
    pub(crate) said: Said,
    /// The manifests.
    pub(crate) documents: Vec<Value>,
}

impl Case {
    /// `CiliumEnvoyConfig namespace/name` of each one in it.
    pub(crate) fn configs(&self) -> impl Iterator<Item = String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let configs = self.documents.iter().filter(move |it| text(&it["kind"]).ends_with("EnvoyConfig"));
        configs.map(move |it| {
            let (kind, name) = (text(&it["kind"]), text(&it["metadata"]["name"]));
            match it["metadata"]["namespace"].as_str() {
                Some(namespace) => format!("{kind} {namespace}/{name}"),
                None => format!("{kind} {name}"),
            }
        })
    }
}

/// The first document of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Said {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    /// What is asked, in this order.
    #[serde(default)]
    pub(crate) asks: Vec<Ask>,
    /// What is so in the end, or soon after.
    #[serde(default)]
    pub(crate) afterwards: Vec<Afterwards>,
    /// What the author is told although the config is used.
    #[serde(default)]
    pub(crate) warnings: Vec<Told>,
    /// Why the config is not used: all of it.
    #[serde(default)]
    pub(crate) refused: Vec<Told>,
}

/// One question, asked once or many times.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Ask {
    /// `GET http://web/path`, `tcp://web:7000`, ...
    pub(crate) ask: String,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: String,
    /// Instead of the Service's name: `Host` and the name of the TLS handshake.
    pub(crate) host: Option<String>,
    /// HTTP/2 instead of HTTP/1.1.
    #[serde(default)]
    pub(crate) http2: bool,
    #[serde(default)]
    pub(crate) ipv6: bool,
    /// The Secret with the client's certificate.
    pub(crate) certificate: Option<String>,
    /// Over TCP: how many lines the answer has.
    #[serde(default = "one")]
    pub(crate) lines: usize,
    #[serde(default = "one")]
    pub(crate) times: usize,
    /// All of them at the same time, not one after the other.
    #[serde(default)]
    pub(crate) at_once: bool,
    /// Send back the cookies that came.
    #[serde(default)]
    pub(crate) cookies: bool,
    /// No answer is there before.
    #[serde(default)]
    pub(crate) at_least_milliseconds: u64,
    /// Ask anew until it is as expected: for what Envoy does in its own time.
    #[serde(default)]
    pub(crate) eventually: bool,
    /// What every answer is like.
    #[serde(default)]
    pub(crate) expect: Map<String, Value>,
    /// How many answers have which value in a field, in all.
    #[serde(default)]
    pub(crate) counts: BTreeMap<String, BTreeMap<String, Count>>,
    /// How many different values a field has, in all.
    #[serde(default)]
    pub(crate) different: BTreeMap<String, Count>,
}

fn one() -> usize {
    1
}

/// A number, or `from-to`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Count {
    Exactly(usize),
    Range(String),
}

impl Count {
    pub(crate) fn holds(&self, count: usize) -> bool {
        match self {
            Self::Exactly(number) => count == *number,
            Self::Range(range) => {
                let (from, to) = range.split_once('-').unwrap_or_else(|| panic!("{range:?} is no range"));
                (from.trim().parse().unwrap()..=to.trim().parse::<usize>().unwrap()).contains(&count)
            }
        }
    }
}

/// What can be looked up when everything was asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Afterwards {
    /// The pod that is asked, past the mesh; the mesh itself if there is none.
    pub(crate) pod: Option<String>,
    /// So many requests of this case came to the pod.
    pub(crate) seen: Option<usize>,
    /// What was logged: by Envoy to the pod's access log service, or by the mesh to standard output.
    pub(crate) log: Option<String>,
}

/// An error or a warning: where, and some words of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    pub(crate) field: String,
    pub(crate) says: String,
}

/// All files of the corpus, by name.
pub(crate) fn read_all() -> Vec<Case> {
    let mut paths: Vec<_> = ["valid", "refused"]
        .iter()
        .flat_map(|folder| fs::read_dir(Path::new(CORPUS).join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Case {
    let place = path.display();
    let text = fs::read_to_string(&path).unwrap();
    let documents = yaml::parse(&text).unwrap_or_else(|error| panic!("{place}:{error}"));
    let mut documents = documents.into_iter().map(|document| document.value);
    let said = documents.next().unwrap_or_else(|| panic!("{place} is empty"));
    let said: Said =
        serde_json::from_value(said).unwrap_or_else(|error| panic!("{place}: the first document: {error}"));
    let is_valid = path.parent().unwrap().ends_with("valid");
    assert_eq!(said.refused.is_empty(), is_valid, "{place}: what is refused is told in `refused`, and only that");
    assert_eq!(said.asks.is_empty(), !is_valid, "{place}: what is valid is asked, and only that");
    let namespace = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let name = format!("{}/{namespace}", if is_valid { "valid" } else { "refused" });
    let documents: Vec<_> = documents.collect();
    for document in &documents {
        // Whoever has no namespace is for all; its name keeps the cases apart.
        let metadata = &document["metadata"];
        let own = metadata["namespace"].as_str().or(metadata["name"].as_str()).unwrap_or_default();
        assert!(own.starts_with(&namespace), "{place}: {} is not in namespace {namespace}", document["kind"]);
    }
    Case { name, namespace, text, said, documents }
}
