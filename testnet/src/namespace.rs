//! One network namespace with a control group: a node, a pod, a client, or the LAN.

use std::{
    ffi::OsStr,
    fmt,
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    thread,
};

use nix::sched::{CloneFlags, setns};

use crate::{Dual, Error, Process, Result, cgroup};

/// Makes the namespaces and holds them open.
const HOLDER: &str = include_str!("namespace.sh");

/// A place to run commands in. Cheap to clone; ends when the last clone or the lab does.
#[derive(Clone)]
pub struct Namespace {
    /// Its name, which is its host name too.
    pub name: String,
    /// Its addresses.
    pub address: Dual,
    holder: Arc<Holder>,
    kind: Kind,
    cgroup: PathBuf,
}

/// What a namespace has of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Network, name, `/sys` with its own bpffs, `/run`, and the root of its control groups.
    Node,
    /// Network and name.
    Host,
}

struct Holder {
    process: Child,
    input: Option<ChildStdin>,
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The end of its input is its order to end, together with what runs in its control group.
        drop(self.input.take());
        drop(self.process.wait());
    }
}

impl Namespace {
    pub(crate) fn create(name: &str, address: Dual, kind: Kind, cgroup: PathBuf) -> Result<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(fits) {
            return Err(Error::Name { what: "host", name: name.to_owned(), why: "want a-z, 0-9 and -" });
        }
        cgroup::make(&cgroup)?;
        let failed = || format!("start the holder of namespace {name}");
        let mut process = Command::new("sh")
            .args(["-c", HOLDER, HOLDER, name])
            .arg(&cgroup)
            .arg(if kind == Kind::Node { "node" } else { "host" })
            .process_group(0) // Ctrl-C is for the lab's owner, who then ends this in order.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::io(failed()))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Error::io(failed())(std::io::ErrorKind::BrokenPipe.into()));
        };
        let holder = Holder { process, input: Some(input) };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map_err(Error::io(failed()))?;
        if line != "ready\n" {
            return Err(Error::io(failed())(std::io::Error::other("it ended; its words are above")));
        }
        Ok(Self { name: name.to_owned(), address, holder: Arc::new(holder), kind, cgroup })
    }

    /// The process that holds this namespace: `nsenter --net --target PID` enters it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.holder.process.id()
    }

    /// Its directory of control groups, as this process sees it. Inside a node that directory is `/sys/fs/cgroup`.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// A command that will run here: in the network, the mounts and the control group, all of which a redirect may look at.
    ///
    /// The process keeps its id through the steps inside, so signals to the child reach `program`.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &self.entry(), "sh"]).arg(program);
        command
    }

    /// The shell's line that runs its arguments here: for scripts with which people look around in a lab.
    #[must_use]
    pub fn entry(&self) -> String {
        let spaces = match self.kind {
            Kind::Node => "--net --uts --mount --cgroup --wdns=\"$PWD\"",
            Kind::Host => "--net --uts",
        };
        let (cgroup, pid) = (self.cgroup.display(), self.pid());
        // A shell's background jobs ignore these two, and so does all that they start: a Ctrl-C that comes before the program
        // listens would be lost.
        let signals = "env --default-signal=INT,QUIT";
        format!(r#"echo $$ >'{cgroup}/cgroup.procs' && exec {signals} nsenter --target {pid} {spaces} -- "$@""#)
    }

    /// Runs a command to its end and returns what it printed.
    ///
    /// # Errors
    /// If it does not end with 0; the error has everything that it printed.
    pub fn run<A: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        let arguments: Vec<A> = arguments.into_iter().collect();
        let mut command = self.command(program);
        command.args(&arguments);
        let words = arguments.iter().map(|argument| argument.as_ref().to_string_lossy());
        let what: Vec<_> = std::iter::once(program.into()).chain(words).collect();
        self.finish(&what.join(" "), command, None)
    }

    /// Starts a command whose output goes to a log ([`Process::log`]).
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Process> {
        let mut command = self.command(program);
        command.args(arguments);
        Process::start(command)
    }

    /// Runs lines of `ip`, as in `["addr add 10.0.0.1/24 dev eth0"]`, in one process.
    ///
    /// # Errors
    /// If one of them fails.
    pub fn ip<S: AsRef<str>>(&self, lines: impl IntoIterator<Item = S>) -> Result<()> {
        let lines: String = lines.into_iter().map(|line| format!("{}\n", line.as_ref())).collect();
        let mut command = self.command("ip");
        command.args(["-batch", "-"]);
        self.finish(&format!("ip -batch:\n{lines}"), command, Some(&lines)).map(drop)
    }

    /// Loads a file of nftables rules.
    ///
    /// # Errors
    /// If they are refused.
    pub fn nft(&self, rules: &str) -> Result<()> {
        self.feed("nft", &["-f", "-"], rules)
    }

    /// Runs a command that reads `input`.
    pub(crate) fn feed(&self, program: &str, arguments: &[&str], input: &str) -> Result<()> {
        let mut command = self.command(program);
        command.args(arguments);
        self.finish(&format!("{program}:\n{input}\n"), command, Some(input)).map(drop)
    }

    /// Sets a sysctl of the network, as in `set("ipv4.conf.all.rp_filter", "2")`.
    ///
    /// # Errors
    /// If there is none of that name, or it refuses the value.
    pub fn set(&self, sysctl: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{}", sysctl.replace('.', "/"));
        self.run("sh", ["-c", "echo \"$0\" >\"$1\"", value, &path]).map(drop)
    }

    /// Runs `work` on a thread of this process that is in this network, but not in its mounts and control group.
    /// Sockets made there stay in the network wherever they are used.
    ///
    /// # Errors
    /// If the namespace cannot be entered, or `work` panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = format!("/proc/{}/ns/net", self.pid());
        let failed = || format!("enter the network of {}", self.name);
        let network = File::open(path).map_err(Error::io(failed()))?;
        let result = thread::scope(|scope| {
            let inside = move || setns(network, CloneFlags::CLONE_NEWNET).map(|()| work());
            scope.spawn(inside).join()
        });
        match result {
            Ok(result) => result.map_err(|errno| Error::io(failed())(errno.into())),
            Err(_) => Err(Error::io(failed())(std::io::Error::other("the work in it panicked"))),
        }
    }

    fn finish(&self, what: &str, mut command: Command, input: Option<&str>) -> Result<String> {
        let failed = || format!("run {what} in {}", self.name);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(Error::io(failed()))?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            // It may end before it has read everything: then its words say why, not the broken pipe.
            drop(pipe.write_all(input.as_bytes()));
        }
        let done = child.wait_with_output().map_err(Error::io(failed()))?;
        let output = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            return Ok(output);
        }
        let output = output + &String::from_utf8_lossy(&done.stderr);
        Err(Error::Command { place: self.name.clone(), command: what.to_owned(), status: done.status, output })
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({} {})", self.name, self.address)
    }
}
