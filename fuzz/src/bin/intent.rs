//! libFuzzer's entry to `axoneme_fuzz::intent`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| axoneme_fuzz::intent::check(data));
