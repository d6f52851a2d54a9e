//! The first process of Envoy's container: starts Envoy, and again at once when it crashes.
//!
//! The kubelet waits ten seconds and more before it starts a container for the second time, and all traffic of the node would
//! wait with it. What Envoy dies of is found by its deaths, so these have to follow each other quickly. Everything but a crash
//! is the kubelet's: an Envoy that ends by itself ends the container, with its status.
//!
//! An Envoy that is one of a [`Node`] has a seat of its own, beside that of an older one, and lets its clients go before it ends:
//! start the new one, wait until it serves, end the old one.

mod place;

use std::{
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
};

use futures::future::OptionFuture;
use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use crate::{envoy_process::die_with_parent, pacing::Pacing};

use place::Place;
pub use place::{Node, is_ready};

/// So many crashes one after another, each within seconds of the start, are no matter of configuration: that is found in a
/// dozen deaths. The kubelet shall see and show it.
const MOST_CRASHES: u32 = 30;

/// Why a program could not be supervised.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// It cannot be started.
    #[error("start {program:?}: {source}")]
    Start {
        /// The program.
        program: OsString,
        /// The system's words.
        source: io::Error,
    },
    /// It gets no place on its node.
    #[error("prepare a place for Envoy in {folder}: {source}")]
    Place {
        /// The node's folder.
        folder: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The system does not say what becomes of it.
    #[error("wait for {program:?}: {source}")]
    Wait {
        /// The program.
        program: OsString,
        /// The system's words.
        source: io::Error,
    },
}

/// Runs `program` until it ends, and again when it was killed by a signal. SIGTERM and SIGINT are passed on as SIGTERM, and then
/// its end is the end. An Envoy of a `node` lets its clients go before, unless it is asked twice. Orphans below this process are buried, as whoever is the first process of a container has to.
///
/// Returns how it ended.
///
/// # Errors
/// [`SuperviseError`], when it cannot be started or waited for.
pub async fn supervise(
    program: OsString,
    arguments: Vec<OsString>,
    node: Option<Node>,
) -> Result<ExitStatus, SuperviseError> {
    let wait_error = |source| SuperviseError::Wait { program: program.clone(), source };
    // Before the first child, so that no signal is missed.
    let mut children = signal(SignalKind::child()).map_err(wait_error)?;
    let mut requests = Requests::catch().map_err(wait_error)?;
    prctl::set_child_subreaper(true).map_err(|error| wait_error(error.into()))?;
    let mut place = None;
    if let Some(node) = node {
        let folder = node.config.run_dir.clone();
        place = tokio::select! {
            taken = Place::take(node) => Some(taken.map_err(|source| SuperviseError::Place { folder, source })?),
            // Nothing was started.
            () = requests.next() => return Ok(ExitStatus::default()),
        };
    }
    let mut pacing = Pacing::default();
    loop {
        let started = Instant::now();
        let pid = start(&program, &arguments, place.as_ref())?;
        tracing::info!(pid = pid.as_raw(), ?program, "started");
        let ended = until_end(pid, &mut children, &mut requests, place.as_ref()).await;
        let (ended, asked) = ended.map_err(wait_error)?;
        let Some(number) = ended.signal().filter(|_| !asked) else { return Ok(ended) };
        let lived = started.elapsed();
        let pause = pacing.ended(lived);
        let crashes = pacing.short_lives();
        if crashes >= MOST_CRASHES {
            tracing::error!(signal = number, crashes, "crashed again, giving up: the container ends");
            return Ok(ended);
        }
        tracing::error!(signal = number, ?lived, again_in = ?pause, "crashed");
        tokio::select! {
            () = sleep(pause) => {}
            () = requests.next() => return Ok(ended),
        }
    }
}

fn start(program: &OsString, arguments: &[OsString], place: Option<&Place>) -> Result<Pid, SuperviseError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    if let Some(place) = place {
        let failed = |source| SuperviseError::Place { folder: place.folder().to_owned(), source };
        let (more, (name, value)) = place.prepare().map_err(failed)?;
        command.args(more).env(name, value);
    }
    die_with_parent(&mut command);
    let failed = |source| SuperviseError::Start { program: program.clone(), source };
    // It is waited for with all others, by its number.
    let child = command.spawn().map_err(failed)?;
    i32::try_from(child.id()).map(Pid::from_raw).map_err(|error| failed(io::Error::other(error)))
}

/// The signals that ask for the end.
struct Requests {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Requests {
    fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How `pid` ended, and whether it was asked to.
async fn until_end(
    pid: Pid,
    children: &mut tokio::signal::unix::Signal,
    requests: &mut Requests,
    place: Option<&Place>,
) -> io::Result<(ExitStatus, bool)> {
    let (mut asked, mut draining) = (false, None);
    loop {
        tokio::select! {
            _ = children.recv() => {}
            () = requests.next() => {
                tracing::info!(pid = pid.as_raw(), "asked to end");
                draining = place.filter(|_| !asked).map(|place| Box::pin(place.drain()));
                asked = true;
                if draining.is_none() {
                    end(pid);
                }
            }
            Some(()) = OptionFuture::from(draining.as_mut()) => {
                draining = None;
                end(pid);
            }
        }
        if let Some(ended) = bury(pid)? {
            return Ok((ended, asked));
        }
    }
}

fn end(pid: Pid) {
    // One that has ended already is as good.
    let _ = kill(pid, Signal::SIGTERM);
}

/// Waits for every child that has ended, and tells how `pid` did if it is among them.
fn bury(pid: Pid) -> io::Result<Option<ExitStatus>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            // As wait(2) has it: the code in the second byte, the signal in the first.
            Ok(WaitStatus::Exited(of, code)) if of == pid => return Ok(Some(ExitStatus::from_raw(code << 8))),
            Ok(WaitStatus::Signaled(of, signal, _)) if of == pid => {
                return Ok(Some(ExitStatus::from_raw(signal as i32)));
            }
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The status with which a shell, and the kubelet, tell of such an end: the code, or 128 and the signal.
#[must_use]
pub fn exit_code(ended: ExitStatus) -> u8 {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
