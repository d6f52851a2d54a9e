//! What the mesh writes to the API server, by the API server's own audit log.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Cluster;

/// A moment in the audit log.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

impl Cluster {
    /// Now.
    ///
    /// # Errors
    /// When the API server keeps no audit log: the cluster is older than this checkout.
    pub fn audit_mark(&self) -> Result<Mark> {
        self.audit_log().map(|log| Mark(log.len()))
    }

    /// Every write by the mesh's own accounts since then: `patch services/status e2e/web`. A write is in the log before its author has
    /// the answer. The lease is not among them.
    ///
    /// # Errors
    /// When the log is not what it should be.
    pub fn written_since(&self, mark: Mark) -> Result<Vec<String>> {
        let log = self.audit_log()?;
        let new = log.get(mark.0..).context("the audit log became shorter")?;
        let words = |line: &str| {
            let event =
                serde_json::from_str::<Value>(line).with_context(|| format!("no event of an audit: {line:?}"))?;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let object = &event["objectRef"];
            let mut resource = text(&object["resource"]);
            if let Some(part) = object["subresource"].as_str() {
                resource = format!("{resource}/{part}");
            }
            Ok(format!("{} {resource} {}/{}", text(&event["verb"]), text(&object["namespace"]), text(&object["name"])))
        };
        // The last line may be half written.
        let whole = new.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(words).collect()
    }

    fn audit_log(&self) -> Result<String> {
        let path = self.state().join("cp/audit.log");
        fs::read_to_string(&path).with_context(|| format!("no audit log {}: start the cluster anew", path.display()))
    }
}
