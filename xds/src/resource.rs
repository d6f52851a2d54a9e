//! A resource: its name, its encoded body and a version that is a hash of the content.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::proto::{Any, DiscoveredResource};

/// What names a resource: type URL and name.
pub type Key = (Arc<str>, Arc<str>);

/// One named, versioned, encoded resource. A clone shares everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The type of `body`, as in an Any.
    pub type_url: Arc<str>,
    /// The name, unique within the type.
    pub name: Arc<str>,
    /// A hash of type and body, 32 hex digits. Counters would be wrong here: a restarted server may give an old number
    /// to new content, and client and server then disagree without a word.
    pub version: Arc<str>,
    /// The bytes of the Any's value.
    pub body: Bytes,
}

/// What became of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new or its content is.
    Put(Resource),
    /// It is gone.
    Remove,
}

impl Resource {
    /// Makes a resource and hashes it: O(body).
    pub fn new(type_url: impl Into<Arc<str>>, name: impl Into<Arc<str>>, body: impl Into<Bytes>) -> Self {
        let (type_url, body) = (type_url.into(), body.into());
        let version = content_hash(&type_url, &body).into();
        Self { type_url, name: name.into(), version, body }
    }

    /// Type URL and name.
    pub fn key(&self) -> Key {
        (self.type_url.clone(), self.name.clone())
    }

    pub(crate) fn to_wire(&self) -> DiscoveredResource {
        DiscoveredResource {
            version: self.version.to_string(),
            name: self.name.to_string(),
            resource: Some(Any { type_url: self.type_url.to_string(), value: self.body.clone() }),
        }
    }
}

/// The first 128 bits of SHA-256 over type, a zero byte and body. The hash is stored on disk and compared between
/// releases, so it must not change.
fn content_hash(type_url: &str, body: &[u8]) -> String {
    let digest = Sha256::new().chain_update(type_url).chain_update([0]).chain_update(body).finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_depends_on_type_and_body_only() {
        let one = Resource::new("t", "a", "body");
        assert_eq!(one.version, Resource::new("t", "b", "body").version);
        assert_ne!(one.version, Resource::new("u", "a", "body").version);
        assert_ne!(one.version, Resource::new("t", "a", "Body").version);
    }

    #[test]
    fn version_is_stable_across_releases() {
        // printf 't\0body' | sha256sum | head -c 32
        assert_eq!(&*Resource::new("t", "a", "body").version, "6873a545fdc434c619f03f4f71e33710");
    }
}
