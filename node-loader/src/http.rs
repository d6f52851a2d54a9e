//! Two small HTTP servers: metrics and probes on a port, the status on a Unix socket.

use std::{convert::Infallible, io, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
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

use crate::status::Status;

/// Longest time that a client may take for its request line and headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Asks the node for its state. Asking also brings the gauges and the kernel's counters up to date.
#[derive(Debug, Clone)]
pub(crate) struct Questions(pub(crate) mpsc::UnboundedSender<oneshot::Sender<Status>>);

impl Questions {
    async fn ask(&self) -> Option<Status> {
        let (answer, status) = oneshot::channel();
        self.0.send(answer).ok()?;
        status.await.ok()
    }
}

/// Serves `/status` on the Unix socket until shutdown.
///
/// # Errors
/// Never, so far; it is a task that a supervisor can run.
pub(crate) async fn serve_status(
    listener: UnixListener,
    questions: Questions,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    serve("status", || async { Ok(listener.accept().await?.0) }, questions, None, shutdown).await;
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
    serve("metrics", || async { Ok(listener.accept().await?.0) }, questions, Some(metrics), shutdown).await;
    Ok(())
}

/// Accepts connections until shutdown; those that are open then are cut.
async fn serve<S, F>(
    server: &str,
    accept: impl Fn() -> F,
    questions: Questions,
    metrics: Option<PrometheusHandle>,
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
                Ok(stream) => drop(connections.spawn(connection(stream, questions.clone(), metrics.clone()))),
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

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    questions: Questions,
    metrics: Option<PrometheusHandle>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (questions, metrics) = (questions.clone(), metrics.clone());
        async move { Ok::<_, Infallible>(answer(&request, &questions, metrics).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    // How the client leaves is its own affair.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: &Request<Incoming>,
    questions: &Questions,
    metrics: Option<PrometheusHandle>,
) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n");
    }
    let Some(status) = questions.ask().await else {
        return reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, "shutting down\n");
    };
    match (request.uri().path(), metrics) {
        ("/status", None) => match serde_json::to_string_pretty(&status) {
            Ok(body) => reply(StatusCode::OK, JSON, body),
            Err(error) => reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
        },
        ("/metrics", Some(metrics)) => {
            metrics.run_upkeep();
            reply(StatusCode::OK, TEXT, metrics.render())
        }
        ("/healthz", Some(_)) => reply(StatusCode::OK, TEXT, "ok\n"),
        ("/readyz", Some(_)) => match status.waits_for() {
            missing if missing.is_empty() => reply(StatusCode::OK, TEXT, "ok\n"),
            missing => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("waiting for: {}\n", missing.join(", "))),
        },
        (_, Some(_)) => reply(StatusCode::NOT_FOUND, TEXT, "try /metrics, /healthz, /readyz\n"),
        (_, None) => reply(StatusCode::NOT_FOUND, TEXT, "try /status\n"),
    }
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
