//! The gRPC services: one for everybody, and those that Envoy itself asks. Messages are written down as far as they are used.

mod access_log;
mod authorization;
mod processing;
mod rate_limit;
mod traces;

use std::{future::ready, pin::Pin, sync::Arc};

use futures::{Stream, StreamExt as _};
use hyper::{Request, Response};
use prost::Message;
use tonic::{Status, Streaming, body::Body, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::Backend;

/// A message with one text, both question and answer of `corpus.Echo`.
#[derive(Clone, PartialEq, Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

/// Answers one call.
pub(crate) async fn answer(backend: &Arc<Backend>, request: Request<Body>) -> Response<Body> {
    match request.uri().path() {
        "/corpus.Echo/Say" => {
            let say = |question: Text| Ok(Text { text: format!("{}: {}", backend.name, question.text) });
            unary(request, say).await
        }
        "/corpus.Echo/Talk" => talk(backend, request).await,
        "/envoy.service.auth.v3.Authorization/Check" => unary(request, authorization::check).await,
        "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit" => {
            unary(request, |question| rate_limit::decide(backend, &question)).await
        }
        "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs" => access_log::stream(backend, request).await,
        "/envoy.service.ext_proc.v3.ExternalProcessor/Process" => processing::stream(backend, request).await,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
            unary(request, |question| traces::export(backend, &question)).await
        }
        other => Status::unimplemented(format!("nobody serves {other}")).into_http(),
    }
}

/// One question, one answer.
async fn unary<Q, A>(request: Request<Body>, answer: impl Fn(Q) -> Result<A, Status>) -> Response<Body>
where
    Q: Message + Default + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    let service =
        service_fn(|question: tonic::Request<Q>| ready(answer(question.into_inner()).map(tonic::Response::new)));
    Grpc::new(ProstCodec::<A, Q>::default()).unary(service, request).await
}

/// Each question is answered when it comes, until there are no more.
async fn talk(backend: &Arc<Backend>, request: Request<Body>) -> Response<Body> {
    type Answers = Pin<Box<dyn Stream<Item = Result<Text, Status>> + Send>>;
    let backend = Arc::clone(backend);
    let service = service_fn(move |questions: tonic::Request<Streaming<Text>>| {
        let name = backend.name.clone();
        let answer = move |question: Result<Text, _>| Ok(Text { text: format!("{name}: {}", question?.text) });
        ready(Ok::<_, Status>(tonic::Response::new(Box::pin(questions.into_inner().map(answer)) as Answers)))
    });
    Grpc::new(ProstCodec::<Text, Text>::default()).streaming(service, request).await
}
