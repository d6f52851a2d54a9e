//! The two seats of a node's Envoys: who takes another's place comes up on the seat beside it.
//!
//! A seat is a pair of loopback addresses. What is redirected is bound on them, to the same ports on both seats. So two Envoys
//! listen at once and share no socket, and the programs choose: new connections go to the newer one, port by port as it opens
//! them, and the older one keeps what it has until it is done. No connection is on its way to a socket that is about to be
//! closed. Listeners with an address of their own are shared by `SO_REUSEPORT` as ever.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// Where one Envoy's listeners are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Seat {
    /// The one that an Envoy takes if it is alone.
    #[default]
    First,
    /// The one beside it.
    Second,
}

/// What the name of the second Envoy ends with. No node is called so: a slash is in no host name.
const SECOND: &str = "/2";
/// Before the time at which an Envoy was started.
const STARTED: char = '@';

impl Seat {
    /// Both, the first one first.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    /// The one beside it.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// Whose `node.id` this is.
    #[must_use]
    pub fn of(node_id: &str) -> Self {
        let name = node_id.split_once(STARTED).map_or(node_id, |(name, _)| name);
        if name.ends_with(SECOND) { Self::Second } else { Self::First }
    }

    /// The `node.id` of this seat's Envoy. `started` is by the clock of the machine since its boot: of two Envoys it tells the newer
    /// one. One that is alone has no need of it.
    #[must_use]
    pub fn node_id(self, node: &str, started: Option<Duration>) -> String {
        let name = match self {
            Self::First => node.to_owned(),
            Self::Second => format!("{node}{SECOND}"),
        };
        started.map_or_else(|| name.clone(), |started| format!("{name}{STARTED}{}", started.as_millis()))
    }

    /// The addresses. Nobody but the programs needs to know the way to them: `::2` is not even the machine's own, and a
    /// transparent socket may be bound to it all the same.
    #[must_use]
    pub const fn loopbacks(self) -> (Ipv4Addr, Ipv6Addr) {
        match self {
            Self::First => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
            Self::Second => (Ipv4Addr::new(127, 0, 0, 2), Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 2)),
        }
    }

    /// A file of this seat's Envoy, such as `admin.sock` and `admin-2.sock`.
    #[must_use]
    pub fn file(self, stem: &str, suffix: &str) -> String {
        match self {
            Self::First => format!("{stem}.{suffix}"),
            Self::Second => format!("{stem}-2.{suffix}"),
        }
    }

    /// The value in the programs' map.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }
}

/// When the Envoy of that `node.id` was started, if it says so.
pub(crate) fn started_at(node_id: &str) -> Option<Duration> {
    node_id.split_once(STARTED)?.1.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_seat() {
        for seat in Seat::ALL {
            for started in [None, Some(Duration::from_secs(7))] {
                let id = seat.node_id("node-1.example", started);
                assert_eq!((Seat::of(&id), started_at(&id)), (seat, started), "{id}");
            }
        }
        assert_eq!(Seat::of("node-2"), Seat::First);
    }
}
