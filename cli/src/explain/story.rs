//! What there is to tell, as plain data: `-o json` prints it as it is, `docs/cli.md` describes it.

use serde::Serialize;

/// The whole answer.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    /// What was asked about.
    pub(super) target: String,
    /// As this node sees it.
    pub(super) node: String,
    /// Whether a request is answered by what somebody configured: not by a 404 or 503 of Envoy's own.
    pub(super) served: bool,
    /// In one sentence.
    pub(super) verdict: String,
    /// Every way that the traffic goes.
    pub(super) ways: Vec<Way>,
    /// Objects that one could expect instead.
    pub(super) others: Vec<Passed>,
    /// What to keep in mind of this answer.
    pub(super) notes: Vec<String>,
}

/// A Service port whose traffic goes to a listener.
#[derive(Debug, Serialize)]
pub(super) struct Way {
    /// `namespace/service:port`.
    pub(super) redirect: String,
    pub(super) addresses: Vec<String>,
    pub(super) node_ports: Vec<u32>,
    /// Whose it is: `Ingress default/web`.
    pub(super) object: String,
    /// `file:line`, where it comes from a file.
    pub(super) place: Option<String>,
    /// What the cluster says of the object.
    pub(super) status: Vec<Condition>,
    pub(super) listener: String,
    #[serde(flatten)]
    pub(super) answer: Answer,
}

/// A condition of the object's status.
#[derive(Debug, Serialize)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) type_: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
    /// Whether it is about the present version of the object.
    pub(super) current: bool,
}

/// What the listener does.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    /// The filter chain that takes the connection.
    pub(super) chain: Option<String>,
    /// HTTP filters before the route, in order: each may answer first.
    pub(super) filters: Vec<String>,
    /// In the order in which they get requests.
    pub(super) routes: Vec<RouteStep>,
    pub(super) clusters: Vec<ClusterStep>,
    /// Why nothing serves the request, and what the client sees.
    pub(super) problem: Option<String>,
    /// Hosts and routes of the listener that are not taken.
    pub(super) passed: Vec<Passed>,
}

/// A route that takes requests.
#[derive(Debug, Serialize)]
pub(super) struct RouteStep {
    /// The route configuration.
    pub(super) table: String,
    /// The domain of the virtual host.
    pub(super) host: String,
    /// Its place in the virtual host: `routes[2]`.
    pub(super) route: String,
    /// What it asks for.
    pub(super) matches: String,
    /// Of a hundred requests that come, how many it takes.
    pub(super) percent: f64,
    /// Conditions that a request does not show.
    pub(super) only_if: Vec<String>,
    /// What Envoy answers by itself.
    pub(super) answers: Option<String>,
    /// Clusters that get copies.
    pub(super) mirrors: Vec<String>,
}

impl RouteStep {
    /// A step that no route is for: Envoy takes everything and answers by itself. `place` is table and host.
    pub(super) fn by_envoy(place: [&str; 2], route: &str, matches: &str, answers: String) -> Self {
        let [table, host] = place.map(str::to_owned);
        let (route, matches) = (route.to_owned(), matches.to_owned());
        let (only_if, mirrors) = (Vec::new(), Vec::new());
        Self { table, host, route, matches, percent: 100.0, only_if, answers: Some(answers), mirrors }
    }
}

/// A cluster that gets requests.
#[derive(Debug, Serialize)]
pub(super) struct ClusterStep {
    pub(super) name: String,
    /// Of a hundred requests that come, how many it gets.
    pub(super) percent: f64,
    pub(super) endpoints: Vec<Endpoint>,
    /// Why its requests are not answered.
    pub(super) problem: Option<String>,
}

/// Where requests end.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Endpoint {
    /// Address and port; others of the same backend after it.
    pub(super) address: String,
    /// Zone, or zone and node, where it is known.
    pub(super) locality: Option<String>,
}

/// Something that does not serve, and why.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Passed {
    pub(super) what: String,
    pub(super) why: String,
}

impl Passed {
    pub(super) fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }
}
