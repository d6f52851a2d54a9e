//! The module's whole configuration: how many shards there are. It lives in the pointers that Envoy keeps for us.

use core::ffi::c_void;

use axoneme_hostkey::{Key, shard_of};

/// The number of shards, which is not zero.
#[derive(Clone, Copy)]
pub(crate) struct Shards(u32);

impl Shards {
    /// Reads the decimal text that a listener configures. `None` makes Envoy refuse the listener.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let number: u32 = core::str::from_utf8(text).ok()?.parse().ok()?;
        (number > 0).then_some(Self(number))
    }

    /// What Envoy keeps; it looks whether it is null, and gives it back.
    pub(crate) fn into_pointer(self) -> *const c_void {
        core::ptr::without_provenance(self.0 as usize)
    }

    /// What Envoy kept.
    pub(crate) fn from_pointer(pointer: *const c_void) -> Self {
        // It never was more than 32 bits wide.
        Self(pointer.addr() as u32)
    }

    /// The shard of a key, as the scopes are called.
    pub(crate) fn of(self, key: &Key) -> Decimal {
        Decimal::new(shard_of(key.as_bytes(), self.0))
    }
}

/// A number as decimal text, on the stack.
pub(crate) struct Decimal {
    digits: [u8; 10],
    start: usize,
}

impl Decimal {
    fn new(mut number: u32) -> Self {
        let mut text = Self { digits: [b'0'; 10], start: 10 };
        for (place, digit) in text.digits.iter_mut().enumerate().rev() {
            *digit += (number % 10) as u8;
            number /= 10;
            text.start = place;
            if number == 0 {
                break;
            }
        }
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}
