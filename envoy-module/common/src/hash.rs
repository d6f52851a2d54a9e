//! Which shard a key is in.

use crate::SHARDS;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The shard of a key, below [`SHARDS`]: its 64-bit FNV-1a hash, modulo the number of shards.
///
/// Operator and module are of different versions while a cluster is upgraded, so this must not change.
#[must_use]
pub fn shard(key: &[u8]) -> u32 {
    shard_of(key, SHARDS)
}

/// The shard of a key among `shards`, which a listener tells the module. None is taken for one.
#[must_use]
pub fn shard_of(key: &[u8], shards: u32) -> u32 {
    let hash = key.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    // Less than `shards`, so nothing is cut off.
    (hash % u64::from(shards.max(1))) as u32
}

#[cfg(test)]
mod tests {
    use super::{OFFSET, SHARDS, shard, shard_of};

    /// The vectors of <http://www.isthe.com/chongo/tech/comp/fnv/>: `""`, `"a"` and `"foobar"`.
    #[test]
    fn is_fnv_1a_of_64_bits() {
        for (key, hash) in [(&b""[..], OFFSET), (b"a", 0xaf63_dc4c_8601_ec8c), (b"foobar", 0x8594_4171_f739_67e8_u64)] {
            assert_eq!(u64::from(shard(key)), hash % u64::from(SHARDS), "{key:?}");
            assert_eq!(u64::from(shard_of(key, u32::MAX)), hash % u64::from(u32::MAX), "{key:?}");
        }
    }

    #[test]
    fn no_shards_are_one() {
        assert_eq!(shard_of(b"a.example.com", 0), 0);
    }
}
