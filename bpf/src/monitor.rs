//! What is counted can be watched live: each decision as an event in a ring buffer.
//!
//! Nothing is told unless somebody watches. Packets of connections that the proxy has are not counted, so they do not even
//! come by here.

use axoneme_bpf_common::{Pace, Place, Reason, RedirectEvent, Told};
use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::map,
    maps::{Array, PerCpuArray, RingBuf},
};

use crate::packet::{Flow, bytes};

/// One value, which the loader writes when somebody comes to watch, and when the last one leaves. This map and the next ones
/// are not pinned: a loader that ends takes its watchers with it.
#[map]
static MONITOR: Array<Pace> = Array::with_max_entries(1, 0);

/// How much this processor has told.
#[map]
static TOLD: PerCpuArray<Told> = PerCpuArray::with_max_entries(1, 0);

/// 256 KiB, some 4,000 events.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(256 * 1024, 0);

/// Tells what became of a flow, if somebody watches.
#[inline(always)]
pub(crate) fn tell(place: Place, flow: &Flow, service: u32, reason: Reason) {
    let Some(pace) = MONITOR.get(0) else { return };
    if pace.interval != 0 {
        write(pace, flow, service, (place as u64) << 32 | reason as u64);
    }
}

/// A function of its own, once in each program: it is called from many places.
#[inline(never)]
fn write(pace: &Pace, flow: &Flow, service: u32, place_and_reason: u64) {
    let Some(told) = TOLD.get_ptr_mut(0) else { return };
    // SAFETY: a pure question; and the value is this processor's own.
    let (now, told) = unsafe { (bpf_ktime_get_ns(), &mut *told) };
    if told.next > now {
        told.lost += 1;
        return;
    }
    let Some(mut entry) = EVENTS.reserve::<RedirectEvent>(0) else {
        told.lost += 1;
        return;
    };
    // Who was silent may tell a burst, and no more.
    told.next = told.next.max(now.saturating_sub(pace.burst)) + pace.interval;
    entry.write(RedirectEvent {
        time: now,
        source: bytes(flow.source),
        destination: bytes(flow.destination),
        source_port: flow.source_port.to_ne_bytes(),
        destination_port: flow.destination_port.to_ne_bytes(),
        service,
        reason: place_and_reason as u32,
        place: (place_and_reason >> 32) as u32,
    });
    entry.submit(0);
}
