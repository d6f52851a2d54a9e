//! A state file of the node, as a disk may give it back: whole, cut, or with other bytes in it.

use axoneme_node::state_file::{open, seal, sealed};
use bytes::Bytes;

use crate::{frames, node};

/// Reads each part as a file, as it is and with a hash that fits, and starts a node on what they say.
pub fn check(data: &[u8]) {
    let mut records = Vec::new();
    for part in frames::split(data) {
        let forged = sealed(part);
        for content in [part.to_vec(), forged] {
            let Some(record) = open(Bytes::from(content)) else { continue };
            let again = open(Bytes::from(seal(&record)));
            assert_eq!(again.as_ref(), Some(&record), "a record does not survive the disk");
            records.push(record);
        }
    }
    node::Node::new(records).settle();
}
