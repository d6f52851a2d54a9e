//! The objects of the world in their reduced form, and who has to be looked at again when one of them changes.
//!
//! Plain ordered maps: no clock, no I/O. A mutation costs what it touches, and tells which outputs it may change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axoneme_api::names;

use crate::source::{
    EndpointSlice, EnvoyConfig, Ingress, Kind, LoadBalancerAddress, Name, Node, Object, ObjectKey, Secret, Selector,
    Service, Unreadable,
};

mod classes;
mod foreign;
mod nodes;
mod ownership;
mod references;
mod secrets;

use classes::Classes;
pub use foreign::Foreign;
use nodes::Nodes;
use references::References;
pub use secrets::Held;

/// What may have to be translated again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// Ingresses and Envoy configs.
    pub owners: BTreeSet<ObjectKey>,
    /// Services whose endpoints or ports changed.
    pub endpoints: BTreeSet<Name>,
    /// Nodes whose labels changed.
    pub nodes: BTreeSet<Name>,
    /// The addresses at which nodes serve may have changed.
    pub reach: bool,
    /// IngressClasses changed: what is wrong with one of them may have changed.
    pub classes: bool,
    /// ConfigMaps that classes name from now on (true), or that none names any more (false).
    pub config_maps: BTreeMap<Name, bool>,
    /// Ingresses of ours that turned out not to decode.
    pub unreadable: Vec<Unreadable>,
}

impl Affected {
    /// Both.
    pub fn extend(&mut self, other: Self) {
        self.owners.extend(other.owners);
        self.endpoints.extend(other.endpoints);
        self.nodes.extend(other.nodes);
        self.reach |= other.reach;
        self.classes |= other.classes;
        self.config_maps.extend(other.config_maps);
        self.unreadable.extend(other.unreadable);
    }
}

/// The store. See the module's text.
#[derive(Debug, Default)]
pub struct Index {
    classes: Classes,
    /// Those of our classes.
    ingresses: BTreeMap<Name, Ingress>,
    /// All others.
    foreign: BTreeMap<Name, Foreign>,
    configs: BTreeMap<ObjectKey, EnvoyConfig>,
    services: BTreeMap<Name, Service>,
    slices: BTreeMap<Name, EndpointSlice>,
    secrets: BTreeMap<Name, Held>,
    /// Secrets that somebody names and that were looked for in vain. Others are merely not known yet.
    absent: BTreeSet<Name>,
    nodes: Nodes,
    references: References,
}

impl Index {
    /// Takes an object over. The same object again affects nothing.
    pub fn apply(&mut self, object: Object) -> Affected {
        let mut affected = Affected::default();
        match object {
            Object::IngressClass(class) => self.put_class(class, &mut affected),
            Object::Ingress(ingress) => self.put_ingress(ingress, &mut affected),
            Object::PackedIngress(ingress) => self.put_packed(ingress, &mut affected),
            Object::EnvoyConfig(config) => self.put_config(config, &mut affected),
            Object::Service(service) => self.put_service(service, &mut affected),
            Object::EndpointSlice(slice) => self.put_slice(slice, &mut affected),
            Object::Secret(secret) => self.put_secret(secret, &mut affected),
            Object::ConfigMap(map) => self.put_config_map(map, &mut affected),
            Object::Node(node) => {
                let name = node.meta.name.clone();
                let change = self.nodes.put(node);
                affected.nodes.extend(change.labels.then_some(name));
                affected.reach = change.reach;
            }
        }
        affected
    }

    /// Drops an object.
    pub fn delete(&mut self, key: &ObjectKey) -> Affected {
        let mut affected = Affected::default();
        let name = &key.name;
        match key.kind {
            Kind::IngressClass => {
                let named = self.classes.named();
                if self.classes.remove(name) {
                    self.touch_class(name, &named, &mut affected);
                }
            }
            Kind::Ingress => {
                let was_ours = self.ingresses.remove(name).is_some();
                if was_ours || self.foreign.remove(name).is_some() {
                    self.references.forget(key);
                    affected.owners.extend((was_ours || self.has_writes(name)).then(|| key.clone()));
                }
            }
            Kind::CiliumEnvoyConfig | Kind::CiliumClusterwideEnvoyConfig => {
                if self.configs.remove(key).is_some() {
                    self.references.forget(key);
                    affected.owners.insert(key.clone());
                }
            }
            Kind::Service => {
                if self.services.remove(name).is_some() {
                    self.touch_service(name, &mut affected);
                }
            }
            Kind::EndpointSlice => {
                if let Some(slice) = self.slices.remove(name) {
                    self.untie_slice(&slice, &mut affected);
                }
            }
            Kind::Secret => {
                let was_there = self.secrets.remove(name).is_some();
                let is_news = self.references.of_secret(name).next().is_some() && self.absent.insert(name.clone());
                if was_there || is_news {
                    affected.owners.extend(self.references.of_secret(name).cloned());
                }
            }
            Kind::ConfigMap => {
                if self.classes.remove_config_map(name) {
                    self.touch_config_map(name, &mut affected);
                }
            }
            Kind::Node => {
                if self.nodes.remove(name) {
                    affected.nodes.insert(name.clone());
                    affected.reach = true;
                }
            }
        }
        affected
    }

    /// The names held of a kind, to find what a listing no longer has.
    #[must_use]
    pub fn keys(&self, kind: Kind) -> BTreeSet<ObjectKey> {
        let named = |name: &Name| ObjectKey { kind, name: name.clone() };
        match kind {
            Kind::IngressClass => self.classes.all().keys().map(named).collect(),
            Kind::Ingress => self.ingresses.keys().chain(self.foreign.keys()).map(named).collect(),
            Kind::CiliumEnvoyConfig | Kind::CiliumClusterwideEnvoyConfig => {
                self.configs.keys().filter(|key| key.kind == kind).cloned().collect()
            }
            Kind::Service => self.services.keys().map(named).collect(),
            Kind::EndpointSlice => self.slices.keys().map(named).collect(),
            Kind::Secret => self.secrets.keys().map(named).collect(),
            Kind::ConfigMap => self.classes.config_maps().map(named).collect(),
            Kind::Node => self.nodes.all().keys().map(named).collect(),
        }
    }

    /// How many objects of a kind are held.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::IngressClass => self.classes.all().len(),
            Kind::Ingress => self.ingresses.len() + self.foreign.len(),
            Kind::CiliumEnvoyConfig | Kind::CiliumClusterwideEnvoyConfig => {
                self.configs.keys().filter(|key| key.kind == kind).count()
            }
            Kind::Service => self.services.len(),
            Kind::EndpointSlice => self.slices.len(),
            Kind::Secret => self.secrets.len(),
            Kind::ConfigMap => self.classes.config_maps().count(),
            Kind::Node => self.nodes.all().len(),
        }
    }

    fn put_config(&mut self, config: EnvoyConfig, affected: &mut Affected) {
        let key = config.key();
        if self.configs.get(&key) != Some(&config) {
            self.references.note_config(&key, &config);
            self.configs.insert(key.clone(), config);
            affected.owners.insert(key);
        }
    }

    fn put_service(&mut self, service: Service, affected: &mut Affected) {
        let name = service.meta.name.clone();
        if self.services.get(&name) != Some(&service) {
            self.services.insert(name.clone(), service);
            self.touch_service(&name, affected);
        }
    }

    fn touch_service(&self, name: &Name, affected: &mut Affected) {
        affected.owners.extend(self.references.of_service(name).cloned());
        affected.endpoints.insert(name.clone());
        // The Service of an Ingress that may be gone or not ours any more.
        if let Some(ingress) = ingress_of(name) {
            affected.owners.insert(ingress);
        }
    }

    fn put_secret(&mut self, secret: Secret, affected: &mut Affected) {
        let name = secret.meta.name.clone();
        self.absent.remove(&name);
        if secrets::put(&mut self.secrets, secret) {
            affected.owners.extend(self.references.of_secret(&name).cloned());
        }
    }

    /// Notes which Secrets an object names, so that it is affected when one of them changes. Gives the Secrets that nobody
    /// named before (true), or that nobody names any more (false).
    pub fn note_secrets(&mut self, owner: &ObjectKey, secrets: BTreeSet<Name>) -> BTreeMap<Name, bool> {
        let changed = self.references.note_secrets(owner, secrets);
        for (name, _) in changed.iter().filter(|(_, is_named)| !**is_named) {
            self.absent.remove(name);
        }
        changed
    }

    /// All Secrets were listed: those that are named and not held are not there.
    pub fn secrets_listed(&mut self) -> Affected {
        let missing: Vec<_> =
            self.references.secrets().filter(|name| !self.secrets.contains_key(*name)).cloned().collect();
        let mut affected = Affected::default();
        for name in missing {
            if self.absent.insert(name.clone()) {
                affected.owners.extend(self.references.of_secret(&name).cloned());
            }
        }
        affected
    }

    fn put_slice(&mut self, slice: EndpointSlice, affected: &mut Affected) {
        let name = slice.meta.name.clone();
        if self.slices.get(&name) == Some(&slice) {
            return;
        }
        if let Some(old) = self.slices.remove(&name) {
            self.untie_slice(&old, affected);
        }
        self.references.tie(&slice);
        self.touch_slice(&slice, affected);
        self.slices.insert(name, slice);
    }

    fn untie_slice(&mut self, slice: &EndpointSlice, affected: &mut Affected) {
        self.references.untie(slice);
        self.touch_slice(slice, affected);
    }

    fn touch_slice(&self, slice: &EndpointSlice, affected: &mut Affected) {
        affected.endpoints.insert(service_of(slice));
        // The dummy slice of an Ingress: whether it is as it should be is the Ingress's business.
        affected.owners.extend(slice.is_ingress.then(|| ingress_of(&slice.meta.name)).flatten());
    }

    /// An Envoy config of either kind.
    #[must_use]
    pub fn config(&self, key: &ObjectKey) -> Option<&EnvoyConfig> {
        self.configs.get(key)
    }

    /// A Service.
    #[must_use]
    pub fn service(&self, name: &Name) -> Option<&Service> {
        self.services.get(name)
    }

    /// A Secret.
    #[must_use]
    pub fn secret(&self, name: &Name) -> Option<&Held> {
        self.secrets.get(name)
    }

    /// Whether a Secret was looked for and is not there. One that nobody looked for yet is neither there nor absent.
    #[must_use]
    pub fn is_absent(&self, secret: &Name) -> bool {
        self.absent.contains(secret)
    }

    /// One EndpointSlice.
    #[must_use]
    pub fn slice(&self, name: &Name) -> Option<&EndpointSlice> {
        self.slices.get(name)
    }

    /// The slices of a Service, in order of their names.
    pub fn slices_of(&self, service: &Name) -> impl Iterator<Item = &EndpointSlice> {
        self.references.slices_of(service).filter_map(|name| self.slices.get(name))
    }

    /// A node.
    #[must_use]
    pub fn node(&self, name: &Name) -> Option<&Node> {
        self.nodes.all().get(name)
    }

    /// These nodes have a loader. False when it is no news.
    pub fn set_loaders(&mut self, nodes: BTreeSet<Arc<str>>) -> bool {
        self.nodes.set_loaders(nodes)
    }

    /// Where clients find the nodes that serve, those that the selector chooses. `None` while nobody knows which serve. Costs
    /// all nodes.
    #[must_use]
    pub fn node_addresses(&self, selector: Option<&Selector>) -> Option<Vec<LoadBalancerAddress>> {
        self.nodes.addresses(selector)
    }

    /// Names of the nodes that serve, sorted. `None` while nobody knows which do. Costs all nodes.
    #[must_use]
    pub fn serving_nodes(&self) -> Option<Vec<Arc<str>>> {
        Some(self.nodes.serving()?.map(|node| node.meta.name.name.clone()).collect())
    }

    /// Every Ingress of ours and every Envoy config.
    pub fn owners(&self) -> impl Iterator<Item = ObjectKey> {
        let ingresses = self.ingresses.keys().map(|name| ObjectKey { kind: Kind::Ingress, name: name.clone() });
        ingresses.chain(self.configs.keys().cloned())
    }

    /// Ingresses of which something of ours exists: their Service, its slice or what their status shows. The Ingress may be
    /// another's, or gone.
    pub fn ingresses_with_writes(&self) -> impl Iterator<Item = ObjectKey> {
        let services = self.services.values().filter(|service| service.is_ingress).map(|it| &it.meta.name);
        let slices = self.slices.values().filter(|slice| slice.is_ingress).map(|it| &it.meta.name);
        let foreign = self.foreign.iter().filter(|(_, foreign)| foreign.shows_ours);
        let shown = foreign.map(|(name, _)| ObjectKey { kind: Kind::Ingress, name: name.clone() });
        services.chain(slices).filter_map(ingress_of).chain(shown)
    }
}

/// The class that an Ingress names, empty for none.
pub(crate) fn class_of(ingress: &Ingress) -> &str {
    ingress.legacy_class.as_deref().or(ingress.class.as_deref()).unwrap_or_default()
}

/// The Service that a slice belongs to.
fn service_of(slice: &EndpointSlice) -> Name {
    Name { namespace: slice.meta.name.namespace.clone(), name: slice.service.as_str().into() }
}

/// The Ingress that a Service or slice of that name is for.
fn ingress_of(name: &Name) -> Option<ObjectKey> {
    let ingress = name.name.strip_prefix(&names::ingress_service(""))?;
    Some(ObjectKey::new(Kind::Ingress, &name.namespace, ingress))
}
