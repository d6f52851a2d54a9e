//! libFuzzer's entry to `axoneme_fuzz::state_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| axoneme_fuzz::state_file::check(data));
