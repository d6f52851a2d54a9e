//! What every map of the programs has: a name, how it is taken, and what its errors say.

use aya::{
    Ebpf,
    maps::{Map, MapError},
};

use crate::datapath::DatapathError;

// Those that an earlier layout may have left, as the programs name them.
pub(super) const FRONTENDS: &str = "FRONTENDS";
pub(super) const COUNTERS: &str = "COUNTERS";
pub(super) const SOURCES: &str = "SOURCES";
pub(super) const KEEPING: &str = "KEEPING";
pub(super) const SEAT: &str = "SEAT";

/// Takes a map out of the object.
pub(super) fn take<M: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, DatapathError> {
    let map = ebpf.take_map(name).ok_or_else(|| map_error(name, "open", "the object has no such map"))?;
    M::try_from(map).map_err(|error| map_error(name, "open", error))
}

/// An error that names the map and what was tried.
pub(super) fn map_error(map: &'static str, what: impl Into<String>, message: impl ToString) -> DatapathError {
    DatapathError::Map { map, what: what.into(), message: message.to_string() }
}

fn errno(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    }
}

pub(super) fn is_not_found(error: &MapError) -> bool {
    matches!(error, MapError::KeyNotFound) || errno(error) == Some(libc::ENOENT)
}

pub(super) fn is_there(error: &MapError) -> bool {
    errno(error) == Some(libc::EEXIST)
}
