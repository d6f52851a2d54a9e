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

    /// Let backends see the client's address as the peer, for Envoy configs that do not say otherwise with the annotation
    /// `cec.cilium.io/use-original-source-address`. docs/client-address.md says what it costs.
    #[arg(long, env = "AXONEME_USE_ORIGINAL_SOURCE_ADDRESS")]
    use_original_source_address: bool,
}

impl PolicyFlags {
    /// The same, if one of them was given.
    #[must_use]
    pub fn given(&self) -> Option<Policy> {
        let given =
            !self.allow_extensions.is_empty() || self.forbid_foreign_backends || self.use_original_source_address;
        given.then(|| self.policy())
    }

    /// The policy that these flags amount to.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let allowed: Policy = self.allow_extensions.iter().copied().collect();
        allowed
            .with_foreign_backends_forbidden(self.forbid_foreign_backends)
            .with_client_address_kept(self.use_original_source_address)
    }
}
