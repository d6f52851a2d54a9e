//! A client that keeps one stream open, for as long as somebody listens.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use super::backoff::Backoff;
use super::{MAX_MESSAGE, METHOD};
use crate::{Client, Key, Receipt, Request, Response, Update};

/// Updates that wait for the listener. When it is full the stream is not read, and the server keeps what is current.
const INCOMING: usize = 256;

/// What a subscription hears.
#[derive(Debug)]
pub enum Signal {
    /// A stream is open.
    Connected,
    /// The stream ended, or could not be opened.
    Disconnected {
        /// Why.
        reason: String,
        /// When the next attempt will be made.
        retry_in: Duration,
    },
    /// The server asks for a change.
    Update(Update),
}

/// The listener's end. Dropping it ends the driver.
#[derive(Debug)]
pub struct Subscription {
    signals: mpsc::Receiver<Signal>,
    settler: Settler,
}

impl Subscription {
    /// The next signal, in order. None once the driver has ended.
    pub async fn next(&mut self) -> Option<Signal> {
        self.signals.recv().await
    }

    /// For settling updates, from anywhere.
    pub fn settler(&self) -> Settler {
        self.settler.clone()
    }
}

/// Settles updates: see [`Client::settle`].
#[derive(Clone, Debug)]
pub struct Settler {
    // Unbounded, so that a listener may settle while the driver waits for it to listen. There are never more than the
    // open receipts.
    words: mpsc::UnboundedSender<Word>,
}

#[derive(Debug)]
enum Word {
    Settle(Receipt, Result<(), String>),
    TakeBack(Key, Option<Arc<str>>),
    Features(Vec<String>),
}

/// What was said can be told only on a new stream.
struct Reopen;

impl Word {
    /// Gives what is to be sent of it.
    fn tell(self, client: &mut Client) -> Result<Option<Request>, Reopen> {
        match self {
            Self::Settle(receipt, result) => Ok(client.settle(receipt, result)),
            Self::TakeBack(key, held) => Ok(Some(client.take_back(&key, held))),
            Self::Features(features) => {
                if client.set_features(features) {
                    Err(Reopen)
                } else {
                    Ok(None)
                }
            }
        }
    }
}

impl Settler {
    /// Says what became of an update. After the driver has ended nobody hears it.
    pub fn settle(&self, receipt: Receipt, result: Result<(), String>) {
        let _ = self.words.send(Word::Settle(receipt, result));
    }

    /// Takes an ACK back: see [`Client::take_back`].
    pub fn take_back(&self, key: Key, held: Option<Arc<str>>) {
        let _ = self.words.send(Word::TakeBack(key, held));
    }

    /// Says what the node can do: see [`Client::set_features`]. A stream that began with other words is ended for a new one,
    /// as a node speaks of itself at the beginning only.
    pub fn set_features(&self, features: Vec<String>) {
        let _ = self.words.send(Word::Features(features));
    }
}

/// Subscribes over a channel. The future is the driver, to be spawned; it ends when the subscription is dropped.
///
/// `metadata` is called for every attempt: read a token there. Its error counts as a failed attempt. Attempts are
/// 50 ms to 5 s apart, with jitter.
pub fn subscribe(
    client: Client,
    channel: Channel,
    metadata: impl FnMut() -> Result<MetadataMap, String> + Send,
) -> (Subscription, impl Future<Output = ()> + Send) {
    let (signals_in, signals) = mpsc::channel(INCOMING);
    let (words_in, words) = mpsc::unbounded_channel();
    let driver = Driver { client, words, signals: signals_in };
    let settler = Settler { words: words_in };
    (Subscription { signals, settler }, driver.run(channel, metadata))
}

struct Driver {
    client: Client,
    words: mpsc::UnboundedReceiver<Word>,
    signals: mpsc::Sender<Signal>,
}

/// Nobody listens any more.
struct Gone;

/// How a stream ended.
enum End {
    Lost(Status),
    /// By our own will, for another one at once.
    Reopen,
}

impl Driver {
    async fn run(mut self, channel: Channel, mut metadata: impl FnMut() -> Result<MetadataMap, String> + Send) {
        let mut backoff = Backoff::default();
        loop {
            let reason = match metadata() {
                Ok(metadata) => match self.stream(&channel, metadata, &mut backoff).await {
                    Ok(End::Lost(status)) => format!("{}: {}", status.code(), status.message()),
                    Ok(End::Reopen) => continue,
                    Err(Gone) => return,
                },
                Err(reason) => reason,
            };
            let retry_in = backoff.next();
            tracing::warn!(reason, ?retry_in, "discovery stream ended");
            if self.signal(Signal::Disconnected { reason, retry_in }).await.is_err()
                || self.pause(retry_in).await.is_err()
            {
                return;
            }
        }
    }

    /// One stream, from the attempt to open it to its end.
    async fn stream(&mut self, channel: &Channel, metadata: MetadataMap, backoff: &mut Backoff) -> Result<End, Gone> {
        // Unbounded, as a server that waits for us to read must not keep us from answering.
        let (requests, outgoing) = mpsc::unbounded_channel();
        let send = |request: Request| requests.send(request).is_ok();
        self.client.connect().into_iter().all(send);
        let signals = self.signals.clone();
        let opened = tokio::select! {
            opened = open(channel, metadata, outgoing) => opened,
            () = signals.closed() => return Err(Gone),
        };
        let mut responses = match opened {
            Ok(responses) => responses,
            Err(status) => return Ok(End::Lost(status)),
        };
        let mut connected = false;
        loop {
            tokio::select! {
                response = responses.message() => {
                    let response = match response {
                        Ok(Some(response)) => response,
                        Ok(None) => return Ok(End::Lost(Status::unavailable("the server ended the stream"))),
                        Err(status) => return Ok(End::Lost(status)),
                    };
                    if !connected {
                        // Not before: a refusal comes after the headers.
                        connected = true;
                        backoff.reset();
                        self.signal(Signal::Connected).await?;
                    }
                    let received = self.client.on_response(response);
                    for update in received.updates {
                        self.signal(Signal::Update(update)).await?;
                    }
                    received.request.map(send);
                }
                Some(word) = self.words.recv() => match word.tell(&mut self.client) {
                    Ok(request) => drop(request.map(send)),
                    Err(Reopen) => return Ok(End::Reopen),
                },
                () = signals.closed() => return Err(Gone),
            }
        }
    }

    /// Waits, and still records what is settled.
    async fn pause(&mut self, wait: Duration) -> Result<(), Gone> {
        let until = tokio::time::sleep(wait);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => return Ok(()),
                () = self.signals.closed() => return Err(Gone),
                Some(word) = self.words.recv() => {
                    // No stream, nobody to send it to: the next one begins with what is held.
                    let _ = word.tell(&mut self.client);
                }
            }
        }
    }

    async fn signal(&self, signal: Signal) -> Result<(), Gone> {
        self.signals.send(signal).await.map_err(|_| Gone)
    }
}

async fn open(
    channel: &Channel,
    metadata: MetadataMap,
    requests: mpsc::UnboundedReceiver<Request>,
) -> Result<Streaming<Response>, Status> {
    let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = tonic::Request::new(UnboundedReceiverStream::new(requests));
    *request.metadata_mut() = metadata;
    let codec = ProstCodec::<Request, Response>::default();
    Ok(grpc.streaming(request, PathAndQuery::from_static(METHOD), codec).await?.into_inner())
}
