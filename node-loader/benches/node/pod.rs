//! A new pod: from its device to the first byte through the proxy, if it dials without a pause.
//!
//! Its network is there before, and so are the two `ip` that wire it: what is timed is the kernel, they and the loader.

use std::{
    io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use axoneme_testnet::Namespace;
use nix::{
    sched::{CloneFlags, unshare},
    unistd::gettid,
};

use crate::operator::frontend;

/// Where the backend listens.
pub(crate) const PLAIN: u16 = 5678;
/// The gateway of the node's pods.
const GATEWAY: &str = "10.231.1.1";
/// Addresses of both ends, which know each other: who is asked before the carrier is told of asks again after a second.
const NEAR: &str = "02:00:00:00:00:01";
const FAR: &str = "02:00:00:00:00:02";
/// For the same reason a SYN is not waited for until it is repeated.
const AGAIN: Duration = Duration::from_millis(3);
const LIMIT: Duration = Duration::from_secs(10);

/// Answers all with a word that is no HTTP.
pub(crate) fn serve_plainly(pod: &Namespace) -> Result<()> {
    let listener = pod.enter(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PLAIN)))??;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            drop(stream.write_all(b"plain"));
        }
    });
    Ok(())
}

/// What the time of one pod is made of.
pub(crate) struct Coming {
    /// Both `ip` on their way; the kernel lets nobody change a network while a program is put on a device.
    pub(crate) wired: Duration,
    /// From then on, until the first byte through the proxy.
    pub(crate) dialled: Duration,
}

/// One pod after another comes, dials, and goes.
pub(crate) fn time(node: &Namespace, pods: usize) -> Result<Vec<Coming>> {
    one_by_one(node, pods, dial)
}

/// The same for a node without a loader, where there is nothing to wait for: what remains is the wiring.
pub(crate) fn wire(node: &Namespace, pods: usize) -> Result<Vec<Duration>> {
    Ok(one_by_one(node, pods, || Ok(()))?.iter().map(|coming| coming.wired).collect())
}

fn one_by_one(node: &Namespace, pods: usize, dial: fn() -> Result<()>) -> Result<Vec<Coming>> {
    let apart = |number| thread::scope(|scope| scope.spawn(|| once(node, number, dial)).join());
    (0..pods).map(|number| apart(number).map_err(|_| anyhow!("a pod panicked"))?).collect()
}

/// On a thread of its own, which is in the pod's network.
fn once(node: &Namespace, number: usize, dial: fn() -> Result<()>) -> Result<Coming> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let (own, host) = (format!("10.231.1.{}", 100 + number % 100), format!("late{number}"));
    let (mut outside, mut inside) = (Ip::start(node.command("ip"))?, Ip::start(Command::new("ip"))?);
    let pair = format!("link add {host} address {NEAR} type veth peer name eth0 address {FAR} netns {}\n", gettid());
    outside.run(&pair, &host)?;
    // Making a device takes the kernel its time, which is not the loader's.
    let start = Instant::now();
    outside.run(
        &format!(
            "addr add {GATEWAY}/32 dev {host}\nlink set {host} up\nroute add {own}/32 dev {host} scope host\n\
             neigh replace {own} lladdr {FAR} dev {host}\n"
        ),
        &host,
    )?;
    inside.run(
        &format!(
            "addr add {own}/32 dev eth0\nlink set eth0 up\nroute add {GATEWAY} dev eth0 scope link\n\
             route add default via {GATEWAY}\nneigh replace {GATEWAY} lladdr {NEAR} dev eth0\n"
        ),
        "eth0",
    )?;
    let wired = start.elapsed();
    dial()?;
    let coming = Coming { wired, dialled: start.elapsed().saturating_sub(wired) };
    node.ip([format!("link del {host}")])?;
    Ok(coming)
}

/// Again and again, until Envoy answers.
fn dial() -> Result<()> {
    let start = Instant::now();
    while !is_proxied(frontend(0)) {
        ensure!(start.elapsed() < LIMIT, "not redirected in time");
    }
    Ok(())
}

/// Whether Envoy answers; whoever else does is left at once.
fn is_proxied(to: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&to, AGAIN) else { return false };
    let mut first = [0; 4];
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
    asked.is_ok() && stream.read_exact(&mut first).is_ok() && first == *b"HTTP"
}

/// An `ip` that waits for its lines.
struct Ip {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Ip {
    /// It has answered once, so that it is known to run; and it has listed all devices, as it does before its first word about
    /// neighbours: among a thousand that takes five milliseconds, which are nobody's who wires pods.
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("no pipe")?).lines();
        let mut ip = Self { child, output };
        ip.run("neigh show dev lo\n", "lo")?;
        Ok(ip)
    }

    /// Returns when the lines are done; `device` must be there then.
    fn run(&mut self, lines: &str, device: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("no pipe")?;
        input.write_all(format!("{lines}link show dev {device}\n").as_bytes())?;
        for line in self.output.by_ref() {
            if line?.contains(&format!(": {device}")) {
                return Ok(());
            }
        }
        bail!("ip ended; its words are above")
    }
}

impl Drop for Ip {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
