//! What the eBPF programs and the loader both see: the maps' keys and values.
//!
//! Every type is plain bytes without padding, so that the kernel compares keys as we do. Addresses are 16 bytes, IPv4 as
//! `::ffff:a.b.c.d`; addresses and ports are in network byte order, all other numbers in the machine's.
#![no_std]

mod layout;
mod types;

pub use layout::LAYOUT_HASH;
pub use types::{
    CAPACITY, Failure, Frontend, FrontendKey, HOST_V4, HOST_V6, Keeping, Marks, Near, PROTOCOL_TCP, Pace, Place,
    Reason, RedirectEvent, Settings, SourceKey, Sources, State, Tally, Told, mapped,
};
