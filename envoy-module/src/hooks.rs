//! Hooks that Envoy looks for and that have nothing to do here. A module without one of them is refused.

use core::ffi::{c_char, c_void};

use crate::abi::{CONTINUE, VERSION};

/// Called once when Envoy loads the module. Null would be a failure.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    VERSION.as_ptr()
}

/// Hooks that let a request or an answer pass.
macro_rules! pass {
    ($($name:ident($($argument:ty),*);)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name($(_: $argument),*) -> u32 {
            CONTINUE
        }
    )*};
}

/// Hooks of things that this module never begins, and ends of things that hold nothing.
macro_rules! ignore {
    ($($name:ident;)*) => {$(
        // Envoy passes arguments; that nobody reads them is fine in the C calling convention.
        #[unsafe(no_mangle)]
        extern "C" fn $name() {}
    )*};
}

pass! {
    envoy_dynamic_module_on_http_filter_request_body(*mut c_void, *const c_void, bool);
    envoy_dynamic_module_on_http_filter_request_trailers(*mut c_void, *const c_void);
    envoy_dynamic_module_on_http_filter_response_headers(*mut c_void, *const c_void, bool);
    envoy_dynamic_module_on_http_filter_response_body(*mut c_void, *const c_void, bool);
    envoy_dynamic_module_on_http_filter_response_trailers(*mut c_void, *const c_void);
}

ignore! {
    envoy_dynamic_module_on_http_filter_destroy;
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark;
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark;
    envoy_dynamic_module_on_http_filter_http_callout_done;
    envoy_dynamic_module_on_http_filter_http_stream_complete;
    envoy_dynamic_module_on_http_filter_http_stream_data;
    envoy_dynamic_module_on_http_filter_http_stream_headers;
    envoy_dynamic_module_on_http_filter_http_stream_reset;
    envoy_dynamic_module_on_http_filter_http_stream_trailers;
    envoy_dynamic_module_on_http_filter_scheduled;
    envoy_dynamic_module_on_http_filter_stream_complete;
}
