//! Whose an Ingress is: a class, an annotation or the default class decides, and any of them may change.

use std::borrow::Cow;
use std::collections::BTreeSet;

use axoneme_api::names;

use super::{Affected, Foreign, Index, class_of, classes, foreign};
use crate::model::IngressDefaults;
use crate::problem::Problem;
use crate::source::{ConfigMap, Ingress, IngressClass, Kind, Name, ObjectKey, PackedIngress, Unreadable};

impl Index {
    /// Whether the class of an Ingress is one of ours.
    ///
    /// The legacy annotation wins over the field, also when it is empty. Without either the default class decides.
    #[must_use]
    pub fn is_ours(&self, ingress: &Ingress) -> bool {
        self.owns(class_of(ingress))
    }

    fn owns(&self, class: &str) -> bool {
        self.classes.of(class).is_some_and(classes::is_ours)
    }

    /// The class that an Ingress belongs to: the one that it names or the default one.
    #[must_use]
    pub fn class(&self, ingress: &Ingress) -> Option<&IngressClass> {
        self.classes.of(class_of(ingress))
    }

    /// What holds for an Ingress that does not say otherwise: what its class says, and the flags.
    #[must_use]
    pub fn defaults<'a>(&self, ingress: &Ingress, flags: &'a IngressDefaults) -> Cow<'a, IngressDefaults> {
        self.class(ingress).map_or(Cow::Borrowed(flags), |class| self.classes.defaults(class, flags))
    }

    /// Whether what its class says of an Ingress is not known yet.
    #[must_use]
    pub fn awaits_defaults(&self, ingress: &Ingress) -> bool {
        self.class(ingress).is_some_and(|class| self.classes.is_waiting(class))
    }

    /// What is wrong with what its class says of an Ingress.
    #[must_use]
    pub fn defaults_problems(&self, ingress: &Ingress) -> Vec<Problem> {
        self.class(ingress).map(|class| self.classes.problems(class)).unwrap_or_default()
    }

    /// Every class, with what is wrong with it. Costs all classes, of which there are few.
    pub fn classes(&self) -> impl Iterator<Item = (&IngressClass, Vec<Problem>)> {
        self.classes.all().values().map(|class| (class, self.classes.own_problems(class)))
    }

    /// What an Ingress of ours may name as its class; the empty name when it need not name any. Costs all classes.
    #[must_use]
    pub fn our_classes(&self) -> BTreeSet<String> {
        let ours = self.classes.all().values().filter(|class| classes::is_ours(class));
        let default = self.owns("").then(String::new);
        ours.map(|class| class.meta.name.name.to_string()).chain(default).collect()
    }

    /// A class by its own name.
    #[must_use]
    pub fn class_named(&self, name: &Name) -> Option<&IngressClass> {
        self.classes.all().get(name)
    }

    /// An Ingress of ours.
    #[must_use]
    pub fn ingress(&self, name: &Name) -> Option<&Ingress> {
        self.ingresses.get(name)
    }

    /// An Ingress of somebody else.
    #[must_use]
    pub fn foreign(&self, name: &Name) -> Option<&Foreign> {
        self.foreign.get(name)
    }

    /// Every Ingress of somebody else, in order.
    pub fn foreigners(&self) -> impl Iterator<Item = (&Name, &Foreign)> {
        self.foreign.iter()
    }

    pub(super) fn put_class(&mut self, class: IngressClass, affected: &mut Affected) {
        let (name, named) = (class.meta.name.clone(), self.classes.named());
        if self.classes.put(class) {
            self.touch_class(&name, &named, affected);
        }
    }

    /// Ingresses of the class, and those without one: which class is the default may have changed. `named` are the
    /// ConfigMaps that classes named before.
    pub(super) fn touch_class(&mut self, class: &Name, named: &BTreeSet<Name>, affected: &mut Affected) {
        affected.classes = true;
        affected.config_maps.extend(self.classes.settle(named));
        let touched: Vec<_> =
            self.references.of_class(&class.name).chain(self.references.of_class("")).cloned().collect();
        for key in touched {
            let foreign = || self.foreign.get(&key.name).filter(|it| self.owns(&it.class)).map(Foreign::unpack);
            let ingress = match self.ingresses.get(&key.name).cloned().map(Ok).or_else(foreign) {
                Some(Ok(ingress)) => ingress,
                Some(Err(error)) => {
                    affected.unreadable.push(unreadable(key, &error));
                    continue;
                }
                // Another's before and after is nothing to us.
                None => continue,
            };
            self.place_ingress(key.clone(), ingress);
            affected.owners.insert(key);
        }
    }

    pub(super) fn put_config_map(&mut self, map: ConfigMap, affected: &mut Affected) {
        let name = map.meta.name.clone();
        if self.classes.put_config_map(map) {
            self.touch_config_map(&name, affected);
        }
    }

    /// Ingresses of the classes that name it.
    pub(super) fn touch_config_map(&self, name: &Name, affected: &mut Affected) {
        for class in self.classes.all().values().filter(|class| class.config_map().as_ref() == Some(name)) {
            self.touch_ingresses(class, affected);
        }
    }

    /// Ingresses that belong to a class.
    fn touch_ingresses(&self, class: &IngressClass, affected: &mut Affected) {
        let is_default = self.classes.of("").is_some_and(|default| default.meta.name == class.meta.name);
        let without = self.references.of_class("").filter(|_| is_default);
        let touched = self.references.of_class(&class.meta.name.name).chain(without);
        affected.owners.extend(touched.filter(|key| self.ingresses.contains_key(&key.name)).cloned());
    }

    /// All ConfigMaps were listed: those that are named and not held are not there.
    pub fn config_maps_listed(&mut self) -> Affected {
        let mut affected = Affected::default();
        if self.classes.listed() {
            for class in self.classes.all().values().filter(|class| class.parameters.is_some()) {
                self.touch_ingresses(class, &mut affected);
            }
        }
        affected
    }

    /// What is not ours is not decoded.
    pub(super) fn put_packed(&mut self, packed: PackedIngress, affected: &mut Affected) {
        if self.owns(&packed.class) {
            match packed.unpack() {
                Ok(ingress) => self.put_ingress(ingress, affected),
                Err(error) => {
                    let key = ObjectKey { kind: Kind::Ingress, name: packed.name };
                    affected.unreadable.push(unreadable(key, &error));
                }
            }
            return;
        }
        let key = ObjectKey { kind: Kind::Ingress, name: packed.name.clone() };
        let was_ours = self.ingresses.contains_key(&key.name);
        let shows_ours = packed.shows_ours;
        if self.place_foreign(&key, packed.into()) && (was_ours || shows_ours || self.has_writes(&key.name)) {
            affected.owners.insert(key);
        }
    }

    pub(super) fn put_ingress(&mut self, ingress: Ingress, affected: &mut Affected) {
        let name = ingress.meta.name.clone();
        if self.ingresses.get(&name) == Some(&ingress) {
            return;
        }
        let was_ours = self.ingresses.contains_key(&name);
        let shows_ours = ingress.shows_ours;
        let key = ObjectKey { kind: Kind::Ingress, name: name.clone() };
        let Some(is_ours) = self.place_ingress(key.clone(), ingress) else { return };
        // Of another's Ingress nothing is wanted, unless something of ours is left there.
        if is_ours || was_ours || shows_ours || self.has_writes(&name) {
            affected.owners.insert(key);
        }
    }

    /// Puts an Ingress where it belongs. Gives whether it is ours; `None` when it is another's and is there already.
    fn place_ingress(&mut self, key: ObjectKey, ingress: Ingress) -> Option<bool> {
        if self.is_ours(&ingress) {
            self.foreign.remove(&key.name);
            self.references.note_ingress(&key, &ingress);
            self.ingresses.insert(key.name, ingress);
            return Some(true);
        }
        // Our own plain data always packs; if it did not, not to know a stranger's Ingress would do no harm.
        let packed = Foreign::pack(&ingress);
        packed.is_some_and(|foreign| self.place_foreign(&key, foreign)).then_some(false)
    }

    /// Puts another's Ingress in its place. False when it is there already.
    fn place_foreign(&mut self, key: &ObjectKey, foreign: Foreign) -> bool {
        self.ingresses.remove(&key.name);
        let class = foreign.class.clone();
        let is_news = foreign::put(&mut self.foreign, &key.name, foreign);
        if is_news {
            self.references.note_foreign(key, &class);
        }
        is_news
    }

    /// Whether a Service or slice of ours is there for an Ingress of this name.
    pub(super) fn has_writes(&self, ingress: &Name) -> bool {
        let own = Name::new(&ingress.namespace, &names::ingress_service(&ingress.name));
        self.services.get(&own).is_some_and(|it| it.is_ingress) || self.slices.get(&own).is_some_and(|it| it.is_ingress)
    }
}

fn unreadable(key: ObjectKey, error: &serde_json::Error) -> Unreadable {
    Unreadable { key, uid: None, why: error.to_string() }
}
