//! The map that says which seat's Envoy new connections are for. What the last loader wrote holds until another Envoy comes.

use aya::{
    Ebpf,
    maps::{Array, MapData},
};

use super::{
    earlier,
    map::{SEAT, map_error, take},
    pins::Pins,
};
use crate::{datapath::DatapathError, seat::Seat};

/// See the module.
pub(crate) struct Preferred(Array<MapData, u32>);

impl Preferred {
    /// Takes the map over, with what an earlier process left in it, or in that of another layout.
    pub(crate) fn take(ebpf: &mut Ebpf, pins: &Pins) -> Result<Self, DatapathError> {
        let mut preferred = Self(take(ebpf, SEAT)?);
        if earlier::seats(pins)?.contains(&Seat::Second.number()) {
            preferred.set(Seat::Second)?;
        }
        Ok(preferred)
    }

    pub(crate) fn set(&mut self, seat: Seat) -> Result<(), DatapathError> {
        self.0.set(0, seat.number(), 0).map_err(|error| map_error(SEAT, format!("prefer {seat:?}"), error))
    }
}
