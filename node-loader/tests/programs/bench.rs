//! One object with its maps in a network namespace of its own, and the sockets that the programs look for.

use std::{
    io::ErrorKind::WouldBlock,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

use axoneme_bpf_common::{
    Failure, Frontend, FrontendKey, Keeping, Marks, Near, Pace, Place, Reason, RedirectEvent, Settings, SourceKey,
    Sources, State, Tally, Told, mapped,
};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, LpmTrie, PerCpuArray, PerCpuHashMap, PerCpuValues, RingBuf, lpm_trie},
    programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions},
    util::nr_cpus,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare},
    unistd::Pid,
};

use crate::packet::{CLIENT_PORT, Packets};

pub(crate) const INGRESS: [&str; 2] = ["from_container", "from_netdev"];
pub(crate) const TAKEN: u32 = 0x200;
pub(crate) const REFUSE: u32 = 0x300;
pub(crate) const HOST: u32 = 0x600;
pub(crate) const KEPT: u32 = 0xb00;

const MARKS: Marks = Marks {
    mask: 0xf00,
    taken: TAKEN,
    host: HOST,
    listener: 0xa00,
    original_source: KEPT,
    upstream: 0xc00,
    refuse: REFUSE,
};
/// Mounted in the namespace of each test only.
pub(crate) const PINS: &str = "/sys/fs/bpf";
const PROXY_PORT: u16 = 10_000;
pub(crate) const SERVICE: u32 = 7;
/// `TCX_NEXT`, as the kernel returns it.
const NEXT: u32 = u32::MAX;
/// Size of `struct __sk_buff`, and where its mark is.
const CONTEXT: usize = 192;
const MARK_AT: usize = 8;

const REASONS: [Reason; 9] = [
    Reason::Taken,
    Reason::Reused,
    Reason::Cookie,
    Reason::Bypassed,
    Reason::Refused,
    Reason::Drained,
    Reason::Foreign,
    Reason::Unassigned,
    Reason::SourceRange,
];

pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/axoneme.o"));

pub(crate) struct Bench {
    ebpf: Ebpf,
    v6: bool,
}

/// A connection whose server side has the service's address.
pub(crate) struct Connection {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
}

impl Connection {
    pub(crate) fn client_port(&self) -> u16 {
        self.client.local_addr().unwrap().port()
    }
}

impl Bench {
    /// Moves this thread to new namespaces.
    pub(crate) fn namespaces() {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("this test needs root");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        mount(Some("bpf"), PINS, Some("bpf"), MsFlags::empty(), None::<&str>).unwrap();
    }

    /// Loads everything, in namespaces of its own.
    pub(crate) fn new(v6: bool) -> Self {
        Self::of(OBJECT, v6)
    }

    /// The same, of another object.
    pub(crate) fn of(object: &[u8], v6: bool) -> Self {
        Self::namespaces();
        let packets = Packets::new(v6);
        let at_once = if v6 { "nodad" } else { "" };
        for arguments in [
            "link set lo up".to_owned(),
            format!("addr add {} dev lo {at_once}", packets.client),
            format!("addr add {} dev lo {at_once}", packets.service.ip()),
        ] {
            assert!(
                Command::new("ip").args(arguments.split_whitespace()).status().unwrap().success(),
                "ip {arguments}"
            );
        }
        let mut ebpf = EbpfLoader::new().btf(None).default_map_pin_directory(PINS).load(object).unwrap();
        for program in [INGRESS[0], INGRESS[1], "from_host"] {
            let program = classifier(&mut ebpf, program);
            // A signal disturbs the verifier, and one comes when a child of another test ends.
            while let Err(error) = program.load() {
                let disturbed =
                    matches!(&error, ProgramError::LoadError { io_error, .. } if io_error.kind() == WouldBlock);
                assert!(disturbed, "{error}");
            }
        }
        let mut settings: Array<_, Settings> = ebpf.map_mut("SETTINGS").unwrap().try_into().unwrap();
        settings.set(0, written(1, MARKS, 3), 0).unwrap();
        Self { ebpf, v6 }
    }

    pub(crate) fn packets(&self) -> Packets {
        Packets::new(self.v6)
    }

    pub(crate) fn frontend(&mut self, state: State, failure: Failure) {
        self.put(state, failure, Sources::All);
    }

    /// A frontend for those from outside that [`Bench::list`] lists.
    pub(crate) fn listed_frontend(&mut self, state: State, failure: Failure) {
        self.put(state, failure, Sources::Listed);
    }

    fn put(&mut self, state: State, failure: Failure, sources: Sources) {
        let proxy_port = PROXY_PORT.to_be_bytes();
        let (state, failure, sources) = (state as u8, failure as u8, sources as u8);
        let value = Frontend { service: SERVICE, proxy_port, state, failure, sources, zero: [0; 3] };
        let key = self.key();
        self.frontends().insert(key, value, 0).unwrap();
    }

    /// Lets `address` and those that share its first `bits` connect to `service`, or not any more.
    pub(crate) fn list(&mut self, service: u32, family: u32, address: [u8; 16], bits: u32, is_in: bool) {
        let mut sources: LpmTrie<_, SourceKey, u32> = self.ebpf.map_mut("SOURCES").unwrap().try_into().unwrap();
        let key = SourceKey { service, family, address };
        let key = lpm_trie::Key::new(SourceKey::BITS_BEFORE_ADDRESS + bits, key);
        if is_in { sources.insert(&key, 1, 0).unwrap() } else { sources.remove(&key).unwrap() }
    }

    /// Whether upstream connections keep their client's address.
    pub(crate) fn keep(&mut self, on: bool) {
        let mut keeping: Array<_, Keeping> = self.ebpf.map_mut("KEEPING").unwrap().try_into().unwrap();
        keeping.set(0, Keeping { on: on.into(), node_source: 0xd00 }, 0).unwrap();
    }

    /// Says where an address is.
    pub(crate) fn near(&mut self, address: IpAddr, near: Near) {
        let mut map: LpmTrie<_, [u8; 16], u32> = self.ebpf.map_mut("NEAR").unwrap().try_into().unwrap();
        map.insert(&lpm_trie::Key::new(128, bytes(address)), near as u32, 0).unwrap();
    }

    pub(crate) fn no_frontend(&mut self) {
        let key = self.key();
        self.frontends().remove(&key).unwrap();
    }

    /// Where the proxy would listen.
    pub(crate) fn listener(&self) -> TcpListener {
        TcpListener::bind(if self.v6 { ("::1", PROXY_PORT) } else { ("127.0.0.1", PROXY_PORT) }).unwrap()
    }

    /// As before a loader has written its settings.
    pub(crate) fn without_settings(&mut self) {
        let none = Marks { mask: 0, taken: 0, host: 0, listener: 0, original_source: 0, upstream: 0, refuse: 0 };
        let mut settings: Array<_, Settings> = self.ebpf.map_mut("SETTINGS").unwrap().try_into().unwrap();
        settings.set(0, written(0, none, 0), 0).unwrap();
    }

    pub(crate) fn connection(&self) -> Connection {
        let packets = self.packets();
        let listener = TcpListener::bind(packets.service).unwrap();
        let client = connect_from(packets.client, packets.service);
        let server = listener.accept().unwrap().0;
        Connection { client, server }
    }

    /// Runs a program on a packet: with what mark it comes out, and what is counted, in the order of the reasons.
    #[track_caller]
    pub(crate) fn expect(&mut self, program: &str, packet: &[u8], before: u32, after: u32, counted: &[Reason]) {
        self.reset_counters();
        let mut context = [0; CONTEXT];
        context[MARK_AT..MARK_AT + 4].copy_from_slice(&before.to_ne_bytes());
        let mut context_after = [0; CONTEXT];
        let options = TestRunOptions {
            data_in: Some(packet),
            ctx_in: Some(&context),
            ctx_out: Some(&mut context_after),
            ..TestRunOptions::new()
        };
        let result = classifier(&mut self.ebpf, program).test_run(options).unwrap();
        assert_eq!(result.return_value, NEXT, "{program} must let the next program run");
        let mark = u32::from_ne_bytes(*context_after[MARK_AT..].first_chunk().unwrap());
        assert_eq!((mark, self.counted()), (after, counted.to_vec()), "{program}, IPv6: {}", self.v6);
    }

    /// The mean time of so many runs on one packet. Its mark stays from one run to the next.
    pub(crate) fn time(&mut self, program: &str, packet: &[u8], runs: u32) -> Duration {
        let options = TestRunOptions { data_in: Some(packet), repeat: runs, ..TestRunOptions::new() };
        classifier(&mut self.ebpf, program).test_run(options).unwrap().duration
    }

    /// How long a program ran by now, while somebody lets the kernel count that.
    pub(crate) fn counted_time(&mut self, program: &str) -> Duration {
        classifier(&mut self.ebpf, program).info().unwrap().run_time()
    }

    /// Begins to watch, on one processor, since each has a pace of its own.
    pub(crate) fn watch(&mut self, interval: Duration, burst: Duration) {
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this).unwrap();
        let mut one = CpuSet::new();
        one.set((0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap()).unwrap()).unwrap();
        sched_setaffinity(this, &one).unwrap();
        let zero = PerCpuValues::try_from(vec![Told::default(); nr_cpus().unwrap()]).unwrap();
        let mut told: PerCpuArray<_, Told> = self.ebpf.map_mut("TOLD").unwrap().try_into().unwrap();
        told.set(0, zero, 0).unwrap();
        let mut monitor: Array<_, Pace> = self.ebpf.map_mut("MONITOR").unwrap().try_into().unwrap();
        let nanos = |duration: Duration| duration.as_nanos().try_into().unwrap();
        monitor.set(0, Pace { interval: nanos(interval), burst: nanos(burst) }, 0).unwrap();
    }

    /// What was told since the last time, and how many events ever were not.
    pub(crate) fn told(&mut self) -> (Vec<Vec<u8>>, u64) {
        let mut events = Vec::new();
        let mut ring: RingBuf<_> = self.ebpf.map_mut("EVENTS").unwrap().try_into().unwrap();
        while let Some(event) = ring.next() {
            events.push(event.to_vec());
        }
        let told: PerCpuArray<_, Told> = self.ebpf.map_mut("TOLD").unwrap().try_into().unwrap();
        let lost = told.get(&0, 0).unwrap().iter().map(|told| told.lost).sum();
        (events, lost)
    }

    /// The event of a packet that was seen on an uplink, without its time.
    pub(crate) fn event(&self, reason: Reason) -> Vec<u8> {
        let Packets { client, service, .. } = self.packets();
        let ports = [CLIENT_PORT.to_be_bytes(), service.port().to_be_bytes()].concat();
        let numbers = [SERVICE, reason as u32, Place::Netdev as u32].map(u32::to_ne_bytes).concat();
        let event = [&bytes(client)[..], &bytes(service.ip()), &ports, &numbers].concat();
        assert_eq!(event.len() + size_of::<u64>(), size_of::<RedirectEvent>());
        event
    }

    fn key(&self) -> FrontendKey {
        let service = self.packets().service;
        FrontendKey::tcp(bytes(service.ip()), service.port().to_be_bytes())
    }

    fn frontends(&mut self) -> HashMap<&mut aya::maps::MapData, FrontendKey, Frontend> {
        self.ebpf.map_mut("FRONTENDS").unwrap().try_into().unwrap()
    }

    fn counters(&mut self) -> PerCpuHashMap<&mut aya::maps::MapData, u32, Tally> {
        self.ebpf.map_mut("COUNTERS").unwrap().try_into().unwrap()
    }

    fn reset_counters(&mut self) {
        let zero = PerCpuValues::try_from(vec![Tally::default(); nr_cpus().unwrap()]).unwrap();
        self.counters().insert(SERVICE, zero, 0).unwrap();
    }

    fn counted(&mut self) -> Vec<Reason> {
        let tallies = self.counters().get(&SERVICE, 0).unwrap();
        let sum = |reason: &Reason| tallies.iter().map(|tally| tally.counts[*reason as usize]).sum::<u64>();
        REASONS.into_iter().filter(|reason| sum(reason) > 0).collect()
    }
}

/// As programs see it.
pub(crate) fn bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => mapped(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Settings of a node without IPVS.
fn written(netns_cookie: u64, marks: Marks, host_families: u32) -> Settings {
    Settings { netns_cookie, marks, host_families, v4_source: 0, v6_source: [0; 4], zero: 0 }
}

fn classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut SchedClassifier {
    ebpf.program_mut(name).unwrap().try_into().unwrap()
}

/// From an address of our own choice: the kernel would choose the destination's.
fn connect_from(from: IpAddr, to: SocketAddr) -> TcpStream {
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, 0))).unwrap();
    connect(fd.as_raw_fd(), &SockaddrStorage::from(to)).unwrap();
    TcpStream::from(fd)
}
