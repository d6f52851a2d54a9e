//! What concerns Ingresses without being one: nodes that serve them, and classes.

use super::{Changes, Engine, ProblemChange};
use crate::problem::Problem;
use crate::source::{Kind, ObjectKey};

impl Engine {
    /// Which nodes serve, or their addresses, may have changed. Costs the Ingresses that show them.
    pub(super) fn settle_reach(&mut self, changes: &mut Changes) {
        for ingress in self.on_nodes.clone() {
            self.settle_writes(&ingress, changes);
        }
    }

    /// What is wrong with classes may have changed: one of them changed, and which is the default is decided among all.
    pub(super) fn settle_classes(&mut self, changes: &mut Changes) {
        let key = |name| ObjectKey { kind: Kind::IngressClass, name };
        let now: Vec<_> =
            self.index.classes().map(|(class, problems)| (key(class.meta.name.clone()), problems)).collect();
        let told = self.problems.keys().filter(|object| object.kind == Kind::IngressClass);
        let gone: Vec<_> = told.filter(|object| !now.iter().any(|(key, _)| key == *object)).cloned().collect();
        for (class, problems) in now.into_iter().chain(gone.into_iter().map(|class| (class, Vec::new()))) {
            self.note_problems(&class, problems, changes);
        }
    }

    /// Takes the problems that an object has now in place of those that it had.
    pub(super) fn note_problems(&mut self, object: &ObjectKey, now: Vec<Problem>, changes: &mut Changes) {
        let before = self.problems.remove(object).unwrap_or_default();
        let added: Vec<_> = now.iter().filter(|problem| !before.contains(problem)).cloned().collect();
        let cleared: Vec<_> = before.into_iter().filter(|problem| !now.contains(problem)).collect();
        if !added.is_empty() || !cleared.is_empty() {
            changes.problems.insert(object.clone(), ProblemChange { added, cleared });
        }
        if !now.is_empty() {
            self.problems.insert(object.clone(), now);
        }
    }
}
