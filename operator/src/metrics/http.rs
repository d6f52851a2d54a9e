//! The one plain HTTP port: `/metrics` for Prometheus, `/healthz` and `/readyz` for the kubelet.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Longest time that a client may take for its request line and headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a replica still waits for before it is ready, by name.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeSet<&'static str>>>);

/// Holds readiness back until it is opened.
#[derive(Debug)]
pub struct Gate {
    readiness: Readiness,
    name: &'static str,
}

impl Readiness {
    /// One more thing to wait for.
    #[must_use]
    pub fn gate(&self, name: &'static str) -> Gate {
        self.0.lock().insert(name);
        Gate { readiness: self.clone(), name }
    }

    /// What is still missing, sorted.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        self.0.lock().iter().copied().collect()
    }
}

impl Gate {
    /// What was waited for is there.
    pub fn open(self) {
        let mut waiting = self.readiness.0.lock();
        waiting.remove(self.name);
        if waiting.is_empty() {
            tracing::info!("ready");
        }
    }
}

/// Serves until `shutdown`. `gather` runs before each answer to `/metrics`, to set gauges that are cheaper to count when
/// somebody asks than to keep.
///
/// # Errors
/// Never, so far; it is a task that a supervisor can run.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    readiness: Readiness,
    gather: impl Fn() + Clone + Send + 'static,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    // Dropping the set ends the connections with us.
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: not worth dying for, nor worth a hot loop.
                    tracing::warn!(%error, "accepting a metrics connection failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (metrics, readiness, gather) = (metrics.clone(), readiness.clone(), gather.clone());
        let service = service_fn(move |request: Request<_>| {
            let path = request.uri().path();
            if path == "/metrics" {
                gather();
            }
            let answer = answer(request.method(), path, &metrics, &readiness);
            async move { Ok::<_, Infallible>(answer) }
        });
        connections.spawn(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

fn answer(method: &Method, path: &str, metrics: &PrometheusHandle, readiness: &Readiness) -> Response<Full<Bytes>> {
    let (status, body) = match (method, path) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            // The exporter keeps histogram samples until somebody asks; asking is what drains them.
            metrics.run_upkeep();
            (StatusCode::OK, metrics.render())
        }
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, "ok\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") => match readiness.missing() {
            missing if missing.is_empty() => (StatusCode::OK, "ok\n".to_owned()),
            missing => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", missing.join(", "))),
        },
        (_, "/metrics" | "/healthz" | "/readyz") => (StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "try /metrics, /healthz, /readyz\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn ready_when_the_last_gate_opens() {
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let readiness = Readiness::default();
        let status = || answer(&Method::GET, "/readyz", &metrics, &readiness).status();
        let (ingress, service) = (readiness.gate("Ingress"), readiness.gate("Service"));
        assert_eq!(status(), StatusCode::SERVICE_UNAVAILABLE);
        ingress.open();
        assert_eq!(readiness.missing(), ["Service"]);
        assert_eq!(status(), StatusCode::SERVICE_UNAVAILABLE);
        service.open();
        assert_eq!(status(), StatusCode::OK);
    }

    #[test]
    fn other_paths_and_methods_are_told_apart() {
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let status = |method, path| answer(&method, path, &metrics, &Readiness::default()).status();
        assert_eq!(status(Method::GET, "/metrics"), StatusCode::OK);
        assert_eq!(status(Method::POST, "/metrics"), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(status(Method::GET, "/"), StatusCode::NOT_FOUND);
    }
}
