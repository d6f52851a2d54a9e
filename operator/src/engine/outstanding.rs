//! What is to be written of objects: told when it is news, and all of it to a new holder of the lease.

use std::collections::BTreeSet;

use super::{Changes, Engine, Write, desired};
use crate::source::{Kind, ObjectKey};

impl Engine {
    pub(super) fn settle_writes(&mut self, owner: &ObjectKey, changes: &mut Changes) {
        match owner.kind {
            Kind::Ingress if self.can_write() => {
                let desired = desired::desired(&owner.name, &self.index, &self.defaults);
                for (target, write) in desired.writes {
                    match write {
                        Some(write) if self.pending.note(&write) => changes.writes.push(write),
                        Some(_) => {}
                        None => self.pending.forget(&target),
                    }
                }
                if desired.follows_nodes {
                    self.on_nodes.insert(owner.clone());
                } else {
                    self.on_nodes.remove(owner);
                }
            }
            Kind::Ingress => {}
            _ => drop(self.unsettled.insert(owner.clone())),
        }
    }

    /// Everything of Ingresses that differs from what is wanted, told before or not: what a new holder of the lease has to
    /// write. Statuses of Envoy configs follow after [`Engine::unsettle`].
    #[must_use]
    pub fn outstanding_writes(&self) -> Vec<Write> {
        if !self.can_write() {
            return Vec::new();
        }
        let ingresses = self.index.owners().filter(|owner| owner.kind == Kind::Ingress);
        let ingresses: BTreeSet<_> = ingresses.chain(self.index.ingresses_with_writes()).collect();
        let desired = ingresses.iter().map(|it| desired::desired(&it.name, &self.index, &self.defaults));
        let writes = desired.flat_map(|desired| desired.writes).chain(self.shared_writes());
        writes.filter_map(|(_, write)| write).collect()
    }
}
