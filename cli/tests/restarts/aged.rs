//! What loaders of other versions leave: maps whose values are shorter or longer than ours, pinned in a folder of their own.

use axoneme_testnet::Node;
use serde_json::Value;

/// Where pins are.
const PINS: &str = "/sys/fs/bpf/axoneme";
/// As if the proxy had got so many connections more by each processor.
pub(crate) const COUNTED: u64 = 1_000_000;

/// The lengths of the values in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    frontend: usize,
    tally: usize,
}

/// The first one that there was; a later one, whose upgrade is rolled back; and ours under another name.
pub(crate) const LAYOUTS: [Layout; 3] = [
    Layout { frontend: 8, tally: 8 * 8 },
    Layout { frontend: 16, tally: 11 * 8 },
    Layout { frontend: 12, tally: 9 * 8 },
];

/// Makes the one folder that is there that of a loader with another layout. Programs and links in it are at work and stay so.
pub(crate) fn age(node: &Node, layout: Layout, name: &str) {
    node.run("sh", ["-ec", &format!("cd {PINS}; mv * {name}")]).unwrap();
    let frontends = entries(node, name, "FRONTENDS");
    let frontends =
        frontends.iter().map(|entry| (bytes(&entry["key"]), fitted(bytes(&entry["value"]), layout.frontend)));
    replace(node, &format!("{PINS}/{name}/FRONTENDS"), "hash", layout.frontend, frontends);
    let counters = entries(node, name, "COUNTERS");
    let counters = counters.iter().map(|entry| (bytes(&entry["key"]), fitted(counted(&entry["values"]), layout.tally)));
    replace(node, &format!("{PINS}/{name}/COUNTERS"), "percpu_hash", layout.tally, counters);
}

/// Puts another map in a map's place.
fn replace(node: &Node, pin: &str, kind: &str, length: usize, entries: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) {
    let entries: Vec<_> = entries.collect();
    let key = entries.first().unwrap().0.len();
    let create = format!("map create {pin}_new type {kind} key {key} value {length} entries 65536 name old flags 1\n");
    let update = |(key, value): &(Vec<u8>, Vec<u8>)| {
        format!("map update pinned {pin}_new key hex {} value hex {}\n", hex(key), hex(value))
    };
    let commands: String = std::iter::once(create).chain(entries.iter().map(update)).collect();
    let script = format!("bpftool batch file /dev/stdin <<'END' >/dev/null\n{commands}END\nmv {pin}_new {pin}");
    node.run("sh", ["-ec", &script]).unwrap();
}

fn entries(node: &Node, folder: &str, map: &str) -> Vec<Value> {
    let path = format!("{PINS}/{folder}/{map}");
    let text = node.run("bpftool", ["--json", "map", "dump", "pinned", &path]).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What the busiest processor has counted, and more: bpftool writes the same for each.
fn counted(values: &Value) -> Vec<u8> {
    let of_each = values.as_array().unwrap().iter().map(|of_one| {
        let numbers = bytes(&of_one["value"]);
        numbers.chunks(8).map(|number| u64::from_ne_bytes(number.try_into().unwrap())).collect::<Vec<u64>>()
    });
    let most = of_each.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| *a.max(b)).collect()).unwrap();
    let more = std::iter::once(COUNTED).chain(std::iter::repeat(0));
    most.iter().zip(more).flat_map(|(count, more)| (count + more).to_ne_bytes()).collect()
}

/// A later layout has something behind what we know.
fn fitted(mut value: Vec<u8>, length: usize) -> Vec<u8> {
    value.resize(length, 0xee);
    value
}

fn bytes(numbers: &Value) -> Vec<u8> {
    let byte = |text: &Value| u8::from_str_radix(text.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    numbers.as_array().unwrap().iter().map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
