//! curl as the client: it chooses names, protocols and whom it trusts.

use std::{collections::BTreeMap, net::SocketAddr};

use axoneme_testnet::Namespace;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Curl {
    arguments: Vec<String>,
    url: String,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// curl's own code: 0 is an answer, 35 no handshake, 60 a certificate that is not trusted.
    pub(crate) exit: i32,
    pub(crate) status: u16,
    /// `1.1` or `2`.
    pub(crate) version: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// curl's words.
    #[expect(dead_code, reason = "shown when a test fails")]
    pub(crate) said: String,
}

impl Curl {
    /// Asks for `url` at an address, whatever its host means elsewhere.
    pub(crate) fn new(url: &str, at: SocketAddr) -> Self {
        let curl = Self { arguments: Vec::new(), url: url.to_owned() };
        curl.with(&[
            "--silent",
            "--show-error",
            "--max-time",
            "10",
            "--path-as-is",
            "--globoff",
            "--connect-to",
            &format!("::{at}"),
        ])
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    pub(crate) fn header(self, header: &str) -> Self {
        self.with(&["--header", header])
    }

    /// Trusts this certificate and no other.
    pub(crate) fn trust(self, file: &tempfile::NamedTempFile) -> Self {
        self.with(&["--cacert", file.path().to_str().unwrap()])
    }

    /// Runs curl with these arguments for the URL: its code, what it printed, and its own words.
    pub(crate) fn run<'a>(&self, from: &Namespace, more: impl IntoIterator<Item = &'a str>) -> (i32, String, String) {
        let output = from.command("curl").args(&self.arguments).args(more).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    pub(crate) fn ask(&self, from: &Namespace) -> Answer {
        let write_out = "\n%{http_code} %{http_version}";
        let (exit, printed, said) = self.run(from, ["--include", "--write-out", write_out, &self.url]);
        let (answer, last) = printed.rsplit_once('\n').unwrap_or_default();
        let (status, version) = last.split_once(' ').unwrap_or_default();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Answer {
            exit,
            status: status.parse().unwrap_or_default(),
            version: version.to_owned(),
            headers: head.lines().filter_map(header).collect(),
            body: body.trim().to_owned(),
            said: said.trim().to_owned(),
        }
    }
}

impl Answer {
    /// A header; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// What the backend saw of the request: the body of `/echo`.
    pub(crate) fn saw(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }
}
