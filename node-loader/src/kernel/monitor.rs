//! The ring buffer of what the programs decide, read while somebody watches.
#![expect(unsafe_code, reason = "whoever waits for a descriptor has to promise that it stays open")]

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axoneme_bpf_common as bpf;
use aya::{
    Ebpf,
    maps::{Array, MapData, PerCpuArray, RingBuf},
};
use nix::time::{ClockId, clock_gettime};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc::UnboundedReceiver,
    time::{MissedTickBehavior, interval},
};

use super::map::{map_error, take};
use crate::{
    datapath::{DatapathError, Reason, ServiceId},
    monitor::{Batch, Place, Sighting, Watcher},
};

const MONITOR: &str = "MONITOR";
const TOLD: &str = "TOLD";
const EVENTS: &str = "EVENTS";

/// Of each processor: a thousand events a second, and a burst of 200.
const PACE: bpf::Pace = bpf::Pace { interval: 1_000_000, burst: 200_000_000 };
const OFF: bpf::Pace = bpf::Pace { interval: 0, burst: 0 };
/// Events that are handed on together. A quarter of the ring.
const BATCH: usize = 1024;
/// How often it is looked who left, and what was lost.
const TICK: Duration = Duration::from_secs(1);

/// Reads events for those who watch. While nobody does, the programs tell nothing.
pub struct Monitor {
    ring: RingBuf<MapData>,
    switch: Array<MapData, bpf::Pace>,
    told: PerCpuArray<MapData, bpf::Told>,
}

impl Monitor {
    pub(crate) fn take(ebpf: &mut Ebpf) -> Result<Self, DatapathError> {
        Ok(Self { ring: take(ebpf, EVENTS)?, switch: take(ebpf, MONITOR)?, told: take(ebpf, TOLD)? })
    }

    /// Serves those who come to watch, until dropped.
    ///
    /// # Errors
    /// What the kernel has against reading its maps.
    pub async fn run(self, mut newcomers: UnboundedReceiver<Watcher>) -> Result<(), DatapathError> {
        let Self { ring, mut switch, told } = self;
        let failed = |error: io::Error| DatapathError::io("wait for events of the programs", error);
        // SAFETY: the ring keeps its one descriptor open for as long as it lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        let mut ring = ring.map_err(|error| failed(error.into()))?;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(first) = newcomers.recv().await {
            let mut watchers = vec![first];
            let mut lost_before = lost(&told)?;
            turn(&mut switch, PACE)?;
            watchers.retain_mut(Watcher::welcome);
            while !watchers.is_empty() {
                let mut batch = Batch::default();
                tokio::select! {
                    Some(mut newcomer) = newcomers.recv() => {
                        newcomer.welcome();
                        watchers.push(newcomer);
                    }
                    ready = ring.readable_mut() => {
                        let mut ready = ready.map_err(failed)?;
                        batch.sightings = read(ready.get_inner_mut());
                        if batch.sightings.len() < BATCH {
                            ready.clear_ready();
                        }
                    }
                    _ = tick.tick() => {
                        let now = lost(&told)?;
                        batch.lost = now.saturating_sub(lost_before);
                        lost_before = now;
                        metrics::counter!(crate::metrics::MONITOR_LOST).increment(batch.lost);
                    }
                }
                watchers.retain_mut(|watcher| watcher.tell(&batch));
            }
            turn(&mut switch, OFF)?;
            // What nobody read: the next one watches from now on.
            while ring.get_mut().next().is_some() {}
        }
        std::future::pending().await
    }
}

fn turn(switch: &mut Array<MapData, bpf::Pace>, pace: bpf::Pace) -> Result<(), DatapathError> {
    switch.set(0, pace, 0).map_err(|error| map_error(MONITOR, "switch", error))
}

/// What all processors did not tell so far.
fn lost(told: &PerCpuArray<MapData, bpf::Told>) -> Result<u64, DatapathError> {
    let values = told.get(&0, 0).map_err(|error| map_error(TOLD, "read", error))?;
    Ok(values.iter().map(|told| told.lost).sum())
}

/// No more than [`BATCH`].
fn read(ring: &mut RingBuf<MapData>) -> Vec<Sighting> {
    let since_boot = boot();
    let mut sightings = Vec::new();
    while sightings.len() < BATCH
        && let Some(item) = ring.next()
    {
        sightings.extend(sighting(&item, since_boot));
    }
    sightings
}

/// When the clock of the programs was 0, since 1970.
fn boot() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let up = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    now.saturating_sub(up)
}

/// One entry, as in [`bpf::RedirectEvent`]. `None` when it is none of ours.
fn sighting(bytes: &[u8], boot: Duration) -> Option<Sighting> {
    use std::mem::offset_of;
    fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
        bytes.get(offset..)?.first_chunk().copied()
    }
    if bytes.len() != size_of::<bpf::RedirectEvent>() {
        return None;
    }
    let address = |ip, port| {
        let ip = Ipv6Addr::from(at::<16>(bytes, ip)?).to_canonical();
        Some(SocketAddr::new(ip, u16::from_be_bytes(at(bytes, port)?)))
    };
    let number = |offset| at(bytes, offset).map(u32::from_ne_bytes);
    let reason = number(offset_of!(bpf::RedirectEvent, reason))?;
    let place = number(offset_of!(bpf::RedirectEvent, place))?;
    let client = address(offset_of!(bpf::RedirectEvent, source), offset_of!(bpf::RedirectEvent, source_port))?;
    let time = u64::from_ne_bytes(at(bytes, offset_of!(bpf::RedirectEvent, time))?);
    Some(Sighting {
        time: boot + Duration::from_nanos(time),
        service: ServiceId(number(offset_of!(bpf::RedirectEvent, service))?),
        reason: Reason::ALL.get(reason as usize).copied()?,
        place: Place::ALL.into_iter().zip(1..).find_map(|(it, number)| (number == place).then_some(it))?,
        client: Some(client).filter(|client| client.port() != 0),
        frontend: address(
            offset_of!(bpf::RedirectEvent, destination),
            offset_of!(bpf::RedirectEvent, destination_port),
        )?,
    })
}
