//! The second hook, the first HTTP filter: a host without routes of its own is its wildcard's, or the catch-all's.

use core::ffi::c_void;

use axoneme_hostkey::{HOST_HEADER, Key, SHARD_HEADER};

use crate::{
    abi::{Buffer, CONTINUE, Request},
    shards::Shards,
};

/// Tries keys from the most specific on until a route matches. Where none does, Envoy answers 404.
fn find_route(request: &mut Request, shards: Shards) {
    if request.has_route() {
        return;
    }
    let host = request.header(HOST_HEADER).and_then(Key::of_authority).unwrap_or(Key::CATCH_ALL);
    for key in [host.wildcard(), Some(Key::CATCH_ALL)].into_iter().flatten() {
        request.set_header(HOST_HEADER, key.as_bytes());
        request.set_header(SHARD_HEADER, shards.of(&key).as_bytes());
        request.clear_route_cache();
        if request.has_route() {
            return;
        }
    }
}

/// Called once for each listener that names this filter. Null refuses it.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    _config: *mut c_void,
    _name: Buffer<'_>,
    config: Buffer<'_>,
) -> *const c_void {
    Shards::parse(config.bytes()).map_or(core::ptr::null(), Shards::into_pointer)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(_config: *const c_void) {}

/// Called for each shard: that there is something is all that is said by it.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    _name: Buffer<'_>,
    _config: Buffer<'_>,
) -> *const c_void {
    core::ptr::without_provenance(1)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(_config: *const c_void) {}

/// Called for each request. The filter is its configuration.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_new(config: *const c_void, _filter: *mut c_void) -> *const c_void {
    config
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    filter: *mut c_void,
    config: *const c_void,
    _end_of_stream: bool,
) -> u32 {
    // SAFETY: this is the hook, and `filter` is good until it returns.
    let mut request = unsafe { Request::new(filter) };
    find_route(&mut request, Shards::from_pointer(config));
    CONTINUE
}
