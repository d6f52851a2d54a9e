//! What a session has to look at in one go, in the order in which it will speak.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Policy, View};

/// How to look at a name. The stronger one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// Say it if it is not what was sent last.
    IfChanged,
    /// Say it if it exists, or existed for the client.
    Again,
    /// Say it in any case, also that it does not exist.
    Always,
}

/// What to look at of one type.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    pub(super) names: BTreeMap<Arc<str>, Look>,
    /// Whether to say something even if there is nothing to say.
    pub(super) answer: bool,
}

/// What to look at, by place in the order and type.
#[derive(Debug)]
pub(super) struct Turn {
    policy: Policy,
    types: BTreeMap<(usize, Arc<str>), Agenda>,
}

impl Turn {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, types: BTreeMap::new() }
    }

    pub(super) fn look_at(&mut self, type_url: &Arc<str>, name: &Arc<str>, look: Look) {
        let entry = self.agenda(type_url).names.entry(name.clone()).or_insert(look);
        *entry = look.max(*entry);
    }

    /// Everything that the view has of a type, for a wildcard that begins.
    pub(super) fn look_at_all(&mut self, type_url: &Arc<str>, view: &dyn View) {
        let agenda = self.agenda(type_url);
        agenda.answer = true;
        for name in view.names(type_url) {
            agenda.names.entry(name).or_insert(Look::IfChanged);
        }
    }

    /// Takes the next type out. What a caller adds meanwhile comes in its own place.
    pub(super) fn next(&mut self) -> Option<(Arc<str>, Agenda)> {
        self.types.pop_first().map(|((_, type_url), agenda)| (type_url, agenda))
    }

    fn agenda(&mut self, type_url: &Arc<str>) -> &mut Agenda {
        self.types.entry((self.policy.rank(type_url), type_url.clone())).or_default()
    }
}
