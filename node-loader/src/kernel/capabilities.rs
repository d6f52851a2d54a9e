//! What the loader must be allowed to do, and what is said when it is not.

use std::fs;

use crate::datapath::DatapathError;

/// Capabilities by their numbers of `linux/capability.h`, and what each is for.
const NEEDED: [(u32, &str, &str); 3] = [
    (12, "NET_ADMIN", "attach programs, and write routes, rules and nftables"),
    (38, "PERFMON", "let programs read packets at places that the verifier cannot know before"),
    (39, "BPF", "load programs and make maps"),
];

/// The error, and which capabilities this process lacks: the kernel's own words are a bare "not permitted".
pub(crate) fn explain(error: DatapathError) -> DatapathError {
    let lacking = fs::read_to_string("/proc/self/status").ok().and_then(|status| lacking(&status)).unwrap_or_default();
    if lacking.is_empty() { error } else { DatapathError::Capabilities { lacking, refused: Box::new(error) } }
}

/// Those that the process of this `/proc/PID/status` does not have; `None` when it does not say.
fn lacking(status: &str) -> Option<String> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(effective.trim(), 16).ok()?;
    let lacking = NEEDED.iter().filter(|(bit, _, _)| effective & (1 << bit) == 0);
    let words: Vec<String> = lacking.map(|(_, name, what)| format!("CAP_{name} (to {what})")).collect();
    Some(words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named() {
        let status = |effective: &str| format!("Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective}\n");
        assert_eq!(lacking(&status("000000c000001000")).as_deref(), Some(""));
        let all = lacking(&status("0000000000002000")).unwrap();
        assert!(
            all.starts_with("CAP_NET_ADMIN (to ") && all.contains("CAP_PERFMON") && all.contains("CAP_BPF"),
            "{all}"
        );
        assert_eq!(lacking(&status("0000008000001000")).unwrap().matches("CAP_").count(), 1);
        assert_eq!((lacking("Name:\tx\n"), lacking(&status("x"))), (None, None));
    }
}
