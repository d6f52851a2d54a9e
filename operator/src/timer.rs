//! Waiting for a moment that may never come.

use std::{future::pending, time::Instant};

/// Ends at `due`, or never when there is no such moment. For a branch of `select!`.
pub(crate) async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => pending().await,
    }
}
