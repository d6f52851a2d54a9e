//! Waiting for what a change leads to, with the time that it took.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Tries until `done` succeeds, prints how long that took, and fails with its last error after `limit`.
///
/// # Errors
/// The last error of `done`.
pub fn until<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match done() {
            Ok(value) => {
                println!("{:>7} ms  {what}", start.elapsed().as_millis());
                return Ok(value);
            }
            Err(error) if start.elapsed() > limit => {
                return Err(error).with_context(|| format!("gave up waiting: {what}"));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
