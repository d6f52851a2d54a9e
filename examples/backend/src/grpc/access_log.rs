//! `envoy.service.accesslog.v3.AccessLogService`: keeps a line `LOG METHOD PATH STATUS` for each request that Envoy reports.

use std::sync::Arc;

use hyper::{Request, Response};
use prost::Message;
use tonic::{Status, Streaming, body::Body, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::Backend;

/// `RequestMethod` by number.
const METHODS: [&str; 5] = ["?", "GET", "HEAD", "POST", "PUT"];

#[derive(Clone, PartialEq, Message)]
struct StreamAccessLogsMessage {
    /// Only in the first message of a stream.
    #[prost(message, optional, tag = "1")]
    identifier: Option<Identifier>,
    #[prost(message, optional, tag = "2")]
    http_logs: Option<HttpLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct Identifier {
    #[prost(string, tag = "2")]
    log_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct HttpLogs {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<HttpEntry>,
}

/// `envoy.data.accesslog.v3.HTTPAccessLogEntry`.
#[derive(Clone, PartialEq, Message)]
struct HttpEntry {
    #[prost(message, optional, tag = "3")]
    request: Option<HttpRequest>,
    #[prost(message, optional, tag = "4")]
    response: Option<HttpResponse>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(int32, tag = "1")]
    method: i32,
    #[prost(string, tag = "5")]
    path: String,
}

/// `UInt32Value` is `u32` to prost.
#[derive(Clone, PartialEq, Message)]
struct HttpResponse {
    #[prost(message, optional, tag = "1")]
    code: Option<u32>,
}

pub(super) async fn stream(backend: &Arc<Backend>, request: Request<Body>) -> Response<Body> {
    let service = service_fn(|request: tonic::Request<Streaming<StreamAccessLogsMessage>>| async {
        let (mut messages, mut name) = (request.into_inner(), String::new());
        while let Some(message) = messages.message().await? {
            if let Some(identifier) = message.identifier {
                name = identifier.log_name;
            }
            for entry in message.http_logs.unwrap_or_default().entries {
                backend.memory.log(line(&name, &entry));
            }
        }
        Ok::<_, Status>(tonic::Response::new(()))
    });
    Grpc::new(ProstCodec::<(), StreamAccessLogsMessage>::default()).client_streaming(service, request).await
}

fn line(log: &str, entry: &HttpEntry) -> String {
    let HttpRequest { method, path } = entry.request.clone().unwrap_or_default();
    let method = usize::try_from(method).ok().and_then(|method| METHODS.get(method)).unwrap_or(&"?");
    let code = entry.response.as_ref().and_then(|response| response.code).unwrap_or_default();
    format!("{log} {method} {path} {code}")
}
