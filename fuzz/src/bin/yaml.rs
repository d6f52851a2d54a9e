//! libFuzzer's entry to `axoneme_fuzz::yaml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| axoneme_fuzz::yaml::check(data));
