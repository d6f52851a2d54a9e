//! Requests from a pod, from a process of a node, and from outside, each by the same client: the echo binary.

use std::{collections::BTreeMap, net::SocketAddr, sync::OnceLock, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{Cluster, until};

/// Namespace of the pods that ask.
pub const CLIENTS: &str = "e2e-clients";

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub enum From<'a> {
    /// A pod on this node.
    Pod(&'a str),
    /// A process of this node.
    Host(&'a str),
    /// A machine that is no part of the cluster.
    Outside,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
    /// The client's own end of the connection.
    pub local: SocketAddr,
}

impl Answer {
    /// A header, empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Whether Envoy answered or forwarded: a request that slipped past the redirect shows no `server: envoy`.
    #[must_use]
    pub fn by_envoy(&self) -> bool {
        self.header("server") == "envoy"
    }

    /// What the backend saw, where the path ends in `/echo`.
    ///
    /// # Errors
    /// When the body is something else.
    pub fn seen(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("status {}, body {:?}", self.status, self.body))
    }

    fn parse(line: &str) -> Result<Self> {
        let json = serde_json::from_str::<Value>(line).with_context(|| format!("the client printed {line:?}"))?;
        if let Some(error) = json["error"].as_str() {
            bail!("no answer: {error}");
        }
        let headers = json["headers"].as_object().into_iter().flatten();
        Ok(Self {
            status: json["status"].as_u64().and_then(|status| status.try_into().ok()).context("no status")?,
            headers: headers
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            body: json["body"].as_str().unwrap_or_default().to_owned(),
            local: json["local"].as_str().unwrap_or_default().parse().context("no local address")?,
        })
    }
}

impl Cluster {
    /// A pod on every node to ask from; they stay.
    ///
    /// # Errors
    /// When they do not get ready.
    pub fn clients(&self) -> Result<()> {
        static READY: OnceLock<()> = OnceLock::new();
        if READY.get().is_some() {
            return Ok(());
        }
        self.kubectl(&["apply", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/manifests/clients.yaml")])?;
        self.ready(CLIENTS)?;
        READY.get_or_init(|| ());
        Ok(())
    }

    /// One request.
    ///
    /// # Errors
    /// When no answer comes; any status is an answer.
    pub fn ask(&self, from: From<'_>, url: &str) -> Result<Answer> {
        self.ask_many(from, url, 1)?.pop().context("the client printed nothing")?
    }

    /// Requests one after the other, each on a connection of its own.
    ///
    /// # Errors
    /// When the client itself cannot run. A request without an answer is an error in the list.
    pub fn ask_many(&self, from: From<'_>, url: &str, count: usize) -> Result<Vec<Result<Answer>>> {
        let count = count.to_string();
        let options = ["--get", url, "--json", "--timeout", "3000", "--count", &count];
        let lines = match from {
            From::Pod(node) => {
                let pod = self.pod(CLIENTS, "app=client", node)?;
                let exec = ["exec", "-n", CLIENTS, &pod, "--", "/axoneme-echo"];
                self.kubectl(&[&exec[..], &options].concat())?
            }
            From::Host(node) => self.exec(node, &[&[&*self.echo().to_string_lossy()], &options[..]].concat())?,
            From::Outside => self.exec("client", &[&[&*self.echo().to_string_lossy()], &options[..]].concat())?,
        };
        Ok(lines.lines().map(Answer::parse).collect())
    }

    /// Asks until the answer is as wanted.
    ///
    /// # Errors
    /// The last answer, after a minute.
    pub fn ask_until(&self, what: &str, from: From<'_>, url: &str, wanted: impl Fn(&Answer) -> bool) -> Result<Answer> {
        until(what, Duration::from_secs(60), || {
            let answer = self.ask(from, url)?;
            ensure!(wanted(&answer), "{url} from {from:?} answered {answer:?}");
            Ok(answer)
        })
    }
}
