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
    netfilter::Table,
    pins::Pins,
};
use crate::datapath::DatapathError;

/// The map that the programs look at, and the chain of nftables that belongs to it.
pub(crate) struct Keeping {
    map: Array<MapData, bpf::Keeping>,
    node_source: u32,
}

impl Keeping {
    /// Takes the map over, and with it what an earlier process had switched on, there or in that of another layout. Else replies to
    /// live connections would not find back until the listeners are read.
    pub(crate) fn take(ebpf: &mut Ebpf, pins: &Pins, config: &Config) -> Result<Self, DatapathError> {
        let mut keeping = Self { map: take(ebpf, KEEPING)?, node_source: config.marks.node_source };
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
    pub(crate) fn set(&mut self, on: bool, table: &Table) -> Result<(), DatapathError> {
        if self.is_on()? == on {
            return Ok(());
        }
        if on {
            table.keep_clients(true)?;
        }
        self.write(on)?;
        if !on {
            table.keep_clients(false)?;
        }
        tracing::info!(on, "upstream connections from the client's address");
        Ok(())
    }

    fn write(&mut self, on: bool) -> Result<(), DatapathError> {
        let value = bpf::Keeping { on: on.into(), node_source: self.node_source };
        self.map.set(0, value, 0).map_err(|error| map_error(KEEPING, "write", error))
    }
}
