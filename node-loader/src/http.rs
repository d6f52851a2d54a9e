//! Two small HTTP servers: metrics and probes on a port, the status and the live stream on a Unix socket.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    time::{Duration, Instant},
};

use futures::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    datapath::ServiceId,
    metrics as names,
    monitor::{Batches, Names, Watcher},
    status::Status,
};

/// Longest time that a client may take for its request line and headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What the node is asked.
#[derive(Debug)]
pub(crate) enum Question {
    /// For its state. Asking also brings the gauges and the kernel's counters up to date.
    Status(oneshot::Sender<Status>),
    /// For the redirects by their number in the kernel.
    Names(oneshot::Sender<BTreeMap<ServiceId, String>>),
}

/// Asks the node.
#[derive(Debug, Clone)]
pub(crate) struct Questions(pub(crate) mpsc::UnboundedSender<Question>);

impl Questions {
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
        let (answer, status) = oneshot::channel();
        self.0.send(question(answer)).ok()?;
        status.await.ok()
    }
}

/// What a server has beside the node's state.
#[derive(Clone)]
enum Offer {
    /// The metrics.
    Metrics(PrometheusHandle),
    /// Where those who watch are let in; none on a node without programs.
    Monitor(Option<mpsc::UnboundedSender<Watcher>>),
}

/// Serves `/status` and `/monitor` on the Unix socket until shutdown.
///
/// # Errors
/// Never, so far; it is a task that a supervisor can run.
pub(crate) async fn serve_status(
    listener: UnixListener,
    questions: Questions,
    monitor: Option<mpsc::UnboundedSender<Watcher>>,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    serve("status", || async { Ok(listener.accept().await?.0) }, questions, Offer::Monitor(monitor), shutdown).await;
    Ok(())
}

/// Serves `/metrics`, `/healthz` and `/readyz` until shutdown.
///
/// # Errors
/// Never, so far; it is a task that a supervisor can run.
pub(crate) async fn serve_metrics(
    listener: TcpListener,
    questions: Questions,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    serve("metrics", || async { Ok(listener.accept().await?.0) }, questions, Offer::Metrics(metrics), shutdown).await;
    Ok(())
}

/// Accepts connections until shutdown; those that are open then are cut.
async fn serve<S, F>(
    server: &str,
    accept: impl Fn() -> F,
    questions: Questions,
    offer: Offer,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = io::Result<S>>,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(_ended) = connections.join_next() => {}
            accepted = accept() => match accepted {
                Ok(stream) => drop(connections.spawn(connection(stream, questions.clone(), offer.clone()))),
                Err(error) => pause(server, &error).await,
            },
        }
    }
}

/// Out of file descriptors, most likely: not worth dying for, nor worth a hot loop.
async fn pause(server: &str, error: &io::Error) {
    tracing::warn!(server, %error, "accepting a connection failed");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send, questions: Questions, offer: Offer) {
    let service = service_fn(|request: Request<Incoming>| {
        let (questions, offer) = (questions.clone(), offer.clone());
        async move { Ok::<_, Infallible>(answer(&request, questions, offer).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    // How the client leaves is its own affair.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: &Request<Incoming>, questions: Questions, offer: Offer) -> Response<Body> {
    if request.method() != Method::GET {
        return reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n");
    }
    if let ("/monitor", Offer::Monitor(monitor)) = (request.uri().path(), &offer) {
        return match watch(monitor.as_ref()) {
            Some(batches) => response(StatusCode::OK, LINES, lines(batches, questions)),
            None => reply(StatusCode::NOT_IMPLEMENTED, TEXT, "nothing to watch: no eBPF programs here\n"),
        };
    }
    let Some(status) = questions.ask(Question::Status).await else {
        return reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, "shutting down\n");
    };
    match (request.uri().path(), offer) {
        ("/status", Offer::Monitor(_)) => match serde_json::to_string_pretty(&status) {
            Ok(body) => reply(StatusCode::OK, JSON, body),
            Err(error) => reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
        },
        ("/metrics", Offer::Metrics(metrics)) => {
            metrics.run_upkeep();
            reply(StatusCode::OK, TEXT, metrics.render() + &names::connections(&status.counters))
        }
        ("/healthz", Offer::Metrics(_)) => reply(StatusCode::OK, TEXT, "ok\n"),
        ("/readyz", Offer::Metrics(_)) => match status.waits_for() {
            missing if missing.is_empty() => reply(StatusCode::OK, TEXT, "ok\n"),
            missing => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("waiting for: {}\n", missing.join(", "))),
        },
        (_, Offer::Metrics(_)) => reply(StatusCode::NOT_FOUND, TEXT, "try /metrics, /healthz, /readyz\n"),
        (_, Offer::Monitor(_)) => reply(StatusCode::NOT_FOUND, TEXT, "try /status, /monitor\n"),
    }
}

/// Lets another one watch.
fn watch(monitor: Option<&mpsc::UnboundedSender<Watcher>>) -> Option<Batches> {
    let (watcher, batches) = Watcher::new();
    monitor?.send(watcher).ok()?;
    Some(batches)
}

/// Lines of JSON for as long as the client reads. Each piece is whole lines.
fn lines(batches: Batches, questions: Questions) -> Body {
    let pieces = stream::unfold((batches, questions, Names::default()), |(mut batches, questions, mut names)| async {
        let batch = batches.recv().await?;
        let now = Instant::now();
        if names.are_stale(&batch, now) {
            names.set(questions.ask(Question::Names).await?, now);
        }
        let piece = Frame::data(Bytes::from(names.lines(&batch)));
        Some((Ok::<_, Infallible>(piece), (batches, questions, names)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    response(status, kind, Full::new(body.into()).boxed_unsync())
}

fn response(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::status::Counter;

    /// The status line that a server with these answers gives to a request.
    async fn asked(request: &str, offer: Offer) -> String {
        answered(request, offer, nothing()).await.lines().next().unwrap_or_default().to_owned()
    }

    /// The whole answer, on a node in this state.
    async fn answered(request: &str, offer: Offer, status: Status) -> String {
        let (mut client, server) = duplex(64 * 1024);
        let (ask, mut questions) = mpsc::unbounded_channel();
        let task = tokio::spawn(connection(server, Questions(ask), offer));
        client.write_all(format!("{request}\r\nhost: node\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::join!(client.read_to_string(&mut answer), async {
            while let Some(question) = questions.recv().await {
                if let Question::Status(answer) = question {
                    let _ = answer.send(status.clone());
                }
            }
        })
        .0
        .unwrap();
        task.await.unwrap();
        answer
    }

    /// The state of a node that has nothing to do.
    fn nothing() -> Status {
        serde_json::from_value(serde_json::json!({
            "version": "", "node": "", "operator": {"connected": true}, "synced": true, "envoy_connected": true,
            "resources": 0, "listeners": [], "redirects": [], "draining": [], "rejections": [], "counters": [],
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn what_was_counted_of_a_service_goes_with_it_and_begins_anew() {
        let metrics = Offer::Metrics(PrometheusBuilder::new().build_recorder().handle());
        let mut status = nothing();
        let sum = |connections| Counter { service: "shop/web:80".to_owned(), reason: "taken".to_owned(), connections };
        for (counters, told) in [(vec![sum(7)], Some(7)), (vec![], None), (vec![sum(3)], Some(3))] {
            status.counters = counters;
            let answer = answered("GET /metrics HTTP/1.1", metrics.clone(), status.clone()).await;
            let name = "axoneme_node_redirect_connections_total{service=\"shop/web:80\",reason=\"taken\"} ";
            let line = answer.lines().find_map(|line| line.strip_prefix(name));
            assert_eq!(line.map(|it| it.parse().unwrap()), told, "{answer}");
        }
    }

    #[tokio::test]
    async fn cve_2025_24030_the_metrics_port_knows_three_paths_and_leads_nowhere() {
        let offer = || Offer::Metrics(PrometheusBuilder::new().build_recorder().handle());
        for path in ["/metrics", "/healthz"] {
            assert_eq!(asked(&format!("GET {path} HTTP/1.1"), offer()).await, "HTTP/1.1 200 OK", "{path}");
        }
        for path in [
            "/",
            "/config_dump",
            "/certs",
            "/quitquitquit",
            "/status",
            "/monitor",
            "/metrics/",
            "/metrics/../config_dump",
            "//metrics",
            "/%6detrics",
            "http://127.0.0.1:9901/config_dump",
        ] {
            assert_eq!(asked(&format!("GET {path} HTTP/1.1"), offer()).await, "HTTP/1.1 404 Not Found", "{path}");
        }
        for request in ["POST /metrics HTTP/1.1", "CONNECT 127.0.0.1:9901 HTTP/1.1"] {
            assert_eq!(asked(request, offer()).await, "HTTP/1.1 405 Method Not Allowed", "{request}");
        }
    }
}
