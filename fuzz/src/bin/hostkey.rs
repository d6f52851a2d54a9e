//! libFuzzer's entry to `axoneme_fuzz::hostkey`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| axoneme_fuzz::hostkey::check(data));
