//! Somebody else on the node, with rules, routes and programs in the very places where ours are.
//!
//! Programs are put there, and looked for, by this very test program, started again inside of the node.

use std::{env, fs, path::Path};

use axoneme_testnet::Namespace;
use aya::{
    EbpfLoader,
    programs::{
        CgroupAttachMode, CgroupSockAddr, LinkOrder, SchedClassifier, TcAttachType, links::FdLink, tc::TcAttachOptions,
    },
};

use crate::clsact;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/axoneme.o"));

const ORDER: &str = "AXONEME_STRANGER";
const PINS: &str = "/sys/fs/bpf/stranger";
/// Tells answers from what the test harness prints.
const ANSWER: &str = "> ";

/// Moves in.
pub(crate) fn settle(node: &Namespace) {
    // With our preference, with our mark, and routes in our tables.
    node.ip([
        "rule add pref 9 from 192.0.2.0/24 lookup 77",
        "rule add pref 100 fwmark 0x200/0xf00 lookup 77",
        "route add 198.51.100.0/24 dev eth0 table 77",
        "route add local 203.0.113.0/24 dev lo table 2004",
        "route add local 2001:db8:9::/64 dev lo table 2005",
    ])
    .unwrap();
    node.run("ip", ["-6", "rule", "add", "pref", "9", "from", "2001:db8::/32", "lookup", "77"]).unwrap();
    node.nft(
        "table inet stranger {
            chain prerouting {
                type filter hook prerouting priority raw; policy accept;
                meta mark & 0xf00 == 0x200 counter
            }
        }",
    )
    .unwrap();
    let script = "tc qdisc add dev eth0 clsact; tc filter add dev eth0 ingress prio 7 bpf bytecode '1,6 0 0 0'";
    node.run("sh", ["-ec", script]).unwrap();
    obey(node, "settle");
}

/// The programs on the TCX hooks of each device, in their order; on a kernel that has no such hooks, nothing.
pub(crate) fn programs(node: &Namespace) -> String {
    obey(node, "look")
}

fn obey(node: &Namespace, order: &str) -> String {
    let mut command = node.command(env::current_exe().unwrap());
    command.args(["--exact", "stranger::stranger", "--ignored", "--nocapture", "--test-threads=1"]);
    let done = command.env(ORDER, order).output().unwrap();
    let words = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{words}\n{}", String::from_utf8_lossy(&done.stderr));
    words.lines().filter_map(|line| line.strip_prefix(ANSWER)).map(|line| format!("{line}\n")).collect()
}

#[test]
#[ignore = "the other tests start it, inside of a node"]
fn stranger() {
    println!();
    if env::var(ORDER).unwrap() == "settle" { attach() } else { look() }
}

/// Our own programs, with maps of their own: with nothing in the maps they do nothing.
fn attach() {
    fs::create_dir(PINS).unwrap();
    let mut ebpf = EbpfLoader::new().btf(None).default_map_pin_directory(PINS).load(OBJECT).unwrap();
    if !clsact::is_all_there_is() {
        let program: &mut SchedClassifier = ebpf.program_mut("from_netdev").unwrap().try_into().unwrap();
        program.load().unwrap();
        for (name, side) in [("ingress", TcAttachType::Ingress), ("egress", TcAttachType::Egress)] {
            let options = TcAttachOptions::TcxOrder(LinkOrder::last());
            let id = program.attach_with_options("eth0", side, options).unwrap();
            pin(FdLink::try_from(program.take_link(id).unwrap()).unwrap(), name);
        }
    }
    let program: &mut CgroupSockAddr = ebpf.program_mut("connect4").unwrap().try_into().unwrap();
    program.load().unwrap();
    let root = fs::File::open("/sys/fs/cgroup").unwrap();
    let id = program.attach(root, CgroupAttachMode::Single).unwrap();
    pin(FdLink::try_from(program.take_link(id).unwrap()).unwrap(), "connect4");
}

fn pin(link: FdLink, name: &str) {
    link.pin(Path::new(PINS).join(name)).unwrap();
}

fn look() {
    if clsact::is_all_there_is() {
        return;
    }
    let mut devices: Vec<String> = fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|device| device.unwrap().file_name().into_string().unwrap())
        .collect();
    devices.sort();
    for device in devices {
        for side in [TcAttachType::Ingress, TcAttachType::Egress] {
            let (_, programs) = SchedClassifier::query_tcx(&device, side).unwrap();
            let ids: Vec<u32> = programs.iter().map(aya::programs::ProgramInfo::id).collect();
            println!("{ANSWER}{device} {side:?} {ids:?}");
        }
    }
}
