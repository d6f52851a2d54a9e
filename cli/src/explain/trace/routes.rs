//! From an HTTP connection manager to clusters: the routes that get the request, and those that do not.

use axoneme_envoy::ResourceKind;
use serde_json::Value;

use super::{
    super::{
        envoy::{
            When,
            action::{self, Does},
            host::{self, Fit, without_port},
            list,
            route::{Verdict, verdict},
            texts,
        },
        request::Request,
        story::{Passed, RouteStep},
    },
    Trace, get, percent,
};

/// Of what is not taken, so many are named.
const TOLD: usize = 5;

impl Trace<'_> {
    pub(super) fn http(&mut self, manager: &Value, request: Option<&Request>) {
        let names = list(&manager["http_filters"]).iter().filter_map(|it| it["name"].as_str());
        self.answer.filters.extend(names.map(str::to_owned));
        let table = match (manager.get("route_config"), manager["rds"]["route_config_name"].as_str()) {
            (Some(inline), _) => inline.clone(),
            (None, Some(name)) => match get(self.view, ResourceKind::Route, name) {
                Some(found) => found,
                None => return self.fail(format!("RouteConfiguration {name} is missing: the listener waits for it")),
            },
            (None, None) => return self.fail("scoped routes decide, which are not looked at here"),
        };
        match request.map(|request| arrived(manager, request)) {
            Some(request) => self.one_request(&table, &request),
            None => self.all_routes(&table),
        }
    }

    fn all_routes(&mut self, table: &Value) {
        for host in list(&table["virtual_hosts"]) {
            let domains = texts(&host["domains"]).collect::<Vec<_>>().join(", ");
            for (at, route) in list(&host["routes"]).iter().enumerate() {
                self.step([name(table), &domains], at, route, When::ALWAYS, None);
            }
        }
    }

    fn one_request(&mut self, table: &Value, request: &Request) {
        let hosts = host::choose(table, request);
        let of_table = |domains: &str| format!("host {domains} of {}", name(table));
        let authority = &request.authority;
        let Some(fit) = hosts.taken else {
            let others = some(&hosts.others);
            return self.fail(format!("{} does not fit {authority:?}: Envoy answers 404", of_table(&others)));
        };
        for domain in hosts.passed {
            self.pass(of_table(domain), format!("host {} fits better", fit.domain));
        }
        if !hosts.others.is_empty() {
            self.pass(of_table(&some(&hosts.others)), format!("{authority:?} does not fit"));
        }
        if fit.host.get("matcher").is_some() {
            return self.fail(format!("the matcher of host {} decides, which is not looked at here", fit.domain));
        }
        if fit.host["require_tls"] == "ALL" && !request.https {
            let answers = "a redirect to https".to_owned();
            let step = RouteStep::by_envoy([name(table), fit.domain], "require_tls", "requests without TLS", answers);
            return self.answer.routes.push(step);
        }
        self.routes(table, fit, request);
    }

    fn routes(&mut self, table: &Value, fit: Fit<'_>, request: &Request) {
        let ignores_parameters = table["ignore_path_parameters_in_path_matching"].as_bool() == Some(true);
        // The share of requests that no route has taken so far, and the route that leaves nothing.
        let (mut left, mut last) = (1.0, None);
        let mut unfit = 0;
        for (at, route) in list(&fit.host["routes"]).iter().enumerate() {
            let here = || format!("routes[{at}]");
            match (verdict(&route["match"], request, ignores_parameters), last) {
                (Verdict::Takes(_), Some(last)) => {
                    self.pass(here(), format!("it would take the request too, but routes[{last}] comes before it"));
                }
                (Verdict::Takes(when), None) => {
                    last = when.is_always().then_some(at);
                    let when = When { share: left * when.share, ..when };
                    if when.only_if.is_empty() {
                        left -= when.share;
                    }
                    self.step([name(table), fit.domain], at, route, when, Some(request));
                }
                (Verdict::Passes(why), None) => {
                    unfit += 1;
                    if unfit <= TOLD {
                        self.pass(here(), why);
                    }
                }
                (Verdict::Passes(_), Some(_)) => {}
            }
        }
        if unfit > TOLD {
            self.pass(format!("{} more routes", unfit - TOLD), "they do not take the request either".to_owned());
        }
        if self.answer.routes.is_empty() {
            self.fail(format!(
                "no route of host {} in {} takes the request: Envoy answers 404",
                fit.domain,
                name(table)
            ));
        } else if last.is_none() {
            self.pass(format!("host {}", fit.domain), "the rest is taken by no route: Envoy answers 404".to_owned());
        }
    }

    fn pass(&mut self, what: String, why: String) {
        self.answer.passed.push(Passed { what, why });
    }

    /// A route that takes requests, in a table and under a host.
    fn step(&mut self, place: [&str; 2], at: usize, route: &Value, when: When, request: Option<&Request>) {
        let (answers, mirrors) = match action::of_route(route, request) {
            Does::Forwards { clusters, mirrors } => {
                self.shares.extend(clusters.into_iter().map(|(name, of)| (name, of * when.share)));
                (None, mirrors)
            }
            Does::Answers(text) | Does::Unknown(text) => (Some(text), Vec::new()),
        };
        self.answer.routes.push(RouteStep {
            table: place[0].to_owned(),
            host: place[1].to_owned(),
            route: format!("routes[{at}]"),
            matches: action::plain(&route["match"]),
            percent: percent(when.share),
            only_if: when.only_if,
            answers,
            mirrors,
        });
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

fn name(table: &Value) -> &str {
    table["name"].as_str().unwrap_or_default()
}

fn some(domains: &[&str]) -> String {
    let told = domains.iter().take(TOLD).copied().collect::<Vec<_>>().join(", ");
    match domains.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}
