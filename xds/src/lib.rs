//! Delta xDS, both ends: pure state machines, and the gRPC streams that carry them.
//!
//! The same protocol runs on two hops, operator to node and node to Envoy. [`Session`] is the server side of one
//! stream and [`Client`] the client side; neither knows of clocks or sockets. [`Store`] is the plain set of resources
//! behind a server. Module [`grpc`] puts them on the wire.

mod client;
pub mod grpc;
mod policy;
pub mod proto;
mod resource;
mod server;
mod store;
pub mod type_urls;

pub use client::{Client, Receipt, Received, Update};
pub use policy::Policy;
pub use proto::{DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response};
pub use resource::{Change, Key, Resource};
pub use server::{Outcome, Reaction, Session};
pub use store::{Store, View};
