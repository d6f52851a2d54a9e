//! `axonctl status`: what the mesh does now, on this machine or for the Ingresses of a cluster.

use std::process::ExitCode;

use anyhow::Result;

mod ingress;
mod node;

/// Show what the mesh of this machine does: listeners, redirects, refusals, counters. Or what is served for Ingresses.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Status {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    node: node::Node,
}

#[derive(clap::Subcommand)]
enum What {
    Ingress(ingress::Ingresses),
    /// The same as without a word: this machine.
    Node(node::Node),
}

impl Status {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.what {
            Some(What::Ingress(command)) => command.run(),
            Some(What::Node(node)) => node.run(),
            None => self.node.run(),
        }
    }
}
