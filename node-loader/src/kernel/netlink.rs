//! Netlink messages by hand, for the two families that no maintained crate of a fitting licence covers: nf_tables and
//! sock_diag. Both are spoken rarely and answered at once, so the socket blocks.

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
            sockopt::ReceiveTimeout,
        },
        time::TimeVal,
    },
};

/// `NLM_F_REQUEST`, on every message that we send.
pub(crate) const REQUEST: u16 = 1;
/// `NLM_F_ACK`: answer with an error message, whose number is 0 on success.
pub(crate) const ACK: u16 = 4;
/// `NLM_F_DUMP`: answer with all objects.
pub(crate) const DUMP: u16 = 0x300;
/// `NLM_F_CREATE`.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub(crate) const APPEND: u16 = 0x800;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// The kernel answers while we send; this is only there so that a bug cannot hang the loader.
const PATIENCE_SECONDS: i64 = 10;

/// One message, or several in a row.
#[derive(Default)]
pub(crate) struct Messages(Vec<u8>);

impl Messages {
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends a message. `header` is what the family puts before the attributes.
    pub(crate) fn push(&mut self, kind: u16, flags: u16, header: &[u8], attributes: &Attributes) {
        let length = HEADER + header.len() + attributes.0.len();
        self.0.extend_from_slice(&(length as u32).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.0.extend_from_slice(&[0; 8]);
        self.0.extend_from_slice(header);
        self.0.extend_from_slice(&attributes.0);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

/// A row of attributes, nested as deep as need be.
#[derive(Default)]
pub(crate) struct Attributes(Vec<u8>);

impl Attributes {
    pub(crate) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Text with the closing zero that the kernel wants.
    pub(crate) fn text(self, kind: u16, value: &str) -> Self {
        let bytes: Vec<u8> = value.bytes().chain([0]).collect();
        self.bytes(kind, &bytes)
    }

    /// A number in network byte order, as nf_tables wants all of its own.
    pub(crate) fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(crate) fn nest(self, kind: u16, inside: Attributes) -> Self {
        self.bytes(kind | NESTED, &inside.0)
    }
}

pub(crate) struct Socket(OwnedFd);

impl Socket {
    pub(crate) fn open(protocol: SockProtocol) -> Result<Self, Errno> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&fd, ReceiveTimeout, &TimeVal::new(PATIENCE_SECONDS, 0))?;
        Ok(Self(fd))
    }

    pub(crate) fn send(&self, messages: &Messages) -> Result<(), Errno> {
        sendto(self.0.as_raw_fd(), &messages.0, &NetlinkAddr::new(0, 0), MsgFlags::empty()).map(drop)
    }

    /// Waits for `count` acknowledgements; the first error is the answer.
    pub(crate) fn acknowledgements(&self, count: usize) -> Result<(), Errno> {
        let mut left = count;
        while left > 0 {
            self.receive(|message| match message {
                Message::Ack => left = left.saturating_sub(1),
                Message::Done | Message::Other(_) => {}
            })?;
        }
        Ok(())
    }

    /// Hands the body of each message of a dump to `visit`.
    pub(crate) fn dump(&self, mut visit: impl FnMut(&[u8])) -> Result<(), Errno> {
        let mut done = false;
        while !done {
            self.receive(|message| match message {
                Message::Done => done = true,
                Message::Other(body) => visit(body),
                Message::Ack => {}
            })?;
        }
        Ok(())
    }

    /// One datagram, which may hold several messages.
    fn receive(&self, mut visit: impl FnMut(Message<'_>)) -> Result<(), Errno> {
        let mut buffer = vec![0; 64 * 1024];
        let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for (kind, body) in messages(buffer.get(..length).unwrap_or_default()) {
            match kind {
                NLMSG_ERROR => match body.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
                    Some(0) => visit(Message::Ack),
                    code => return Err(Errno::from_raw(-code.unwrap_or(-libc::EBADMSG))),
                },
                NLMSG_DONE => visit(Message::Done),
                _ => visit(Message::Other(body)),
            }
        }
        Ok(())
    }
}

enum Message<'a> {
    Ack,
    Done,
    Other(&'a [u8]),
}

/// Kind and body of each message of a datagram.
pub(crate) fn messages(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, body, next) = split(rest)?;
        rest = next;
        Some((kind, body))
    })
}

/// Kind and body of the first message, and the rest.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes([*bytes.get(4)?, *bytes.get(5)?]);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}
