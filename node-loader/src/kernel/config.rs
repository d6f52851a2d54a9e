//! What of the kernel is ours: paths, marks, numbers. The defaults collide with no network plug-in that we know.

use std::path::PathBuf;

use axoneme_bpf_common as bpf;

use super::attachment::Attachment;

/// Where the datapath lives. Two loaders on one machine need a network namespace and a pin directory each.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder on a bpffs for maps and links; made when missing. One folder below it per layout of the maps.
    pub pin_dir: PathBuf,
    /// Folder of the cgroup v2 tree below which host processes are found; `None` takes the mounted tree's root.
    pub cgroup: Option<PathBuf>,
    /// Packet and socket marks.
    pub marks: Marks,
    /// Policy routing.
    pub routing: Routing,
    /// Name of the nftables table, of family `inet`.
    pub nft_table: String,
    /// Whether IPv6 is handled.
    pub ipv6: bool,
    /// Devices beside the detected ones that clients outside of the node come in by. `*` stands for any characters.
    pub uplinks: Vec<String>,
    /// Devices to leave alone, whatever they are. `*` stands for any characters.
    pub ignored_devices: Vec<String>,
    /// How programs sit on devices; `None` takes the best that this kernel has.
    pub attachment: Option<Attachment>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pin_dir: PathBuf::from("/sys/fs/bpf/axoneme"),
            cgroup: None,
            marks: Marks::default(),
            routing: Routing::default(),
            nft_table: "axoneme".to_owned(),
            ipv6: true,
            uplinks: Vec::new(),
            ignored_devices: Vec::new(),
            attachment: None,
        }
    }
}

/// Values of `skb->mark` and `SO_MARK`. Only bits of `mask` are read or written.
///
/// [`bpf::Marks`] is what the programs look at in one of their maps, so whatever it has is part of the maps' layout. These are also
/// what only Envoy and nftables have to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// The bits that are ours.
    pub mask: u32,
    /// Packets taken from pods and from outside.
    pub taken: u32,
    /// Sockets of host processes whose packets are taken.
    pub host: u32,
    /// The proxy's listeners.
    pub listener: u32,
    /// The proxy's upstream sockets that carry the client's address.
    pub original_source: u32,
    /// The proxy's other upstream sockets.
    pub upstream: u32,
    /// The proxy's upstream sockets that were to carry the client's address, and speak from the node's: no reply would come
    /// back here.
    pub node_source: u32,
    /// Packets to be answered with a RST.
    pub refuse: u32,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            mask: 0xf00,
            taken: 0x200,
            host: 0x600,
            listener: 0xa00,
            original_source: 0xb00,
            upstream: 0xc00,
            node_source: 0xd00,
            refuse: 0x300,
        }
    }
}

impl From<Marks> for bpf::Marks {
    fn from(marks: Marks) -> Self {
        let Marks { mask, taken, host, listener, original_source, upstream, node_source: _, refuse } = marks;
        Self { mask, taken, host, listener, original_source, upstream, refuse }
    }
}

/// Preferences of our rules and numbers of our tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routing {
    /// Rule for taken packets that come back on the loopback device: the main table. Reverse-path checks that look at marks
    /// (`src_valid_mark`) would drop everything without it.
    pub stray_rule: u32,
    /// Rule for taken packets: the table `taken_table`.
    pub taken_rule: u32,
    /// Rule for marked host sockets: the table `host_table`.
    pub host_rule: u32,
    /// Makes every address local.
    pub taken_table: u32,
    /// Makes every address local, with the node's own address as source.
    pub host_table: u32,
}

impl Default for Routing {
    fn default() -> Self {
        Self { stray_rule: 8, taken_rule: 9, host_rule: 10, taken_table: 2004, host_table: 2005 }
    }
}
