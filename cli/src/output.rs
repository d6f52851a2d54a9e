//! Standard output of commands that other programs read.

use std::io::{ErrorKind, Write as _, stdout};

use anyhow::{Context as _, Result};

/// Prints. A reader that has enough, such as `head`, is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
