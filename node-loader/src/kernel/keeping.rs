//! The switch: whether upstream connections speak from their client's address.

use axoneme_bpf_common as bpf;
use aya::{
    Ebpf,
    maps::{Array, MapData},
};

use super::{
    config::Config,
    earlier,
    map::{KEEPING, map_error, take},
    netfilter,
    pins::Pins,
};
use crate::datapath::DatapathError;

/// The map that the programs look at, and the chain of nftables that belongs to it.
pub(crate) struct Keeping {
    map: Array<MapData, bpf::Keeping>,
    config: Config,
}

impl Keeping {
    /// Takes the map over, and with it what an earlier process had switched on, there or in that of another layout. Else replies to
    /// live connections would not find back until the listeners are read.
    pub(crate) fn take(ebpf: &mut Ebpf, pins: &Pins, config: Config) -> Result<Self, DatapathError> {
        let mut keeping = Self { map: take(ebpf, KEEPING)?, config };
        if earlier::keeps_clients(pins)? {
            keeping.write(true)?;
        }
        Ok(keeping)
    }

    pub(crate) fn is_on(&self) -> Result<bool, DatapathError> {
        let value = self.map.get(&0, 0).map_err(|error| map_error(KEEPING, "read", error))?;
        Ok(value.on != 0)
    }

    /// Nothing is marked that nftables does not know of yet, or does not any more.
    pub(crate) fn set(&mut self, on: bool) -> Result<(), DatapathError> {
        if self.is_on()? == on {
            return Ok(());
        }
        if on {
            netfilter::install(&self.config, true)?;
        }
        self.write(on)?;
        if !on {
            netfilter::install(&self.config, false)?;
        }
        tracing::info!(on, "upstream connections from the client's address");
        Ok(())
    }

    fn write(&mut self, on: bool) -> Result<(), DatapathError> {
        let value = bpf::Keeping { on: on.into(), node_source: self.config.marks.node_source };
        self.map.set(0, value, 0).map_err(|error| map_error(KEEPING, "write", error))
    }
}
