//! libFuzzer's entry to `axoneme_fuzz::walker`, with mutations that know JSON and Envoy's messages.
#![no_main]

use axoneme_fuzz::{mutate, walker};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| walker::check(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::json(data, size, max_size, seed).unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
});
