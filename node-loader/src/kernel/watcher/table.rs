//! The table of nftables: put back when somebody flushes it, and made anew as IPVS comes and goes.

use super::Watcher;
use crate::datapath::DatapathError;

impl Watcher {
    /// Something of the table was deleted, maybe by us. Cost: the table's rules.
    pub(super) fn put_back_table(&self) -> Result<(), DatapathError> {
        if self.table.is_whole()? || !self.may_put_back("table") {
            return Ok(());
        }
        self.table.install()
    }

    /// What IPVS takes part in: the table first, as programs may be on already, and then the addresses.
    pub(super) async fn apply_ipvs(&mut self) -> Result<(), DatapathError> {
        let is_there = self.devices.lock().ipvs.is_some();
        self.table.pass_ipvs(is_there)?;
        self.apply_addresses(true).await
    }
}
