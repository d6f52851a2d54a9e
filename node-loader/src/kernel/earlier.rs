//! What a loader with another layout of the maps left: the frontends, and who may connect to them, so that an upgrade breaks no
//! connection and refuses none.
//!
//! They are copied before our programs run anywhere. Until the old links are taken away, both generations run on a device, ours
//! first, and agree; a frontend that only the new maps have would be refused by the old programs, so [`super::start`] does not
//! return before these are off. Of a service's counters the new ones begin at 0, as after a reboot.

use std::path::Path;

use axoneme_bpf_common as bpf;
use aya::maps::{HashMap, LpmTrie, Map, MapData, MapError};

use super::{
    frontends::{FRONTENDS, is_not_found, map_error},
    pins::Pins,
    sources::{Key, SOURCES},
};
use crate::datapath::DatapathError;

/// Sizes of a frontend, from the first layout on. A later one begins as the earlier does.
const FIRST: usize = 8;
const SIZE: usize = size_of::<bpf::Frontend>();

type Frontends = Vec<(bpf::FrontendKey, bpf::Frontend)>;

/// The frontends of all other layouts that are pinned. What is in a layout that we do not know is left out, and told.
pub(crate) fn frontends(pins: &Pins) -> Result<Frontends, DatapathError> {
    let mut found = Vec::new();
    let folders =
        pins.other_layouts().map_err(|error| DatapathError::io("look for earlier layouts of the maps", error))?;
    for folder in folders {
        match of_layout(&folder) {
            Ok(Some(frontends)) => {
                let (folder, count) = (folder.display(), frontends.len());
                tracing::info!(%folder, count, "taking over the frontends of another layout");
                found.extend(frontends);
            }
            Ok(None) => tracing::warn!(
                folder = %folder.display(),
                "the frontends of this layout cannot be read; their connections break when it is taken away"
            ),
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(map_error(FRONTENDS, format!("read those in {}", folder.display()), error)),
        }
    }
    Ok(found)
}

/// The ranges of all other layouts that are pinned. Layouts before there were any have none.
pub(crate) fn sources(pins: &Pins) -> Result<Vec<Key>, DatapathError> {
    let mut found = Vec::new();
    let folders =
        pins.other_layouts().map_err(|error| DatapathError::io("look for earlier layouts of the maps", error))?;
    for folder in folders {
        match ranges(&folder) {
            Ok(Some(ranges)) => found.extend(ranges),
            Ok(None) => tracing::warn!(
                folder = %folder.display(),
                "the source ranges of this layout cannot be read; who may connect is refused until they are listed again"
            ),
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(map_error(SOURCES, format!("read those in {}", folder.display()), error)),
        }
    }
    Ok(found)
}

fn ranges(folder: &Path) -> Result<Option<Vec<Key>>, MapError> {
    let data = MapData::from_pin(folder.join(SOURCES))?;
    if data.info()?.key_size() as usize != size_of::<Key>() {
        return Ok(None);
    }
    let map: LpmTrie<MapData, bpf::SourceKey, u32> = Map::LpmTrie(data).try_into()?;
    map.keys().collect::<Result<_, _>>().map(Some)
}

fn of_layout(folder: &Path) -> Result<Option<Frontends>, MapError> {
    let data = MapData::from_pin(folder.join(FRONTENDS))?;
    let info = data.info()?;
    if info.key_size() as usize != size_of::<bpf::FrontendKey>() {
        return Ok(None);
    }
    match info.value_size() as usize {
        FIRST => read::<FIRST>(data).map(Some),
        SIZE => read::<SIZE>(data).map(Some),
        _ => Ok(None),
    }
}

fn read<const N: usize>(data: MapData) -> Result<Frontends, MapError> {
    let map: HashMap<MapData, bpf::FrontendKey, [u8; N]> = Map::HashMap(data).try_into()?;
    map.iter().map(|item| item.map(|(key, value)| (key, frontend(&value)))).collect()
}

/// What an earlier layout did not have is zero, which means what was done before.
fn frontend(value: &[u8]) -> bpf::Frontend {
    let mut bytes = [0; SIZE];
    bytes.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
    let [s0, s1, s2, s3, p0, p1, state, failure, sources, zero @ ..] = bytes;
    let service = u32::from_ne_bytes([s0, s1, s2, s3]);
    bpf::Frontend { service, proxy_port: [p0, p1], state, failure, sources, zero }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_there_before_is_zero() {
        let mut first = [0; FIRST];
        first[..4].copy_from_slice(&7_u32.to_ne_bytes());
        first[4..].copy_from_slice(&[0x27, 0x10, bpf::State::On as u8, bpf::Failure::Refuse as u8]);
        let now = frontend(&first);
        assert_eq!((now.service, now.proxy_port, now.state, now.failure), (7, [0x27, 0x10], 1, 2));
        assert_eq!(now.sources, bpf::Sources::All as u8);
    }
}
