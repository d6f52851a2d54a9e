//! The state of a node, as a disk may give it back: whole, cut, or with other bytes in it.

use axoneme_node::state_file::{read, seal, sealed};
use bytes::Bytes;

use crate::{frames, node};

/// Reads all parts as one file, each as it is or with a checksum that fits, and starts a node on what they say.
pub fn check(data: &[u8]) {
    let mut records = Vec::new();
    for forge in [<[u8]>::to_vec, sealed] {
        let content: Vec<u8> = frames::split(data).into_iter().flat_map(forge).collect();
        for record in read(Bytes::from(content)) {
            let again = read(Bytes::from(seal(&record)));
            assert_eq!(again, std::slice::from_ref(&record), "a record does not survive the disk");
            records.push(record);
        }
    }
    node::Node::new(records).settle();
}
