//! `envoy.service.ext_proc.v3.ExternalProcessor`: gives each request a header that says who processed it.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt as _};
use hyper::{Request, Response};
use prost::Message;
use tonic::{Status, Streaming, body::Body, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::authorization::{Header, HeaderOption};
use crate::Backend;

/// Which part of a request it is about; what is in it does not matter here.
#[derive(Clone, PartialEq, Message)]
struct ProcessingRequest {
    #[prost(message, optional, tag = "2")]
    request_headers: Option<()>,
}

#[derive(Clone, PartialEq, Message)]
struct ProcessingResponse {
    #[prost(message, optional, tag = "1")]
    request_headers: Option<HeadersResponse>,
    #[prost(message, optional, tag = "2")]
    response_headers: Option<HeadersResponse>,
}

#[derive(Clone, PartialEq, Message)]
struct HeadersResponse {
    #[prost(message, optional, tag = "1")]
    response: Option<CommonResponse>,
}

#[derive(Clone, PartialEq, Message)]
struct CommonResponse {
    #[prost(message, optional, tag = "2")]
    header_mutation: Option<HeaderMutation>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderMutation {
    #[prost(message, repeated, tag = "1")]
    set_headers: Vec<HeaderOption>,
}

type Answers = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

pub(super) async fn stream(backend: &Arc<Backend>, request: Request<Body>) -> Response<Body> {
    let name = backend.name.clone();
    let service = service_fn(move |request: tonic::Request<Streaming<ProcessingRequest>>| {
        let name = name.clone();
        let answers = request.into_inner().map(move |request| Ok(answer(&request?, &name)));
        std::future::ready(Ok::<_, Status>(tonic::Response::new(Box::pin(answers) as Answers)))
    });
    Grpc::new(ProstCodec::<ProcessingResponse, ProcessingRequest>::default()).streaming(service, request).await
}

fn answer(request: &ProcessingRequest, name: &str) -> ProcessingResponse {
    if request.request_headers.is_none() {
        return ProcessingResponse { response_headers: Some(HeadersResponse::default()), request_headers: None };
    }
    let header = Header { key: "x-processed-by".to_owned(), value: String::new(), raw_value: name.into() };
    let mutation = HeaderMutation { set_headers: vec![HeaderOption { header: Some(header) }] };
    let response = CommonResponse { header_mutation: Some(mutation) };
    ProcessingResponse { request_headers: Some(HeadersResponse { response: Some(response) }), response_headers: None }
}
