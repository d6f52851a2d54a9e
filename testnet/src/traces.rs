//! Everything of the network that a mesh could leave changed, to the byte.

use crate::{Namespace, Result, difference};

/// The commands of [`Namespace::traces`] for `sh -ec`, for nodes of other makers.
///
/// Counters of rules are no configuration, and how many connections are tracked is nobody's setting. The kernel gives a device
/// its own routes when it comes to it.
pub const TRACES: &str = "
    for family in -4 -6; do
        echo \"rules $family\"; ip $family rule
        echo \"routes $family\"; ip $family route show table all | grep -v -e fe80:: -e ff00::/8
    done
    echo nftables; nft --stateless list ruleset
    for device in $(ls /sys/class/net); do
        echo \"tc of $device\"; tc qdisc show dev $device 2>/dev/null || true
        for side in ingress egress; do tc filter show dev $device $side 2>/dev/null || true; done
    done
    echo programs; bpftool net
    echo control groups; bpftool cgroup tree /sys/fs/cgroup
    echo pins; find /sys/fs/bpf -mindepth 1 | sort
    echo sysctls; grep -rs '' /proc/sys/net | grep -v nf_conntrack_count | sort";

impl Namespace {
    /// Rules and routes of both families, nftables, traffic control, eBPF programs of devices and control groups, pins, and every
    /// sysctl of the network. Two that are equal mean that nothing was left, and nothing of anybody else was touched.
    ///
    /// Programs on the TCX hooks are not among them: the usual tools do not know them. For nodes; others see the machine's pins.
    ///
    /// # Errors
    /// If one of the tools fails.
    pub fn traces(&self) -> Result<String> {
        self.run("sh", ["-ec", TRACES])
    }
}

/// What two traces differ in, for people: the [`difference`], and if every line of one is in the other, the first that is not in its
/// place. Empty if they are equal.
#[must_use]
pub fn deviation(before: &str, after: &str) -> String {
    let lines = difference(before, after);
    if before == after || !lines.is_empty() {
        return lines;
    }
    let same = before.lines().zip(after.lines()).take_while(|(before, after)| before == after).count();
    let [old, new] = [before, after].map(|text| text.lines().nth(same).unwrap_or("the end"));
    format!("the same lines, but in another order or not as often, from line {} on:\n- {old}\n+ {new}\n", same + 1)
}

#[cfg(test)]
mod tests {
    use super::deviation;

    #[test]
    fn lines_in_another_order_are_a_difference_too() {
        assert_eq!(deviation("a\nb\n", "a\nb\n"), "");
        assert_eq!(deviation("a\nb\n", "b\nc\n"), "- a\n+ c\n");
        for (after, line) in [("a\nc\nb\n", "+ c\n"), ("a\nb\nc\nc\n", "+ c\n"), ("a\nb\nc\na\n", "+ a\n")] {
            let told = deviation("a\nb\nc\n", after);
            assert!(told.starts_with("the same lines") && told.ends_with(line), "{told}");
        }
    }
}
