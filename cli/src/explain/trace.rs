//! From a listener to endpoints: each step that a request takes, and what it passes by.

use axoneme_envoy::ResourceKind;
use axoneme_xds::View;
use serde_json::Value;

use super::{
    envoy::{
        action::{self, Does, Share},
        chain::{self, is_tls},
        host::{self, without_port},
        list,
        route::{Verdict, verdict},
        type_of,
    },
    request::Request,
    story::{Answer, ClusterStep, Endpoint, Passed, RouteStep},
};
use crate::input;

/// Of what is not taken, so many are named.
const TOLD: usize = 5;

/// What the listener does with a request, or with all requests there are.
pub(super) fn answer(view: &dyn View, listener: &str, request: Option<&Request>) -> Answer {
    let mut trace = Trace { view, answer: Answer::default(), shares: Vec::new() };
    match trace.get(ResourceKind::Listener, listener) {
        None => trace.fail(format!("listener {listener} is not there on this node: connections are refused")),
        Some(json) => match request {
            Some(request) => trace.connection(&json, request),
            None => {
                let default = json.get("default_filter_chain");
                list(&json["filter_chains"]).iter().chain(default).for_each(|chain| trace.chain(chain, None));
            }
        },
    }
    trace.clusters();
    trace.answer
}

struct Trace<'a> {
    view: &'a dyn View,
    answer: Answer,
    /// Clusters with what they get, in the order of their routes.
    shares: Vec<Share>,
}

impl Trace<'_> {
    fn get(&self, kind: ResourceKind, name: &str) -> Option<Value> {
        self.view.get(kind.type_url(), name).map(|it| input::show(&it))
    }

    fn fail(&mut self, why: impl Into<String>) {
        self.answer.problem.get_or_insert(why.into());
    }

    fn connection(&mut self, listener: &Value, request: &Request) {
        let chosen = match chain::choose(listener, request) {
            Ok(chosen) => chosen,
            Err(why) => return self.fail(why),
        };
        let only_if = chosen.only_if.iter().map(|it| format!(", only if {it}")).collect::<String>();
        self.answer.chain = Some(format!("{}{only_if}", chosen.name));
        let is_http =
            list(&chosen.chain["filters"]).iter().any(|it| type_of(&it["typed_config"]) == "HttpConnectionManager");
        match (is_tls(chosen.chain), request.https) {
            (true, false) => self.fail(format!("filter chain {} wants TLS: connections are closed", chosen.name)),
            (false, true) if is_http => {
                self.fail(format!("filter chain {} does not speak TLS: the handshake fails", chosen.name));
            }
            _ => self.chain(chosen.chain, Some(request)),
        }
    }

    fn chain(&mut self, chain: &Value, request: Option<&Request>) {
        for filter in list(&chain["filters"]) {
            let config = &filter["typed_config"];
            match type_of(config) {
                "HttpConnectionManager" => return self.http(config, request),
                "TcpProxy" => match action::clusters(config, request) {
                    Ok(shares) => return self.shares.extend(shares),
                    Err(Does::Unknown(what) | Does::Answers(what)) => return self.fail(what),
                    Err(Does::Forwards { .. }) => {}
                },
                _ => self.answer.filters.push(filter["name"].as_str().unwrap_or_default().to_owned()),
            }
        }
        match self.answer.filters.last().cloned() {
            Some(last) => self.answer.routes.push(RouteStep {
                table: String::new(),
                host: String::new(),
                route: last.clone(),
                matches: "every connection".to_owned(),
                percent: 100.0,
                only_if: Vec::new(),
                answers: Some(format!("what network filter {last} says")),
                mirrors: Vec::new(),
            }),
            None => self.fail("the filter chain has no filter: Envoy closes the connection"),
        }
    }

    fn http(&mut self, manager: &Value, request: Option<&Request>) {
        let names = list(&manager["http_filters"]).iter().filter_map(|it| it["name"].as_str());
        self.answer.filters.extend(names.map(str::to_owned));
        let table = match (manager.get("route_config"), manager["rds"]["route_config_name"].as_str()) {
            (Some(inline), _) => inline.clone(),
            (None, Some(name)) => match self.get(ResourceKind::Route, name) {
                Some(found) => found,
                None => return self.fail(format!("RouteConfiguration {name} is missing: the listener waits for it")),
            },
            (None, None) => return self.fail("scoped routes decide, which are not looked at here"),
        };
        match request.map(|request| arrived(manager, request)) {
            Some(request) => self.routes(&table, &request),
            None => self.all_routes(&table),
        }
    }

    fn all_routes(&mut self, table: &Value) {
        for host in list(&table["virtual_hosts"]) {
            let domains: Vec<_> = super::envoy::texts(&host["domains"]).collect();
            for (at, route) in list(&host["routes"]).iter().enumerate() {
                self.step(table, &domains.join(", "), at, route, 1.0, Vec::new(), None);
            }
        }
    }

    fn routes(&mut self, table: &Value, request: &Request) {
        let hosts = host::choose(table, request);
        let name = table["name"].as_str().unwrap_or_default();
        let what = |domain: &str| format!("host {domain} of {name}");
        let Some(fit) = hosts.taken else {
            let others = some(&hosts.others);
            return self
                .fail(format!("no host of {name} fits {:?}, only {others}: Envoy answers 404", request.authority));
        };
        for domain in hosts.passed {
            self.answer.passed.push(Passed::new(what(domain), format!("host {} fits better", fit.domain)));
        }
        if !hosts.others.is_empty() {
            let why = format!("{:?} does not fit", request.authority);
            self.answer.passed.push(Passed::new(format!("host {} of {name}", some(&hosts.others)), why));
        }
        if fit.host.get("matcher").is_some() {
            return self.fail(format!("the matcher of host {} decides, which is not looked at here", fit.domain));
        }
        if fit.host["require_tls"] == "ALL" && !request.https {
            let text = "a redirect to https, because of require_tls".to_owned();
            return self.answer.routes.push(RouteStep {
                table: name.to_owned(),
                host: fit.domain.to_owned(),
                route: "require_tls".to_owned(),
                matches: "every request without TLS".to_owned(),
                percent: 100.0,
                only_if: Vec::new(),
                answers: Some(text),
                mirrors: Vec::new(),
            });
        }
        let ignores_parameters = table["ignore_path_parameters_in_path_matching"].as_bool() == Some(true);
        let (mut left, mut taken_by) = (1.0, None);
        let mut unfit = Vec::new();
        for (at, route) in list(&fit.host["routes"]).iter().enumerate() {
            match (verdict(&route["match"], request, ignores_parameters), taken_by) {
                (Verdict::Takes(_), Some(earlier)) => {
                    let why = format!("it would take the request too, but routes[{earlier}] comes before it");
                    self.answer.passed.push(Passed::new(format!("routes[{at}]"), why));
                }
                (Verdict::Takes(when), None) => {
                    if when.is_always() {
                        taken_by = Some(at);
                    }
                    let share = left * when.share;
                    if when.only_if.is_empty() {
                        left -= share;
                    }
                    self.step(table, fit.domain, at, route, share, when.only_if, Some(request));
                }
                (Verdict::Passes(why), None) => unfit.push(Passed::new(format!("routes[{at}]"), why)),
                (Verdict::Passes(_), Some(_)) => {}
            }
        }
        let more = unfit.len().saturating_sub(TOLD);
        if self.answer.routes.is_empty() {
            self.fail(format!("no route of host {} in {name} takes the request: Envoy answers 404", fit.domain));
        } else if taken_by.is_none() {
            let why = "other requests are taken by no route: Envoy answers 404".to_owned();
            self.answer.passed.push(Passed::new(format!("host {}", fit.domain), why));
        }
        self.answer.passed.extend(unfit.into_iter().take(TOLD));
        if more > 0 {
            self.answer.passed.push(Passed::new(format!("{more} more routes"), "they do not take the request either"));
        }
    }

    /// A route that takes a share of the requests.
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the step")]
    fn step(
        &mut self,
        table: &Value,
        host: &str,
        at: usize,
        route: &Value,
        share: f64,
        only_if: Vec<String>,
        request: Option<&Request>,
    ) {
        let (answers, mirrors) = match action::of_route(route, request) {
            Does::Forwards { clusters, mirrors } => {
                self.shares.extend(clusters.into_iter().map(|(name, of)| (name, of * share)));
                (None, mirrors)
            }
            Does::Answers(text) | Does::Unknown(text) => (Some(text), Vec::new()),
        };
        self.answer.routes.push(RouteStep {
            table: table["name"].as_str().unwrap_or_default().to_owned(),
            host: host.to_owned(),
            route: format!("routes[{at}]"),
            matches: action::plain(&route["match"]),
            percent: percent(share),
            only_if,
            answers,
            mirrors,
        });
    }

    fn clusters(&mut self) {
        let mut sums: Vec<Share> = Vec::new();
        for (name, share) in std::mem::take(&mut self.shares) {
            match sums.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += share,
                None => sums.push((name, share)),
            }
        }
        for (name, share) in sums {
            let (endpoints, problem) = self.endpoints(&name, 0);
            self.answer.clusters.push(ClusterStep { name, percent: percent(share), endpoints, problem });
        }
        let is_answered = self.answer.routes.iter().any(|route| route.answers.is_some())
            || self.answer.clusters.iter().any(|cluster| cluster.problem.is_none() && cluster.percent > 0.0);
        if !is_answered {
            let why = self.answer.clusters.iter().find_map(|cluster| cluster.problem.clone());
            self.fail(why.unwrap_or_else(|| "no route leads to a cluster".to_owned()));
        }
    }

    /// Endpoints of a cluster, or why there are none.
    fn endpoints(&self, name: &str, depth: usize) -> (Vec<Endpoint>, Option<String>) {
        let Some(cluster) = self.get(ResourceKind::Cluster, name) else {
            return (Vec::new(), Some(format!("cluster {name} is missing: Envoy answers 503")));
        };
        let custom = &cluster["cluster_type"]["typed_config"];
        if type_of(custom) == "ClusterConfig" && depth == 0 && custom.get("clusters").is_some() {
            let parts = super::envoy::texts(&custom["clusters"]).map(|part| self.endpoints(part, 1));
            let all: Vec<_> = parts.flat_map(|(endpoints, _)| endpoints).collect();
            let problem = all.is_empty().then(|| format!("no cluster of {name} has an endpoint: Envoy answers 503"));
            return (all, problem);
        }
        let mut found = Vec::new();
        if cluster["type"] == "EDS" {
            let service = cluster["eds_cluster_config"]["service_name"].as_str().filter(|it| !it.is_empty());
            let service = service.unwrap_or(name);
            addresses(&self.get(ResourceKind::Endpoints, service).unwrap_or_default(), &mut found);
            let why = || format!("no endpoint of {service} is ready: Envoy answers 503");
            let problem = found.is_empty().then(why);
            return (found, problem);
        }
        addresses(&cluster["load_assignment"], &mut found);
        let chooses_itself = cluster["type"] == "ORIGINAL_DST" || cluster.get("cluster_type").is_some();
        if chooses_itself {
            let what =
                cluster["type"].as_str().filter(|it| *it == "ORIGINAL_DST").unwrap_or("found by the cluster itself");
            found.push(Endpoint { address: format!("({what})"), locality: None });
        }
        let problem = found.is_empty().then(|| format!("cluster {name} has no endpoint: Envoy answers 503"));
        (found, problem)
    }
}

/// The request after what the connection manager does to it before routing.
fn arrived(manager: &Value, request: &Request) -> Request {
    let is = |field: &str| manager[field].as_bool() == Some(true);
    let mut request = request.clone();
    let own_port = format!(":{}", request.port);
    if is("strip_any_host_port") || (is("strip_matching_host_port") && request.authority.ends_with(&own_port)) {
        request.authority = without_port(&request.authority).to_owned();
    }
    if is("strip_trailing_host_dot") {
        request.authority = request.authority.trim_end_matches('.').to_owned();
    }
    request.normalize(is("normalize_path"), is("merge_slashes"));
    request
}

fn addresses(assignment: &Value, found: &mut Vec<Endpoint>) {
    for group in list(&assignment["endpoints"]) {
        let place = ["zone", "sub_zone"].into_iter().filter_map(|it| group["locality"][it].as_str());
        let place = place.filter(|it| !it.is_empty()).collect::<Vec<_>>().join("/");
        for endpoint in list(&group["lb_endpoints"]) {
            let endpoint = &endpoint["endpoint"];
            let more = list(&endpoint["additional_addresses"]).iter().map(|it| &it["address"]);
            let all: Vec<_> = std::iter::once(&endpoint["address"]).chain(more).filter_map(address).collect();
            let locality = (!place.is_empty()).then(|| place.clone());
            found.push(Endpoint { address: all.join(" or "), locality });
        }
    }
}

fn address(of: &Value) -> Option<String> {
    if let Some(path) = of["pipe"]["path"].as_str() {
        return Some(format!("unix:{path}"));
    }
    if let Some(listener) = of["envoy_internal_address"]["server_listener_name"].as_str() {
        return Some(format!("internal listener {listener}"));
    }
    let socket = &of["socket_address"];
    let (ip, port) = (socket["address"].as_str()?, &socket["port_value"]);
    Some(if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") })
}

/// Rounded, so that thirds look like thirds.
fn percent(share: f64) -> f64 {
    (share * 1e4).round() / 1e2
}

fn some(domains: &[&str]) -> String {
    let told = domains.iter().take(TOLD).copied().collect::<Vec<_>>().join(", ");
    match domains.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}
