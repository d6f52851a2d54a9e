//! A dynamic module for unmodified Envoy 1.40: finds the routes of a request's host among thousands of hosts.
//!
//! The operator spreads hosts over shards, each a route configuration behind a scope (see `axoneme_hostkey`). This module
//! tells Envoy which one a request needs, in two hooks:
//!
//! 1. [`early`], an early header mutation, runs before any routing: it writes the host's key and shard into two headers.
//! 2. [`filter`], the first HTTP filter: where no route matched it tries the host's wildcard, then the catch-all.
//!
//! It allocates nothing and keeps nothing: the number of shards, all that is configured, travels in the pointers that Envoy
//! keeps for us. A panic would end Envoy, so nothing here can.
//!
//! As Envoy loads it, it is built with `panic = "abort"` and then needs no standard library; otherwise it has one, so that
//! clippy and `cargo test` see an ordinary crate.
#![cfg_attr(panic = "abort", no_std)]
#![expect(unsafe_code, reason = "the border to Envoy is C")]

mod abi;
mod early;
mod filter;
mod hooks;
mod shards;

/// There is nobody to tell, and nothing to save.
#[cfg(panic = "abort")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: of libc, which Envoy is linked to; it takes nothing and does not come back.
    unsafe { abi::abort() }
}
