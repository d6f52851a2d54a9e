//! What a loader with another layout of the maps left, so that an upgrade breaks no connection and refuses none: the frontends, who may
//! connect to them, what was counted, and two switches.
//!
//! They are copied before our programs run anywhere. Until the old links are taken away, both generations run on a device, ours
//! first, and agree; a frontend that only the new maps have would be refused by the old programs, so [`super::start`] does not
//! return before these are off. What the old programs count after the copy, for some milliseconds, is lost.
//!
//! The other layout may be a later one, when an upgrade is rolled back. Of a longer value we take what we know.

use std::path::Path;

use axoneme_bpf_common as bpf;
use aya::{
    Pod,
    maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuHashMap, lpm_trie::Key},
};

use super::{
    map::{COUNTERS, FRONTENDS, KEEPING, SEAT, SOURCES, is_not_found, map_error},
    pins::Pins,
};
use crate::datapath::DatapathError;

/// The length of a frontend in bytes. The first layout's was 8; a later one begins as the earlier does.
const SIZE: usize = size_of::<bpf::Frontend>();
/// How many reasons are counted. Later ones stand behind earlier ones.
const REASONS: usize = bpf::Tally { counts: [0; _] }.counts.len();

/// What a map holds. `None`: we do not know this layout.
type Found<T> = Result<Option<Vec<T>>, MapError>;

/// The frontends of all other layouts that are pinned.
pub(crate) fn frontends(pins: &Pins) -> Result<Vec<(bpf::FrontendKey, bpf::Frontend)>, DatapathError> {
    of_each(pins, FRONTENDS, "its connections break when it is taken away", |data| match shape(&data)? {
        (20, 8) => values::<8>(data),
        (20, 12) => values::<12>(data),
        (20, 16) => values::<16>(data),
        (20, 20) => values::<20>(data),
        (20, 24) => values::<24>(data),
        _ => Ok(None),
    })
}

/// The ranges of all other layouts that are pinned. Layouts before there were any have none.
pub(crate) fn sources(pins: &Pins) -> Result<Vec<Key<bpf::SourceKey>>, DatapathError> {
    of_each(pins, SOURCES, "who may connect is refused until the ranges are listed again", |data| {
        if shape(&data)?.0 != size_of::<Key<bpf::SourceKey>>() {
            return Ok(None);
        }
        let map: LpmTrie<MapData, bpf::SourceKey, u32> = Map::LpmTrie(data).try_into()?;
        map.keys().collect::<Result<_, _>>().map(Some)
    })
}

/// What was counted for each service, by processor.
pub(crate) fn counters(pins: &Pins) -> Result<Vec<(u32, Vec<bpf::Tally>)>, DatapathError> {
    of_each(pins, COUNTERS, "counting begins at 0", |data| match shape(&data)? {
        (4, 64) => tallies::<8>(data),
        (4, 72) => tallies::<9>(data),
        (4, 80) => tallies::<10>(data),
        (4, 88) => tallies::<11>(data),
        (4, 96) => tallies::<12>(data),
        _ => Ok(None),
    })
}

/// Whether upstream connections speak from their client's address.
pub(crate) fn keeps_clients(pins: &Pins) -> Result<bool, DatapathError> {
    let loss = "connections that speak from their client's address break";
    Ok(of_each(pins, KEEPING, loss, single::<bpf::Keeping>)?.iter().any(|keeping| keeping.on != 0))
}

/// The numbers of the preferred seats.
pub(crate) fn seats(pins: &Pins) -> Result<Vec<u32>, DatapathError> {
    of_each(pins, SEAT, "new connections go to the first seat until an Envoy is preferred", single::<u32>)
}

/// Reads one map in every other layout that has it. `loss` says what it means when one cannot be read.
fn of_each<T>(
    pins: &Pins,
    map: &'static str,
    loss: &str,
    read: impl Fn(MapData) -> Found<T>,
) -> Result<Vec<T>, DatapathError> {
    let folders =
        pins.other_layouts().map_err(|error| DatapathError::io("look for earlier layouts of the maps", error))?;
    let mut all = Vec::new();
    for folder in &folders {
        match open(folder, map).and_then(&read) {
            Ok(Some(found)) => {
                let count = found.len();
                tracing::info!(folder = %folder.display(), map, count, "taking over what is in the map of another layout");
                all.extend(found);
            }
            Ok(None) => tracing::warn!(folder = %folder.display(), map, loss, "this layout of the map cannot be read"),
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(map_error(map, format!("read that in {}", folder.display()), error)),
        }
    }
    Ok(all)
}

fn open(folder: &Path, map: &str) -> Result<MapData, MapError> {
    MapData::from_pin(folder.join(map))
}

/// The lengths of a key and of a value, in bytes.
fn shape(data: &MapData) -> Result<(usize, usize), MapError> {
    let info = data.info()?;
    Ok((info.key_size() as usize, info.value_size() as usize))
}

/// The value of an array that has one.
fn single<V: Pod>(data: MapData) -> Found<V> {
    if shape(&data)?.1 != size_of::<V>() {
        return Ok(None);
    }
    let map: Array<MapData, V> = Map::Array(data).try_into()?;
    Ok(Some(vec![map.get(&0, 0)?]))
}

fn values<const N: usize>(data: MapData) -> Found<(bpf::FrontendKey, bpf::Frontend)> {
    let map: HashMap<MapData, bpf::FrontendKey, [u8; N]> = Map::HashMap(data).try_into()?;
    let all: Result<_, _> = map.iter().map(|item| item.map(|(key, value)| (key, frontend(&value)))).collect();
    all.map(Some)
}

fn tallies<const N: usize>(data: MapData) -> Found<(u32, Vec<bpf::Tally>)> {
    let map: PerCpuHashMap<MapData, u32, [u64; N]> = Map::PerCpuHashMap(data).try_into()?;
    let tally = |counts: &[u64; N]| bpf::Tally { counts: padded::<_, REASONS>(counts) };
    let of =
        |(service, counts): (u32, aya::maps::PerCpuValues<[u64; N]>)| (service, counts.iter().map(tally).collect());
    let all: Result<_, _> = map.iter().map(|item| item.map(of)).collect();
    all.map(Some)
}

/// What an earlier layout did not have is zero, which means what was done before.
fn frontend(value: &[u8]) -> bpf::Frontend {
    let [s0, s1, s2, s3, p0, p1, state, failure, sources, ..] = padded::<_, SIZE>(value);
    let service = u32::from_ne_bytes([s0, s1, s2, s3]);
    bpf::Frontend { service, proxy_port: [p0, p1], state, failure, sources, zero: [0; 3] }
}

/// The first `N`, with zeros for those that are not there.
fn padded<T: Copy + Default, const N: usize>(from: &[T]) -> [T; N] {
    let mut all = [T::default(); N];
    all.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first layout's.
    fn first() -> [u8; 8] {
        let [s0, s1, s2, s3] = 7_u32.to_ne_bytes();
        [s0, s1, s2, s3, 0x27, 0x10, bpf::State::On as u8, bpf::Failure::Refuse as u8]
    }

    #[test]
    fn what_was_not_there_before_is_zero() {
        let now = frontend(&first());
        assert_eq!((now.service, now.proxy_port, now.state, now.failure), (7, [0x27, 0x10], 1, 2));
        assert_eq!(now.sources, bpf::Sources::All as u8);
    }

    #[test]
    fn what_a_later_layout_has_behind_is_left_out() {
        let later = [&first()[..], &[bpf::Sources::Listed as u8, 9, 9, 9, 9, 9, 9, 9]].concat();
        assert_eq!(frontend(&later), bpf::Frontend { sources: bpf::Sources::Listed as u8, ..frontend(&first()) });
        assert_eq!(padded::<u64, 2>(&[1, 2, 3]), [1, 2]);
    }
}
