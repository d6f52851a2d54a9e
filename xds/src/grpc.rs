//! Delta discovery over gRPC, on any transport: TCP with TLS, a Unix socket, or memory.
//!
//! Server: put the data into a [`Hub`], serve an [`AdsServer`] with the settings of [`server_builder`]. Client: make a
//! channel from [`endpoint`], then [`subscribe`].

mod backoff;
mod hub;
mod log;
mod memory;
mod service;
mod stream;
mod subscriber;

use std::time::Duration;

use tonic::transport::{Endpoint, Server};

pub use hub::{Hub, Views};
pub use memory::in_memory;
pub use service::AdsServer;
pub use stream::{Caller, Event, Host};
pub use subscriber::{Settler, Signal, Subscription, subscribe};

/// The largest message that either side takes. The default of 4 MiB is less than one large assignment.
pub const MAX_MESSAGE: usize = 64 << 20;

const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// A peer that vanished without a word is noticed after the sum of the two.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const METHOD: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// A tonic server with windows for large first answers, and pings that find half-open streams.
pub fn server_builder() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .tcp_nodelay(true)
}

/// The same settings for the client's side.
pub fn endpoint(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
}
