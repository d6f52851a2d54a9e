//! Flags that say what objects may do, the same for the operator and for whoever checks manifests before.

use axoneme_envoy::{Capability, Policy};
use clap::Args;

/// What the authors of Envoy configs may do.
#[derive(Clone, Debug, Args)]
pub struct PolicyFlags {
    /// What Envoy configs may make Envoy do beyond handling traffic, such as `lua`; docs/extensions.md lists the words.
    #[arg(long, env = "AXONEME_ALLOW_EXTENSIONS", value_delimiter = ',', value_name = "WORD")]
    allow_extensions: Vec<Capability>,

    /// Refuse a CiliumEnvoyConfig that sends traffic to backends of another namespace than its own.
    #[arg(long, env = "AXONEME_FORBID_FOREIGN_BACKENDS")]
    forbid_foreign_backends: bool,
}

impl PolicyFlags {
    /// The policy that these flags amount to.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let allowed: Policy = self.allow_extensions.iter().copied().collect();
        allowed.with_foreign_backends_forbidden(self.forbid_foreign_backends)
    }
}
