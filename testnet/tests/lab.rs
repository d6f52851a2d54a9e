//! Labs as they are used: who reaches whom, what runs where, and what is left afterwards. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use axoneme_testnet::{
    Lab, Layout, Namespace, Process, Service, address, built, difference, http::Client, sweep, wait_until,
};

/// How long a busy machine may take.
const SOON: Duration = Duration::from_secs(60);

/// Whether `from` gets through to `to`, by IPv4 and by IPv6.
fn connects(from: &Namespace, to: &Namespace) -> [bool; 2] {
    connects_within(SOON, from, to)
}

fn connects_within(limit: Duration, from: &Namespace, to: &Namespace) -> [bool; 2] {
    to.address.each().map(|address| {
        let listener = to.enter(|| TcpListener::bind((address, 0))).unwrap().unwrap();
        let at = listener.local_addr().unwrap();
        from.enter(|| TcpStream::connect_timeout(&at, limit)).unwrap().is_ok()
    })
}

fn everyone_reaches(layout: Layout) {
    let mut lab = Lab::new("ping").unwrap();
    let mut first = lab.node("node1", layout).unwrap();
    let mut second = lab.node("node2", layout).unwrap();
    let client = lab.client("client").unwrap();
    let (one, two, far) = (first.pod("foo").unwrap(), first.pod("bar").unwrap(), second.pod("far").unwrap());
    assert_eq!(connects(&one, &two), [true; 2]);
    assert_eq!(connects(&one, &far), [true; 2]);
    assert_eq!(connects(&first, &far), [true; 2]);
    assert_eq!(connects(&second, &one), [true; 2]);
    assert_eq!(connects(&client, &first), [true; 2]);
    // Who is not answered waits for all of it.
    let refused = connects_within(Duration::from_secs(2), &client, &one);
    assert_eq!(refused, [false; 2], "clients know no way to pods");
    for range in first.pod_ranges() {
        Lab::route(&client, &range, &first).unwrap();
    }
    assert_eq!(connects(&client, &one), [true; 2]);
}

#[test]
fn everyone_reaches_everyone_with_routed_pods() {
    everyone_reaches(Layout::Routed);
}

#[test]
fn everyone_reaches_everyone_with_bridged_pods() {
    everyone_reaches(Layout::Bridge);
}

#[test]
fn a_node_is_a_machine_of_its_own() {
    let mut lab = Lab::new("own").unwrap();
    let mut node = lab.node("node1", Layout::Routed).unwrap();
    let pod = node.pod("foo").unwrap();
    assert_eq!(node.run("hostname", [""; 0]).unwrap(), "node1\n");
    assert_eq!(node.run("ls", ["/sys/class/net"]).unwrap(), "eth0\nlo\nveth1\n");
    assert_eq!(node.run("stat", ["-f", "-c%T", "/sys/fs/bpf"]).unwrap(), "bpf_fs\n");
    assert_eq!(node.run("sh", ["-c", "grep ^0: /proc/self/cgroup"]).unwrap(), "0::/\n");
    assert_eq!(pod.run("hostname", [""; 0]).unwrap(), "foo\n");
    let group = pod.run("sh", ["-c", "grep ^0: /proc/self/cgroup"]).unwrap();
    assert!(group.ends_with("/node1/pods/foo\n"), "{group}");
    let here = std::env::current_dir().unwrap();
    assert_eq!(node.run("pwd", [""; 0]).unwrap().trim(), here.to_str().unwrap());
    let before = node.footprint().unwrap();
    assert!(before.contains("10.230.0.0/24 dev eth0") && before.contains("cat\n"), "{before}");
    assert_eq!(node.footprint().unwrap(), before);
    node.ip(["rule add fwmark 1 lookup 2004"]).unwrap();
    assert!(difference(&before, &node.footprint().unwrap()).contains("+ 32765:\tfrom all fwmark 0x1 lookup 2004\n"));
    let error = node.run("sh", ["-c", "echo words; echo more >&2; exit 3"]).unwrap_err().to_string();
    assert!(error.contains("node1") && error.contains("words\nmore"), "{error}");
}

#[test]
fn a_signal_that_was_ignored_outside_is_not_inside() {
    let mut lab = Lab::new("signals").unwrap();
    let node = lab.node("node", Layout::Routed).unwrap();
    let line = format!("trap '' INT QUIT; {}", node.entry());
    let output = Command::new("sh").args(["-c", &line, "sh", "grep", "SigIgn", "/proc/self/status"]).output().unwrap();
    let ignored = String::from_utf8_lossy(&output.stdout).into_owned();
    let bits = ignored.trim_start_matches("SigIgn:").trim();
    // Bit n-1 is signal n: INT is 2, QUIT is 3.
    assert_eq!(u64::from_str_radix(bits, 16).map(|bits| bits & 0b110), Ok(0), "{ignored:?} {output:?}");
}

#[test]
fn the_end_of_a_pod_is_the_end_of_its_veth_and_processes() {
    let mut lab = Lab::new("pod-end").unwrap();
    let mut node = lab.node("node1", Layout::Bridge).unwrap();
    let pod = node.pod("foo").unwrap();
    let mut process = pod.spawn("sleep", ["60"]).unwrap();
    drop(pod);
    assert!(!process.wait(SOON).unwrap().success());
    wait_until("the veth to go", SOON, || Ok(!node.run("ls", ["/sys/class/net"])?.contains("veth1"))).unwrap();
}

#[test]
fn services_by_nat_lead_to_their_backends_from_everywhere() {
    let echo = built("axoneme-echo").unwrap();
    let mut lab = Lab::new("nat").unwrap();
    let mut node = lab.node("node1", Layout::Routed).unwrap();
    let (one, two, asking) = (node.pod("foo").unwrap(), node.pod("bar").unwrap(), node.pod("asking").unwrap());
    let client = lab.client("client").unwrap();
    let servers: Vec<_> = [&one, &two].map(|pod| pod.spawn(&echo, [""; 0]).unwrap()).into_iter().collect();
    for server in &servers {
        wait_until("the backend", SOON, || Ok(server.log()?.contains("listens"))).unwrap();
    }
    let at = |address: IpAddr, port| SocketAddr::new(address, port);
    let frontends: [IpAddr; 2] = ["10.233.0.1".parse().unwrap(), "fd00:233::1".parse().unwrap()];
    let mut services = Vec::new();
    for (family, frontend) in frontends.into_iter().enumerate() {
        let backend = |pod: &Namespace| at(pod.address.each()[family], 5678);
        services.push(Service { frontend: at(frontend, 80), backends: vec![backend(&one), backend(&two)] });
        services.push(Service { frontend: at(frontend, 81), backends: vec![backend(&two)] });
        services.push(Service { frontend: at(frontend, 82), backends: vec![] });
    }
    node.serve_by_nat(&services).unwrap();
    node.serve_by_nat(&services).unwrap();
    Lab::route(&client, address::BALANCERS_V4, &node).unwrap();
    Lab::route(&client, address::BALANCERS_V6, &node).unwrap();
    let http = Client::new(&echo);
    for from in [&asking, &client, &*node] {
        for frontend in frontends {
            let answers = http.get_many(from, &format!("http://{}/", at(frontend, 80)), 4).unwrap();
            let foos = answers.iter().filter(|answer| answer.text() == "foo").count();
            let bars = answers.iter().filter(|answer| answer.text() == "bar").count();
            assert_eq!((foos, bars), (2, 2), "{} asks {frontend}: {answers:?}", from.name);
            let one = http.get(from, &format!("http://{}/", at(frontend, 81))).unwrap();
            assert_eq!(one.text(), "bar");
            let none = http.get(from, &format!("http://{}/", at(frontend, 82))).unwrap();
            assert!(format!("{none:?}").contains("refused"), "{none:?}");
        }
    }
}

#[test]
fn a_thread_can_be_in_a_network() {
    let mut lab = Lab::new("thread").unwrap();
    let client = lab.client("client").unwrap();
    let at = SocketAddr::new(client.address.v4.into(), 80);
    let listener = client.enter(|| TcpListener::bind(at)).unwrap().unwrap();
    assert!(TcpListener::bind(at).is_err(), "the address is in the lab only");
    assert_eq!(listener.local_addr().unwrap(), at);
}

#[test]
fn nothing_is_left_after_a_lab() {
    let mut lab = Lab::new("left").unwrap();
    let mut node = lab.node("node1", Layout::Routed).unwrap();
    let pod = node.pod("foo").unwrap();
    let group = node.cgroup().parent().unwrap().to_owned();
    let holders = [node.pid(), pod.pid(), lab.lan().pid()];
    let mut process = pod.spawn("sh", ["-c", "sleep 60 & sleep 60"]).unwrap();
    drop((lab, node, pod));
    assert!(!process.wait(SOON).unwrap().success(), "killed with the lab");
    assert!(!group.exists());
    for holder in holders {
        assert!(!Path::new(&format!("/proc/{holder}/ns/net")).exists());
    }
}

#[test]
fn any_number_may_sweep_at_a_time() {
    let root = Lab::new("sweepers").unwrap().lan().cgroup().ancestors().nth(2).unwrap().to_owned();
    for round in 0..20 {
        let dead = root.join(format!("axoneme-lab-dead-{}-{round}", std::process::id()));
        fs::create_dir(&dead).unwrap();
        thread::scope(|scope| {
            let sweepers: Vec<_> = (0..4).map(|_| scope.spawn(|| sweep().map(drop))).collect();
            for sweeper in sweepers {
                sweeper.join().unwrap().unwrap();
            }
        });
        assert!(!dead.exists());
    }
}

/// Set for the process that is to be killed.
const OWNER: &str = "TESTNET_OWNER";

/// Not a test by itself: the owner of a lab that never ends on its own.
#[test]
fn owner() {
    if std::env::var_os(OWNER).is_some() {
        let mut lab = Lab::new("owner").unwrap();
        let mut node = lab.node("node1", Layout::Routed).unwrap();
        let pod = node.pod("foo").unwrap();
        let sleeper = pod.spawn("sleep", ["600"]).unwrap();
        eprintln!("lab {} {}", node.cgroup().parent().unwrap().display(), sleeper.id());
        thread::sleep(Duration::from_secs(600));
    }
}

#[test]
fn a_killed_owner_leaves_what_the_next_lab_sweeps() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "owner", "--nocapture"]).env(OWNER, "1");
    let owner = Process::start(command).unwrap();
    let line = || owner.log().unwrap().lines().find(|line| line.starts_with("lab ")).map(str::to_owned);
    let began = wait_until("the owner's lab", SOON, || Ok(line().is_some()));
    assert!(began.is_ok(), "{}", owner.log().unwrap());
    let line = line().unwrap();
    let words: Vec<_> = line.split(' ').collect();
    let (group, sleeper) = (Path::new(words[1]), words[2]);
    let running = || fs::read_to_string(format!("/proc/{sleeper}/cmdline")).is_ok_and(|line| line.starts_with("sleep"));
    wait_until("the process in the pod", SOON, || Ok(running())).unwrap();

    sweep().unwrap();
    assert!(running(), "a lab whose owner lives is left alone");
    drop(owner); // SIGKILL
    sweep().unwrap();
    assert!(!group.exists());
    wait_until("the end of the process in the pod", SOON, || Ok(!running())).unwrap();
}
