//! The gRPC service, as tonic's generated code would have it: one method, a stream each way.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, StdError};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use super::hub::{Hub, Views};
use super::stream::{Host, Incoming, run};
use super::{MAX_MESSAGE, METHOD};
use crate::{Policy, Request, Response};

/// Responses that wait for the socket. Little: what waits in the hub's pending set instead stays current.
const OUTGOING: usize = 16;

/// `AggregatedDiscoveryService` over a [`Hub`], to be added to any tonic server.
#[derive(Debug)]
pub struct AdsServer<D, H> {
    hub: Hub<D>,
    host: Arc<H>,
    policy: Policy,
}

impl<D: Views, H: Host> AdsServer<D, H> {
    /// Serves the hub's data. `host` decides who may look and hears what happens.
    pub fn new(hub: Hub<D>, policy: Policy, host: Arc<H>) -> Self {
        Self { hub, host, policy }
    }
}

impl<D, H> Clone for AdsServer<D, H> {
    fn clone(&self) -> Self {
        Self { hub: self.hub.clone(), host: self.host.clone(), policy: self.policy }
    }
}

impl<D, H> NamedService for AdsServer<D, H> {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

impl<D, H, B> tower::Service<http::Request<B>> for AdsServer<D, H>
where
    D: Views,
    H: Host,
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != METHOD {
                return Ok(Status::unimplemented("only DeltaAggregatedResources is served here").into_http());
            }
            let codec = ProstCodec::<Response, Request>::default();
            let mut grpc = Grpc::new(codec).max_decoding_message_size(MAX_MESSAGE);
            Ok(grpc.streaming(service, request).await)
        })
    }
}

impl<D: Views, H: Host> StreamingService<Request> for AdsServer<D, H> {
    type Response = Response;
    type ResponseStream = ReceiverStream<Result<Response, Status>>;
    type Future = std::future::Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Request>>) -> Self::Future {
        let (metadata, extensions, requests) = request.into_parts();
        let (responses, outgoing) = tokio::sync::mpsc::channel(OUTGOING);
        let incoming = Incoming { metadata, extensions, requests };
        tokio::spawn(run(incoming, responses, self.hub.clone(), self.policy, self.host.clone()));
        std::future::ready(Ok(tonic::Response::new(ReceiverStream::new(outgoing))))
    }
}
