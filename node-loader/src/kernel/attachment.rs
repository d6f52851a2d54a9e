//! How programs sit on devices, which depends on the kernel, and what else an older kernel cannot do.

use std::fmt;

use aya::util::KernelVersion;

use crate::datapath::DatapathError;

/// `SO_NETNS_COOKIE` and a `bpf_sk_assign` that works; older ones were never tried.
const OLDEST: KernelVersion = KernelVersion::new(5, 15, 0);
/// TCX links, and `bpf_sk_assign` to one of a group of listeners (commit 9c02bec95954), came with the same version.
const LINKS: KernelVersion = KernelVersion::new(6, 6, 0);

/// How programs sit on devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// As TCX links, before any other program, where nobody can take them off. Linux 6.6.
    Tcx,
    /// As filters of the qdisc `clsact`, before filters of a higher preference. Who deletes the qdisc deletes them; the
    /// watcher puts them back.
    Clsact,
}

impl Attachment {
    /// What a kernel has: links if it can.
    fn of(kernel: KernelVersion) -> Self {
        if kernel < LINKS { Self::Clsact } else { Self::Tcx }
    }

    /// What this kernel has.
    ///
    /// # Errors
    /// [`DatapathError::Unsupported`] when it is too old for either.
    pub fn of_this_kernel() -> Result<Self, DatapathError> {
        match version() {
            Some(kernel) if kernel < OLDEST => {
                Err(DatapathError::Unsupported("the redirect needs Linux 5.15; 6.6 or later is better".to_owned()))
            }
            kernel => Ok(kernel.map_or(Self::Tcx, Self::of)),
        }
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        })
    }
}

/// Whether this kernel can give a packet to one of a group of listeners that share a port (`SO_REUSEPORT`). Where it cannot,
/// all of Envoy's workers have to accept from one socket.
#[must_use]
pub fn assigns_to_groups() -> bool {
    version().is_none_or(|kernel| kernel >= LINKS)
}

/// A kernel that does not tell its version is taken for a new one: what it cannot do, it will say.
fn version() -> Option<KernelVersion> {
    KernelVersion::current().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_taken_where_there_are_any() {
        assert_eq!(Attachment::of(KernelVersion::new(6, 1, 192)), Attachment::Clsact);
        assert_eq!(Attachment::of(KernelVersion::new(6, 5, 13)), Attachment::Clsact);
        assert_eq!(Attachment::of(KernelVersion::new(6, 6, 0)), Attachment::Tcx);
        assert_eq!(Attachment::of(KernelVersion::new(7, 0, 0)), Attachment::Tcx);
    }
}
