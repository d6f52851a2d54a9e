//! libFuzzer's entry to `axoneme_fuzz::xds_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| axoneme_fuzz::xds_request::check(data));
