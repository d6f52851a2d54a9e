//! A listener for the second seat: what was bound to the first one's addresses is bound to its own.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;

use super::{Added, AdditionalAddress, Address, LISTENER_MARK, SO_MARK, SOL_SOCKET};
use crate::{
    mentions::{take, varint},
    seat::Seat,
};

/// `address` and `additional_addresses` of a listener.
const ADDRESSES: [usize; 2] = [2, 33];

/// The listener as the Envoy of a seat gets it. One with an address of its author's stays as it is. Cost: one copy for the second
/// seat.
pub(crate) fn seated(listener: &Bytes, seat: Seat) -> Bytes {
    match seat {
        Seat::First => listener.clone(),
        Seat::Second => moved(listener, seat).unwrap_or_else(|| listener.clone()),
    }
}

fn moved(listener: &Bytes, seat: Seat) -> Option<Bytes> {
    let bound = Added::decode(listener.clone()).ok()?;
    let is_mark = |option: &super::SocketOption| {
        (option.level, option.name, option.int_value) == (SOL_SOCKET, SO_MARK, Some(LISTENER_MARK))
    };
    let ours = bound.transparent == Some(true) && bound.socket_options.iter().any(is_mark);
    let port = bound.address.filter(|_| ours)?.socket_address?.port_value;
    let port = u16::try_from(port).ok()?;
    let (v4, v6) = seat.loopbacks();
    let also = AdditionalAddress { address: Some(Address::new(v6.into(), port)) };
    let added = Added {
        address: Some(Address::new(v4.into(), port)),
        additional_addresses: bound.additional_addresses.iter().map(|_| also.clone()).collect(),
        ..Added::default()
    };
    let mut merged = without_addresses(listener)?;
    merged.put_slice(&added.encode_to_vec());
    Some(merged.freeze())
}

/// The other fields, as they are. `None` for bytes that are no message.
fn without_addresses(mut rest: &[u8]) -> Option<BytesMut> {
    let mut kept = BytesMut::with_capacity(rest.len());
    while !rest.is_empty() {
        let field = rest;
        let key = varint(&mut rest)?;
        match key & 7 {
            0 => drop(varint(&mut rest)?),
            1 => drop(take(&mut rest, 8)?),
            2 => {
                let length = varint(&mut rest)?;
                take(&mut rest, length)?;
            }
            5 => drop(take(&mut rest, 4)?),
            _ => return None,
        }
        if !ADDRESSES.contains(&(key >> 3)) {
            kept.put_slice(&field[..field.len() - rest.len()]);
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Ground, bind},
        *,
    };

    fn addresses(listener: &Bytes) -> Vec<String> {
        let read = Added::decode(listener.clone()).unwrap();
        let all = read.address.into_iter().chain(read.additional_addresses.into_iter().filter_map(|it| it.address));
        let sockets = all.filter_map(|address| address.socket_address);
        sockets.map(|socket| format!("{} {}", socket.address, socket.port_value)).collect()
    }

    #[test]
    fn the_second_seat_has_addresses_of_its_own_and_all_else_is_the_same() {
        for (ipv6, first, second) in [
            (false, vec!["127.0.0.1 10001"], vec!["127.0.0.2 10001"]),
            (true, vec!["127.0.0.1 10001", "::1 10001"], vec!["127.0.0.2 10001", "::2 10001"]),
        ] {
            let bound = bind(b"\x0a\x03web", 10_001, Ground { ipv6, groups: true }).unwrap();
            assert_eq!(addresses(&seated(&bound, Seat::First)), first);
            let moved = seated(&bound, Seat::Second);
            assert_eq!(addresses(&moved), second);
            assert_eq!(without_addresses(&moved), without_addresses(&bound));
            assert!(moved.starts_with(b"\x0a\x03web"));
        }
    }

    #[test]
    fn an_address_of_its_authors_stays() {
        let written = Added { address: Some(Address::new([127, 0, 0, 1].into(), 8080)), ..Added::default() };
        let written = Bytes::from(written.encode_to_vec());
        assert_eq!(seated(&written, Seat::Second), written);
    }
}
