//! What an installation could leave behind on a node, without what others do there all the time.

use std::fs;

use anyhow::{Context, Result};
use axoneme_testnet::TRACES;

use crate::Cluster;

impl Cluster {
    /// Rules, routes, nftables, traffic control, eBPF programs, pins and sysctls of a node, as they are.
    ///
    /// # Errors
    /// When one of the tools fails.
    pub fn traces(&self, node: &str) -> Result<String> {
        self.exec(node, &["sh", "-ec", TRACES]).map(|traces| of_no_proxy(&traces))
    }

    /// The same as they were before the charts were installed.
    ///
    /// # Errors
    /// When `cargo xtask e2e` did not start this cluster.
    pub fn traces_before(&self, node: &str) -> Result<String> {
        let path = self.state().join(node).join("before.txt");
        let traces =
            fs::read_to_string(&path).with_context(|| format!("no {}: start the cluster anew", path.display()));
        traces.map(|traces| of_no_proxy(&traces))
    }
}

/// kube-proxy and kubelet change their rules with every Service and endpoint of the cluster, and keep those in tables, chains and sets of
/// their own: a table `kube-proxy`, and in tables of others what is called `KUBE-`. An empty line stands between any two of these.
fn of_no_proxy(traces: &str) -> String {
    let (mut kept, mut inside) = (String::new(), 0_usize);
    for line in traces.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_theirs = match words[..] {
            ["table", _, name, "{"] => name == "kube-proxy",
            ["chain", name, "{"] => name.starts_with("KUBE-"),
            [] => true,
            _ => line.contains("jump KUBE-"),
        };
        if inside == 0 && !is_theirs {
            kept += line;
            kept.push('\n');
        }
        // Sets have braces within a line, which add up to nothing.
        if inside > 0 || is_theirs {
            inside = (inside + line.matches('{').count()).saturating_sub(line.matches('}').count());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::of_no_proxy;

    #[test]
    fn what_is_kube_proxys_is_left_out() {
        let ours = "table inet axoneme {\n\tchain raw {\n\t\tmeta mark 0x600 notrack\n\t}\n}\n";
        let theirs = "table ip kube-proxy {\n\tset a {\n\t\telements = { 10.0.0.1 }\n\t}\n}\n";
        let chain = "\tchain KUBE-SERVICES {\n\t\tip daddr { 10.0.0.1 } return\n\t}\n\n";
        let jump = "\t\tcounter jump KUBE-SERVICES\n";
        let mixed = |chain: &str, jump: &str| {
            ["table ip nat {\n", chain, "\tchain PREROUTING {\n", jump, "\t\tcounter accept\n\t}\n}\nsysctls\n"]
                .concat()
        };
        let all = [ours, theirs, &mixed(chain, jump)].concat();
        assert_eq!(of_no_proxy(&all), [ours, &mixed("", "")].concat());
    }
}
