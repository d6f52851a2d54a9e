//! Who names whom, looked up from the named side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_api::names;

use super::{class_of, service_of};
use crate::source::{Backend, EndpointSlice, EnvoyConfig, Ingress, Name, ObjectKey};

/// Reverse references. Each edge is held in both directions, so that forgetting an object costs what it named.
#[derive(Debug, Default)]
pub(super) struct References {
    services: BTreeMap<Name, BTreeSet<ObjectKey>>,
    named_services: BTreeMap<ObjectKey, BTreeSet<Name>>,
    classes: BTreeMap<Arc<str>, BTreeSet<ObjectKey>>,
    named_class: BTreeMap<ObjectKey, Arc<str>>,
    slices: BTreeMap<Name, BTreeSet<Name>>,
    secrets: BTreeMap<Name, BTreeSet<ObjectKey>>,
    named_secrets: BTreeMap<ObjectKey, BTreeSet<Name>>,
}

impl References {
    pub(super) fn note_ingress(&mut self, key: &ObjectKey, ingress: &Ingress) {
        self.forget(key);
        let namespace = &ingress.meta.name.namespace;
        self.note_class(key, class_of(ingress));
        let paths = ingress.rules.iter().flat_map(|rule| rule.paths.iter().flatten());
        let backends = paths.map(|path| &path.backend).chain(&ingress.default_backend);
        let named = backends.filter_map(|backend| match backend {
            Backend::Service { name, .. } => Some(Name::new(namespace, name)),
            Backend::Resource(_) | Backend::Missing => None,
        });
        let own = Name::new(namespace, &names::ingress_service(&ingress.meta.name.name));
        self.note_services(key, named.chain([own]).collect());
    }

    /// Of another's Ingress only the class matters.
    pub(super) fn note_foreign(&mut self, key: &ObjectKey, class: &str) {
        self.forget(key);
        self.note_class(key, class);
    }

    fn note_class(&mut self, key: &ObjectKey, class: &str) {
        let shared = self.classes.get_key_value(class).map(|(class, _)| class.clone());
        let class = shared.unwrap_or_else(|| class.into());
        self.classes.entry(class.clone()).or_default().insert(key.clone());
        self.named_class.insert(key.clone(), class);
    }

    pub(super) fn note_config(&mut self, key: &ObjectKey, config: &EnvoyConfig) {
        self.forget(key);
        let redirected = config.services.iter().map(|service| service.full_name(config.default_namespace()));
        let backends = config.backend_services.iter().map(|backend| backend.service.clone());
        self.note_services(key, redirected.chain(backends).collect());
    }

    fn note_services(&mut self, key: &ObjectKey, services: BTreeSet<Name>) {
        for service in &services {
            self.services.entry(service.clone()).or_default().insert(key.clone());
        }
        self.named_services.insert(key.clone(), services);
    }

    /// Which Secrets an object names is known only when its resources were decoded, so this comes separately.
    pub(super) fn note_secrets(&mut self, key: &ObjectKey, secrets: BTreeSet<Name>) -> BTreeMap<Name, bool> {
        let mut changed = BTreeMap::new();
        let before = self.named_secrets.remove(key).unwrap_or_default();
        for secret in before.difference(&secrets) {
            remove_edge(&mut self.secrets, secret, key);
            if !self.secrets.contains_key(secret) {
                changed.insert(secret.clone(), false);
            }
        }
        for secret in secrets.difference(&before) {
            let owners = self.secrets.entry(secret.clone()).or_default();
            if owners.is_empty() {
                changed.insert(secret.clone(), true);
            }
            owners.insert(key.clone());
        }
        if !secrets.is_empty() {
            self.named_secrets.insert(key.clone(), secrets);
        }
        changed
    }

    pub(super) fn forget(&mut self, key: &ObjectKey) {
        for service in self.named_services.remove(key).unwrap_or_default() {
            remove_edge(&mut self.services, &service, key);
        }
        if let Some(class) = self.named_class.remove(key) {
            remove_edge(&mut self.classes, &class, key);
        }
    }

    pub(super) fn tie(&mut self, slice: &EndpointSlice) {
        self.slices.entry(service_of(slice)).or_default().insert(slice.meta.name.clone());
    }

    pub(super) fn untie(&mut self, slice: &EndpointSlice) {
        remove_edge(&mut self.slices, &service_of(slice), &slice.meta.name);
    }

    pub(super) fn of_class(&self, class: &str) -> impl Iterator<Item = &ObjectKey> {
        self.classes.get(class).into_iter().flatten()
    }

    pub(super) fn of_service(&self, service: &Name) -> impl Iterator<Item = &ObjectKey> {
        self.services.get(service).into_iter().flatten()
    }

    pub(super) fn of_secret(&self, secret: &Name) -> impl Iterator<Item = &ObjectKey> {
        self.secrets.get(secret).into_iter().flatten()
    }

    /// Every Secret that somebody names.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Name> {
        self.secrets.keys()
    }

    pub(super) fn slices_of(&self, service: &Name) -> impl Iterator<Item = &Name> {
        self.slices.get(service).into_iter().flatten()
    }
}

fn remove_edge<K: Ord, V: Ord>(edges: &mut BTreeMap<K, BTreeSet<V>>, from: &K, to: &V) {
    if let Some(all) = edges.get_mut(from) {
        all.remove(to);
        if all.is_empty() {
            edges.remove(from);
        }
    }
}
