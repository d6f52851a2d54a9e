//! Fuzz targets: what outsiders can hand us, and what must hold whatever it is.
//!
//! A target is a function of bytes that returns or fails an assertion. `src/bin/` has libFuzzer's entry for each, which
//! `cargo xtask fuzz` builds with coverage and runs; the test in this crate runs each on its seeds.
#![forbid(unsafe_code)]

pub mod hostkey;
pub mod intent;
pub mod mutate;
pub mod seeds;
pub mod state_file;
pub mod walker;
pub mod xds_request;
pub mod yaml;

mod envoy;
mod frames;
mod node;
mod random;

/// A target.
pub struct Target {
    /// As on the command line.
    pub name: &'static str,
    /// Looks at one input.
    pub check: fn(&[u8]),
    /// Makes the inputs that a search begins with.
    pub seeds: fn() -> std::io::Result<Vec<Vec<u8>>>,
}

/// All of them.
pub const TARGETS: [Target; 6] = [
    Target { name: "walker", check: walker::check, seeds: seeds::walker },
    Target { name: "intent", check: intent::check, seeds: seeds::intent },
    Target { name: "state_file", check: state_file::check, seeds: seeds::state_file },
    Target { name: "yaml", check: yaml::check, seeds: seeds::yaml },
    Target { name: "xds_request", check: xds_request::check, seeds: seeds::xds_request },
    Target { name: "hostkey", check: hostkey::check, seeds: seeds::hostkey },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_pass() {
        for target in TARGETS {
            let seeds = (target.seeds)().unwrap();
            assert!(!seeds.is_empty(), "{} has no seeds", target.name);
            for seed in seeds {
                (target.check)(&seed);
            }
        }
    }
}
