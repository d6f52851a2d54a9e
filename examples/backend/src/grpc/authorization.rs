//! `envoy.service.auth.v3.Authorization`: lets in whoever has `x-token: good`.

use std::collections::HashMap;

use prost::Message;
use tonic::{Code, Status};

/// `CheckRequest`, down to the headers.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "4")]
    request: Option<AttributedRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributedRequest {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<RpcStatus>,
    #[prost(message, optional, tag = "2")]
    denied: Option<Denied>,
    #[prost(message, optional, tag = "3")]
    ok: Option<Allowed>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Denied {
    #[prost(string, tag = "3")]
    body: String,
}

#[derive(Clone, PartialEq, Message)]
struct Allowed {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderOption>,
}

/// `envoy.config.core.v3.HeaderValueOption`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HeaderOption {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<Header>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Header {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) raw_value: Vec<u8>,
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all calls")]
pub(super) fn check(request: CheckRequest) -> Result<CheckResponse, Status> {
    let http = request.attributes.and_then(|it| it.request).and_then(|it| it.http).unwrap_or_default();
    let known = http.headers.get("x-token").is_some_and(|token| token == "good");
    let user = Header { key: "x-user".to_owned(), value: "ann".to_owned(), raw_value: Vec::new() };
    let code = if known { Code::Ok } else { Code::PermissionDenied };
    Ok(CheckResponse {
        status: Some(RpcStatus { code: code.into() }),
        denied: (!known).then(|| Denied { body: "no such token".to_owned() }),
        ok: known.then(|| Allowed { headers: vec![HeaderOption { header: Some(user) }] }),
    })
}
