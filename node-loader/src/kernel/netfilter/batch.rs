//! Changes of nftables that come about together or not at all.

use nix::{errno::Errno, sys::socket::SockProtocol};

use super::{
    super::netlink::{ACK, APPEND, Attributes, CREATE, DUMP, Messages, Socket},
    nft,
    rule::Rule,
};

pub(super) struct Batch {
    messages: Messages,
    acknowledged: usize,
    rules: usize,
}

impl Batch {
    pub(super) fn begin() -> Self {
        let mut messages = Messages::default();
        messages.push(nft::BATCH_BEGIN, 0, &header(0, nft::SUBSYSTEM), &Attributes::default());
        Self { messages, acknowledged: 0, rules: 0 }
    }

    fn push(&mut self, kind: u16, flags: u16, attributes: &Attributes) {
        let kind = (nft::SUBSYSTEM << 8) | kind;
        self.messages.push(kind, flags | ACK, &header(nft::FAMILY_INET, 0), attributes);
        self.acknowledged += 1;
    }

    fn table(&mut self, kind: u16, flags: u16, table: &str) {
        self.push(kind, flags, &Attributes::default().text(1, table));
    }

    /// Made first, so that there is something to delete.
    pub(super) fn replace_table(&mut self, table: &str) {
        self.table(nft::NEW_TABLE, CREATE, table);
        self.table(nft::DELETE_TABLE, 0, table);
        self.table(nft::NEW_TABLE, CREATE, table);
    }

    pub(super) fn delete_table(&mut self, table: &str) {
        self.table(nft::DELETE_TABLE, 0, table);
    }

    pub(super) fn chain(&mut self, table: &str, name: &str, kind: &str, hook: u32, priority: i32) {
        let hook = Attributes::default().number(1, hook).number(2, priority.cast_unsigned());
        let chain = Attributes::default().text(1, table).text(3, name).nest(4, hook).number(5, nft::ACCEPT);
        self.push(nft::NEW_CHAIN, CREATE, &chain.text(7, kind));
    }

    /// Which packets come to only by rules of other chains.
    pub(super) fn plain_chain(&mut self, table: &str, name: &str) {
        self.push(nft::NEW_CHAIN, CREATE, &Attributes::default().text(1, table).text(3, name));
    }

    pub(super) fn rule(&mut self, table: &str, chain: &str, rule: Rule) {
        let rule = Attributes::default().text(1, table).text(2, chain).nest(4, rule.0);
        self.push(nft::NEW_RULE, CREATE | APPEND, &rule);
        self.rules += 1;
    }

    /// The answer is how many rules there are now.
    pub(super) fn commit(mut self) -> Result<usize, Errno> {
        self.messages.push(nft::BATCH_END, 0, &header(0, nft::SUBSYSTEM), &Attributes::default());
        let socket = Socket::open(SockProtocol::NetlinkNetFilter)?;
        socket.send(&self.messages)?;
        socket.acknowledgements(self.acknowledged)?;
        Ok(self.rules)
    }
}

/// How many rules a table has, which need not be there. Cost: its rules.
pub(super) fn count_rules(table: &str) -> Result<usize, Errno> {
    let mut question = Messages::default();
    let kind = (nft::SUBSYSTEM << 8) | nft::GET_RULE;
    question.push(kind, DUMP, &header(nft::FAMILY_INET, 0), &Attributes::default().text(1, table));
    let socket = Socket::open(SockProtocol::NetlinkNetFilter)?;
    socket.send(&question)?;
    let mut count = 0;
    socket.dump(|_| count += 1)?;
    Ok(count)
}

/// `struct nfgenmsg`.
fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}
