//! The client of the corpus: HTTP/1.1, HTTP/2, gRPC, upgrades and plain TCP, each also over TLS. Every answer is a tree of JSON:
//!
//! | field | of what |
//! |---|---|
//! | `status` | the status of HTTP, or that of gRPC |
//! | `headers` | names in lower case, repeated ones joined |
//! | `text` | the body, the text of a gRPC answer, or the line that came over TCP or after an upgrade |
//! | `saw` | what the backend saw of the request: the body, when it is JSON |
//! | `backend` | who answered |
//! | `milliseconds` | how long it took |
//! | `error` | why there was no answer |

mod connection;
mod http;
mod tcp;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub(crate) use connection::Tls;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request.
pub(crate) struct Question {
    pub(crate) to: SocketAddr,
    pub(crate) method: String,
    pub(crate) url: hyper::Uri,
    pub(crate) host: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    pub(crate) lines: usize,
    pub(crate) http2: bool,
    pub(crate) tls: Tls,
}

impl Question {
    /// A plain request.
    pub(crate) fn get(to: SocketAddr, path: &str) -> Self {
        Self {
            to,
            method: "GET".to_owned(),
            url: format!("http://{to}{path}").parse().unwrap(),
            host: to.to_string(),
            headers: BTreeMap::new(),
            body: String::new(),
            lines: 1,
            http2: false,
            tls: Tls { authority: String::new(), own: None },
        }
    }
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http {
        secure: bool,
    },
    Grpc {
        secure: bool,
    },
    Tcp {
        secure: bool,
    },
    /// HTTP/1.1 with an upgrade to `websocket`.
    Upgrade,
}

impl Scheme {
    pub(crate) fn of(url: &hyper::Uri) -> Self {
        match url.scheme_str().unwrap_or_default() {
            "http" => Self::Http { secure: false },
            "https" => Self::Http { secure: true },
            "grpc" => Self::Grpc { secure: false },
            "grpcs" => Self::Grpc { secure: true },
            "tcp" => Self::Tcp { secure: false },
            "tls" => Self::Tcp { secure: true },
            "ws" => Self::Upgrade,
            other => panic!("{other:?} is none of http, https, grpc, grpcs, tcp, tls, ws"),
        }
    }

    /// The status of an answer with which all is well.
    pub(crate) fn good_status(self) -> Option<u16> {
        match self {
            Self::Http { .. } => Some(200),
            Self::Grpc { .. } => Some(0),
            Self::Upgrade => Some(101),
            Self::Tcp { .. } => None,
        }
    }

    pub(crate) fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc { .. })
    }

    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Self::Http { secure } | Self::Grpc { secure } | Self::Tcp { secure } if secure)
    }
}

/// Asks once, on a connection of its own.
pub(crate) async fn ask(question: Question) -> Value {
    let start = Instant::now();
    let exchange = async {
        match Scheme::of(&question.url) {
            Scheme::Http { .. } => http::exchange(&question).await,
            Scheme::Grpc { .. } => http::call(&question).await,
            Scheme::Upgrade => http::upgrade(&question).await,
            Scheme::Tcp { .. } => tcp::exchange(&question).await,
        }
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    let mut answer = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => json!({ "error": format!("{error:#}") }),
        Err(_) => json!({ "error": format!("no answer within {PATIENCE:?}") }),
    };
    let by_line = answer["text"].as_str().and_then(|text| text.split_once(": ")).map(|(name, _)| Value::from(name));
    let backend = answer["headers"].get("x-backend").cloned().or(by_line);
    if let Some(fields) = answer.as_object_mut() {
        fields.extend(backend.map(|backend| ("backend".to_owned(), backend)));
        let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        fields.insert("milliseconds".to_owned(), took.into());
    }
    answer
}
