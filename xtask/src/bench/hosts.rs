//! One edit among few hosts and among many at one address: what the node and Envoy are sent for it, and when it is served.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use axoneme_testnet::{
    Lab, Layout, Namespace, Process, address,
    manifest::endpoint_slices,
    mesh::{Mesh, Programs},
};
use tempfile::TempDir;

use super::load::Connection;
use crate::shell;

/// How long all hosts may take to be served for the first time.
const START: Duration = Duration::from_secs(300);
/// How long an edit may take before the bench gives up.
const LIMIT: Duration = Duration::from_secs(20);
/// Texts of the two backends that an edit changes between.
const BACKENDS: [&str; 2] = ["one", "two"];

/// What edits cost among so many hosts.
pub(super) struct Cost {
    pub hosts: usize,
    /// From the operator's start to the last host's first answer.
    pub start: Duration,
    /// From a saved file to its first answer, sorted.
    pub times: Vec<Duration>,
    /// The first edit after the start, which brings the backend's clusters.
    pub first: Duration,
    /// What the operator sent the node for an edit, sorted. It goes through memory here: bytes of messages.
    pub to_node: Vec<u64>,
    /// What Envoy read of its xDS stream for an edit, sorted.
    pub to_envoy: Vec<u64>,
}

/// Measures `edits` edits among `hosts` shared Ingresses with a host each.
pub(super) fn time(programs: &Programs, echo: &Path, hosts: usize, edits: usize) -> Result<Cost> {
    let scene = Scene::build(programs, echo, hosts)?;
    let (mut times, mut to_node, mut to_envoy) = (Vec::new(), Vec::new(), Vec::new());
    // Each edit is of another host: some share a table with others, some do not.
    let edit = |number| scene.client.enter(|| scene.edit(number, &host(number), BACKENDS[1]))?;
    let first = edit(0)?;
    for number in (1..=edits).map(|it| it * hosts / (edits + 1)) {
        let before = (scene.sent()?, scene.received()?);
        times.push(edit(number)?);
        to_node.push(scene.sent()?.saturating_sub(before.0));
        to_envoy.push(scene.received()?.saturating_sub(before.1));
    }
    times.sort_unstable();
    to_node.sort_unstable();
    to_envoy.sort_unstable();
    Ok(Cost { hosts, start: scene.start, times, first, to_node, to_envoy })
}

/// Prints a line for each number of hosts, and how the last compares to the first.
pub(super) fn print(costs: &[Cost]) {
    println!("\none edit among the hosts of one address");
    let head = ["hosts", "start", "first", "p50", "p99", "to node p50", "max", "to Envoy p50", "max"];
    println!("{}", head.map(|it| format!("{it:>12}")).join(" "));
    for Cost { hosts, start, times, first, to_node, to_envoy } in costs {
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let times = [*first, at(times, 50), at(times, 99)].map(ms);
        let bytes = [at(to_node, 50), at(to_node, 100), at(to_envoy, 50), at(to_envoy, 100)].map(|it| it.to_string());
        let start = [hosts.to_string(), format!("{:.1} s", start.as_secs_f64())];
        let line: Vec<_> = start.iter().chain(&times).chain(&bytes).map(|it| format!("{it:>12}")).collect();
        println!("{}", line.join(" "));
    }
    if let [first, .., last] = costs {
        let ratio = at(&last.times, 50).as_secs_f64() / at(&first.times, 50).as_secs_f64();
        println!("ratio of p50, {} to {} hosts: {ratio:.2}", last.hosts, first.hosts);
    }
}

/// What so many percent of sorted values are below.
fn at<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

struct Scene {
    client: Namespace,
    folder: TempDir,
    address: SocketAddr,
    start: Duration,
    run: TempDir,
    // The order of the fields is the order of the end: the lab last.
    mesh: Mesh,
    _servers: Vec<(Process, Namespace)>,
    _lab: Lab,
}

impl Scene {
    fn build(programs: &Programs, echo: &Path, hosts: usize) -> Result<Self> {
        let mut lab = Lab::new("hosts")?;
        let mut node = lab.node("node1", Layout::Routed)?;
        let client = lab.client("client")?;
        Lab::route(&client, address::BALANCERS_V4, &node)?;
        let (folder, run) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let mut servers = Vec::new();
        for backend in BACKENDS {
            let pod = node.pod(backend)?;
            let server = pod.spawn(echo, ["--text", backend])?;
            let service = format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {backend}, namespace: shop}}\nspec: {{ports: [{{port: 80}}]}}\n---\n"
            );
            let slices = endpoint_slices("shop", backend, "", 5678, &[pod.address]);
            fs::write(folder.path().join(format!("{backend}.yaml")), service + &slices)?;
            servers.push((server, pod));
        }
        for number in 0..hosts {
            write(folder.path(), number, BACKENDS[0])?;
        }
        let begin = Instant::now();
        let mut mesh =
            Mesh::up_with(&node, programs, folder.path(), run.path(), &["--log", "warn,axoneme::xds=debug"])?;
        let redirect = "axoneme/cilium-ingress:80";
        let status = mesh.wait_for("the shared address", START, |status| status.port(redirect).is_some())?;
        let frontends = status.redirects.get(redirect).map(|redirect| &redirect.frontends);
        let found = frontends.into_iter().flatten().find(|at| at.is_ipv4() && address::is_balancer(at.ip()));
        let address = *found.context("the shared Service has no address")?;
        let mut scene =
            Self { client, folder, address, start: Duration::ZERO, run, mesh, _servers: servers, _lab: lab };
        let last = host(hosts - 1);
        scene.client.enter(|| until(address, &last, BACKENDS[0], START))??;
        scene.start = begin.elapsed();
        Ok(scene)
    }

    /// Saves the Ingress of a host with another backend. Gives the time until that answers.
    fn edit(&self, number: usize, host: &str, backend: &str) -> Result<Duration> {
        let start = Instant::now();
        write(self.folder.path(), number, backend)?;
        until(self.address, host, backend, LIMIT)?;
        Ok(start.elapsed())
    }

    /// What the operator has sent the node, in bytes. Costs all that it has sent.
    fn sent(&self) -> Result<u64> {
        let log = self.mesh.process().log()?;
        let bytes = |line: &str| {
            let (_, said) = line.split_once("axoneme::xds: ")?;
            let (_, bytes) = said.strip_prefix("sent to=\"node\"")?.split_once(" bytes=")?;
            bytes.split(' ').next()?.parse::<u64>().ok()
        };
        Ok(log.lines().filter_map(bytes).sum())
    }

    /// What Envoy has read from the node-loader, in bytes.
    fn received(&self) -> Result<u64> {
        let mut curl = std::process::Command::new("curl");
        curl.args(["--silent", "--show-error", "--unix-socket"]).arg(self.run.path().join("admin.sock"));
        let stats = shell::output(curl.arg("http://envoy/stats?filter=^cluster.xds.upstream_cx_rx_bytes_total$"))?;
        let number = stats.rsplit(' ').next().context("no statistics")?;
        number.parse().with_context(|| format!("Envoy's statistics: {stats}"))
    }
}

/// Asks without a pause until it is this backend that answers for the host.
fn until(address: SocketAddr, host: &str, backend: &str, limit: Duration) -> Result<()> {
    let start = Instant::now();
    loop {
        // A host that is not there yet answers 404, which ends nothing but this connection.
        if let Ok(mut connection) = Connection::open(address) {
            while let Ok(answer) = connection.ask_for(host) {
                if answer.trim_ascii() == backend.as_bytes() {
                    return Ok(());
                }
                if start.elapsed() > limit {
                    bail!("{host} is not served by {backend} after {limit:?}");
                }
            }
        }
        if start.elapsed() > limit {
            bail!("{host} is not served after {limit:?}");
        }
    }
}

fn host(number: usize) -> String {
    format!("host-{number}.example")
}

/// Writes the Ingress of a host, as an editor would: a new file over the old one.
fn write(folder: &Path, number: usize, backend: &str) -> Result<()> {
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: ingress-{number}\n  namespace: shop\n  annotations: \
         {{ingress.cilium.io/loadbalancer-mode: shared}}\nspec:\n  ingressClassName: cilium\n  rules: [{{host: {}, http: {{paths: \
         [{{path: /, pathType: Prefix, backend: {{service: {{name: {backend}, port: {{number: 80}}}}}}}}]}}}}]\n",
        host(number)
    );
    let (new, file) = (folder.join(format!(".{number}.new")), folder.join(format!("ingress-{number}.yaml")));
    fs::write(&new, text)?;
    fs::rename(new, file)?;
    Ok(())
}
