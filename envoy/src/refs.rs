//! What a resource refers to by name, and what it must therefore find.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use crate::{EnvoyResource, ResourceKind, encode, path::Path, qualify::table, visit};

/// Names that a resource refers to, each with the path of the first field that does.
///
/// Only what comes from the xDS server is listed: a secret read from a file is nobody's concern. Indexes in paths count
/// without the filters that [`decode`](crate::decode) left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refs {
    /// Clusters.
    pub clusters: BTreeMap<String, String>,
    /// EDS service names.
    pub endpoints: BTreeMap<String, String>,
    /// RouteConfigurations.
    pub routes: BTreeMap<String, String>,
    /// SDS secrets.
    pub secrets: BTreeMap<String, String>,
    /// Internal listeners.
    pub listeners: BTreeMap<String, String>,
}

/// What `resource` refers to. After [`qualify`](crate::qualify), by full names.
#[must_use]
pub fn refs(resource: &EnvoyResource) -> Refs {
    let mut finder = Finder::default();
    visit::visit(&resource.message, &mut Path::new(&resource.path), &mut finder);
    if resource.kind == ResourceKind::Cluster {
        finder.endpoints_of(&resource.message, &Path::new(&resource.path));
    }
    finder.0
}

#[derive(Default)]
struct Finder(Refs);

impl visit::Visitor for Finder {
    fn message(&mut self, message: &DynamicMessage, path: &Path) {
        let name = message.descriptor();
        for field in table::cluster_fields(name.full_name()) {
            note_all(&mut self.0.clusters, message, field, path);
        }
        for field in table::secret_fields(name.full_name()) {
            note_all(&mut self.0.secrets, message, field, path);
        }
        for (_, field) in table::CLUSTER_KEYS.iter().filter(|(row, _)| *row == name.full_name()) {
            let Some(Value::Map(entries)) = encode::get(message, field) else { continue };
            for cluster in encode::sorted(entries).into_iter().filter_map(|(key, _)| key.as_str()) {
                note(&mut self.0.clusters, cluster, || format!("{}[{cluster:?}]", path.to(field)));
            }
        }
        match name.full_name() {
            table::RDS if from_ads(message, "config_source") => {
                note(&mut self.0.routes, encode::get_str(message, "route_config_name"), || {
                    path.to("route_config_name")
                });
            }
            table::SDS if from_ads(message, "sds_config") => {
                note(&mut self.0.secrets, encode::get_str(message, "name"), || path.to("name"));
            }
            table::INTERNAL_ADDRESS => {
                let listener = encode::get_str(message, "server_listener_name");
                note(&mut self.0.listeners, listener, || path.to("server_listener_name"));
            }
            _ => {}
        }
    }
}

impl Finder {
    /// A cluster of type EDS asks by `service_name`, or by its own name.
    fn endpoints_of(&mut self, cluster: &DynamicMessage, path: &Path) {
        let Some(config) = encode::get_message(cluster, "eds_cluster_config") else { return };
        if !table::is_eds(cluster) || !from_ads(config, "eds_config") {
            return;
        }
        match encode::get_str(config, "service_name") {
            "" => note(&mut self.0.endpoints, encode::get_str(cluster, "name"), || path.to("name")),
            name => note(&mut self.0.endpoints, name, || path.to("eds_cluster_config.service_name")),
        }
    }
}

/// Whether the config source in `field` is the xDS server, which it also is before it was filled in.
fn from_ads(message: &DynamicMessage, field: &str) -> bool {
    encode::get_message(message, field).is_none_or(|source| encode::get(source, "ads").is_some())
}

/// Notes what a string field, or each of a list of them, names.
fn note_all(names: &mut BTreeMap<String, String>, message: &DynamicMessage, field: &str, path: &Path) {
    match encode::get(message, field) {
        Some(Value::String(name)) => note(names, name, || path.to(field)),
        Some(Value::List(all)) => {
            all.iter().filter_map(Value::as_str).for_each(|name| note(names, name, || path.to(field)));
        }
        _ => {}
    }
}

fn note(names: &mut BTreeMap<String, String>, name: &str, path: impl FnOnce() -> String) {
    if !name.is_empty() && !names.contains_key(name) {
        names.insert(name.to_owned(), path());
    }
}
