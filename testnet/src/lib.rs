//! A laboratory of network namespaces: nodes, pods, an outside client and the LAN between them, on one machine, as root.
//!
//! ```no_run
//! # fn main() -> Result<(), axoneme_testnet::Error> {
//! use axoneme_testnet::{Lab, Layout};
//!
//! let mut lab = Lab::new("hello")?;
//! let mut node = lab.node("node1", Layout::Routed)?;
//! let foo = node.pod("foo")?;
//! let client = lab.client("client")?;
//! println!("{}", client.run("ip", ["route", "get", &node.address.v4.to_string()])?);
//! println!("{}", foo.run("hostname", ["--fqdn"])?);
//! # Ok(())
//! # }
//! ```
//!
//! Namespaces have no names on the machine: a process holds each of them and ends with the lab. Nothing outside of them is
//! changed but one directory of control groups per lab, which is also how a lab is found and swept when its owner was killed.
//! So any number of labs run at once, all with the same addresses ([`address`]).

pub mod address;
pub mod article;
mod cgroup;
mod deadly;
mod error;
mod folder;
pub mod http;
mod iptables;
mod ipvs;
mod lab;
pub mod manifest;
pub mod mesh;
mod namespace;
mod node;
pub mod overlay;
mod process;
mod program;
mod service;
mod traces;
pub mod wireguard;

pub use address::Dual;
pub use deadly::deadly;
pub use error::Error;
pub use folder::Folder;
pub use iptables::Iptables;
pub use lab::{Lab, sweep};
pub use namespace::Namespace;
pub use node::{Layout, Node, difference};
pub use process::{Process, wait_until};
pub use program::{built, envoy};
pub use service::Service;
pub use traces::{TRACES, deviation};

/// What everything here returns.
pub type Result<T> = std::result::Result<T, Error>;
