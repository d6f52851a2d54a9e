//! The map of link-layer addresses: of the bridge that a device is a port of.

use std::collections::{BTreeMap, BTreeSet};

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};

use super::map::{is_not_found, map_error, take};
use crate::datapath::DatapathError;

const BRIDGES: &str = "BRIDGES";

/// A link-layer address.
type Mac = [u8; 6];

/// The map, and what it follows from.
pub(crate) struct Bridges {
    map: HashMap<MapData, u32, [u8; 8]>,
    macs: BTreeMap<u32, Mac>,
    masters: BTreeMap<u32, u32>,
    ports: BTreeMap<u32, BTreeSet<u32>>,
}

impl Bridges {
    /// Takes the map over; what an earlier process left in it stays until [`Self::prune`].
    pub(crate) fn take(ebpf: &mut Ebpf) -> Result<Self, DatapathError> {
        let (macs, masters, ports) = Default::default();
        Ok(Self { map: take(ebpf, BRIDGES)?, macs, masters, ports })
    }

    /// A device as it is now. Cost: one map update at most; of a bridge that has another address, one for each port.
    pub(crate) fn set(&mut self, device: u32, mac: Option<Mac>, master: Option<u32>) -> Result<(), DatapathError> {
        let before = match master {
            Some(master) => self.masters.insert(device, master),
            None => self.masters.remove(&device),
        };
        if before != master {
            if let Some(ports) = before.and_then(|before| self.ports.get_mut(&before)) {
                ports.remove(&device);
            }
            if let Some(master) = master {
                self.ports.entry(master).or_default().insert(device);
            }
            self.write(device)?;
        }
        let before = match mac {
            Some(mac) => self.macs.insert(device, mac),
            None => self.macs.remove(&device),
        };
        if before == mac {
            return Ok(());
        }
        self.ports.get(&device).cloned().unwrap_or_default().into_iter().try_for_each(|port| self.write(port))
    }

    /// A device is gone.
    pub(crate) fn forget(&mut self, device: u32) -> Result<(), DatapathError> {
        self.set(device, None, None)
    }

    /// Takes out devices that went while nobody watched.
    pub(crate) fn prune(&mut self) -> Result<(), DatapathError> {
        let there: Result<Vec<u32>, _> = self.map.keys().collect();
        let there = there.map_err(|error| map_error(BRIDGES, "read all", error))?;
        there
            .into_iter()
            .filter(|port| !self.masters.contains_key(port))
            .try_for_each(|port| remove(&mut self.map, port))
    }

    fn write(&mut self, port: u32) -> Result<(), DatapathError> {
        let Some(mac) = self.masters.get(&port).and_then(|master| self.macs.get(master)) else {
            return remove(&mut self.map, port);
        };
        let mut value = [0; 8];
        value[..6].copy_from_slice(mac);
        self.map.insert(port, value, 0).map_err(|error| map_error(BRIDGES, format!("set device {port}"), error))
    }
}

fn remove(map: &mut HashMap<MapData, u32, [u8; 8]>, port: u32) -> Result<(), DatapathError> {
    match map.remove(&port) {
        Err(error) if !is_not_found(&error) => Err(map_error(BRIDGES, format!("remove device {port}"), error)),
        _ => Ok(()),
    }
}
