//! The server: what each path answers.
//!
//! Only the end of a path counts, so that `/foo/echo` works behind an Ingress that sends `/foo` here.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Body, Bytes},
    header::HeaderValue,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
};

/// What this server answers.
pub(crate) struct Echo {
    name: String,
    text: String,
    fail_ratio: f64,
    asked: AtomicU64,
}

impl Echo {
    pub(crate) fn new(name: String, text: String, fail_ratio: f64) -> Self {
        Self { name, text, fail_ratio, asked: AtomicU64::new(0) }
    }

    /// Whether this request is one of those that fail: the n-th is when `n * ratio` passes a whole number.
    #[expect(clippy::cast_precision_loss, reason = "a count of requests stays far below 2^52")]
    fn fails(&self) -> bool {
        let n = self.asked.fetch_add(1, Ordering::Relaxed) as f64;
        ((n + 1.0) * self.fail_ratio).floor() > (n * self.fail_ratio).floor()
    }

    async fn answer<B: Body>(&self, request: Request<B>, ends: Ends) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let (status, content_type, body) = match last_segments(&path) {
            (_, "health") => (StatusCode::OK, "text/plain; charset=utf-8", "ok\n".to_owned()),
            _ if self.fails() => {
                (StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", format!("{} fails\n", self.name))
            }
            ("status", code) => {
                let status = code.parse().unwrap_or(StatusCode::BAD_REQUEST);
                (status, "text/plain; charset=utf-8", format!("{status}\n"))
            }
            (_, "echo") => (StatusCode::OK, "application/json", self.saw(request, ends).await),
            _ => (StatusCode::OK, "text/plain; charset=utf-8", format!("{}\n", self.text)),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        set(headers, "content-type", content_type);
        set(headers, "x-app-name", "http-echo");
        set(headers, "x-app-version", env!("CARGO_PKG_VERSION"));
        set(headers, "x-echo-name", &self.name);
        set(headers, "x-echo-path", &path);
        response
    }

    /// What this server saw of a request, as JSON.
    async fn saw<B: Body>(&self, request: Request<B>, ends: Ends) -> String {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let mut headers: Map<String, Value> = Map::new();
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            match headers.get_mut(name.as_str()) {
                Some(Value::String(before)) => *before = format!("{before}, {value}"),
                _ => drop(headers.insert(name.to_string(), value.into())),
            }
        }
        let saw = json!({
            "name": self.name,
            "remote": ends.remote.to_string(),
            "local": ends.local.to_string(),
            "method": head.method.as_str(),
            "path": head.uri.path_and_query().map_or("/", |path| path.as_str()),
            "host": headers.get("host"),
            "headers": headers,
            "body": String::from_utf8_lossy(&body),
        });
        format!("{saw:#}\n")
    }
}

/// The two ends of a connection, IPv4 written as IPv4.
#[derive(Clone, Copy)]
struct Ends {
    local: SocketAddr,
    remote: SocketAddr,
}

impl Ends {
    fn of(stream: &TcpStream) -> std::io::Result<Self> {
        let plain = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
        Ok(Self { local: plain(stream.local_addr()?), remote: plain(stream.peer_addr()?) })
    }
}

/// The last two segments of a path; empty where it has fewer.
fn last_segments(path: &str) -> (&str, &str) {
    let mut segments = path.rsplit('/');
    let last = segments.next().unwrap_or_default();
    (segments.next().unwrap_or_default(), last)
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // A name or text that no header can carry is left out; the body has it.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The name of this host, which in Kubernetes is the name of the pod.
pub(crate) fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "echo".to_owned(), |name| name.trim().to_owned())
}

/// Serves until SIGTERM or SIGINT. Both are handled, because PID 1 of a container gets no default for them.
pub(crate) async fn run(listen: SocketAddr, echo: Echo) -> Result<(), String> {
    let listener = bind(listen).await.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let listens = listener.local_addr().map_err(|error| error.to_string())?;
    eprintln!("axoneme-echo: {} listens on {listens} and answers {:?}", echo.name, echo.text);
    let echo = Arc::new(echo);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connection(stream, Arc::clone(&echo)))),
                // The peer is gone already, or file descriptors are short: the next one may do better.
                Err(error) => eprintln!("axoneme-echo: accept: {error}"),
            },
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// `[::]` takes IPv4 too, and where the kernel has no IPv6 it means every IPv4 address.
async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(listen).await {
        Err(error) if listen.ip().is_unspecified() && error.raw_os_error() == Some(EAFNOSUPPORT) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, listen.port())).await
        }
        result => result,
    }
}

const EAFNOSUPPORT: i32 = 97;

async fn connection(stream: TcpStream, echo: Arc<Echo>) {
    let Ok(ends) = Ends::of(&stream) else { return };
    let service = service_fn(|request| {
        let echo = Arc::clone(&echo);
        async move { Ok::<_, Infallible>(echo.answer(request, ends).await) }
    });
    // An error here is a client that went away.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_spread_evenly() {
        let fails = |ratio: f64| {
            let echo = Echo::new("a".into(), "a".into(), ratio);
            (0..8).map(|_| u8::from(echo.fails())).collect::<Vec<_>>()
        };
        assert_eq!(fails(0.0), [0; 8]);
        assert_eq!(fails(1.0), [1; 8]);
        assert_eq!(fails(0.25), [0, 0, 0, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn only_the_end_of_a_path_counts() {
        assert_eq!(last_segments("/"), ("", ""));
        assert_eq!(last_segments("/foo/echo"), ("foo", "echo"));
        assert_eq!(last_segments("/a/status/503"), ("status", "503"));
    }
}
