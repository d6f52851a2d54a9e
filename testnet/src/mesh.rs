//! The mesh of one node, as a user runs it: `axonctl up FOLDER`.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{Error, Namespace, Process, Result, address, process::wait_until};

/// The programs that a mesh is made of.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `axonctl`.
    pub axonctl: PathBuf,
    /// Envoy.
    pub envoy: PathBuf,
}

/// A running `axonctl up`. Dropping it kills it; [`Mesh::stop`] ends it in order.
#[derive(Debug)]
pub struct Mesh {
    process: Process,
    node: Namespace,
    programs: Programs,
    run_dir: PathBuf,
}

/// What `axonctl status` tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The ports of Envoy's listeners that are ready, by name.
    pub listeners: BTreeMap<String, u16>,
    /// What is redirected, by `namespace/service:port`.
    pub redirects: BTreeMap<String, Redirect>,
    /// What is not in force, and why, by name.
    pub rejections: BTreeMap<String, String>,
    /// How many resources Envoy is not yet known to live with; nothing where no node tells.
    pub suspects: Option<u64>,
}

/// A service port whose connections go to Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The listener's name.
    pub listener: String,
    /// The addresses at which it is taken.
    pub frontends: Vec<SocketAddr>,
}

impl Mesh {
    /// Starts `axonctl up FOLDER` as a process of `node`, with its files in `run_dir`.
    ///
    /// # Errors
    /// If it cannot be started. Whether it got far is for [`Mesh::wait_for`] to tell.
    pub fn up(node: &Namespace, programs: &Programs, folder: &Path, run_dir: &Path) -> Result<Self> {
        Self::up_with(node, programs, folder, run_dir, &[])
    }

    /// The same with `more` arguments.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn up_with(
        node: &Namespace,
        programs: &Programs,
        folder: &Path,
        run_dir: &Path,
        more: &[&str],
    ) -> Result<Self> {
        let balancers = format!("{},{}", address::BALANCERS_V4, address::BALANCERS_V6);
        let services = format!("{},{}", address::SERVICES_V4, address::SERVICES_V6);
        let arguments: [&std::ffi::OsStr; 14] = [
            "up".as_ref(),
            folder.as_os_str(),
            "--run-dir".as_ref(),
            run_dir.as_os_str(),
            "--envoy".as_ref(),
            programs.envoy.as_os_str(),
            "--pin-dir".as_ref(),
            "/sys/fs/bpf/axoneme".as_ref(),
            "--cgroup".as_ref(),
            "/sys/fs/cgroup".as_ref(),
            "--lb-pool".as_ref(),
            balancers.as_ref(),
            "--service-pool".as_ref(),
            services.as_ref(),
        ];
        let more = more.iter().map(|argument| argument.as_ref());
        let mut process = node.spawn(&programs.axonctl, arguments.into_iter().chain(more))?;
        // A signal is for it, not for the shell that enters the node on its behalf.
        let comm = format!("/proc/{}/comm", process.id());
        wait_until("the start of axonctl", Duration::from_secs(30), || {
            let runs = fs::read_to_string(&comm).is_ok_and(|name| name.trim() == "axonctl");
            Ok(runs || process.ended()?.is_some())
        })?;
        let (node, programs) = (node.clone(), programs.clone());
        Ok(Self { process, node, programs, run_dir: run_dir.to_owned() })
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where it keeps its files.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// What it serves now. Nothing yet is an empty status.
    ///
    /// # Errors
    /// If `axonctl` cannot be run.
    pub fn status(&self) -> Result<Status> {
        let mut command = self.node.command(&self.programs.axonctl);
        command.args(["status", "--json", "--run-dir"]).arg(&self.run_dir);
        let output = command.output().map_err(Error::io("run axonctl status"))?;
        let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Ok(Status::read(&value).unwrap_or_default())
    }

    /// Waits until the status is as wanted, and returns it.
    ///
    /// # Errors
    /// [`Error::Timeout`] with the log, if it is not in time or the process ended.
    pub fn wait_for(&mut self, what: &str, limit: Duration, wanted: impl Fn(&Status) -> bool) -> Result<Status> {
        let mut status = Status::default();
        let mut ended = None;
        let waited = wait_until(what, limit, || {
            status = self.status()?;
            ended = self.process.ended()?;
            Ok(wanted(&status) || ended.is_some())
        });
        if waited.is_ok() && ended.is_none() {
            return Ok(status);
        }
        let end = ended.map_or_else(String::new, |status| format!("it ended with {status}; "));
        let what = format!("{what}; {end}last status: {status:#?}\naxonctl up said:\n{}", self.process.log()?);
        Err(Error::Timeout { what, seconds: limit.as_secs_f32() })
    }

    /// Ends it as Ctrl-C does, waits for its end, and tells how it ended and what it printed.
    ///
    /// # Errors
    /// [`Error::Timeout`] if it does not end.
    pub fn stop(self, limit: Duration) -> Result<(ExitStatus, String)> {
        self.process.signal(Signal::SIGINT)?;
        self.wait(limit)
    }

    /// Waits until it ends by itself, and tells how it ended and what it printed.
    ///
    /// # Errors
    /// [`Error::Timeout`] if it does not end.
    pub fn wait(mut self, limit: Duration) -> Result<(ExitStatus, String)> {
        let status = self.process.wait(limit)?;
        Ok((status, self.process.log()?))
    }
}

impl Status {
    /// The one place that knows how the JSON of `axonctl status` looks.
    fn read(value: &Value) -> Option<Self> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut status = Self::default();
        for listener in value.get("listeners")?.as_array()? {
            let port = listener.get("port").and_then(Value::as_u64).and_then(|port| port.try_into().ok());
            if let (Some(name), Some(port), Some(true)) =
                (text(listener, "name"), port, listener.get("listening").and_then(Value::as_bool))
            {
                status.listeners.insert(name, port);
            }
        }
        for redirect in value.get("redirects")?.as_array()? {
            let on = |frontend: &&Value| frontend.get("on").and_then(Value::as_bool) == Some(true);
            let frontends = redirect.get("frontends")?.as_array()?.iter().filter(on);
            let frontends = frontends.filter_map(|frontend| text(frontend, "address")?.parse().ok()).collect();
            let (name, listener) = (text(redirect, "name")?, text(redirect, "listener")?);
            status.redirects.insert(name, Redirect { listener, frontends });
        }
        for rejection in value.get("rejections")?.as_array()? {
            status.rejections.insert(text(rejection, "name")?, text(rejection, "message")?);
        }
        status.suspects = value.get("suspects").and_then(Value::as_u64);
        Some(status)
    }

    /// The port of a redirect's listener, once both are there and new connections are taken.
    #[must_use]
    pub fn port(&self, redirect: &str) -> Option<u16> {
        let redirect = self.redirects.get(redirect).filter(|redirect| !redirect.frontends.is_empty())?;
        self.listeners.get(&redirect.listener).copied()
    }
}
