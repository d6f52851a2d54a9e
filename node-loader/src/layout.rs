//! What a node is made of, as the kernel tells it and `axonctl status node` shows it.

use serde::{Deserialize, Serialize};

/// A node's devices, as far as the redirect cares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// How programs sit on devices: `tcx` links or `clsact` filters.
    #[serde(default)]
    pub attachment: String,
    /// By number of the device.
    pub devices: Vec<LayoutDevice>,
    /// What of it the redirect cannot cope with, in sentences.
    #[serde(default)]
    pub unsupported: Vec<String>,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutDevice {
    /// Its name.
    pub name: String,
    /// `loopback`, `physical`, `pair` (of which a pod has the other end), `bridge`, `vrf`, `other`.
    pub kind: String,
    /// The bridge, bond or VRF that it is a port of.
    pub master: Option<String>,
    /// The program at its ingress.
    pub program: Option<String>,
    /// Why it has none.
    pub left_alone: Option<String>,
}
