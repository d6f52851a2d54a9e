//! What the Envoys of nodes can do.

use super::{Changes, Engine};

impl Engine {
    /// A node opens a stream, and says whether its Envoy has the module that finds a host's routes by hash. It is to be told
    /// nothing before: what it sees depends on this. Costs the offers that are not for all nodes.
    pub fn node_opens(&mut self, node: &str, has_module: bool) -> Changes {
        if self.intents.has_module(node) != has_module {
            tracing::info!(node, has_module, "what the node's Envoy can do changed");
        }
        Changes { intents: self.intents.set_module(node, has_module), ..Changes::default() }
    }
}
