//! Undoes everything that [`super::start`] did, also when the process that did it is long gone.

use std::time::Duration;

use super::{Config, netfilter, removal, routing};
use crate::datapath::DatapathError;

/// A removed link runs on until the kernel's grace period is over; marked packets still need rules and routes until then.
const GRACE: Duration = Duration::from_millis(100);

/// Takes away links, maps, rules, routes and the nftables table, in the order in which no packet is left half-way: links first.
///
/// What is not there is no error, so it may be repeated. Connections that are at the proxy break; drain frontends first.
pub async fn cleanup(config: &Config) -> Result<(), DatapathError> {
    removal::remove_all(&config.pin_dir).map_err(|error| {
        let message = format!("cannot be taken away: {error}");
        DatapathError::PinDirectory { path: config.pin_dir.clone(), message }
    })?;
    tokio::time::sleep(GRACE).await;
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|error| DatapathError::io("open a netlink socket", error))?;
    let connection = tokio::spawn(connection);
    let result = routing::remove(&handle, config).await;
    connection.abort();
    result?;
    netfilter::remove(&config.nft_table)
}
