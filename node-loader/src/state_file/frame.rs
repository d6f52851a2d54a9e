//! Changes as they stand in a log, one after the other, each by itself: a mark, the length and a checksum of what follows, and
//! the change.
//!
//! Pure. A reader that finds something else looks for the next mark, so what is broken harms itself only: a change that was
//! cut short when the machine went down, or bytes that a disk lost.

use std::{ops::Range, sync::Arc};

use axoneme_xds::Key;
use bytes::Bytes;
use memchr::memmem;
use prost::Message;

/// Changes with the meaning of what is behind it: entries of another kind are not read.
const MARK: [u8; 4] = *b"axl1";
/// The mark, the length and the checksum, both little endian.
const HEAD: usize = 12;

/// A change: what a name is from now on, or that it is gone.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(super) content: Option<Bytes>,
}

impl Entry {
    pub(super) fn new(key: &Key, content: Option<Bytes>) -> Self {
        Self { type_url: key.0.to_string(), name: key.1.to_string(), content }
    }

    pub(super) fn key(&self) -> Key {
        (Arc::from(self.type_url.as_str()), Arc::from(self.name.as_str()))
    }

    /// As it stands in a log. `None` beyond 4 GiB.
    pub(super) fn seal(&self) -> Option<Vec<u8>> {
        frame(&self.encode_to_vec())
    }
}

/// A frame around bytes, whatever they are.
pub(super) fn frame(body: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(body.len()).ok()?;
    Some([&MARK, &length.to_le_bytes(), &crc32fast::hash(body).to_le_bytes(), body].concat())
}

/// What a log holds, in order, each with its place. Broken places are no entries.
pub(super) struct Frames {
    log: Bytes,
    at: usize,
    /// How many places were broken so far.
    pub(super) broken: usize,
}

impl Frames {
    pub(super) fn of(log: Bytes) -> Self {
        Self { log, at: 0, broken: 0 }
    }

    /// The entry here, if there is one.
    fn here(&self) -> Option<(Entry, Range<usize>)> {
        let rest = self.log.get(self.at..)?;
        let word = |at: usize| rest.get(at..at + 4)?.try_into().ok();
        if word(0)? != MARK {
            return None;
        }
        let (length, sum) = (u32::from_le_bytes(word(4)?), u32::from_le_bytes(word(8)?));
        let end = HEAD.checked_add(usize::try_from(length).ok()?)?;
        if crc32fast::hash(rest.get(HEAD..end)?) != sum {
            return None;
        }
        let entry = Entry::decode(self.log.slice(self.at + HEAD..self.at + end)).ok()?;
        Some((entry, self.at..self.at + end))
    }
}

impl Iterator for Frames {
    type Item = (Entry, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.log.len() {
            return None;
        }
        let mut found = self.here();
        if found.is_none() {
            self.broken += 1;
        }
        while found.is_none() {
            // Past the mark that is here, if there is one.
            let next = self.log.get(self.at + 1..).and_then(|rest| memmem::find(rest, &MARK));
            self.at = next.map_or(self.log.len(), |next| self.at + 1 + next);
            if self.at >= self.log.len() {
                return None;
            }
            found = self.here();
        }
        let (entry, place) = found?;
        self.at = place.end;
        Some((entry, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, content: Option<&'static str>) -> Entry {
        Entry::new(&("t".into(), name.into()), content.map(Bytes::from))
    }

    fn read(log: &[u8]) -> (Vec<String>, usize) {
        let mut frames = Frames::of(Bytes::copy_from_slice(log));
        let names = frames.by_ref().map(|(entry, place)| {
            assert_eq!(entry.seal().unwrap(), log[place]);
            entry.name
        });
        (names.collect(), frames.broken)
    }

    #[test]
    fn what_is_broken_harms_itself_only() {
        let all = [entry("a", Some("1")), entry("b", None), entry("c", Some("3"))].map(|it| it.seal().unwrap());
        let log = all.concat();
        assert_eq!(read(&log), (["a", "b", "c"].map(str::to_owned).to_vec(), 0));
        // Each byte in turn, the marks and lengths too.
        for at in 0..log.len() {
            let mut broken = log.clone();
            broken[at] ^= 0x55;
            let hit =
                [0, all[0].len(), all[0].len() + all[1].len()].into_iter().rposition(|start| start <= at).unwrap();
            let mut rest = vec!["a", "b", "c"];
            rest.remove(hit);
            assert_eq!(read(&broken), (rest.into_iter().map(str::to_owned).collect(), 1), "byte {at}");
        }
        for end in log.len() - all[2].len() + 1..log.len() {
            assert_eq!(read(&log[..end]), (["a", "b"].map(str::to_owned).to_vec(), 1), "cut at {end}");
        }
    }

    #[test]
    fn nothing_is_no_entry() {
        assert_eq!(read(b""), (vec![], 0));
        assert_eq!(read(b"none of ours axl1"), (vec![], 1));
    }
}
