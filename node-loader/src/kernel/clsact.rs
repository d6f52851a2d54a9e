//! Programs on devices where the kernel has no TCX links: filters of the qdisc `clsact`, over netlink.
//!
//! A filter cannot be pinned: it lives, with or without us, until its device goes or somebody deletes it. In the pin's place stands
//! a symbolic link that says which filter is ours. It is written first, so that there is never a filter that nobody knows of.
//!
//! Filters of one preference run newest first, and ours always say "next": others' are neither replaced nor silenced.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    mem::ManuallyDrop,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use axoneme_bpf_common::LAYOUT_HASH;
use aya::programs::{
    Link as _, ProgramError, SchedClassifier, TcAttachType,
    tc::{NlOptions, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcError, qdisc_add_clsact},
};
use nix::{errno::Errno, net::if_::if_indextoname, sys::socket::SockProtocol};

use super::{
    netlink::{ACK, Attributes, DUMP, Messages, Socket},
    pins::Pins,
    words::text,
};

/// The first that are asked.
const PREFERENCE: u16 = 1;

// Numbers of `linux/rtnetlink.h` and `linux/pkt_sched.h`.
const RTM_DELQDISC: u16 = 37;
const RTM_GETTFILTER: u16 = 46;
const QDISC: u32 = 0xffff_0000;
const QDISC_PARENT: u32 = 0xffff_fff1;
const INGRESS: u32 = 0xffff_fff2;
const DIRECTIONS: [u32; 2] = [INGRESS, 0xffff_fff3];

/// The filters of this loader.
#[derive(Debug)]
pub(crate) struct Filters {
    /// No other layout's, so that two generations can sit on a device until the older one is taken away.
    handle: u32,
    /// Qdiscs that another layout's loader made.
    made: BTreeSet<u32>,
}

impl Filters {
    /// Looks at what loaders with other layouts of the maps left.
    pub(crate) fn open(pins: &Pins) -> io::Result<Self> {
        let mut others = BTreeMap::new();
        for folder in pins.other_layouts()? {
            for index in Pins::devices_in(&folder)? {
                others.extend(Record::read(&Pins::device_in(&folder, index))?.map(|record| (index, record)));
            }
        }
        let taken: BTreeSet<u32> = others.values().map(|record| record.handle).collect();
        // 31 bits, and not 0, which lets the kernel choose.
        let first = (LAYOUT_HASH as u32 & 0x7fff_fff0) | 1;
        let handle = (first..).find(|handle| !taken.contains(handle)).unwrap_or(first);
        let made = others.iter().filter(|(_, record)| record.made).map(|(index, _)| *index).collect();
        Ok(Self { handle, made })
    }

    /// Puts a program on a device; one that has our filter gets its program exchanged in place, between two packets. `false`
    /// when the device is gone already.
    ///
    /// # Errors
    /// The kernel's words.
    pub(crate) fn attach(
        &self,
        program: &mut SchedClassifier,
        index: u32,
        device: &str,
        pin: &Path,
    ) -> Result<bool, String> {
        let record_failed = |error: io::Error| format!("the record {}: {error}", pin.display());
        let known = Record::read(pin).map_err(record_failed)?;
        let added = match qdisc_add_clsact(device) {
            Ok(()) => true,
            Err(error) => match code(&error) {
                Some(libc::EEXIST) => false,
                Some(libc::ENODEV | libc::ENXIO) => return Ok(false),
                _ => return Err(format!("add the qdisc clsact: {}", text(&error))),
            },
        };
        let mut record = known.unwrap_or(Record { handle: self.handle, made: self.made.contains(&index) });
        record.made |= added;
        if known != Some(record) {
            record.write(pin).map_err(record_failed)?;
        }
        match put(program, device, record.handle) {
            Ok(()) => Ok(true),
            Err(error) if matches!(program_code(&error), Some(libc::ENODEV | libc::ENXIO)) => Ok(false),
            Err(error) => Err(text(&error)),
        }
    }
}

/// Takes the filter off a device that the record tells of, and the qdisc if we made it and nobody else uses it. What is not there is
/// no error. The record stays, for the caller to remove.
pub(crate) fn detach(index: u32, pin: &Path) -> io::Result<()> {
    let Some(record) = Record::read(pin)? else { return Ok(()) };
    let Ok(device) = if_indextoname(index) else { return Ok(()) };
    let device = device.to_string_lossy();
    let filter = SchedClassifierLink::attached(&device, TcAttachType::Ingress, PREFERENCE, record.handle.into(), None);
    let removed = filter.map_or(Ok(()), |filter| filter.detach());
    match removed {
        // Somebody deleted the filter, the qdisc or the device.
        Err(error) if matches!(program_code(&error), Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)) => {}
        Err(error) => return Err(io::Error::other(text(&error))),
        Ok(()) => {}
    }
    if record.made { remove_unused_qdisc(index).map_err(io::Error::from) } else { Ok(()) }
}

/// Whether the filter that the record tells of is there. Without a record none is missing.
pub(crate) fn is_in_place(index: u32, pin: &Path) -> io::Result<bool> {
    let Some(record) = Record::read(pin)? else { return Ok(true) };
    let socket = Socket::open(SockProtocol::NetlinkRoute)?;
    let mut found = false;
    list(&socket, index, INGRESS, |filter| {
        found |= handle_and_preference(filter) == Some((record.handle, PREFERENCE))
    })?;
    Ok(found)
}

/// Exchanges the program of our filter, or makes it.
fn put(program: &mut SchedClassifier, device: &str, handle: u32) -> Result<(), ProgramError> {
    let there = SchedClassifierLink::attached(device, TcAttachType::Ingress, PREFERENCE, handle.into(), None);
    match program.attach_to_link(there.map_err(TcError::from)?) {
        Ok(id) => leave(program, id),
        Err(error) if program_code(&error) == Some(libc::ENOENT) => {
            let options = NlOptions { priority: PREFERENCE, handle: handle.into(), classid: None };
            let id = program.attach_with_options(device, TcAttachType::Ingress, TcAttachOptions::Netlink(options))?;
            leave(program, id)
        }
        Err(error) => Err(error),
    }
}

/// Lets the filter stay when the program's handle goes.
fn leave(program: &mut SchedClassifier, id: SchedClassifierLinkId) -> Result<(), ProgramError> {
    let _stays = ManuallyDrop::new(program.take_link(id)?);
    Ok(())
}

fn code(error: &TcError) -> Option<i32> {
    match error {
        TcError::NetlinkError(error) => error.raw_os_error(),
        TcError::IoError(error) => error.raw_os_error(),
        _ => None,
    }
}

fn program_code(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::TcError(error) => code(error),
        ProgramError::NetlinkError(error) => error.raw_os_error(),
        _ => None,
    }
}

/// Deletes the qdisc unless there are filters, in either direction.
fn remove_unused_qdisc(index: u32) -> Result<(), Errno> {
    let socket = Socket::open(SockProtocol::NetlinkRoute)?;
    for direction in DIRECTIONS {
        let mut filters = 0;
        list(&socket, index, direction, |_| filters += 1)?;
        if filters > 0 {
            return Ok(());
        }
    }
    let mut delete = Messages::default();
    delete.push(RTM_DELQDISC, ACK, &header(index, QDISC, QDISC_PARENT), &Attributes::default());
    socket.send(&delete)?;
    match socket.acknowledgements(1) {
        Err(Errno::ENOENT | Errno::EINVAL | Errno::ENODEV) => Ok(()),
        result => result,
    }
}

/// Shows each filter of a device in one direction.
fn list(socket: &Socket, index: u32, direction: u32, visit: impl FnMut(&[u8])) -> Result<(), Errno> {
    let mut request = Messages::default();
    request.push(RTM_GETTFILTER, DUMP, &header(index, 0, direction), &Attributes::default());
    socket.send(&request)?;
    socket.dump(visit)
}

/// Of a `struct tcmsg`: the third word, and the upper half of the fifth.
fn handle_and_preference(message: &[u8]) -> Option<(u32, u16)> {
    let word = |at: usize| message.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word));
    Some((word(8)?, (word(16)? >> 16) as u16))
}

/// `struct tcmsg`.
fn header(index: u32, handle: u32, parent: u32) -> [u8; 20] {
    let mut header = [0; 20];
    let fields = [index, handle, parent].map(u32::to_ne_bytes);
    header.iter_mut().skip(4).zip(fields.concat()).for_each(|(to, from)| *to = from);
    header
}

/// What the symbolic link in the pin's place says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    /// Of the filter.
    handle: u32,
    /// The qdisc was not there before us.
    made: bool,
}

impl Record {
    /// `None` when there is none, or a pinned link.
    fn read(pin: &Path) -> io::Result<Option<Self>> {
        match fs::read_link(pin) {
            Ok(text) => Ok(text.to_str().and_then(Self::parse)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// In one step, so that a reader finds the one or the other.
    fn write(self, pin: &Path) -> io::Result<()> {
        let mut new = pin.as_os_str().to_owned();
        new.push("_new");
        let new = PathBuf::from(new);
        match fs::remove_file(&new) {
            // Left by a process that was killed between the two steps.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(self.text(), &new)?;
        fs::rename(new, pin)
    }

    fn text(self) -> String {
        format!("clsact-{:x}{}", self.handle, if self.made { "-made" } else { "" })
    }

    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("clsact-")?;
        let (handle, made) = rest.strip_suffix("-made").map_or((rest, false), |rest| (rest, true));
        Some(Self { handle: u32::from_str_radix(handle, 16).ok()?, made })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_what_was_written_last() {
        let folder = tempfile::tempdir().unwrap();
        let pin = folder.path().join("device_7");
        assert_eq!(Record::read(&pin).unwrap(), None);
        for made in [false, true] {
            let record = Record { handle: 0x1234_abcd, made };
            record.write(&pin).unwrap();
            assert_eq!(Record::read(&pin).unwrap(), Some(record));
        }
        // What a killed process left is in nobody's way, and a link that we cannot read is none of ours.
        symlink("half", folder.path().join("device_7_new")).unwrap();
        Record { handle: 1, made: false }.write(&pin).unwrap();
        assert_eq!(Record::read(&pin).unwrap(), Some(Record { handle: 1, made: false }));
        fs::write(folder.path().join("device_8"), "").unwrap();
        assert_eq!(Record::read(&folder.path().join("device_8")).unwrap(), None);
        assert_eq!((Record::parse("clsact-"), Record::parse("clsact-xyz"), Record::parse("5")), (None, None, None));
    }
}
