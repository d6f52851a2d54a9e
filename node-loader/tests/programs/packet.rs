//! Packets, byte by byte.

use std::net::{IpAddr, SocketAddr};

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// Before the IP header.
pub(crate) const ETHERNET: usize = 14;

pub(crate) const CLIENT_PORT: u16 = 40_000;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// Packets of one client to one service.
#[derive(Clone, Copy)]
pub(crate) struct Packets {
    pub(crate) client: IpAddr,
    pub(crate) service: SocketAddr,
    client_port: u16,
    options: bool,
}

impl Packets {
    pub(crate) fn new(v6: bool) -> Self {
        let (client, service) = if v6 { ("fd00::5", "[fd00:96::1]:80") } else { ("10.0.0.5", "10.96.0.1:80") };
        let (client, service) = (client.parse().unwrap(), service.parse().unwrap());
        Self { client, service, client_port: CLIENT_PORT, options: false }
    }

    pub(crate) fn with_client_port(self, client_port: u16) -> Self {
        Self { client_port, ..self }
    }

    pub(crate) fn to_port(self, port: u16) -> Self {
        Self { service: SocketAddr::new(self.service.ip(), port), ..self }
    }

    /// What the service says back.
    pub(crate) fn reply(self) -> Self {
        let service = SocketAddr::new(self.client, self.client_port);
        Self { client: self.service.ip(), service, client_port: self.service.port(), ..self }
    }

    /// An IPv4 header of 24 bytes. IPv6 has no such thing.
    pub(crate) fn with_ip_options(self) -> Self {
        Self { options: true, ..self }
    }

    pub(crate) fn tcp(&self, flags: u8) -> Vec<u8> {
        self.frame(&self.ip(TCP, &tcp_header(self.client_port, self.service.port(), flags)))
    }

    pub(crate) fn udp(&self) -> Vec<u8> {
        self.frame(&self.ip(UDP, &tcp_header(self.client_port, self.service.port(), SYN)))
    }

    /// Only IPv4 has fragments in its header: of IPv6 it is a packet with an extension header.
    pub(crate) fn later_fragment(&self) -> Vec<u8> {
        let mut packet = self.tcp(SYN);
        if self.client.is_ipv4() {
            packet[14 + 7] = 1;
        } else {
            packet[14 + 6] = 44;
        }
        packet
    }

    /// The first of several fragments, with the whole TCP header in it. IPv4 only.
    pub(crate) fn first_fragment(&self) -> Vec<u8> {
        let mut packet = self.tcp(SYN);
        packet[ETHERNET + 6] = 0x20;
        packet
    }

    /// A SYN whose IPv4 header says that it has so many words.
    pub(crate) fn header_of_words(&self, words: u8) -> Vec<u8> {
        let mut packet = self.tcp(SYN);
        let more = usize::from(words.max(5) - 5) * 4;
        packet[ETHERNET] = 0x40 | words;
        packet.splice(ETHERNET + 20..ETHERNET + 20, vec![1; more]);
        packet
    }

    /// A SYN behind an extension header of IPv6, eight bytes long.
    pub(crate) fn behind_extension(&self, kind: u8) -> Vec<u8> {
        let header = [TCP, 0, 1, 4, 0, 0, 0, 0];
        let tcp = tcp_header(self.client_port, self.service.port(), SYN);
        self.frame(&self.ip(kind, &[&header[..], &tcp].concat()))
    }

    /// A SYN's bytes, said to be of another protocol.
    pub(crate) fn of_protocol(&self, protocol: u8) -> Vec<u8> {
        self.frame(&self.ip(protocol, &tcp_header(self.client_port, self.service.port(), SYN)))
    }

    pub(crate) fn echo_request(&self) -> Vec<u8> {
        let (protocol, kind) = if self.client.is_ipv4() { (1, 8) } else { (58, 128) };
        self.frame(&self.ip(protocol, &[kind, 0, 0, 0, 0, 0, 0, 0]))
    }

    /// "Too big", from a router to the service's address, about what the service sent to the client.
    pub(crate) fn icmp_error(&self) -> Vec<u8> {
        self.icmp(if self.client.is_ipv4() { 3 } else { 2 }, &self.answer(TCP, false))
    }

    /// A message of any type of ICMP to the service's address, about a packet.
    pub(crate) fn icmp(&self, kind: u8, about: &[u8]) -> Vec<u8> {
        let protocol = if self.client.is_ipv4() { 1 } else { 58 };
        let message = [&[kind, 0, 0, 0, 0, 0, 5, 0][..], about].concat();
        let router = if self.client.is_ipv4() { "10.9.9.9" } else { "fd00:9::9" };
        self.frame(&ip(router.parse().unwrap(), self.service.ip(), protocol, &message, false))
    }

    /// What the service sent to the client, without a link's header.
    pub(crate) fn answer(&self, protocol: u8, options: bool) -> Vec<u8> {
        let tcp = tcp_header(self.service.port(), self.client_port, ACK);
        ip(self.service.ip(), self.client, protocol, &tcp, options)
    }

    /// What the client sent to the service, likewise.
    pub(crate) fn question(&self) -> Vec<u8> {
        self.ip(TCP, &tcp_header(self.client_port, self.service.port(), ACK))
    }

    fn ip(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        ip(self.client, self.service.ip(), protocol, payload, self.options)
    }

    fn frame(&self, packet: &[u8]) -> Vec<u8> {
        let kind: u16 = if self.client.is_ipv4() { 0x0800 } else { 0x86dd };
        [&[0; 12][..], &kind.to_be_bytes(), packet].concat()
    }
}

/// The same frame in a VLAN, as long as nobody has taken the tag out of it.
pub(crate) fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00, 0x00, 0x05], &frame[12..]].concat()
}

fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8], options: bool) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let words = if options { 6 } else { 5 };
            let length = (words * 4 + payload.len()) as u16;
            let mut header = vec![0; words * 4];
            header[0] = 0x40 | words as u8;
            header[2..4].copy_from_slice(&length.to_be_bytes());
            (header[8], header[9]) = (64, protocol);
            header[12..16].copy_from_slice(&from.octets());
            header[16..20].copy_from_slice(&to.octets());
            [&header, payload].concat()
        }
        (from, to) => {
            let octets = |address: IpAddr| match address {
                IpAddr::V6(v6) => v6.octets(),
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            };
            let mut header = vec![0; 40];
            header[0] = 0x60;
            header[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
            (header[6], header[7]) = (protocol, 64);
            header[8..24].copy_from_slice(&octets(from));
            header[24..40].copy_from_slice(&octets(to));
            [&header, payload].concat()
        }
    }
}

fn tcp_header(from: u16, to: u16, flags: u8) -> [u8; 20] {
    let mut header = [0; 20];
    header[0..2].copy_from_slice(&from.to_be_bytes());
    header[2..4].copy_from_slice(&to.to_be_bytes());
    (header[12], header[13]) = (5 << 4, flags);
    header
}
