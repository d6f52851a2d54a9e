//! curl as a client outside of the cluster: it chooses names, methods and whom it trusts.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::{Answer, Cluster};

/// What to ask.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// GET, POST...
    pub method: &'a str,
    /// The server is told its host, whatever that means elsewhere.
    pub url: &'a str,
    /// Where the connection goes.
    pub address: &'a str,
    /// A certificate, PEM: nobody else may have signed the server's.
    pub trusted: Option<&'a Path>,
}

impl<'a> Request<'a> {
    /// Asks for a URL at an address.
    #[must_use]
    pub const fn get(url: &'a str, address: &'a str) -> Self {
        Self { method: "GET", url, address, trusted: None }
    }

    /// The same by another method.
    #[must_use]
    pub const fn by(self, method: &'a str) -> Self {
        Self { method, ..self }
    }

    /// The same, trusting this certificate alone.
    #[must_use]
    pub const fn trust(self, certificate: &'a Path) -> Self {
        Self { trusted: Some(certificate), ..self }
    }
}

impl Cluster {
    /// One request from outside, on a connection of its own.
    ///
    /// # Errors
    /// When no answer comes; any status is an answer.
    pub fn curl(&self, request: Request<'_>) -> Result<Answer> {
        let to = format!("::{}:", request.address);
        let mut args = vec!["curl", "--silent", "--show-error", "--include", "--path-as-is", "--max-time", "5"];
        args.extend(["--request", request.method, "--connect-to", &to]);
        args.extend(["--write-out", "\n%{http_code} %{local_ip} %{local_port}"]);
        let trusted = request.trusted.map(Path::to_string_lossy);
        if let Some(certificate) = &trusted {
            args.extend(["--cacert", certificate]);
        }
        args.push(request.url);
        let printed = self.exec("client", &args)?;
        parse(&printed).with_context(|| format!("{request:?}: curl printed {printed:?}"))
    }
}

/// Head, empty line, body, and the line that `--write-out` adds.
fn parse(printed: &str) -> Result<Answer> {
    let (answer, last) = printed.rsplit_once('\n').context("nothing written out")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
    let words = last.split(' ').collect::<Vec<_>>();
    ensure!(words.len() == 3, "not three words at the end");
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Ok(Answer {
        status: words[0].parse()?,
        headers: head.lines().filter_map(header).collect(),
        body: body.to_owned(),
        local: std::net::SocketAddr::new(words[1].parse()?, words[2].parse()?),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_curl_prints_is_an_answer() {
        let answer = parse("HTTP/1.1 404 Not Found\r\nserver: envoy\r\n\r\na\n\nb\n404 192.0.2.1 40000").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (404, "a\n\nb"));
        assert!(answer.by_envoy());
        assert_eq!(answer.local.to_string(), "192.0.2.1:40000");
        assert!(parse("curl: (7)").is_err());
    }
}
