//! What can go wrong while a lab is built or used.

use std::{io, process::ExitStatus};

/// Why something in a lab failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Namespaces, control groups and eBPF all need root. Nothing is skipped without it.
    #[error("the network laboratory needs root: run the command with sudo")]
    NotRoot,
    /// There is no cgroup2 file system to put the lab's processes in.
    #[error("no cgroup2 file system is mounted (looked in /proc/self/mounts)")]
    NoCgroup2,
    /// A name that cannot be part of a directory's or a host's name, or one too many.
    #[error("{what} {name:?}: {why}")]
    Name {
        /// What was to be named.
        what: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A command ended with an error.
    #[error("in {place}: {command} ended with {status}\n{output}")]
    Command {
        /// The namespace it ran in.
        place: String,
        /// The command with its arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed to both streams.
        output: String,
    },
    /// A condition did not come true in time.
    #[error("waited {seconds} s for {what}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: f32,
    },
    /// The client printed what is no answer.
    #[error("the client in {place} printed {printed:?}")]
    Answer {
        /// The namespace it ran in.
        place: String,
        /// Its output.
        printed: String,
    },
}

impl Error {
    /// Adds to an [`io::Error`] what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
