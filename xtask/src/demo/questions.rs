//! What the demo asks, and which answers are right.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, Result};
use axoneme_testnet::{Namespace, address, article::Article, http::Answer, mesh::Status};

const INGRESS: &str = "default/cilium-ingress-cilium-ingress:80";
const SHARED: [&str; 2] = ["cilium-test/echo-same-node:8080", "cilium-test/echo-other-node:8080"];

/// One request (or some equal ones) from one place.
pub(crate) struct Question<'a> {
    /// What kind of place asks.
    pub(crate) who: &'static str,
    /// The place.
    pub(crate) from: &'a Namespace,
    /// What is asked for.
    pub(crate) url: String,
    /// How many times.
    pub(crate) count: u32,
    /// What is right.
    pub(crate) expect: Expect,
    /// The listener and port that it goes through.
    pub(crate) through: String,
}

/// What is right.
pub(crate) enum Expect {
    /// This text from the backend of this name.
    Text(&'static str),
    /// Not found, said by Envoy.
    NotFound,
    /// A backend that was told the address of the client: `x-forwarded-for`.
    OwnAddress,
    /// Both of these answer, each at least once, and are asked for `/` whatever the client asked for.
    Both([&'static str; 2]),
}

/// Whether everything that is asked about is served, in both address families.
pub(crate) fn served(status: &Status) -> bool {
    let both = |redirect: &str| {
        let frontends = status.redirects.get(redirect).map_or(&[][..], |redirect| &redirect.frontends);
        status.port(redirect).is_some()
            && frontends.iter().any(SocketAddr::is_ipv4)
            && frontends.iter().any(SocketAddr::is_ipv6)
    };
    both(INGRESS) && SHARED.iter().all(|redirect| both(redirect))
}

/// All questions: three places, both address families, everything that the example offers.
pub(crate) fn all<'a>(stage: &'a Article, status: &Status) -> Result<Vec<Question<'a>>> {
    let inside = [("host process", &*stage.node), ("pod", &stage.client)];
    let outside = [("outside", &stage.outside)];
    let mut questions = Vec::new();
    for (who, from) in inside.into_iter().chain(outside) {
        for is_v4 in [true, false] {
            let balancer = |at: &IpAddr| address::is_balancer(*at) && at.is_ipv4() == is_v4;
            let (at, through) = frontend(status, INGRESS, balancer)?;
            let asks = |path: &str, expect| Question {
                who,
                from,
                url: format!("http://{at}{path}"),
                count: 1,
                expect,
                through: through.clone(),
            };
            questions.push(asks("/foo", Expect::Text("foo")));
            questions.push(asks("/bar", Expect::Text("bar")));
            questions.push(asks("/nothing", Expect::NotFound));
            questions.push(asks("/foo/echo", Expect::OwnAddress));
            if who == "outside" {
                continue; // It has no way to the addresses of services inside.
            }
            let service = |at: &IpAddr| at.is_ipv4() == is_v4;
            let (at, through) = frontend(status, SHARED[0], service)?;
            let expect = Expect::Both(["echo-same-node", "echo-other-node"]);
            questions.push(Question { who, from, url: format!("http://{at}/foo"), count: 20, expect, through });
        }
    }
    Ok(questions)
}

/// A frontend of a redirect, as it stands in a URL, and what it leads through.
fn frontend(status: &Status, redirect: &str, wanted: impl Fn(&IpAddr) -> bool) -> Result<(String, String)> {
    let found = status.redirects.get(redirect).context("a redirect went away")?;
    let at =
        found.frontends.iter().find(|at| wanted(&at.ip())).with_context(|| format!("{redirect} lacks an address"))?;
    let port = status.port(redirect).context("a listener went away")?;
    let shown = if at.port() != 80 {
        at.to_string()
    } else if at.is_ipv4() {
        at.ip().to_string()
    } else {
        format!("[{}]", at.ip())
    };
    Ok((shown, format!("{} :{port}", found.listener)))
}

impl Expect {
    /// What a person should read about the answers, and whether they are right.
    pub(crate) fn judge(&self, answers: &[Answer]) -> (String, bool) {
        let Some(first) = answers.first() else { return ("nothing".to_owned(), false) };
        if let Some(Answer::Nothing(error)) = answers.iter().find(|answer| answer.response().is_none()) {
            return (error.clone(), false);
        }
        let by_envoy = answers.iter().all(|answer| answer.header("server") == "envoy");
        let (said, right) = match self {
            Self::Text(text) => (said(first), first.status() == Some(200) && first.text() == *text),
            Self::NotFound => (said(first), first.status() == Some(404) && first.header("x-echo-name").is_empty()),
            Self::OwnAddress => forwarded_for(first),
            Self::Both(names) => {
                let tally = names.map(|name| (name, answers.iter().filter(|answer| answer.text() == name).count()));
                let paths: BTreeSet<_> = answers.iter().map(|answer| answer.header("x-echo-path")).collect();
                let said =
                    format!("{} {}x, {} {}x, asked for {paths:?}", tally[0].0, tally[0].1, tally[1].0, tally[1].1);
                let all = tally[0].1 + tally[1].1 == answers.len();
                (said, all && tally.iter().all(|(_, count)| *count > 0) && paths == BTreeSet::from(["/"]))
            }
        };
        if by_envoy { (said, right) } else { (format!("{said}, not by Envoy"), false) }
    }
}

fn said(answer: &Answer) -> String {
    let status = answer.status().unwrap_or_default();
    match answer.header("x-echo-name") {
        "" => format!("{status} by Envoy itself"),
        name => format!("{status} {:?} by {name}", answer.text()),
    }
}

/// Whether the backend was told the address that the client has at its own end.
fn forwarded_for(answer: &Answer) -> (String, bool) {
    let saw: serde_json::Value = serde_json::from_str(answer.text()).unwrap_or_default();
    let told = saw["headers"]["x-forwarded-for"].as_str().unwrap_or("nobody");
    let own = answer.response().and_then(|response| response.local.parse::<SocketAddr>().ok()).map(|own| own.ip());
    let name = answer.header("x-echo-name");
    (format!("{name} was told: client is {told}"), told.parse::<IpAddr>().ok().is_some_and(|told| Some(told) == own))
}
