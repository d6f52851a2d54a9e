//! Which Envoy is asked first. While one takes the other's place both listen, each on the loopback addresses of its own seat.

use aya_ebpf::{macros::map, maps::Array};

use crate::packet::{Address, Family, v4_address};

/// One value: 0 for the first seat, 1 for the second. The loader writes it when another Envoy comes.
#[map]
static SEAT: Array<u32> = Array::pinned(1, 0);

/// Where an Envoy's listeners are bound.
#[derive(Clone, Copy)]
pub(crate) enum Seat {
    First,
    Second,
}

/// Of the first seat, then of the second.
const LOOPBACKS_V4: [Address; 2] = [v4_address(0x7f00_0001_u32.to_be()), v4_address(0x7f00_0002_u32.to_be())];
const LOOPBACKS_V6: [Address; 2] = [[0, 0, 0, 1_u32.to_be()], [0, 0, 0, 2_u32.to_be()]];

impl Seat {
    /// The one that new connections are for.
    #[inline(always)]
    pub(crate) fn preferred() -> Self {
        if SEAT.get(0).is_some_and(|seat| *seat != 0) { Self::Second } else { Self::First }
    }

    #[inline(always)]
    pub(crate) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// Chosen whole: a sum in its last byte would be arithmetic of 128 bits to the compiler, which programs cannot do.
    #[inline(always)]
    pub(crate) fn address(self, family: Family) -> Address {
        let [first, second] = match family {
            Family::V4 => LOOPBACKS_V4,
            Family::V6 => LOOPBACKS_V6,
        };
        match self {
            Self::First => first,
            Self::Second => second,
        }
    }
}
