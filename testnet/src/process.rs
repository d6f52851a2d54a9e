//! A process in a lab: its output is kept, and it ends with its handle.

use std::{
    fs::File,
    os::unix::{fs::FileExt, process::CommandExt},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{Signal, kill},
    },
    unistd::Pid,
};

use crate::{Error, Result};

/// A running process. Dropping it kills it (SIGKILL) and waits for its end.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: File,
    what: String,
}

impl Process {
    /// Starts a command in a process group of its own, with both output streams going to one log in memory.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(mut command: Command) -> Result<Self> {
        let what = format!("start {:?}", command.get_args().last().unwrap_or(command.get_program()));
        let log = memfd_create(c"log", MFdFlags::MFD_CLOEXEC).map_err(|errno| Error::io(&what)(errno.into()))?;
        let log = File::from(log);
        // Whoever opens `/dev/stdout` anew, as Envoy does, has a position of its own.
        fcntl(&log, FcntlArg::F_SETFL(OFlag::O_APPEND)).map_err(|errno| Error::io(&what)(errno.into()))?;
        let stream = || log.try_clone().map(Stdio::from).map_err(Error::io(&what));
        command.stdin(Stdio::null()).stdout(stream()?).stderr(stream()?).process_group(0);
        let child = command.spawn().map_err(Error::io(&what))?;
        Ok(Self { child, log, what })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far, to both streams.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn log(&self) -> Result<String> {
        self.log_from(0)
    }

    /// The same without the first bytes, for who has seen them.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn log_from(&self, first: u64) -> Result<String> {
        let read = || {
            let length = self.log.metadata()?.len().saturating_sub(first);
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            self.log.read_exact_at(&mut bytes, first)?; // At an offset: the stream's own position is the writer's.
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().map_err(Error::io(format!("read the log of: {}", self.what)))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).map_err(|errno| Error::io(format!("send {signal} to: {}", self.what))(errno.into()))
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(Error::io(format!("wait for: {}", self.what)))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`Error::Timeout`] if it runs longer.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let mut status = None;
        wait_until(&format!("the end of: {}", self.what), limit, || {
            status = self.ended()?;
            Ok(status.is_some())
        })?;
        status.ok_or_else(|| Error::Timeout { what: self.what.clone(), seconds: limit.as_secs_f32() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Looks every few milliseconds until a condition holds.
///
/// # Errors
/// [`Error::Timeout`] if it does not in time; else what looking gave.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + limit;
    while !holds()? {
        if Instant::now() >= end {
            return Err(Error::Timeout { what: what.to_owned(), seconds: limit.as_secs_f32() });
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}
