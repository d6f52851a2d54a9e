//! Programs of somebody else at the hooks that we use, before and after ours.
#![expect(unsafe_code, reason = "loading a program of five instructions is not worth a compiler")]

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use axoneme_testnet::{Layout, Namespace};

use crate::{
    clsact,
    ground::{Ground, Nat},
};

/// Commands, program type, hook and flags of `linux/bpf.h`.
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const LINK_CREATE: libc::c_int = 28;
const SCHED_CLS: u32 = 3;
const XDP: u32 = 6;
const XDP_ATTACH: u32 = 37;
const TCX_INGRESS: u32 = 46;

/// Where among those that are there.
#[derive(Clone, Copy)]
enum Position {
    First = 1 << 3,
    Last = 1 << 4,
}

/// Where the kernel runs a program of XDP, as flags of the link.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// In the stack, before anything else.
    Generic = 1 << 1,
    /// In the device's driver, before there is a packet for the stack.
    Driver = 1 << 2,
}

/// Puts a program of XDP on a device that lets every packet pass. It stays as long as what is returned.
pub(crate) fn watch(node: &Namespace, device: &str, mode: Mode) -> OwnedFd {
    const PASS: u32 = 2;
    let loaded = load(XDP, &[instruction(0xb7, 0x00, 0, PASS), instruction(0x95, 0x00, 0, 0)]);
    let mut link = [0_u32; 32];
    link[..4].copy_from_slice(&[loaded.as_raw_fd().cast_unsigned(), index(node, device), XDP_ATTACH, mode as u32]);
    let link = node.enter(|| bpf(LINK_CREATE, &link)).unwrap().unwrap();
    // SAFETY: a descriptor that the kernel just made for us.
    unsafe { OwnedFd::from_raw_fd(link) }
}

fn index(node: &Namespace, device: &str) -> u32 {
    node.run("cat", [format!("/sys/class/net/{device}/ifindex")]).unwrap().trim().parse().unwrap()
}

fn instruction(code: u8, registers: u8, offset: i16, value: u32) -> u64 {
    let [low, high] = offset.to_ne_bytes();
    let mut bytes = [code, registers, low, high, 0, 0, 0, 0];
    bytes[4..].copy_from_slice(&value.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

fn load(kind: u32, program: &[u64]) -> OwnedFd {
    let (code, license) = (program.as_ptr() as u64, c"GPL".as_ptr() as u64);
    let mut load = [0_u32; 32];
    (load[0], load[1]) = (kind, program.len() as u32);
    for (at, address) in [(2, code), (4, license)] {
        let words = address.to_ne_bytes();
        for (word, bytes) in load[at..].iter_mut().zip(words.chunks_exact(4)) {
            *word = u32::from_ne_bytes(bytes.try_into().unwrap());
        }
    }
    // SAFETY: a descriptor that the kernel just made for us.
    unsafe { OwnedFd::from_raw_fd(bpf(PROG_LOAD, &load).unwrap()) }
}

/// Attaches a program that sets a bit of every packet's mark and lets the next one run.
fn attach(node: &Namespace, device: &str, bit: u32, position: Position) {
    // The mark is at offset 8 of the context, which is in register 1.
    let program = [
        instruction(0x61, 0x12, 8, 0),
        instruction(0x47, 0x02, 0, bit),
        instruction(0x63, 0x21, 8, 0),
        instruction(0xb7, 0x00, 0, u32::MAX),
        instruction(0x95, 0x00, 0, 0),
    ];
    let loaded = load(SCHED_CLS, &program);
    let mut attach = [0_u32; 32];
    attach[..4].copy_from_slice(&[
        index(node, device),
        loaded.as_raw_fd().cast_unsigned(),
        TCX_INGRESS,
        position as u32,
    ]);
    node.enter(|| bpf(PROG_ATTACH, &attach)).unwrap().unwrap();
}

fn bpf(command: libc::c_int, attributes: &[u32; 32]) -> io::Result<libc::c_int> {
    // SAFETY: as many bytes as is said; what they point to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(attributes)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}

#[test]
fn programs_of_others_before_and_after_ours_stay_in_force() {
    const BEFORE: u32 = 0x10000;
    const AFTER: u32 = 0x20000;
    if clsact::is_all_there_is() {
        println!("skipped: it is about TCX links, and this kernel has none");
        return;
    }
    for layout in [Layout::Routed, Layout::Bridge] {
        let ground = Ground::new("foreign", layout);
        // The pod's own device, which is a port in a bridge, and the uplink.
        let devices = ["veth1", "eth0"];
        devices.iter().for_each(|device| attach(&ground.node, device, AFTER, Position::Last));
        let mut stage = ground.stage(Nat::Nftables);
        devices.iter().for_each(|device| attach(&stage.ground.node, device, BEFORE, Position::First));
        let _proxy = stage.proxy();
        stage.redirect();
        // A packet with the bits of all three programs.
        let all = "meta mark & 0x30f00 == 0x30200";
        let (pod, client) = (stage.ground.pod.address, stage.ground.clients[0].address);
        let rule = |source: &str| format!("    {source} {all} counter\n");
        let sources = [
            format!("ip saddr {}", pod.v4),
            format!("ip6 saddr {}", pod.v6),
            format!("ip saddr {}", client.v4),
            format!("ip6 saddr {}", client.v6),
        ];
        let rules: String = sources.iter().map(|source| rule(source)).collect();
        let table = "table inet witness";
        let chain = format!("type filter hook prerouting priority -299;\n{rules}");
        stage.ground.node.nft(&format!("{table} {{\n  chain pre {{ {chain}  }}\n}}\n")).unwrap();
        stage.everybody_meets_the_proxy("between programs of others");
        let counted = stage.ground.node.run("nft", ["list", "table", "inet", "witness"]).unwrap();
        let seen = |line: &&str| line.contains("counter packets") && !line.contains("packets 0 ");
        assert_eq!(counted.lines().filter(seen).count(), sources.len(), "{layout:?}: {counted}");
        stage.ground.node.nft(&format!("delete {table}\n")).unwrap();
        stage.end();
    }
}
