//! The maps, and how programs read and count in them.

use axoneme_bpf_common::{CAPACITY, Frontend, FrontendKey, Keeping, Reason, Settings, SourceKey, Tally};
use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LpmTrie, PerCpuHashMap, lpm_trie},
};

use crate::packet::{Address, Family, Flow, bytes};

/// What clients dial. Not preallocated: memory for what is there, and values that are replaced whole under RCU.
#[map]
static FRONTENDS: HashMap<FrontendKey, Frontend> = HashMap::pinned(CAPACITY, BPF_F_NO_PREALLOC);

/// One value, written by the loader before it attaches anything.
#[map]
static SETTINGS: Array<Settings> = Array::pinned(1, 0);

/// By service number. The loader makes and removes the values; programs only add to those that are there.
#[map]
static COUNTERS: PerCpuHashMap<u32, Tally> = PerCpuHashMap::pinned(CAPACITY, BPF_F_NO_PREALLOC);

/// The ranges of addresses that may connect from outside, by service; for frontends that say so. The value means nothing.
#[map]
static SOURCES: LpmTrie<SourceKey, u32> = LpmTrie::pinned(CAPACITY, BPF_F_NO_PREALLOC);

/// One value. All zero until the loader says otherwise.
#[map]
static KEEPING: Array<Keeping> = Array::pinned(1, 0);

/// What of the network is here: ranges of addresses, each with a [`Near`](axoneme_bpf_common::Near).
#[map]
static NEAR: LpmTrie<Address, u32> = LpmTrie::pinned(CAPACITY, BPF_F_NO_PREALLOC);

/// By number of a device, the link-layer address of the bridge that it is a port of, and two zeros.
#[map]
static BRIDGES: HashMap<u32, [u8; 8]> = HashMap::pinned(CAPACITY, BPF_F_NO_PREALLOC);

#[inline(always)]
pub(crate) fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

#[inline(always)]
pub(crate) fn frontend(key: &FrontendKey) -> Option<&'static Frontend> {
    // SAFETY: the map is not preallocated, so a value is replaced by a new one and the old one lives until we return (RCU).
    unsafe { FRONTENDS.get(key) }
}

/// Whether a client is in one of the service's ranges.
#[inline(always)]
pub(crate) fn is_listed(service: u32, client: &Flow) -> bool {
    let family = match client.family {
        Family::V4 => 4,
        Family::V6 => 6,
    };
    let key = SourceKey { service, family, address: bytes(client.source) };
    SOURCES.get(lpm_trie::Key::new(SourceKey::BITS, key)).is_some()
}

/// `None` while no upstream connection speaks from its client's address.
#[inline(always)]
pub(crate) fn keeping() -> Option<&'static Keeping> {
    KEEPING.get(0).filter(|keeping| keeping.on != 0)
}

/// 0 for an address that is not here.
#[inline(always)]
pub(crate) fn near(address: &Address) -> u32 {
    NEAR.get(lpm_trie::Key::new(128, *address)).copied().unwrap_or(0)
}

#[inline(always)]
pub(crate) fn bridge(device: u32) -> Option<&'static [u8; 8]> {
    // SAFETY: as for frontends.
    unsafe { BRIDGES.get(&device) }
}

#[inline(always)]
pub(crate) fn count(service: u32, reason: Reason) {
    if let Some(tally) = COUNTERS.get_ptr_mut(service) {
        // SAFETY: the value is this processor's own, and no other program of ours can interrupt this one on it to
        // write the same word: all run in softirq or with preemption off.
        unsafe { (*tally).counts[reason as usize] += 1 };
    }
}
