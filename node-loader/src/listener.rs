//! What the node adds to a listener that has no address: everything that the redirect needs.
//!
//! The node has no descriptors of Envoy. It needs none: concatenated encodings of a message merge, so a small
//! hand-written message behind the encoded listener does it. Field numbers are those of Envoy's
//! `config/listener/v3/listener.proto` and `config/core/v3/{address,socket_option}.proto`.

mod seated;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{BufMut as _, Bytes, BytesMut};
use memchr::memmem;
use prost::{DecodeError, Message};
use prost_types::Any;

pub(crate) use seated::seated;

/// `SO_MARK` of the listener's sockets, so that the datapath tells the proxy's replies from other traffic.
pub const LISTENER_MARK: i64 = 0xa00;

const SOL_SOCKET: i64 = 1;
const SO_MARK: i64 = 36;
const ORIGINAL_DST: &str = "envoy.filters.listener.original_dst";
const ORIGINAL_DST_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst";

/// How a listener is to be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// As its author wrote: on an address, a pipe, or not at all.
    AsWritten,
    /// On a proxy port of ours.
    ProxyPort,
}

/// Says how a listener is to be bound.
///
/// # Errors
/// Bytes that are no listener.
pub fn binding(listener: &[u8]) -> Result<Binding, DecodeError> {
    let seen = Seen::decode(listener)?;
    let written = seen.address.is_some() || seen.api_listener.is_some() || seen.internal_listener.is_some();
    Ok(if written { Binding::AsWritten } else { Binding::ProxyPort })
}

/// What of the node decides about how listeners are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ground {
    /// Whether listeners get `[::1]` beside 127.0.0.1.
    pub ipv6: bool,
    /// Whether the kernel can give a packet to one of a group of sockets; where not, workers share one.
    pub groups: bool,
}

/// Whether a listener, or an HTTP filter in it, makes upstream connections speak from their client's address.
///
/// Looked for as bytes: whoever only writes the filter's name somewhere pays for replies that never come.
#[must_use]
pub fn keeps_clients(listener: &[u8]) -> bool {
    memmem::find(listener, b".original_src.v3.OriginalSrc").is_some()
}

/// Binds a listener to a proxy port of the loopback addresses, transparently: its connections keep the addresses that the
/// client dialled. Cost: one copy.
///
/// # Errors
/// Bytes that are no listener.
pub fn bind(listener: &[u8], port: u16, ground: Ground) -> Result<Bytes, DecodeError> {
    let seen = Seen::decode(listener)?;
    let also = ground.ipv6.then(|| AdditionalAddress { address: Some(Address::new(Ipv6Addr::LOCALHOST.into(), port)) });
    let original_dst = ListenerFilter {
        name: ORIGINAL_DST.to_owned(),
        typed_config: Some(Any { type_url: ORIGINAL_DST_TYPE.to_owned(), value: Vec::new() }),
    };
    let has_original_dst = seen.listener_filters.iter().any(|filter| filter.name == ORIGINAL_DST);
    let added = Added {
        address: Some(Address::new(Ipv4Addr::LOCALHOST.into(), port)),
        additional_addresses: also.into_iter().collect(),
        listener_filters: if has_original_dst { Vec::new() } else { vec![original_dst] },
        transparent: Some(true),
        socket_options: vec![SocketOption { level: SOL_SOCKET, name: SO_MARK, int_value: Some(LISTENER_MARK) }],
        // Envoy 1.40 dies of a transparent listener that is not bound; unset means true.
        bind_to_port: seen.bind_to_port.map(|_| true),
        enable_reuse_port: (!ground.groups).then_some(Written { value: Some(false) }),
    };
    let mut merged = BytesMut::with_capacity(listener.len() + added.encoded_len());
    merged.put_slice(listener);
    merged.put_slice(&added.encode_to_vec());
    Ok(merged.freeze())
}

/// The port that a listener is bound to.
#[cfg(test)]
pub(crate) fn port(listener: &[u8]) -> Option<u16> {
    let port = Added::decode(listener).ok()?.address?.socket_address?.port_value;
    u16::try_from(port).ok()
}

/// What decides about the rest.
#[derive(Clone, PartialEq, Message)]
struct Seen {
    #[prost(message, optional, tag = "2")]
    address: Option<Present>,
    #[prost(message, repeated, tag = "9")]
    listener_filters: Vec<ListenerFilter>,
    #[prost(message, optional, tag = "19")]
    api_listener: Option<Present>,
    #[prost(message, optional, tag = "26")]
    bind_to_port: Option<bool>,
    #[prost(message, optional, tag = "27")]
    internal_listener: Option<Present>,
}

/// What is added. `BoolValue` is `bool` to prost.
#[derive(Clone, PartialEq, Message)]
struct Added {
    #[prost(message, optional, tag = "2")]
    address: Option<Address>,
    #[prost(message, repeated, tag = "9")]
    listener_filters: Vec<ListenerFilter>,
    #[prost(message, optional, tag = "10")]
    transparent: Option<bool>,
    #[prost(message, repeated, tag = "13")]
    socket_options: Vec<SocketOption>,
    #[prost(message, optional, tag = "26")]
    bind_to_port: Option<bool>,
    #[prost(message, optional, tag = "29")]
    enable_reuse_port: Option<Written>,
    #[prost(message, repeated, tag = "33")]
    additional_addresses: Vec<AdditionalAddress>,
}

/// A `BoolValue` that is written even when it is false: left out, what the author wrote before it would stay.
#[derive(Clone, PartialEq, Message)]
struct Written {
    #[prost(bool, optional, tag = "1")]
    value: Option<bool>,
}

/// Any message, of which only the presence counts.
#[derive(Clone, PartialEq, Message)]
struct Present {}

#[derive(Clone, PartialEq, Message)]
struct Address {
    #[prost(message, optional, tag = "1")]
    socket_address: Option<SocketAddress>,
}

impl Address {
    fn new(ip: IpAddr, port: u16) -> Self {
        Self { socket_address: Some(SocketAddress { address: ip.to_string(), port_value: port.into() }) }
    }
}

#[derive(Clone, PartialEq, Message)]
struct AdditionalAddress {
    #[prost(message, optional, tag = "1")]
    address: Option<Address>,
}

#[derive(Clone, PartialEq, Message)]
struct SocketAddress {
    #[prost(string, tag = "2")]
    address: String,
    /// A member of a oneof: written even when 0.
    #[prost(uint32, tag = "3")]
    port_value: u32,
}

#[derive(Clone, PartialEq, Message)]
struct ListenerFilter {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "3")]
    typed_config: Option<Any>,
}

/// The state is left at its default, `STATE_PREBIND`.
#[derive(Clone, PartialEq, Message)]
struct SocketOption {
    #[prost(int64, tag = "2")]
    level: i64,
    #[prost(int64, tag = "3")]
    name: i64,
    #[prost(int64, optional, tag = "4")]
    int_value: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: Ground = Ground { ipv6: false, groups: true };
    const BOTH: Ground = Ground { ipv6: true, groups: true };

    fn listener(bind_to_port: Option<bool>) -> Vec<u8> {
        Seen { bind_to_port, ..Seen::default() }.encode_to_vec()
    }

    #[test]
    fn an_address_is_respected() {
        assert_eq!(binding(&listener(None)), Ok(Binding::ProxyPort));
        for written in [
            Seen { address: Some(Present {}), ..Seen::default() },
            Seen { internal_listener: Some(Present {}), ..Seen::default() },
            Seen { api_listener: Some(Present {}), ..Seen::default() },
        ] {
            assert_eq!(binding(&written.encode_to_vec()), Ok(Binding::AsWritten));
        }
        assert!(binding(&[0x12, 0xff]).is_err());
    }

    #[test]
    fn what_is_added_is_merged() {
        let merged = Added::decode(bind(&listener(Some(false)), 10_001, BOTH).unwrap()).unwrap();
        assert_eq!(merged.address, Some(Address::new(Ipv4Addr::LOCALHOST.into(), 10_001)));
        assert_eq!(merged.additional_addresses.len(), 1);
        assert_eq!((merged.transparent, merged.bind_to_port), (Some(true), Some(true)));
        assert_eq!(merged.listener_filters.len(), 1);
        assert!(Added::decode(bind(&listener(None), 10_001, V4).unwrap()).unwrap().additional_addresses.is_empty());
    }

    #[test]
    fn who_keeps_the_clients_address_is_seen() {
        let with = |kind: &str| {
            let type_url = format!("type.googleapis.com/envoy.extensions.filters.{kind}");
            let typed_config = Some(Any { type_url, value: Vec::new() });
            let filter = ListenerFilter { name: "any".to_owned(), typed_config };
            Seen { listener_filters: vec![filter], ..Seen::default() }.encode_to_vec()
        };
        assert!(keeps_clients(&with("listener.original_src.v3.OriginalSrc")));
        assert!(keeps_clients(&with("http.original_src.v3.OriginalSrc")));
        assert!(!keeps_clients(&with("listener.original_dst.v3.OriginalDst")));
    }

    #[test]
    fn nothing_is_added_twice() {
        let once = bind(&listener(None), 10_001, V4).unwrap();
        let twice = Added::decode(bind(&once, 10_002, V4).unwrap()).unwrap();
        assert_eq!(twice.listener_filters.len(), 1);
    }

    #[test]
    fn workers_share_a_socket_where_the_kernel_knows_no_groups() {
        let written = |value| {
            let enable_reuse_port = Some(Written { value: Some(value) });
            Added { enable_reuse_port, ..Added::default() }.encode_to_vec()
        };
        let reuse = |listener: &[u8], groups| {
            let merged = bind(listener, 10_001, Ground { ipv6: false, groups }).unwrap();
            Added::decode(merged).unwrap().enable_reuse_port.and_then(|it| it.value)
        };
        for (author, known, unknown) in [
            (vec![], None, Some(false)),
            (written(true), Some(true), Some(false)),
            (written(false), Some(false), Some(false)),
        ] {
            assert_eq!((reuse(&author, true), reuse(&author, false)), (known, unknown));
        }
    }
}
