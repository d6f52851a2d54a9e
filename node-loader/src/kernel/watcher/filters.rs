//! Filters that somebody deleted, where the kernel has no links: they are put back.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::Watcher;
use crate::{datapath::DatapathError, kernel::attachment::Attachment};

/// Who cleans up takes the filter before its record: so long later, what is still on record is missing.
const SETTLED: Duration = Duration::from_millis(250);

/// The devices at which something was deleted, and when to look.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    devices: BTreeSet<u32>,
    look_at: Option<Instant>,
}

impl Deleted {
    /// Somebody deleted a qdisc or a filter, as the kernel tells.
    pub(super) fn at(&mut self, device: i32) {
        self.devices.extend(u32::try_from(device));
        self.look_at = Some(Instant::now() + SETTLED);
    }

    /// Until it is time to look: without end when nothing was deleted.
    pub(super) async fn settled(&self) {
        match self.look_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

impl Watcher {
    /// Forgets attachments that have to be made, or looked at by making them again: all links, of which nobody hears. To exchange a
    /// filter is an event; as many as a node has devices would be too many to be told, and a reason to do it all once more, without
    /// end. So filters are listed. Cost: the filters of all devices.
    pub(super) fn forget_what_may_be_gone(&mut self) -> Result<(), DatapathError> {
        if self.programs.attachment() == Attachment::Tcx {
            self.attached.clear();
        }
        for index in self.attached.keys().copied().collect::<Vec<u32>>() {
            if !self.programs.is_in_place(index)? {
                self.attached.remove(&index);
            }
        }
        Ok(())
    }

    /// Puts our filters back where they went with what was deleted. Cost: the filters of these devices.
    pub(super) fn put_back_filters(&mut self) -> Result<(), DatapathError> {
        for index in std::mem::take(&mut self.deleted).devices {
            if !self.attached.contains_key(&index) || self.programs.is_in_place(index)? || !self.may_put_back("filter")
            {
                continue;
            }
            self.attached.remove(&index);
            self.apply_device(index)?;
        }
        Ok(())
    }
}
