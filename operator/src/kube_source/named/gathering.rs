//! What the engine is told of objects that others name: one list when every one of them was looked for, then each change.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Kind, Name, Object, ObjectKey, SourceEvent};

/// The objects of a kind that are named, until and after the first list.
#[derive(Debug)]
pub(super) struct Gathering {
    kind: Kind,
    wanted: BTreeSet<Name>,
    first: First,
}

#[derive(Debug)]
enum First {
    /// What was found so far, and whether all objects are known that could name more.
    Gathering { found: BTreeMap<Name, Option<Object>>, all_named: bool },
    /// The list was told.
    Told,
}

impl Default for First {
    fn default() -> Self {
        Self::Gathering { found: BTreeMap::new(), all_named: false }
    }
}

impl Gathering {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, wanted: BTreeSet::new(), first: First::default() }
    }

    /// An object is named, and its watch has begun.
    pub(super) fn want(&mut self, name: Name) {
        self.wanted.insert(name);
    }

    /// It is named no more: the engine forgets it.
    pub(super) fn drop(&mut self, name: &Name) -> Option<SourceEvent> {
        self.wanted.remove(name);
        match &mut self.first {
            First::Gathering { found, .. } => {
                found.remove(name);
                self.list()
            }
            First::Told => Some(self.gone(name)),
        }
    }

    /// Nobody else can name one for now.
    pub(super) fn all_named(&mut self) -> Option<SourceEvent> {
        if let First::Gathering { all_named, .. } = &mut self.first {
            *all_named = true;
        }
        self.list()
    }

    /// How an object stands. A watch that was just given up may still tell; nobody is interested.
    pub(super) fn see(&mut self, name: &Name, object: Option<Object>) -> Option<SourceEvent> {
        if !self.wanted.contains(name) {
            return None;
        }
        match &mut self.first {
            First::Gathering { found, .. } => {
                found.insert(name.clone(), object);
                self.list()
            }
            First::Told => Some(object.map_or_else(|| self.gone(name), SourceEvent::Apply)),
        }
    }

    fn list(&mut self) -> Option<SourceEvent> {
        let First::Gathering { found, all_named: true } = &mut self.first else { return None };
        if found.len() < self.wanted.len() {
            return None;
        }
        let objects = std::mem::take(found).into_values().flatten().collect();
        self.first = First::Told;
        Some(SourceEvent::reset(self.kind, objects))
    }

    fn gone(&self, name: &Name) -> SourceEvent {
        SourceEvent::Delete(ObjectKey { kind: self.kind, name: name.clone() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::{Meta, Secret};

    fn name(at: u8) -> Name {
        Name::new("default", &format!("s{at}"))
    }

    fn secret(at: u8, version: u8) -> Object {
        Object::Secret(Secret {
            meta: Meta { name: name(at), ..Meta::named("", "") },
            data: [("generic".to_owned(), vec![version])].into(),
        })
    }

    #[test]
    fn nothing_is_told_before_everything_named_was_looked_for() {
        let mut gathering = Gathering::new(Kind::Secret);
        gathering.want(name(1));
        assert_eq!(gathering.see(&name(1), Some(secret(1, 0))), None);
        gathering.want(name(2));
        gathering.want(name(3));
        assert_eq!(gathering.all_named(), None);
        assert_eq!(gathering.see(&name(2), None), None);
        let objects = vec![secret(1, 0)];
        assert_eq!(gathering.drop(&name(3)), Some(SourceEvent::reset(Kind::Secret, objects)));
    }

    #[test]
    fn without_a_name_the_list_is_empty_and_told_at_once() {
        let empty = SourceEvent::reset(Kind::Secret, Vec::new());
        assert_eq!(Gathering::new(Kind::Secret).all_named(), Some(empty));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Want(u8),
        Drop(u8),
        All,
        See(u8, Option<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4_u8).prop_map(Step::Want),
            (0..4_u8).prop_map(Step::Drop),
            Just(Step::All),
            (0..4_u8, proptest::option::of(any::<u8>())).prop_map(|(at, version)| Step::See(at, version)),
        ]
    }

    proptest! {
        /// Whatever the order, the engine ends up with the last that was seen of each Secret that is still named, and is
        /// told one list, before everything else.
        #[test]
        fn the_engine_holds_what_is_named_as_it_was_seen_last(steps in proptest::collection::vec(step(), 0..60)) {
            let mut gathering = Gathering::new(Kind::Secret);
            let (mut told, mut lists) = (BTreeMap::new(), 0);
            let mut wanted: BTreeMap<u8, Option<Option<u8>>> = BTreeMap::new();
            for step in steps {
                let event = match step {
                    Step::Want(at) => {
                        wanted.entry(at).or_default();
                        gathering.want(name(at));
                        None
                    }
                    Step::Drop(at) => {
                        wanted.remove(&at);
                        gathering.drop(&name(at))
                    }
                    Step::All => gathering.all_named(),
                    Step::See(at, version) => {
                        if let Some(seen) = wanted.get_mut(&at) {
                            *seen = Some(version);
                        }
                        gathering.see(&name(at), version.map(|version| secret(at, version)))
                    }
                };
                match event {
                    None => {}
                    Some(SourceEvent::Reset { objects, .. }) => {
                        lists += 1;
                        told = objects.into_iter().map(|object| (object.key().name, object)).collect();
                    }
                    Some(SourceEvent::Unreadable(it)) => prop_assert!(false, "{it:?}"),
                    Some(SourceEvent::Apply(object)) => {
                        prop_assert_eq!(lists, 1);
                        told.insert(object.key().name, object);
                    }
                    Some(SourceEvent::Delete(key)) => {
                        prop_assert_eq!(lists, 1);
                        told.remove(&key.name);
                    }
                }
            }
            if lists > 0 {
                prop_assert_eq!(lists, 1);
                let seen = wanted.iter().filter_map(|(at, seen)| Some((name(*at), secret(*at, (*seen)??))));
                prop_assert_eq!(told, seen.collect::<BTreeMap<_, _>>());
            }
        }
    }
}
