//! The validating webhook's server: HTTPS for the API server, in every replica.
//!
//! What it answers is [`crate::admission`]'s; how the API server comes to trust it is [`trust`]; which Ingresses it is asked
//! about is [`classes`].

use std::{
    convert::Infallible,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axoneme_envoy::Policy;
use axoneme_xds::grpc::Hub;
use futures::StreamExt as _;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use kube::core::{
    DynamicObject,
    admission::{AdmissionRequest, AdmissionReview},
};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{Engine, admission, ca::Leaf, metrics, serve::ServeError, tls};

pub mod classes;
pub mod trust;

/// The one path.
const PATH: &str = "/validate";
/// Largest review: an object of etcd's 1.5 MB, twice, with room for JSON's escapes.
const LARGEST: usize = 6 << 20;
/// Reviews that are held in memory at the same time; others wait.
const CONCURRENT: usize = 8;
/// A review beyond this takes milliseconds. Other connections do not wait for it: it has a thread of its own.
const LARGE: usize = 32 << 10;
/// Longest time that a client may take for its headers, and again for its body. The API server waits no longer for us.
const READ: Duration = Duration::from_secs(5);

/// After `shutdown` connections are still taken for so long: the API server hears with some delay that this replica ends.
const LINGER: Duration = Duration::from_secs(2);

/// Serves reviews until `shutdown`, and a moment longer: a review that nobody answers is an object that nobody checks. Reviews
/// that were begun are answered.
///
/// # Errors
/// [`ServeError`] when TLS cannot be set up.
pub async fn serve(
    listener: TcpListener,
    leaf: Arc<Leaf>,
    hub: Hub<Engine>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    serve_lingering(listener, leaf, hub, shutdown, LINGER).await
}

async fn serve_lingering(
    listener: TcpListener,
    leaf: Arc<Leaf>,
    hub: Hub<Engine>,
    shutdown: CancellationToken,
    linger: Duration,
) -> Result<(), ServeError> {
    let mut over = pin!({
        let shutdown = shutdown.clone();
        async move {
            shutdown.cancelled().await;
            sleep(linger).await;
        }
    });
    let closing = CancellationToken::new();
    let mut incoming = pin!(tls::accept(listener, leaf, b"http/1.1")?);
    let policy = hub.read(|engine| engine.policy().clone());
    let door = Arc::new(Door { policy, hub, room: Semaphore::new(CONCURRENT), shutdown });
    // Dropping the set ends the connections with us.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut over => break,
            Some(_ended) = connections.join_next() => {}
            Some(Ok(stream)) = incoming.next() => {
                let (door, closing) = (Arc::clone(&door), closing.clone());
                let service = service_fn(move |request| {
                    let door = Arc::clone(&door);
                    async move { Ok::<_, Infallible>(door.answer(request).await) }
                });
                connections.spawn(async move {
                    let mut server = http1::Builder::new();
                    server.timer(TokioTimer::new()).header_read_timeout(READ);
                    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
                    tokio::select! {
                        _ended = connection.as_mut() => {}
                        () = closing.cancelled() => {
                            connection.as_mut().graceful_shutdown();
                            let _ = connection.await;
                        }
                    }
                });
            }
        }
    }
    closing.cancel();
    let _ = timeout(READ, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

struct Door {
    policy: Policy,
    hub: Hub<Engine>,
    room: Semaphore,
    shutdown: CancellationToken,
}

impl Door {
    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let mut answer = self.reviewed(request).await;
        if self.shutdown.is_cancelled() {
            // The next review goes to another replica, before this one stops to listen.
            answer.headers_mut().insert(header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        answer
    }

    async fn reviewed(self: &Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if (request.method(), request.uri().path()) != (&Method::POST, PATH) {
            return malformed(StatusCode::NOT_FOUND, "path", "POST an AdmissionReview to /validate");
        }
        // The semaphore is never closed.
        let Ok(_room) = self.room.acquire().await else {
            return malformed(StatusCode::SERVICE_UNAVAILABLE, "closed", "ending");
        };
        let body = match timeout(READ, Limited::new(request.into_body(), LARGEST).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return malformed(StatusCode::PAYLOAD_TOO_LARGE, "body", &error.to_string()),
            Err(_elapsed) => return malformed(StatusCode::REQUEST_TIMEOUT, "slow", "the body took too long"),
        };
        if body.len() <= LARGE {
            return self.review(&body);
        }
        let door = Arc::clone(self);
        match tokio::task::spawn_blocking(move || door.review(&body)).await {
            Ok(answer) => answer,
            Err(error) => malformed(StatusCode::INTERNAL_SERVER_ERROR, "review", &error.to_string()),
        }
    }

    fn review(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let review = match serde_json::from_slice::<AdmissionReview<DynamicObject>>(body) {
            Ok(review) => review,
            Err(error) => return malformed(StatusCode::BAD_REQUEST, "json", &error.to_string()),
        };
        let request: AdmissionRequest<DynamicObject> = match review.try_into() {
            Ok(request) => request,
            Err(_) => return malformed(StatusCode::BAD_REQUEST, "no_request", "the AdmissionReview has no request"),
        };
        let look = |ingress: &_| self.hub.read(|engine| admission::look(ingress, engine.index(), engine.defaults()));
        let verdict = admission::judge(&request, &self.policy, look);
        note(&request, &verdict);
        let answer = admission::respond(&request, &verdict).into_review();
        ::metrics::histogram!(metrics::REVIEW_SECONDS).record(started.elapsed());
        match serde_json::to_vec(&answer) {
            Ok(body) => response(StatusCode::OK, "application/json", body.into()),
            Err(error) => malformed(StatusCode::INTERNAL_SERVER_ERROR, "answer", &error.to_string()),
        }
    }
}

fn note(request: &AdmissionRequest<DynamicObject>, verdict: &admission::Verdict) {
    let kind = request.kind.kind.clone();
    let (namespace, name) = (request.namespace.as_deref().unwrap_or_default(), &request.name);
    if verdict.errors.is_empty() {
        tracing::debug!(kind, namespace, name, verdict = verdict.label(), "reviewed an object");
    } else {
        let errors: Vec<_> = verdict.errors.iter().map(ToString::to_string).collect();
        tracing::info!(kind, namespace, name, ?errors, "refused an object");
    }
    ::metrics::counter!(metrics::REVIEWS, "kind" => kind, "verdict" => verdict.label()).increment(1);
}

fn malformed(status: StatusCode, reason: &'static str, why: &str) -> Response<Full<Bytes>> {
    ::metrics::counter!(metrics::REVIEWS_MALFORMED, "reason" => reason).increment(1);
    tracing::warn!(reason, why, "a request of the webhook is no review");
    response(status, "text/plain; charset=utf-8", format!("{why}\n").into())
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests;
