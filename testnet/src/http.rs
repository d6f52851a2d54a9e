//! HTTP requests from inside a lab, each made by a process of that place.
//!
//! A process and not a thread: the redirect of host processes looks at the control group in which a socket was made.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::Value;

use crate::{Error, Namespace, Result};

/// What came back for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP response.
    Response(Response),
    /// None: refused, reset, timed out; in the client's words.
    Nothing(String),
}

/// An HTTP response, and where it was asked from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case; of repeated ones the last.
    pub headers: BTreeMap<String, String>,
    /// The body, as text.
    pub body: String,
    /// The client's own address and port.
    pub local: String,
}

impl Answer {
    /// The status code, if there was a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.response().map(|response| response.status)
    }

    /// The body without the white space around it; empty without a response.
    #[must_use]
    pub fn text(&self) -> &str {
        self.response().map_or("", |response| response.body.trim())
    }

    /// A header; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.response().and_then(|response| response.headers.get(name)).map_or("", String::as_str)
    }

    /// The response, if there was one.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        match self {
            Self::Response(response) => Some(response),
            Self::Nothing(_) => None,
        }
    }
}

/// A client: the program `axoneme-echo` and how it asks.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    /// The path of the program ([`crate::built`]).
    pub program: &'a Path,
    /// How long one request may take.
    pub timeout: Duration,
    /// Headers to add, `NAME: VALUE`.
    pub headers: Vec<String>,
}

impl<'a> Client<'a> {
    /// A client that waits ten seconds.
    #[must_use]
    pub fn new(program: &'a Path) -> Self {
        Self { program, timeout: Duration::from_secs(10), headers: Vec::new() }
    }

    /// Adds a header, `NAME: VALUE`.
    #[must_use]
    pub fn header(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self
    }

    /// Asks once.
    ///
    /// # Errors
    /// If the client itself cannot run. A request that fails is an [`Answer::Nothing`].
    pub fn get(&self, from: &Namespace, url: &str) -> Result<Answer> {
        let nothing = || Error::Answer { place: from.name.clone(), printed: String::new() };
        self.get_many(from, url, 1)?.pop().ok_or_else(nothing)
    }

    /// Asks `count` times, one after the other, each on a connection of its own.
    ///
    /// # Errors
    /// If the client itself cannot run.
    pub fn get_many(&self, from: &Namespace, url: &str, count: u32) -> Result<Vec<Answer>> {
        let program = self.program.to_string_lossy();
        let (count, timeout) = (count.to_string(), self.timeout.as_millis().to_string());
        let mut arguments = vec!["--json", "--get", url, "--count", &count, "--timeout", &timeout];
        for header in &self.headers {
            arguments.extend(["--header", header]);
        }
        let printed = from.run(&program, arguments)?;
        let no_answer = |line: &str| Error::Answer { place: from.name.clone(), printed: line.to_owned() };
        printed.lines().map(|line| parse(line).ok_or_else(|| no_answer(line))).collect()
    }
}

/// One line of the client's output.
fn parse(line: &str) -> Option<Answer> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(error) = text("error") {
        return Some(Answer::Nothing(error));
    }
    let headers = value.get("headers")?.as_object()?;
    Some(Answer::Response(Response {
        status: value.get("status")?.as_u64()?.try_into().ok()?,
        headers: headers
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        body: text("body")?,
        local: text("local")?,
    }))
}
