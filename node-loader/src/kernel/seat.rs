//! The map that says which seat's Envoy new connections are for. What the last loader wrote holds until another Envoy comes.

use aya::{
    Ebpf,
    maps::{Array, Map, MapData, MapError},
};

use super::{
    frontends::{is_not_found, map_error, take},
    pins::Pins,
};
use crate::{datapath::DatapathError, seat::Seat};

const SEAT: &str = "SEAT";

/// See the module.
pub(crate) struct Preferred(Array<MapData, u32>);

impl Preferred {
    /// Takes the map over, with what an earlier process left in it, or in that of another layout.
    pub(crate) fn take(ebpf: &mut Ebpf, pins: &Pins) -> Result<Self, DatapathError> {
        let mut preferred = Self(take(ebpf, SEAT)?);
        let folders =
            pins.other_layouts().map_err(|error| DatapathError::io("look for earlier layouts of the maps", error))?;
        for folder in folders {
            let there = MapData::from_pin(folder.join(SEAT)).and_then(|data| {
                let map: Array<MapData, u32> = Map::Array(data).try_into()?;
                map.get(&0, 0)
            });
            match there {
                Ok(number) if number == Seat::Second.number() => preferred.set(Seat::Second)?,
                Ok(_) => {}
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(failed(format!("read that in {}", folder.display()), error)),
            }
        }
        Ok(preferred)
    }

    pub(crate) fn set(&mut self, seat: Seat) -> Result<(), DatapathError> {
        self.0.set(0, seat.number(), 0).map_err(|error| failed(format!("prefer {seat:?}"), error))
    }
}

fn failed(what: String, error: MapError) -> DatapathError {
    map_error(SEAT, what, error)
}
