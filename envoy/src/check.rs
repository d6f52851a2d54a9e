//! What Envoy accepts and what breaks traffic all the same, or Envoy itself.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use crate::{EnvoyResource, Problem, ResourceKind, encode, fill, path::Path, visit, walker::cilium};

mod clusters;
mod filters;
mod routes;
mod sources;

const HCM: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// Http filters that can end a chain.
const TERMINAL: [&str; 3] = [
    fill::ROUTER,
    "envoy.extensions.filters.http.mcp_router.v3.McpRouter",
    "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
];

/// Appends what is wrong with `message` to `problems`.
pub(crate) fn check(kind: ResourceKind, message: &DynamicMessage, mut path: Path, problems: &mut Vec<Problem>) {
    let name = path.to(kind.name_field());
    // Envoy's own rules ask for some of the names.
    let told = problems.iter().any(|problem| problem.path == name);
    if encode::get_str(message, kind.name_field()).is_empty() && !told {
        problems.push(Problem::error(name, "must not be empty"));
    }
    if kind == ResourceKind::Listener {
        listener(message, &path, problems);
    }
    visit::visit(message, &mut path, &mut Checker { problems });
}

/// A name that two resources of one kind have, after [`qualify`](crate::qualify): the later one is at fault.
#[must_use]
pub fn duplicates(resources: &[EnvoyResource]) -> Vec<Problem> {
    let mut first: BTreeMap<(ResourceKind, &str), &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for resource in resources {
        let (kind, name) = (resource.kind(), resource.name());
        match first.get(&(kind, name)) {
            Some(other) => problems.push(Problem::error(
                Path::new(resource.path()).to(kind.name_field()),
                format!("{} {name:?} is already defined at {other}", kind.short_name()),
            )),
            None => {
                first.insert((kind, name), resource.path());
            }
        }
    }
    problems
}

/// Envoy 1.40 dies of this one (SIGSEGV when the listener is served), and `--mode validate` does not see it.
fn listener(listener: &DynamicMessage, path: &Path, problems: &mut Vec<Problem>) {
    let wrapped = |field| {
        let value = encode::get_message(listener, field).map(|wrapper| encode::get(wrapper, "value").is_some());
        value.unwrap_or(field == "bind_to_port")
    };
    if wrapped("transparent") && !wrapped("bind_to_port") {
        let message = "a listener that is transparent must bind to its port: Envoy crashes on this combination";
        problems.push(Problem::error(path.to("bind_to_port"), message));
    }
}

struct Checker<'a> {
    problems: &'a mut Vec<Problem>,
}

impl visit::Visitor for Checker<'_> {
    fn message(&mut self, message: &DynamicMessage, path: &Path) {
        if message.descriptor().full_name() == HCM {
            self.router(message, path);
        }
        clusters::check(message, path, self.problems);
        filters::check(message, path, self.problems);
        routes::check(message, path, self.problems);
        sources::check(message, path, self.problems);
    }
}

impl Checker<'_> {
    /// Without a router as its last http filter an HCM accepts requests and answers none of them.
    fn router(&mut self, hcm: &DynamicMessage, path: &Path) {
        let filters = encode::get(hcm, "http_filters").and_then(Value::as_list).unwrap_or_default();
        let filters = filters.iter().enumerate().filter_map(|(at, filter)| Some((at, filter.as_message()?)));
        let mut ends = filters.filter(|(_, filter)| !cilium::is_placeholder(filter)).rev();
        if !ends.next().is_some_and(|(_, last)| ends_chain(last)) {
            let message = "the last http filter must be envoy.filters.http.router: without it no request is answered";
            return self.problems.push(Problem::error(path.to("http_filters"), message));
        }
        for (at, _) in ends.filter(|(_, filter)| type_of(filter) == Some(fill::ROUTER)) {
            let message = "a router answers every request, so it must be the last filter";
            self.problems.push(Problem::error(path.to(&format!("http_filters[{at}]")), message));
        }
    }
}

fn ends_chain(filter: &DynamicMessage) -> bool {
    // What a filter will be that Envoy is yet to ask for, nobody can know.
    type_of(filter).map_or_else(|| filter.has_field_by_name("config_discovery"), |name| TERMINAL.contains(&name))
}

fn type_of(filter: &DynamicMessage) -> Option<&str> {
    encode::get_str(encode::get_message(filter, "typed_config")?, "type_url").rsplit('/').next()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{EnvoyResource, Problem, decode, duplicates};

    const HCM: &str =
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

    fn listener(fields: &Value, http_filters: &Value) -> Result<EnvoyResource, Vec<Problem>> {
        let hcm =
            json!({"@type": HCM, "stat_prefix": "s", "rds": {"route_config_name": "r"}, "http_filters": http_filters});
        let mut json = json!({
            "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
            "name": "l",
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}]}],
        });
        json.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        decode(&json, "r")
    }

    fn problems(result: Result<EnvoyResource, Vec<Problem>>) -> Vec<String> {
        result.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_hcm_needs_a_router_at_its_end() {
        let router = json!({"name": "envoy.filters.http.router"});
        let cors = json!({
            "name": "cors",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"},
        });
        assert_eq!(problems(listener(&json!({}), &json!([cors, router]))), Vec::<String>::new());
        let wrong = [json!([]), json!([cors]), json!([router, cors])];
        for filters in wrong {
            let found = problems(listener(&json!({}), &filters));
            assert_eq!(
                found,
                ["r.filter_chains[0].filters[0].typed_config.http_filters: the last http filter must be \
                  envoy.filters.http.router: without it no request is answered"]
            );
        }
    }

    #[test]
    fn nothing_follows_a_router() {
        let router = json!({"name": "envoy.filters.http.router"});
        let found = problems(listener(&json!({}), &json!([router, router])));
        let at = "r.filter_chains[0].filters[0].typed_config.http_filters[0]";
        assert_eq!(found, [format!("{at}: a router answers every request, so it must be the last filter")]);
    }

    #[test]
    fn a_filter_has_a_type_and_stands_where_it_can() {
        let router = json!({"name": "envoy.filters.http.router"});
        let at = "r.filter_chains[0].filters[0].typed_config.http_filters[0].typed_config";
        let untyped = problems(listener(&json!({}), &json!([{"name": "envoy.filters.http.cors"}, router])));
        assert_eq!(untyped, [format!("{at}: is missing: Envoy knows an http filter by its type, not by its name")]);
        let echo = json!({"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"});
        let misplaced = problems(listener(&json!({}), &json!([{"name": "echo", "typed_config": echo}, router])));
        let why = "Echo is a filter for network, and cannot stand where an http filter is expected";
        assert_eq!(misplaced, [format!("{at}: {why}")]);
    }

    #[test]
    fn a_transparent_listener_must_bind() {
        let router = json!([{"name": "envoy.filters.http.router"}]);
        let crash = json!({"transparent": true, "bind_to_port": false});
        assert_eq!(problems(listener(&crash, &router)).len(), 1);
        for fine in [
            json!({"transparent": true}),
            json!({"bind_to_port": false}),
            json!({"transparent": true, "bind_to_port": true}),
        ] {
            assert_eq!(problems(listener(&fine, &router)), Vec::<String>::new());
        }
    }

    #[test]
    fn resources_have_names_and_each_its_own() {
        let cluster = |name: &str, path: &str| {
            decode(&json!({"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": name}), path)
        };
        assert_eq!(problems(cluster("", "r")), ["r.name: must not be empty"]);
        let secret = json!({"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"});
        assert_eq!(problems(decode(&secret, "r")), ["r.name: must not be empty"]);
        let resources = [cluster("a", "r[0]"), cluster("b", "r[1]"), cluster("a", "r[2]")];
        let resources = resources.map(|resource| resource.ok().unwrap());
        let found = duplicates(&resources).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found, [r#"r[2].name: Cluster "a" is already defined at r[0]"#]);
    }
}
