//! IngressClasses: which are ours, which of them is the default one, and what they say of their Ingresses.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use axoneme_api::names;

use crate::model::IngressDefaults;
use crate::model::options;
use crate::problem::{Problem, Reason};
use crate::source::{ConfigMap, IngressClass, Name};

/// The classes and the ConfigMaps that they name. There are few of them, so everything here may cost them all.
#[derive(Debug, Default)]
pub(super) struct Classes {
    all: BTreeMap<Name, IngressClass>,
    config_maps: BTreeMap<Name, Held>,
}

/// A ConfigMap as it stands, and what of it is in force: a wrong value, or its removal, changes nothing that works.
#[derive(Debug, Default)]
struct Held {
    there: Option<ConfigMap>,
    in_force: BTreeMap<String, String>,
    wrong: Vec<String>,
}

impl Classes {
    pub(super) fn all(&self) -> &BTreeMap<Name, IngressClass> {
        &self.all
    }

    /// False when it is the one that is there.
    pub(super) fn put(&mut self, class: IngressClass) -> bool {
        let name = class.meta.name.clone();
        let is_news = self.all.get(&name) != Some(&class);
        self.all.insert(name, class);
        is_news
    }

    pub(super) fn remove(&mut self, name: &Name) -> bool {
        self.all.remove(name).is_some()
    }

    /// The class that an Ingress belongs to if it names this one, or names none (empty).
    pub(super) fn of(&self, class: &str) -> Option<&IngressClass> {
        if class.is_empty() { self.default() } else { self.all.get(&Name::new("", class)) }
    }

    /// Among several default classes the newest counts, then the first by name: as the API server chooses for an Ingress
    /// that is made without a class.
    fn default(&self) -> Option<&IngressClass> {
        let defaults = self.all.values().filter(|class| class.is_default());
        defaults.min_by_key(|class| (Reverse(class.meta.created), &class.meta.name))
    }

    /// The ConfigMaps that classes of ours name.
    pub(super) fn named(&self) -> BTreeSet<Name> {
        self.all.values().filter(|class| is_ours(class)).filter_map(IngressClass::config_map).collect()
    }

    pub(super) fn config_maps(&self) -> impl Iterator<Item = &Name> {
        self.config_maps.iter().filter(|(_, held)| held.there.is_some()).map(|(name, _)| name)
    }

    /// False when it is the one that is there.
    pub(super) fn put_config_map(&mut self, map: ConfigMap) -> bool {
        let held = self.config_maps.entry(map.meta.name.clone()).or_default();
        if held.there.as_ref().is_some_and(|there| there.data == map.data) {
            return false;
        }
        let mut in_force = BTreeMap::new();
        held.wrong.clear();
        for (key, value) in &map.data {
            match (options::check(key, value), held.in_force.get(key)) {
                (Ok(()), _) => drop(in_force.insert(key.clone(), value.clone())),
                (Err(why), Some(last)) => {
                    held.wrong.push(format!("{key}: {why}; {last:?} stays in force"));
                    in_force.insert(key.clone(), last.clone());
                }
                (Err(why), None) => held.wrong.push(format!("{key}: {why}; it has no effect")),
            }
        }
        held.in_force = in_force;
        held.there = Some(map);
        true
    }

    /// It is gone: what it said stays in force while a class names it.
    pub(super) fn remove_config_map(&mut self, name: &Name) -> bool {
        if !self.named().contains(name) {
            return self.config_maps.remove(name).is_some();
        }
        match self.config_maps.get_mut(name) {
            Some(held) => {
                held.wrong.clear();
                held.there.take().is_some()
            }
            None => self.config_maps.insert(name.clone(), Held::default()).is_none(),
        }
    }

    /// Drops what no class names. Gives what is named from now on (true), or no more (false).
    pub(super) fn settle(&mut self, before: &BTreeSet<Name>) -> BTreeMap<Name, bool> {
        let now = self.named();
        self.config_maps.retain(|name, held| held.there.is_some() || now.contains(name));
        let gone = before.difference(&now).map(|name| (name.clone(), false));
        gone.chain(now.difference(before).map(|name| (name.clone(), true))).collect()
    }

    /// All ConfigMaps were listed: those that are named and not held are not there. Gives whether that is news.
    pub(super) fn listed(&mut self) -> bool {
        let before = self.config_maps.len();
        for name in self.named() {
            self.config_maps.entry(name).or_default();
        }
        self.config_maps.len() > before
    }

    /// Whether nobody looked yet for the ConfigMap that a class names.
    pub(super) fn is_waiting(&self, class: &IngressClass) -> bool {
        class.config_map().is_some_and(|name| !self.config_maps.contains_key(&name))
    }

    /// What holds for the Ingresses of a class that do not say otherwise.
    pub(super) fn defaults<'a>(&self, class: &IngressClass, flags: &'a IngressDefaults) -> Cow<'a, IngressDefaults> {
        let held = class.config_map().and_then(|name| self.config_maps.get(&name));
        match held.map(|held| &held.in_force).filter(|options| !options.is_empty()) {
            Some(options) => Cow::Owned(IngressDefaults { class: options.clone(), ..flags.clone() }),
            None => Cow::Borrowed(flags),
        }
    }

    /// What is wrong with what a class says of its Ingresses, told to their authors.
    pub(super) fn problems(&self, class: &IngressClass) -> Vec<Problem> {
        let Some(parameters) = &class.parameters else { return Vec::new() };
        let name = &class.meta.name;
        let warning =
            |reason, why: String| Problem::warning(reason, "", format!("parameters of IngressClass {name}: {why}"));
        let Some(map) = class.config_map() else {
            let (kind, wanted) = (&parameters.kind, "only a ConfigMap with scope Namespace can be used");
            return vec![warning(Reason::Unsupported, format!("{kind} {} has no effect, {wanted}", parameters.name))];
        };
        // Nobody looked for it yet.
        let Some(held) = self.config_maps.get(&map) else { return Vec::new() };
        if held.there.is_none() {
            return vec![warning(Reason::ResourceNotFound, missing(&map, !held.in_force.is_empty()))];
        }
        held.wrong.iter().map(|wrong| warning(Reason::Invalid, format!("ConfigMap {map}: {wrong}"))).collect()
    }

    /// What is wrong with a class itself.
    pub(super) fn own_problems(&self, class: &IngressClass) -> Vec<Problem> {
        let field = format!("metadata.annotations[{:?}]", names::DEFAULT_CLASS_ANNOTATION);
        let warning = |reason, why| vec![Problem::warning(reason, field, why)];
        match class.default.as_deref().filter(|_| is_ours(class)) {
            None | Some("false") => Vec::new(),
            Some("true") => match self.default().filter(|default| default.meta.name != class.meta.name) {
                Some(other) => {
                    let why =
                        format!("IngressClass {} is the default too and is newer: that one counts", other.meta.name);
                    warning(Reason::Conflict, why)
                }
                None => Vec::new(),
            },
            Some(other) => {
                warning(Reason::Invalid, format!("{other:?} is neither true nor false; this class is not the default"))
            }
        }
    }
}

fn missing(map: &Name, had: bool) -> String {
    let so = if had { "what it said last stays in force" } else { "the operator's flags hold" };
    format!("ConfigMap {map} does not exist; {so}")
}

/// Whether its Ingresses are ours.
pub(super) fn is_ours(class: &IngressClass) -> bool {
    names::INGRESS_CONTROLLERS.contains(&class.controller.as_str())
}
