//! The corpus of `e2e/corpus`: every valid config through the whole chain, every wrong one refused for its reason.
//!
//! One test for each file, named after it: `cargo test -p axonctl --test corpus canary` runs those with `canary` in their name.
//! All of them share one mesh (`axonctl up`, with kernel, eBPF and Envoy real), so a case has a namespace of its own.
//! Needs root and an Envoy (`cargo xtask setup`). How a case is written is told in `e2e/corpus/README.md`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod ask;
mod case;
#[path = "../support/certificates.rs"]
mod certificates;
mod client;
mod cluster;
mod compare;
mod judge;
mod stage;

use std::{
    env, panic,
    sync::{Arc, OnceLock},
};

use clap::Parser as _;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::{case::Case, stage::Stage};

/// With this as its first argument, this very program is a backend: nothing else must be built for the pods.
const BACKEND: &str = "backend";

fn main() {
    if env::args().nth(1).as_deref() == Some(BACKEND) {
        return axoneme_backend::serve(axoneme_backend::Args::parse_from(env::args().skip(1))).unwrap();
    }
    let arguments = Arguments::from_args();
    let cases: Arc<Vec<Case>> = Arc::new(case::read_all());
    // Staged once, by the first test that runs, and ended before the process: what is static is never dropped.
    let stage: Arc<OnceLock<Option<Stage>>> = Arc::default();
    let trial = |at: usize| {
        let (cases, stage) = (Arc::clone(&cases), Arc::clone(&stage));
        Trial::test(cases[at].name.clone(), move || {
            let stage = stage.get_or_init(|| panic::catch_unwind(|| Stage::new(&cases)).ok());
            let stage = stage.as_ref().ok_or("there is no stage; the first words above say why")?;
            judge::judge(stage, &cases[at]).map_err(Failed::from)
        })
    };
    let mut trials: Vec<_> = (0..cases.len()).map(trial).collect();
    trials.push(Trial::test("differences/are_found", || {
        compare::finds_differences();
        Ok(())
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(stage);
    conclusion.exit();
}
