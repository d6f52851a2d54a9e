//! How a request finds its host's routes: what the operator that writes them and the module in Envoy must both know.
//!
//! The hosts of one listener are spread over a fixed number of route configurations, the shards. A host's *key* is the one
//! domain of its virtual host, and the key's hash is its shard:
//!
//! | host of a rule | key |
//! |---|---|
//! | `Shop.example.com` | `shop.example.com` |
//! | `*.example.com` | `_.example.com` |
//! | none | `_` |
//!
//! The module computes the key of a request's authority and writes key and shard into two headers, which Envoy selects
//! scope and virtual host by. Where no route matches it tries [`Key::wildcard`], then [`Key::CATCH_ALL`]. An underscore is
//! in no host name of Kubernetes, so no rule can claim another kind's key.
//!
//! Nothing here allocates, panics or costs more than the length of the host.
#![no_std]

mod hash;
mod key;

pub use hash::{shard, shard_of};
pub use key::Key;

/// Shards of a listener: so many that ten thousand hosts are five in the fullest, and an edit is less than 2 kB. Only those that
/// have hosts are there. Where a host is found depends on it, so another number is another protocol.
pub const SHARDS: u32 = 16_384;
/// The request header that carries the key; `vhost_header` of every shard. Whatever a client sends in it is overwritten.
pub const HOST_HEADER: &str = "x-axoneme-host";
/// The request header that carries the shard's number in decimal; the scope key. Overwritten like [`HOST_HEADER`].
pub const SHARD_HEADER: &str = "x-axoneme-shard";
/// The Envoy that the module is made for: Envoy promises the ABI of modules for one version only.
pub const ENVOY: [u32; 3] = [1, 40, 0];
/// The module's name in `dynamic_module_config`: Envoy looks for `lib{MODULE}.so`.
pub const MODULE: &str = "axoneme_envoy_module";
/// The name of the HTTP filter in the listener, and so the key of `typed_per_filter_config` that says "a route matched".
pub const FILTER: &str = "axoneme.hostkey";
