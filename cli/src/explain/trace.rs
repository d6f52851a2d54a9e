//! From a listener to endpoints: each step that a request takes, and what it passes by.

use axoneme_envoy::ResourceKind;
use axoneme_xds::View;
use serde_json::Value;

use super::{
    envoy::{
        action::{self, Does, Share},
        chain::{self, is_tls},
        list, type_of,
    },
    request::Request,
    story::{Answer, ClusterStep, RouteStep},
};
use crate::input;

mod endpoints;
mod routes;

/// What the listener does with a request, or with all requests there are.
pub(super) fn answer(view: &dyn View, listener: &str, request: Option<&Request>) -> Answer {
    let mut trace = Trace { view, answer: Answer::default(), shares: Vec::new() };
    match get(view, ResourceKind::Listener, listener) {
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
            Some(last) => {
                let answers = format!("what network filter {last} says");
                self.answer.routes.push(RouteStep::by_envoy(["", ""], &last, "every connection", answers));
            }
            None => self.fail("the filter chain has no filter: Envoy closes the connection"),
        }
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
            let (endpoints, problem) = endpoints::of_cluster(self.view, &name, 0);
            self.answer.clusters.push(ClusterStep { name, percent: percent(share), endpoints, problem });
        }
        let is_answered = self.answer.routes.iter().any(|route| route.answers.is_some())
            || self.answer.clusters.iter().any(|cluster| cluster.problem.is_none() && cluster.percent > 0.0);
        if !is_answered {
            let why = self.answer.clusters.iter().find_map(|cluster| cluster.problem.clone());
            self.fail(why.unwrap_or_else(|| "no route leads to a cluster".to_owned()));
        }
    }
}

fn get(view: &dyn View, kind: ResourceKind, name: &str) -> Option<Value> {
    view.get(kind.type_url(), name).map(|it| input::show(&it))
}

/// Rounded, so that thirds look like thirds.
fn percent(share: f64) -> f64 {
    (share * 1e4).round() / 1e2
}
