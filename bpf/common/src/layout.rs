//! The layout of the shared types as one number, which is part of the path where maps are pinned.
//!
//! A loader with another layout finds an empty folder and makes new maps, rather than read the old ones wrongly. It copies
//! the frontends, on one condition: a later [`Frontend`] begins with the fields of the earlier, and zeros in the new ones
//! mean what was done before them.

use core::mem::{align_of, offset_of, size_of};

use crate::types::{CAPACITY, Frontend, FrontendKey, Keeping, Marks, RedirectEvent, Settings, SourceKey, Tally};

/// To be raised when a field changes its meaning but not its place.
const MEANING: usize = 1;

/// All that matters of the layout, in a fixed order.
const SHAPE: [usize; 23] = [
    MEANING,
    CAPACITY as usize,
    size_of::<FrontendKey>(),
    offset_of!(FrontendKey, address),
    offset_of!(FrontendKey, port),
    offset_of!(FrontendKey, protocol),
    size_of::<Frontend>(),
    offset_of!(Frontend, service),
    offset_of!(Frontend, proxy_port),
    offset_of!(Frontend, state),
    offset_of!(Frontend, failure),
    offset_of!(Frontend, sources),
    size_of::<SourceKey>(),
    offset_of!(SourceKey, address),
    size_of::<Settings>(),
    offset_of!(Settings, netns_cookie),
    offset_of!(Settings, marks),
    offset_of!(Marks, mask),
    offset_of!(Marks, refuse),
    size_of::<Tally>(),
    align_of::<Tally>(),
    size_of::<Keeping>(),
    offset_of!(Keeping, node_source),
];

/// FNV-1a over [`SHAPE`].
pub const LAYOUT_HASH: u64 = {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < SHAPE.len() {
        hash = (hash ^ SHAPE[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
};

// No padding: each size is the sum of its fields' sizes.
const _: () = assert!(size_of::<FrontendKey>() == 16 + 2 + 1 + 1);
const _: () = assert!(size_of::<Frontend>() == 4 + 2 + 1 + 1 + 1 + 3);
const _: () = assert!(size_of::<SourceKey>() == 4 + 4 + 16);
const _: () = assert!(size_of::<Marks>() == 7 * 4);
const _: () = assert!(size_of::<Settings>() == 8 + size_of::<Marks>() + 4 + 4 + 16 + 4);
const _: () = assert!(size_of::<Keeping>() == 4 + 4);
const _: () = assert!(size_of::<Tally>() == 8 * 9);
const _: () = assert!(size_of::<RedirectEvent>() == 8 + 16 + 16 + 2 + 2 + 4 + 4 + 4);
