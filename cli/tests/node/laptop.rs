//! What the example's README tells to type on one machine, with nothing but defaults: no pods,
//! addresses of its own choice, backends on the loopback.

use std::{collections::BTreeSet, net::SocketAddr};

use axoneme_testnet::{Lab, Layout, Namespace, Process, difference, envoy, http::Client, wait_until};
use nix::sys::signal::Signal;

use crate::scene::{ECHO, INGRESS, SAME, SOON, START};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/article");

/// The addresses that `axonctl up` told for a service, but for node ports.
fn told(log: &str, service: &str) -> Vec<SocketAddr> {
    let line = log.lines().find_map(|line| line.strip_prefix(&format!("answers  {service} at ")));
    line.into_iter().flat_map(|line| line.split(", ")).filter_map(|address| address.parse().ok()).collect()
}

fn get(from: &Namespace, at: SocketAddr, path: &str) -> (String, String) {
    let answer = Client::new(&ECHO).get(from, &format!("http://{at}{path}")).unwrap();
    assert_eq!(answer.header("server"), "envoy", "{at}{path}: {answer:?}");
    (answer.text().to_owned(), answer.header("x-echo-path").to_owned())
}

#[test]
fn the_example_is_served_on_a_machine_without_pods() {
    let mut lab = Lab::new("laptop").unwrap();
    let machine = lab.node("laptop", Layout::Routed).unwrap();
    let apps = [("5681", "foo"), ("5682", "bar"), ("5683", "echo-same-node"), ("5684", "echo-other-node")];
    let backends = apps
        .map(|(port, text)| machine.spawn(&*ECHO, ["--listen", &format!("127.0.0.1:{port}"), "--text", text]).unwrap());
    wait_until("the backends", SOON, || Ok(backends.iter().all(|it| it.log().unwrap().contains("listens")))).unwrap();
    let before = machine.footprint().unwrap();

    let mut command = machine.command(env!("CARGO_BIN_EXE_axonctl"));
    command.args(["up", EXAMPLE]).env("AXONEME_ENVOY", envoy().unwrap());
    let mut mesh = Process::start(command).unwrap();
    let served = |log: &str| [INGRESS, SAME].iter().all(|service| log.contains(&format!("on       {service} ->")));
    wait_until("the example to be served", START, || Ok(served(&mesh.log()?))).unwrap();

    let log = mesh.log().unwrap();
    let (ingress, same) = (told(&log, INGRESS), told(&log, SAME));
    assert!(ingress.len() == 4 && same.len() == 2, "{log}");
    for at in ingress {
        assert_eq!(get(&machine, at, "/foo").0, "foo");
        assert_eq!(get(&machine, at, "/bar").0, "bar");
    }
    for at in same {
        let answers: BTreeSet<_> = (0..40).map(|_| get(&machine, at, "/foo")).collect();
        let both = ["echo-other-node", "echo-same-node"].map(|name| (name.to_owned(), "/".to_owned()));
        assert_eq!(answers, BTreeSet::from(both));
    }

    mesh.signal(Signal::SIGINT).unwrap();
    let ended = mesh.wait(SOON).unwrap();
    assert!(ended.success(), "{ended}\n{}", mesh.log().unwrap());
    assert_eq!(difference(&before, &machine.footprint().unwrap()), "");
    assert_eq!(machine.run("ls", ["/run"]).unwrap(), "");
}
