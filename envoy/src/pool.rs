//! The descriptors of the one Envoy that this program is made for, loaded at first use.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, MessageDescriptor};

/// The Envoy that the descriptors were taken from, as its `--version` says:
/// `<commit>/<number>/<state>/<build>/<TLS library>`.
pub const ENVOY_VERSION: &str = include_str!("../descriptors/envoy-1.40.0.version").trim_ascii();

static SET: &[u8] = include_bytes!("../descriptors/envoy-1.40.0.binpb");

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // A test loads the committed set, so the empty pool of a broken one never reaches a user.
    DescriptorPool::decode(SET).unwrap_or_default()
});

/// Costs 25 to 50 ms and about 15 MB at the first call.
pub(crate) fn pool() -> &'static DescriptorPool {
    &POOL
}

/// The message named by a type URL: what follows its last `/`.
pub(crate) fn message_of(type_url: &str) -> Option<MessageDescriptor> {
    pool().get_message_by_name(type_url.rsplit('/').next()?)
}
