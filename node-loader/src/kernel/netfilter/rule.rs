//! A rule of nftables: what the kernel does with a packet, step by step.

use super::super::netlink::Attributes;

/// Numbers of `linux/netfilter/nf_tables.h`.
const REGISTER: u32 = 1;
const REGISTER_OF_VERDICT: u32 = 0;
const META_MARK: u32 = 3;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const CT_DIRECTION: u32 = 1;
const CT_MARK: u32 = 3;
/// `IP_CT_DIR_REPLY`.
const REPLY: u8 = 1;
const EQUAL: u32 = 0;
const REJECT_TCP_RESET: u32 = 1;
/// `NFPROTO_UNSPEC`.
const EITHER_FAMILY: u32 = 0;
const NETWORK_HEADER: u32 = 1;
/// `NFT_JUMP`.
const JUMP: i32 = -3;

/// A family of addresses, as `NFPROTO_IPV4` and `NFPROTO_IPV6`.
#[derive(Clone, Copy)]
pub(super) enum Family {
    V4 = 2,
    V6 = 10,
}

/// The expressions of a rule, in the order in which the kernel runs them.
#[derive(Default)]
pub(super) struct Rule(pub(super) Attributes);

impl Rule {
    fn expression(self, name: &str, data: Attributes) -> Self {
        Self(self.0.nest(1, Attributes::default().text(1, name).nest(2, data)))
    }

    fn load(self, key: u32) -> Self {
        self.expression("meta", Attributes::default().number(1, REGISTER).number(2, key))
    }

    fn equals(self, value: &[u8]) -> Self {
        let compare = Attributes::default().number(1, REGISTER).number(2, EQUAL).nest(3, data(value));
        self.expression("cmp", compare)
    }

    /// `(register & mask) ^ toggle`, back into the register.
    fn masked(self, mask: u32, toggle: u32) -> Self {
        let and = Attributes::default().number(1, REGISTER).number(2, REGISTER).number(3, 4);
        let and = and.nest(4, data(&mask.to_ne_bytes())).nest(5, data(&toggle.to_ne_bytes()));
        self.expression("bitwise", and)
    }

    pub(super) fn marked(self, mask: u32, mark: u32) -> Self {
        self.load(META_MARK).masked(mask, 0).equals(&mark.to_ne_bytes())
    }

    fn load_ct(self, key: u32) -> Self {
        self.expression("ct", Attributes::default().number(1, REGISTER).number(2, key))
    }

    /// What comes back of a connection with [`Self::mark_connection`].
    pub(super) fn of_reply_marked(self, mask: u32, mark: u32) -> Self {
        let reply = self.load_ct(CT_DIRECTION).equals(&[REPLY]);
        reply.load_ct(CT_MARK).masked(mask, 0).equals(&mark.to_ne_bytes())
    }

    /// Sets our bits of the connection's mark.
    pub(super) fn mark_connection(self, mask: u32, mark: u32) -> Self {
        let store = Attributes::default().number(2, CT_MARK).number(4, REGISTER);
        self.load_ct(CT_MARK).masked(!mask, mark).expression("ct", store)
    }

    /// Sets our bits of the packet's mark.
    pub(super) fn mark(self, mask: u32, mark: u32) -> Self {
        let store = Attributes::default().number(2, META_MARK).number(3, REGISTER);
        self.load(META_MARK).masked(!mask, mark).expression("meta", store)
    }

    pub(super) fn tcp_only(self) -> Self {
        self.load(META_L4PROTO).equals(&[libc::IPPROTO_TCP as u8])
    }

    pub(super) fn counter(self) -> Self {
        self.expression("counter", Attributes::default())
    }

    pub(super) fn notrack(self) -> Self {
        self.expression("notrack", Attributes::default())
    }

    pub(super) fn masquerade(self) -> Self {
        self.expression("masq", Attributes::default())
    }

    /// To port 1, of either family.
    pub(super) fn transparent(self) -> Self {
        let port = Attributes::default().number(1, REGISTER).nest(2, data(&1_u16.to_be_bytes()));
        self.expression("immediate", port)
            .expression("tproxy", Attributes::default().number(1, EITHER_FAMILY).number(3, REGISTER))
    }

    pub(super) fn of_family(self, family: Family) -> Self {
        self.load(META_NFPROTO).equals(&[family as u8])
    }

    /// Inverts four bytes of the packet's IP header, `offset` bytes from its start. No checksum follows.
    pub(super) fn invert(self, offset: u32) -> Self {
        let place = |kind: u16| {
            let base = Attributes::default().number(kind, REGISTER).number(2, NETWORK_HEADER);
            base.number(3, offset).number(4, 4)
        };
        self.expression("payload", place(1)).masked(u32::MAX, u32::MAX).expression("payload", place(5))
    }

    /// Goes on in another chain of the table, and comes back.
    pub(super) fn jump(self, chain: &str) -> Self {
        let verdict = Attributes::default().number(1, JUMP.cast_unsigned()).text(2, chain);
        let verdict = Attributes::default().nest(2, verdict);
        self.expression("immediate", Attributes::default().number(1, REGISTER_OF_VERDICT).nest(2, verdict))
    }

    pub(super) fn reset(self) -> Self {
        self.expression("reject", Attributes::default().number(1, REJECT_TCP_RESET))
    }
}

fn data(value: &[u8]) -> Attributes {
    Attributes::default().bytes(1, value)
}
