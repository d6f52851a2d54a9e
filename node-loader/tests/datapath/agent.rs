//! The datapath in a process inside of the node: this very test program, started again, which takes orders by lines.

use std::{
    env,
    io::{BufRead as _, BufReader, Lines, Write as _, stdin},
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd as _,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use axoneme_node::{
    datapath::{Datapath, Entry, FrontendState, OnProxyFailure, Reason, ServiceId, SourceRange, Sources},
    kernel::{self, Attachment},
    monitor::{Batches, Sighting, Watcher},
};
use axoneme_testnet::Namespace;
use nix::{
    sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt::Mark},
    unistd::Pid,
};

use crate::{dialler, kept, privileges, talk::PATIENCE, udp};

/// Tells answers from what the test harness prints.
const ANSWER: &str = "> ";
/// How the agent is told to sit on devices; without it, as the kernel does best.
const ATTACHMENT: &str = "AXONEME_TEST_ATTACHMENT";

pub(crate) struct Agent {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    attachment: Option<Attachment>,
}

impl Agent {
    /// With no more than the chart gives to a loader.
    pub(crate) fn start(node: &Namespace) -> Self {
        Self::start_on(node, None)
    }

    /// The same, on devices as `attachment` says.
    pub(crate) fn start_on(node: &Namespace, attachment: Option<Attachment>) -> Self {
        let mut agent = Self::launch(node, &privileges::of_container("loader"), attachment);
        assert_eq!(agent.answer(), "ready");
        agent
    }

    /// Why it cannot start with these capabilities.
    pub(crate) fn refusal(node: &Namespace, capabilities: &[String]) -> String {
        Self::launch(node, capabilities, None).answer()
    }

    fn launch(node: &Namespace, capabilities: &[String], attachment: Option<Attachment>) -> Self {
        let allowed: String = capabilities.iter().map(|capability| format!(",+{capability}")).collect();
        let mut command = node.command("setpriv");
        command.args(["--no-new-privs", "--inh-caps=-all", &format!("--bounding-set=-all{allowed}")]);
        command.envs(attachment.map(|attachment| (ATTACHMENT, attachment.to_string())));
        let arguments = ["--exact", "agent::agent", "--ignored", "--nocapture", "--test-threads=1"];
        command.arg(env::current_exe().unwrap()).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output).lines(), attachment }
    }

    pub(crate) fn restart(&mut self, node: &Namespace) {
        *self = Self::start_on(node, self.attachment);
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// An order whose answer must be `ok`.
    pub(crate) fn tell(&mut self, order: &str) {
        assert_eq!(self.ask(order), "ok", "{order}");
    }

    pub(crate) fn ask(&mut self, order: &str) -> String {
        writeln!(self.input, "{order}").unwrap();
        self.answer()
    }

    pub(crate) fn number(&mut self, order: &str) -> u64 {
        let answer = self.ask(order);
        answer.parse().unwrap_or_else(|_| panic!("{order}: {answer}"))
    }

    /// The counter of service 1.
    pub(crate) fn counter(&mut self, reason: &str) -> u64 {
        self.number(&format!("counter {reason}"))
    }

    fn answer(&mut self) -> String {
        let lines = self.output.by_ref().map(Result::unwrap);
        let mut answers = lines.filter_map(|line| line.strip_prefix(ANSWER).map(str::to_owned));
        answers.next().expect("the agent ended; its words are above")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
#[ignore = "the other tests start it, inside of a node"]
fn agent() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = env::var(ATTACHMENT).ok();
    let attachment = [Attachment::Tcx, Attachment::Clsact].into_iter().find(|it| Some(it.to_string()) == told);
    let config = kernel::Config { attachment, ..kernel::Config::default() };
    let kernel::Started { kernel: mut datapath, watcher, monitor } =
        match runtime.block_on(kernel::start(config.clone())) {
            Ok(started) => started,
            Err(error) => return println!("\n{ANSWER}{error}"),
        };
    let (watch, watchers) = tokio::sync::mpsc::unbounded_channel();
    let (orders, mut received) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || stdin().lines().map_while(Result::ok).try_for_each(|line| orders.send(line)));
    runtime.block_on(async {
        tokio::spawn(watcher.run());
        tokio::spawn(monitor.run(watchers));
        let mut batches = None;
        println!("\n{ANSWER}ready");
        while let Some(order) = received.recv().await {
            let words: Vec<&str> = order.split(' ').collect();
            let answer = if words == ["cleanup"] {
                kernel::cleanup(&config).await.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
            } else if words == ["watch"] {
                let (watcher, told) = Watcher::new();
                watch.send(watcher).unwrap();
                batches = Some(told);
                "ok".to_owned()
            } else if words == ["leave"] {
                batches = None;
                "ok".to_owned()
            } else if words == ["seen"] {
                next(batches.as_mut().unwrap()).await
            } else {
                obey(&mut datapath, &words)
            };
            println!("{ANSWER}{answer}");
        }
    });
}

/// The next batch of the monitor, in words; what was lost stands in the end.
async fn next(batches: &mut Batches) -> String {
    let Ok(Some(batch)) = tokio::time::timeout(PATIENCE, batches.recv()).await else { return "nothing".to_owned() };
    let client = |it: &Sighting| it.client.map_or_else(|| "-".to_owned(), |client| client.ip().to_string());
    let words =
        |it: &Sighting| format!("{} {} {} {} {}", it.place.program(), it.reason, it.service.0, client(it), it.frontend);
    let seen: Vec<String> = batch.sightings.iter().map(words).collect();
    format!("{}; lost {}", seen.join(", "), batch.lost)
}

fn obey(datapath: &mut dyn Datapath, words: &[&str]) -> String {
    let address = || words[1].parse::<SocketAddr>().unwrap();
    let done = match words[0] {
        "set" => datapath.set(address(), entry(&words[2..])),
        // The ranges of service 1.
        "list" => datapath.set_sources(ServiceId(1), &words[1..].iter().map(|text| range(text)).collect()),
        "remove" => datapath.remove(address()),
        "keep" => datapath.keep_clients(words[1] == "on"),
        "speak" => return kept::speak(words[1].parse().unwrap(), words[2].parse().unwrap()),
        "dial" => return dialler::dial(&words[1..]),
        "udp" => return udp::ask(address(), words[2] == "connected"),
        "greet" => return greet(address(), words[3].parse().unwrap()),
        "connections" => {
            let counted = datapath.connections(&[address()].into()).unwrap();
            return counted.get(&address()).copied().unwrap_or_default().to_string();
        }
        "cut" => return datapath.cut(address()).unwrap().to_string(),
        "listening" => return datapath.listening(words[1].parse().unwrap()).unwrap().to_string(),
        "addresses" => {
            let addresses = datapath.node_addresses();
            let text: Vec<String> = addresses.borrow().iter().map(ToString::to_string).collect();
            return text.join(" ");
        }
        "entries" => {
            let entries = datapath.entries().unwrap();
            let text: Vec<String> = entries.iter().map(|(frontend, entry)| text(*frontend, *entry)).collect();
            return text.join(", ");
        }
        "counter" => {
            let counters = datapath.counters().unwrap();
            let reason = Reason::ALL.into_iter().find(|reason| reason.label() == words[1]).unwrap();
            return counters.get(&(ServiceId(1), reason)).copied().unwrap_or_default().to_string();
        }
        other => return format!("what is {other}?"),
    };
    done.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
}

/// Who greets a socket of the host that has a mark.
fn greet(to: SocketAddr, mark: u32) -> String {
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&fd, Mark, &mark).unwrap();
    if let Err(errno) = connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
        return errno.to_string();
    }
    let mut line = String::new();
    BufReader::new(TcpStream::from(fd)).read_line(&mut line).unwrap();
    line.split(' ').next().unwrap_or_default().to_owned()
}

const STATES: [(&str, FrontendState); 2] = [("on", FrontendState::On), ("draining", FrontendState::Draining)];
const FAILURES: [(&str, OnProxyFailure); 3] =
    [("bypass", OnProxyFailure::Bypass), ("refuse", OnProxyFailure::Refuse), ("refuse-all", OnProxyFailure::RefuseAll)];

fn entry(words: &[&str]) -> Entry {
    Entry {
        proxy_port: words[0].parse().unwrap(),
        state: STATES.iter().find(|(name, _)| *name == words[1]).unwrap().1,
        on_proxy_failure: FAILURES.iter().find(|(name, _)| *name == words[2]).unwrap().1,
        service: ServiceId(words[3].parse().unwrap()),
        sources: if words.get(4) == Some(&"listed") { Sources::Listed } else { Sources::All },
    }
}

fn range(text: &str) -> SourceRange {
    let (address, length) = text.split_once('/').unwrap();
    SourceRange::new(address.parse().unwrap(), length.parse().unwrap())
}

fn text(frontend: SocketAddr, entry: Entry) -> String {
    let state = STATES.iter().find(|(_, state)| *state == entry.state).unwrap().0;
    let failure = FAILURES.iter().find(|(_, failure)| *failure == entry.on_proxy_failure).unwrap().0;
    let listed = if entry.sources == Sources::Listed { " listed" } else { "" };
    format!("{frontend} {} {state} {failure} {}{listed}", entry.proxy_port, entry.service.0)
}
