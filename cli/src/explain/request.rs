//! A request as Envoy sees it before it picks a route.

use std::str::FromStr;

use super::target::Url;

/// `Name: value`, as curl takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// In lower case, as HTTP/2 has it and Envoy compares it.
    name: String,
    value: String,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Self { name: name.trim().to_ascii_lowercase(), value: value.trim().to_owned() })
            }
            _ => Err(format!("{text:?} is no header; write `Name: value`")),
        }
    }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Over TLS.
    pub(super) https: bool,
    /// The name in the TLS handshake; none for an address.
    pub(super) server_name: Option<String>,
    /// The port that is dialled.
    pub(super) port: u16,
    /// `Host` as a client writes it: with the port when it is not that of the scheme.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
    method: String,
    headers: Vec<Header>,
}

impl Request {
    /// The request that a client makes for a URL. A `Host` header changes what is asked for, not who is dialled.
    pub(super) fn new(url: &Url, method: &str, headers: &[Header]) -> Self {
        let host = headers.iter().find(|header| header.name == "host");
        Self {
            https: url.https,
            server_name: url.address().is_none().then(|| url.host.clone()),
            port: url.port,
            authority: host.map_or_else(|| url.authority(), |header| header.value.clone()),
            path: url.path.clone(),
            method: method.to_ascii_uppercase(),
            headers: headers.iter().filter(|header| header.name != "host").cloned().collect(),
        }
    }

    /// The values of a header, which Envoy compares one by one. Pseudo headers are headers.
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            ":authority" | "host" => return vec![&self.authority],
            ":path" => return vec![&self.path],
            ":method" => return vec![&self.method],
            ":scheme" => return vec![self.scheme()],
            _ => {}
        }
        let values: Vec<_> = self.headers.iter().filter(|it| it.name == name).map(|it| it.value.as_str()).collect();
        // Envoy sets it for whoever did not.
        if values.is_empty() && name == "x-forwarded-proto" { vec![self.scheme()] } else { values }
    }

    /// The first value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.values(name).into_iter().next()
    }

    /// The first value of a query parameter, as written.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.path.split('#').next()?.split_once('?')?;
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A cookie.
    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.headers.iter().filter(|header| header.name == "cookie");
        let mut pairs =
            cookies.flat_map(|header| header.value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"').to_owned())
    }

    /// The path without query and fragment.
    pub(super) fn bare_path(&self) -> &str {
        self.path.split(['?', '#']).next().unwrap_or_default()
    }

    /// What Envoy does to the path before it looks for a route, as far as it is told to: RFC 3986 without dot segments,
    /// and one slash in place of several.
    pub(super) fn normalize(&mut self, dots: bool, slashes: bool) {
        let bare = self.bare_path();
        let rest = self.path[bare.len()..].to_owned();
        let mut path = bare.to_owned();
        if dots {
            let mut kept: Vec<&str> = Vec::new();
            let segments: Vec<&str> = bare.split('/').skip(1).collect();
            for (at, segment) in segments.iter().enumerate() {
                match (*segment, at + 1 == segments.len()) {
                    (".", false) => {}
                    (".", true) => kept.push(""),
                    ("..", last) => {
                        kept.pop();
                        kept.extend(last.then_some(""));
                    }
                    (other, _) => kept.push(other),
                }
            }
            path = format!("/{}", kept.join("/"));
        }
        while slashes && path.contains("//") {
            path = path.replace("//", "/");
        }
        self.path = path + &rest;
    }

    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str, headers: &[&str]) -> Request {
        let headers: Vec<_> = headers.iter().map(|it| it.parse().unwrap()).collect();
        Request::new(&url.parse().unwrap(), "get", &headers)
    }

    #[test]
    fn headers_have_several_values_and_pseudo_headers_are_headers() {
        let it = request("https://a.example:8443/x?b=1&c&b=2#d", &["X-A: 1", "x-a:2", "Cookie: k=\"v\"; l=w"]);
        assert_eq!(it.values("x-A"), ["1", "2"]);
        assert_eq!(it.header(":authority"), Some("a.example:8443"));
        assert_eq!(it.header(":method"), Some("GET"));
        assert_eq!(it.header("x-forwarded-proto"), Some("https"));
        assert_eq!((it.query("b"), it.query("c"), it.query("d")), (Some("1"), Some(""), None));
        assert_eq!((it.cookie("k").as_deref(), it.cookie("l").as_deref()), (Some("v"), Some("w")));
        assert_eq!(it.bare_path(), "/x");
    }

    #[test]
    fn a_host_header_changes_the_authority_and_not_the_server_name() {
        let it = request("https://a.example/", &["Host: b.example"]);
        assert_eq!((it.authority.as_str(), it.server_name.as_deref()), ("b.example", Some("a.example")));
        assert!("no header".parse::<Header>().is_err());
    }
}
