//! The web server: every answer tells what it saw of the request, as JSON. Requests of gRPC go to [`grpc`].
//!
//! Some paths do other things:
//!
//! | path | answer |
//! |---|---|
//! | `/auth...` | 200 for `x-token: good` and 401 for any other: what Envoy's external authorization asks over HTTP |
//! | `/seen/CASE` | how many requests with `x-case: CASE` came here |
//! | `/log` | the lines of the access logs that Envoy sent here |
//! | `/upload` | how many bytes were sent |
//! | `/download/BYTES` | so many bytes |
//! | `/events/SECONDS` | two server-sent events, so far apart |

use std::{io, sync::Arc};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, UPGRADE},
    service::service_fn,
    upgrade,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite, copy, split};
use tonic::body::Body;

use crate::{Backend, grpc, script::Step, streams};

/// What a server knows of its client's handshake.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    pub(crate) server_name: Option<String>,
    pub(crate) client_certificate: bool,
}

/// Serves one connection, whichever version of HTTP it speaks.
pub(crate) async fn serve(
    backend: Arc<Backend>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    tls: Tls,
) -> io::Result<()> {
    let service = service_fn(move |request| {
        let (backend, tls) = (Arc::clone(&backend), tls.clone());
        async move { answer(&backend, request, &tls).await }
    });
    let builder = Builder::new(TokioExecutor::new());
    builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await.map_err(io::Error::other)
}

async fn answer(backend: &Arc<Backend>, mut request: Request<Incoming>, tls: &Tls) -> io::Result<Response<Body>> {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Some(case) = headers.get("x-case").and_then(|case| case.to_str().ok()) {
        backend.memory.note_request(case);
    }
    if text("content-type").starts_with("application/grpc") {
        return Ok(grpc::answer(backend, request.map(Body::new)).await);
    }
    let nth = backend.memory.try_of(text("x-ask"));
    let status = Step::of(headers, &backend.name, nth).run().await?;
    let path = request.uri().path();
    let mut response = if path.starts_with("/auth") {
        authorize(text("x-token"))
    } else if let Some(case) = path.strip_prefix("/seen/") {
        plain(StatusCode::OK, backend.memory.requests(case).to_string())
    } else if path == "/log" {
        plain(StatusCode::OK, backend.memory.lines())
    } else if path == "/upload" {
        plain(StatusCode::OK, streams::count(request.into_body()).await?.to_string())
    } else if let Some(bytes) = path.strip_prefix("/download/").and_then(|bytes| bytes.parse().ok()) {
        streams::long(bytes)
    } else if let Some(seconds) = path.strip_prefix("/events/").and_then(|seconds| seconds.parse().ok()) {
        streams::events(seconds)
    } else if let Some(protocol) = headers.get(UPGRADE).cloned() {
        let upgraded = upgrade::on(&mut request);
        tokio::spawn(async move {
            let (mut reader, mut writer) = split(TokioIo::new(upgraded.await.map_err(io::Error::other)?));
            copy(&mut reader, &mut writer).await
        });
        let mut response = plain(StatusCode::SWITCHING_PROTOCOLS, String::new());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, protocol);
        response
    } else {
        let saw = saw(backend, request, tls).await;
        let mut response = plain(status, format!("{saw:#}\n"));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    set(response.headers_mut(), "x-backend", &backend.name);
    set(response.headers_mut(), "x-try", &nth.to_string());
    set(response.headers_mut(), "x-powered-by", "axoneme-backend");
    Ok(response)
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Lets in whoever has the token, and names the user to the server behind.
fn authorize(token: &str) -> Response<Body> {
    if token != "good" {
        return plain(StatusCode::UNAUTHORIZED, "who are you?\n".to_owned());
    }
    let mut response = plain(StatusCode::OK, String::new());
    set(response.headers_mut(), "x-user", "ann");
    response
}

async fn saw(backend: &Backend, request: Request<Incoming>, tls: &Tls) -> Value {
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
    let authority = head.uri.authority().map(|authority| Value::from(authority.as_str()));
    json!({
        "backend": backend.name,
        "version": format!("{:?}", head.version),
        "method": head.method.as_str(),
        "host": headers.get("host").cloned().or(authority),
        "path": head.uri.path_and_query().map_or("/", |path| path.as_str()),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
        "server_name": tls.server_name,
        "client_certificate": tls.client_certificate,
    })
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
