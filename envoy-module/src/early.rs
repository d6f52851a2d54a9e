//! The first hook: before Envoy routes, the request is given its key and its shard.

use core::ffi::c_void;

use axoneme_hostkey::{HOST_HEADER, Key, SHARD_HEADER};

use crate::{
    abi::{Buffer, EarlyRequest},
    shards::Shards,
};

/// The key of the host that is asked for. What cannot be a rule's host is the catch-all's.
fn mutate(request: &mut EarlyRequest, shards: Shards) {
    let key = request.header(":authority").and_then(Key::of_authority).unwrap_or(Key::CATCH_ALL);
    request.set_header(HOST_HEADER, key.as_bytes());
    request.set_header(SHARD_HEADER, shards.of(&key).as_bytes());
}

/// Called once for each listener that names this extension. Null refuses it.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_early_header_mutation_config_new(
    _config: *mut c_void,
    _name: Buffer<'_>,
    config: Buffer<'_>,
) -> *const c_void {
    Shards::parse(config.bytes()).map_or(core::ptr::null(), Shards::into_pointer)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_early_header_mutation_config_destroy(_config: *const c_void) {}

/// Called for each request. True: other extensions may go on.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_early_header_mutation_mutate(
    config: *const c_void,
    context: *mut c_void,
) -> bool {
    // SAFETY: this is the hook, and `context` is good until it returns.
    let mut request = unsafe { EarlyRequest::new(context) };
    mutate(&mut request, Shards::from_pointer(config));
    true
}
