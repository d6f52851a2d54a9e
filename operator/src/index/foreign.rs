//! Ingresses of others, which may be thousands: what says that they are not ours, and the rest packed, for the day on
//! which their class becomes ours.

use std::collections::BTreeMap;

use super::class_of;
use crate::source::{Ingress, Name, PackedIngress, unpack};

/// An Ingress of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The class that it names, empty for none.
    pub class: Box<str>,
    /// Its status is one that we wrote when it was ours.
    pub shows_ours: bool,
    packed: Packed,
}

/// The Ingress as JSON: a third of its size in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Packed {
    /// In its reduced form.
    Reduced(Box<[u8]>),
    /// As the API server wrote it; nobody has decoded it yet.
    Written(Box<str>),
}

impl Foreign {
    /// Packs an Ingress that was decoded.
    pub(super) fn pack(ingress: &Ingress) -> Option<Self> {
        let packed = serde_json::to_vec(ingress).ok()?.into_boxed_slice();
        Some(Self { class: class_of(ingress).into(), shows_ours: ingress.shows_ours, packed: Packed::Reduced(packed) })
    }

    /// What it takes in memory, as far as we ask for it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let packed = match &self.packed {
            Packed::Reduced(bytes) => bytes.len(),
            Packed::Written(text) => text.len(),
        };
        size_of::<Self>() + self.class.len() + packed
    }

    /// The Ingress. Costs its size.
    ///
    /// # Errors
    /// When a field is not what the API says it is.
    pub fn unpack(&self) -> serde_json::Result<Ingress> {
        match &self.packed {
            Packed::Reduced(bytes) => serde_json::from_slice(bytes),
            Packed::Written(text) => unpack(text, self.shows_ours),
        }
    }
}

impl From<PackedIngress> for Foreign {
    fn from(ingress: PackedIngress) -> Self {
        let (class, shows_ours) = (ingress.class.clone(), ingress.shows_ours);
        Self { class, shows_ours, packed: Packed::Written(ingress.into_text()) }
    }
}

/// Takes one in. False when it is the one that is there.
pub(super) fn put(all: &mut BTreeMap<Name, Foreign>, name: &Name, foreign: Foreign) -> bool {
    if all.get(name) == Some(&foreign) {
        return false;
    }
    all.insert(name.clone(), foreign);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let manifest = serde_json::json!({
            "metadata": {
                "namespace": "shop", "name": "web", "uid": "u", "generation": 3, "labels": { "a": "b" },
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": { "ingress.cilium.io/force-https": "true", "kubernetes.io/ingress.class": "nginx", "x": "y" },
            },
            "spec": {
                "defaultBackend": { "resource": { "kind": "Bucket", "name": "b" } },
                "rules": [{ "host": "a.example", "http": { "paths": [
                    { "path": "/", "pathType": "Exact", "backend": { "service": { "name": "s", "port": { "name": "p" } } } },
                    { "pathType": "Odd", "backend": {} },
                ] } }, { "host": "b.example" }],
                "tls": [{ "hosts": ["a.example"], "secretName": "s" }],
            },
            "status": { "loadBalancer": { "ingress": [
                { "ip": "192.0.2.1", "ports": [{ "port": 80, "protocol": "TCP", "error": "x" }] }, { "hostname": "lb" },
            ] } },
        });
        let object: k8s_openapi::api::networking::v1::Ingress = serde_json::from_value(manifest).unwrap();
        let ingress = Ingress::from(&object);
        let mut all = BTreeMap::new();
        let name = ingress.meta.name.clone();
        assert!(put(&mut all, &name, Foreign::pack(&ingress).unwrap()));
        assert!(!put(&mut all, &name, Foreign::pack(&ingress).unwrap()), "the same once more");
        let foreign = &all[&name];
        assert_eq!((&*foreign.class, foreign.unpack().unwrap()), ("nginx", ingress));
    }
}
