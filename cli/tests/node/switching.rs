//! Redirects that are switched on and off, under connections that must not notice: those made before the redirect, which
//! rules like kube-proxy's carry, and those at the proxy while its redirect is gone.
//!
//! What is switched when is decided by a seed; `AXONEME_SEED` gives another one.

use std::{
    env,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use axoneme_testnet::{
    Folder, Lab, Layout, Namespace, Node, Service, address, envoy,
    manifest::{endpoint_slices, tcp_config},
    mesh::{Mesh, Programs, Status},
    wait_until,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    held::{Held, Place, dial, serve},
    random::Random,
    scene::{SOON, START},
};

/// Where the backend listens to whom kube-proxy sends, and to whom the proxy sends.
const PLAIN: u16 = 8080;
const PROXIED: u16 = 8081;

/// How much of it.
struct Extent {
    services: u8,
    connections: usize,
    switches: usize,
}

#[test]
fn edge_26_redirects_switched_at_random_break_no_live_connection() {
    switch("switching", &Extent { services: 12, connections: 60, switches: 20 });
}

#[test]
#[ignore = "long: cargo xtask soak"]
fn soak_two_hundred_redirects_are_switched_under_five_hundred_connections() {
    switch("switching-long", &Extent { services: 200, connections: 500, switches: 400 });
}

#[test]
fn what_drains_is_told_and_has_its_time() {
    let mut street = Street::new("draining", 1, 1, &[true]);
    let at = street.frontends(0)[1];
    let held = dial(&street.runtime, &Place::Net(&street.pod), at).unwrap();
    assert_eq!(held.who, "proxied");
    street.turn(0, false);
    held.ends(&street.runtime).unwrap();
    let told = |line: &str| {
        ["Envoy is told to end them", &format!("address={at}"), "redirect=\"switch/service-000:80\"", "connections=1"]
            .iter()
            .all(|words| line.contains(words))
    };
    let said = || Ok(street.mesh.process().log()?.lines().any(told));
    let waited = wait_until("words", SOON, said);
    assert!(waited.is_ok(), "{}", street.mesh.process().log().unwrap());
    street.settles();
    street.is_empty();
    let next = dial(&street.runtime, &Place::Net(&street.pod), at).unwrap();
    assert_eq!(next.who, "plain");
}

fn switch(name: &str, extent: &Extent) {
    let seed = env::var("AXONEME_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut random = Random(seed);
    let half: Vec<bool> = (0..extent.services).map(|number| number.is_multiple_of(2)).collect();
    // Longer than any machine takes.
    let mut street = Street::new(name, extent.services, 3600, &half);
    let mut held = Vec::new();
    for number in 0..extent.connections / 2 {
        held.push(street.hold(number, number % usize::from(extent.services)));
    }
    let mut crossed = [0, 0];
    for switched in 1..=extent.switches {
        let service = random.below(extent.services.into());
        street.turn(service, !street.on[service]);
        for (_, held) in held.iter().filter(|(of, _)| *of == service) {
            crossed[usize::from(held.who == "proxied")] += 1;
        }
        // Some at once after one another, some when the one before has come into force.
        if random.below(4) == 0 {
            street.settles();
            let expected = if street.on[service] { "proxied" } else { "plain" };
            for at in street.frontends(service) {
                assert_eq!(dial(&street.runtime, &Place::Net(&street.pod), at).unwrap().who, expected, "{at}");
            }
        }
        while held.len() < extent.connections / 2 + extent.connections / 2 * switched / extent.switches {
            let of = random.below(extent.services.into());
            held.push(street.hold(held.len(), of));
        }
    }
    street.settles();
    println!(
        "{} connections; switched under a plain one {} times, under a proxied one {}",
        held.len(),
        crossed[0],
        crossed[1]
    );
    assert!(crossed[0] > 0 && crossed[1] > 0, "the seed has to switch under both kinds");

    // Those whose redirect is gone are told, with their number.
    let waits = |of: usize| held.iter().filter(|(service, held)| *service == of && held.who == "proxied").count();
    let expected: usize = (0..street.on.len()).filter(|service| !street.on[*service]).map(waits).sum();
    wait_until("what drains to be told", SOON, || Ok(street.draining() == expected)).unwrap();

    let ended = held.into_iter().enumerate().map(|(number, (of, held))| {
        let who = held.who.clone();
        held.finish(&street.runtime).err().map(|error| format!("{number}, {who} of service {of}: {error:#}"))
    });
    let broken: Vec<String> = ended.flatten().collect();
    assert!(broken.is_empty(), "{broken:#?}\n{}", street.mesh.process().log().unwrap());
    for service in 0..street.on.len() {
        street.turn(service, false);
    }
    street.settles();
    street.is_empty();
}

/// A node with services, each of which has a config in the folder, or not.
struct Street {
    // The order of the fields is the order of the end: the lab last.
    mesh: Mesh,
    runtime: Runtime,
    folder: Folder,
    run_dir: TempDir,
    on: Vec<bool>,
    pod: Namespace,
    outside: Namespace,
    _backend: Namespace,
    node: Node,
    _lab: Lab,
}

impl Street {
    /// `drain_timeout` is in seconds.
    fn new(name: &str, services: u8, drain_timeout: u32, on: &[bool]) -> Self {
        let mut lab = Lab::new(name).unwrap();
        let mut node = lab.node("node1", Layout::Routed).unwrap();
        let (pod, backend) = (node.pod("client").unwrap(), node.pod("backend").unwrap());
        let outside = lab.client("outside").unwrap();
        for range in [address::SERVICES_V4, address::SERVICES_V6] {
            Lab::route(&outside, range, &node).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        serve(&runtime, &backend, PLAIN, "plain").unwrap();
        serve(&runtime, &backend, PROXIED, "proxied").unwrap();
        let to = backend.address.each().map(|ip| SocketAddr::new(ip, PLAIN));
        let by_nat = (0..services).flat_map(frontends).map(|frontend| {
            let backend = if frontend.is_ipv4() { to[0] } else { to[1] };
            Service { frontend, backends: vec![backend] }
        });
        node.serve_by_nat(&by_nat.collect::<Vec<_>>()).unwrap();
        let folder = Folder::new().unwrap();
        for number in 0..services {
            folder.write(&format!("service-{number:03}.yaml"), &service(number, &backend)).unwrap();
        }
        for (number, _) in (0..services).zip(on).filter(|(_, on)| **on) {
            folder.write(&file(number.into()), &config(number.into())).unwrap();
        }
        let programs = Programs { axonctl: env!("CARGO_BIN_EXE_axonctl").into(), envoy: envoy().unwrap() };
        let run_dir = tempfile::tempdir().unwrap();
        let more = ["--drain-timeout", &drain_timeout.to_string()];
        let mesh = Mesh::up_with(&node, &programs, folder.path(), run_dir.path(), &more).unwrap();
        let on = on.to_vec();
        let mut street = Self { mesh, runtime, folder, run_dir, on, pod, outside, _backend: backend, node, _lab: lab };
        street.settles();
        street
    }

    fn frontends(&self, service: usize) -> [SocketAddr; 2] {
        frontends(u8::try_from(service).unwrap())
    }

    /// Puts the config of a service there, or takes it away.
    fn turn(&mut self, service: usize, on: bool) {
        match (self.on[service], on) {
            (false, true) => self.folder.write(&file(service), &config(service)).unwrap(),
            (true, false) => self.folder.delete(&file(service)).unwrap(),
            _ => {}
        }
        self.on[service] = on;
    }

    /// Waits until what is on is redirected, and nothing else.
    fn settles(&mut self) {
        let on = &self.on;
        let as_wanted = |status: &Status| {
            on.iter().enumerate().all(|(service, on)| {
                let redirect = status.redirects.get(&format!("switch/service-{service:03}:80"));
                if *on { redirect.is_some_and(|it| it.frontends.len() == 2) } else { redirect.is_none() }
            })
        };
        self.mesh.wait_for("the redirects to be as wanted", START, as_wanted).unwrap();
    }

    /// Opens a connection, from anywhere, by one family or the other, of one kind or the other.
    fn hold(&self, number: usize, service: usize) -> (usize, Held) {
        let place = match number % 8 {
            7 => Place::Host(&self.node),
            3 | 5 => Place::Net(&self.outside),
            _ => Place::Net(&self.pod),
        };
        let to = self.frontends(service)[number / 2 % 2];
        let held = dial(&self.runtime, &place, to);
        let held = held.unwrap_or_else(|error| {
            panic!("connection {number} to {to}: {error:#}\n{}", self.mesh.process().log().unwrap())
        });
        (service, if number.is_multiple_of(2) { held.talking(&self.runtime) } else { held })
    }

    /// How many connections are left at frontends that drain, as people are told.
    fn draining(&self) -> usize {
        let mut command = self.node.command(env!("CARGO_BIN_EXE_axonctl"));
        let output = command.args(["status", "--json", "--run-dir"]).arg(self.run_dir.path()).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let draining = status["draining"].as_array().unwrap();
        assert!(
            draining.iter().all(|it| it["redirect"].as_str().unwrap().starts_with("switch/service-")),
            "{status:#}"
        );
        draining.iter().map(|it| usize::try_from(it["connections"].as_u64().unwrap()).unwrap()).sum()
    }

    /// Waits until nothing is in the kernel any more.
    fn is_empty(&self) {
        let entries = || {
            let script = "bpftool -j map dump pinned /sys/fs/bpf/axoneme/*/FRONTENDS";
            let entries = self.node.run("sh", ["-c", script])?;
            Ok(serde_json::from_str::<Vec<Value>>(&entries).unwrap().is_empty())
        };
        wait_until("the kernel to have no entry", SOON, entries).unwrap();
    }
}

fn frontends(service: u8) -> [SocketAddr; 2] {
    let (v4, v6) =
        (Ipv4Addr::new(10, 232, 0, 10 + service), Ipv6Addr::new(0xfd00, 0x232, 0, 0, 0, 0, 0, (10 + service).into()));
    [IpAddr::from(v4), v6.into()].map(|ip| SocketAddr::new(ip, 80))
}

fn file(service: usize) -> String {
    format!("config-{service:03}.yaml")
}

fn service(number: u8, backend: &Namespace) -> String {
    let [v4, v6] = frontends(number).map(|at| at.ip());
    let name = format!("service-{number:03}");
    let slices = endpoint_slices("switch", &name, "", PROXIED, &[backend.address]);
    format!(
        r#"apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: switch}}
spec:
  ipFamilyPolicy: RequireDualStack
  clusterIP: {v4}
  clusterIPs: ["{v4}", "{v6}"]
  ports: [{{port: 80, targetPort: {PROXIED}}}]
---
{slices}"#
    )
}

fn config(service: usize) -> String {
    tcp_config("switch", &format!("config-{service:03}"), &format!("service-{service:03}"))
}
