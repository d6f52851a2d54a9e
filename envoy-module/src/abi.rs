//! What this module uses of Envoy's dynamic module ABI, as `source/extensions/dynamic_modules/abi/abi.h` of v1.40.0 has it.
//!
//! Envoy promises this ABI for one version only: the loader lets no other Envoy have the module.

use core::{
    ffi::{CStr, c_char, c_void},
    marker::PhantomData,
    ptr, slice,
};

/// The ABI's own version. Envoy warns of another one, and goes on.
pub(crate) const VERSION: &CStr = c"v0.2.0";

/// Of `envoy_dynamic_module_type_http_header_type`.
const REQUEST_HEADER: u32 = 0;
/// Of every `envoy_dynamic_module_type_on_http_filter_*_status`.
pub(crate) const CONTINUE: u32 = 0;

/// `envoy_dynamic_module_type_envoy_buffer` and `envoy_dynamic_module_type_module_buffer`: bytes of the other side, lent for
/// the length of a call.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Buffer<'a> {
    ptr: *const c_char,
    length: usize,
    lent: PhantomData<&'a [u8]>,
}

impl<'a> Buffer<'a> {
    const EMPTY: Self = Self { ptr: ptr::null(), length: 0, lent: PhantomData };

    fn of(bytes: &'a [u8]) -> Self {
        Self { ptr: bytes.as_ptr().cast(), length: bytes.len(), lent: PhantomData }
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        if self.ptr.is_null() {
            return &[];
        }
        // SAFETY: whoever made the buffer lends `length` bytes at `ptr` for 'a, and they do not change meanwhile.
        unsafe { slice::from_raw_parts(self.ptr.cast(), self.length) }
    }
}

unsafe extern "C" {
    fn envoy_dynamic_module_callback_early_header_mutation_get_header_value(
        request: *mut c_void,
        key: Buffer<'_>,
        value: *mut Buffer<'_>,
        index: usize,
        total: *mut usize,
    ) -> bool;
    fn envoy_dynamic_module_callback_early_header_mutation_set_header(
        request: *mut c_void,
        key: Buffer<'_>,
        value: Buffer<'_>,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_get_header(
        filter: *mut c_void,
        header_type: u32,
        key: Buffer<'_>,
        value: *mut Buffer<'_>,
        index: usize,
        total: *mut usize,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_set_header(
        filter: *mut c_void,
        header_type: u32,
        key: Buffer<'_>,
        value: Buffer<'_>,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_clear_route_cache(filter: *mut c_void);
    fn envoy_dynamic_module_callback_get_most_specific_route_config(filter: *mut c_void) -> *const c_void;
    #[cfg(panic = "abort")]
    pub(crate) fn abort() -> !;
}

/// A request before anything was done about it. Good for the length of the hook that got it.
pub(crate) struct EarlyRequest(*mut c_void);

impl EarlyRequest {
    /// # Safety
    /// `context` is what Envoy gave to the running early header mutation hook.
    pub(crate) unsafe fn new(context: *mut c_void) -> Self {
        Self(context)
    }

    /// The first value of a header. Setting any header ends its life.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        let (mut value, mut total) = (Buffer::EMPTY, 0);
        // SAFETY: the context is good by the promise of `new`; the name and both results outlive the call.
        let found = unsafe {
            envoy_dynamic_module_callback_early_header_mutation_get_header_value(
                self.0,
                Buffer::of(name.as_bytes()),
                &raw mut value,
                0,
                &raw mut total,
            )
        };
        found.then(|| value.bytes())
    }

    /// Sets a header, in place of all values it had.
    pub(crate) fn set_header(&mut self, name: &str, value: &[u8]) {
        // SAFETY: the context is good by the promise of `new`; Envoy copies name and value. It refuses empty names only.
        unsafe {
            envoy_dynamic_module_callback_early_header_mutation_set_header(
                self.0,
                Buffer::of(name.as_bytes()),
                Buffer::of(value),
            );
        }
    }
}

/// A request in the filter chain. Good for the length of the hook that got it.
pub(crate) struct Request(*mut c_void);

impl Request {
    /// # Safety
    /// `filter` is what Envoy gave to the running request headers hook.
    pub(crate) unsafe fn new(filter: *mut c_void) -> Self {
        Self(filter)
    }

    /// The first value of a header. Setting any header ends its life.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        let (mut value, mut total) = (Buffer::EMPTY, 0);
        // SAFETY: the filter is good by the promise of `new`; the name and both results outlive the call.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_header(
                self.0,
                REQUEST_HEADER,
                Buffer::of(name.as_bytes()),
                &raw mut value,
                0,
                &raw mut total,
            )
        };
        found.then(|| value.bytes())
    }

    /// Sets a header, in place of all values it had.
    pub(crate) fn set_header(&mut self, name: &str, value: &[u8]) {
        // SAFETY: the filter is good by the promise of `new`; Envoy copies name and value. It refuses empty names only.
        unsafe {
            envoy_dynamic_module_callback_http_set_header(
                self.0,
                REQUEST_HEADER,
                Buffer::of(name.as_bytes()),
                Buffer::of(value),
            );
        }
    }

    /// Makes Envoy look for the route again when it is next asked for.
    pub(crate) fn clear_route_cache(&mut self) {
        // SAFETY: the filter is good by the promise of `new`.
        unsafe { envoy_dynamic_module_callback_http_clear_route_cache(self.0) }
    }

    /// Whether a route matches: every shard carries a configuration for this filter, and there is none without a route.
    pub(crate) fn has_route(&self) -> bool {
        // SAFETY: the filter is good by the promise of `new`. What comes back is looked at, not into.
        let config = unsafe { envoy_dynamic_module_callback_get_most_specific_route_config(self.0) };
        !config.is_null()
    }
}
