//! What the Envoys of nodes can do.

use std::collections::BTreeSet;

use super::{Changes, Engine};

impl Engine {
    /// The same engine, which makes the tables of shared mode only when a node opens a stream: who serves none, for want of
    /// the lease or because it has just started, is spared the bytes of all hosts at each edit. Without this, people who
    /// look at an engine see tables too.
    #[must_use]
    pub fn for_nodes(mut self) -> Self {
        self.shared.for_nodes_only = true;
        self
    }

    /// A node opens a stream, and says whether its Envoy has the module that finds a host's routes by hash. It is to be told
    /// nothing before: what it sees depends on this. Costs the offers that are not for all nodes.
    pub fn node_opens(&mut self, node: &str, has_module: bool) -> Changes {
        if self.intents.has_module(node) != has_module {
            tracing::info!(node, has_module, "what the node's Envoy can do changed");
        }
        self.shared.opens(node, has_module);
        let mut intents = self.settle_tables(&BTreeSet::new()).keys;
        intents.extend(self.intents.set_module(node, has_module));
        Changes { intents, ..Changes::default() }
    }

    /// How many nodes get whole tables of shared Ingresses. One that said nothing of its Envoy does.
    #[must_use]
    pub fn nodes_without_module(&self) -> usize {
        self.shared.nodes_without_module()
    }
}
