//! One stream of a server: who opened it, and the loop that feeds its session.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Status, Streaming};

use super::hub::{Hub, Membership, Views};
use super::log::Log;
use crate::proto::Node;
use crate::{Key, Outcome, Policy, Request, Response, Session};

/// How long a peer may keep a stream open without saying who it is.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// Who opens a stream.
#[derive(Debug)]
pub struct Caller {
    /// The request's headers, a bearer token for one.
    pub metadata: MetadataMap,
    /// What the transport knows of the peer.
    pub extensions: Extensions,
    /// Who the caller says it is, in its first message.
    pub node: Node,
    /// Whether it says in its first message that it holds something: it was here before.
    pub holds: bool,
}

/// Something that happened on a stream. Streams are numbered through the life of the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The subscriber opened a stream.
    Opened {
        /// The stream's number.
        stream: u64,
        /// Who it is, as the host decided.
        subscriber: Arc<str>,
    },
    /// The subscriber said what became of a resource.
    Outcome {
        /// The stream's number.
        stream: u64,
        /// Who it is.
        subscriber: Arc<str>,
        /// What became of which resource.
        outcome: Outcome,
    },
    /// The stream ended.
    Closed {
        /// The stream's number.
        stream: u64,
        /// Who it was.
        subscriber: Arc<str>,
    },
}

/// Who serves: decides whom a stream belongs to, and hears what happens on it.
pub trait Host: Send + Sync + 'static {
    /// Names the subscriber that the caller is, or refuses it. The status goes to the caller as it is; log and count
    /// the refusal here.
    fn authorize(&self, caller: Caller) -> impl Future<Output = Result<Arc<str>, Status>> + Send;

    /// Hears an event, in order for each stream, on the stream's own task: must not block.
    fn observe(&self, event: Event);
}

pub(super) struct Incoming {
    pub(super) metadata: MetadataMap,
    pub(super) extensions: Extensions,
    pub(super) requests: Streaming<Request>,
}

/// Runs a stream from its first request to its end.
pub(super) async fn run<D: Views, H: Host>(
    incoming: Incoming,
    responses: Sender<Result<Response, Status>>,
    hub: Hub<D>,
    policy: Policy,
    host: Arc<H>,
) {
    let served = tokio::select! {
        biased;
        () = hub.closed() => Err(Status::unavailable("the server is shutting down")),
        () = responses.closed() => Ok(()),
        served = serve(incoming, &responses, &hub, policy, host.as_ref()) => served,
    };
    if let Err(status) = served {
        tracing::debug!(code = ?status.code(), message = status.message(), "discovery stream ended");
        // A client that is gone, or that does not read, is not worth waiting for: the stream ends for it all the same.
        let _ = responses.try_send(Err(status));
    }
}

async fn serve<D: Views, H: Host>(
    incoming: Incoming,
    responses: &Sender<Result<Response, Status>>,
    hub: &Hub<D>,
    policy: Policy,
    host: &H,
) -> Result<(), Status> {
    let Incoming { metadata, extensions, mut requests } = incoming;
    let first = tokio::time::timeout(FIRST_REQUEST, requests.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("no first request"))??;
    let Some(mut first) = first else { return Ok(()) };
    let node = first.node.take().unwrap_or_default();
    let holds = !first.initial_resource_versions.is_empty();
    let subscriber = host.authorize(Caller { metadata, extensions, node, holds }).await?;

    let mut stream = Stream::open(hub, policy, host, subscriber);
    let mut next = Some(first);
    while let Some(request) = next {
        let reaction = stream.take(request)?;
        send(responses, reaction, stream.log()).await;
        next = loop {
            tokio::select! {
                request = requests.message() => break request?,
                changed = stream.membership.pending.changed() => {
                    let news = stream.changed(&changed);
                    send(responses, news, stream.log()).await;
                }
            }
        };
    }
    Ok(())
}

/// Waits while the socket is full. A client that is gone ends the stream elsewhere.
async fn send(to: &Sender<Result<Response, Status>>, responses: Vec<Response>, log: Log<'_>) {
    for response in responses {
        log.sent(&response);
        if to.send(Ok(response)).await.is_err() {
            return;
        }
    }
}

/// A session in its place in the hub. Dropping it, in whatever way the stream ends, says so to the host.
struct Stream<'a, D, H: Host> {
    membership: Membership<D>,
    session: Session,
    client: &'static str,
    subscriber: Arc<str>,
    hub: &'a Hub<D>,
    host: &'a H,
}

impl<'a, D: Views, H: Host> Stream<'a, D, H> {
    fn open(hub: &'a Hub<D>, policy: Policy, host: &'a H, subscriber: Arc<str>) -> Self {
        let membership = hub.enter();
        host.observe(Event::Opened { stream: membership.id, subscriber: subscriber.clone() });
        Self { membership, session: Session::new(policy), client: policy.client, subscriber, hub, host }
    }

    fn take(&mut self, request: Request) -> Result<Vec<Response>, Status> {
        if request.type_url.is_empty() {
            return Err(Status::invalid_argument("a discovery request on an aggregated stream needs a type_url"));
        }
        let reaction = self.hub.read(|data| self.session.on_request(request, data.view(&self.subscriber).as_ref()));
        for outcome in reaction.outcomes {
            self.log().answered(&outcome);
            let (stream, subscriber) = (self.membership.id, self.subscriber.clone());
            self.host.observe(Event::Outcome { stream, subscriber, outcome });
        }
        Ok(reaction.responses)
    }

    fn log(&self) -> Log<'_> {
        Log { to: self.client, subscriber: &self.subscriber }
    }

    fn changed(&mut self, changed: &BTreeSet<Key>) -> Vec<Response> {
        self.hub.read(|data| self.session.on_change(changed, data.view(&self.subscriber).as_ref()))
    }
}

impl<D, H: Host> Drop for Stream<'_, D, H> {
    fn drop(&mut self) {
        self.host.observe(Event::Closed { stream: self.membership.id, subscriber: self.subscriber.clone() });
    }
}
