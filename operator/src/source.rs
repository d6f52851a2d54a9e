//! What every source of objects, a folder of YAML or a Kubernetes API server, tells the engine.
//!
//! Objects come in a reduced form: what the mesh needs of them and nothing else, so that ten thousand of them are small.
//! The reduction accepts everything. What is wrong with an object is said by the translation, with its field path.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

mod config_map;
mod endpoints;
mod envoy_config;
mod ingress;
mod ingress_class;
mod meta;
mod node;
mod packed_ingress;
mod secret;
mod selector;
mod service;

pub use config_map::ConfigMap;
pub use endpoints::{Endpoint, EndpointSlice, SlicePort};
pub use envoy_config::{BackendRef, EnvoyConfig, ServiceRef};
pub use ingress::{Annotation, Backend, Ingress, PathRule, PathType, PortRef, Rule, Tls};
pub use ingress_class::{IngressClass, Parameters};
pub use meta::Meta;
pub use node::Node;
pub use packed_ingress::PackedIngress;
pub(crate) use packed_ingress::unpack;
pub use secret::Secret;
pub use selector::Selector;
pub use service::{LoadBalancerAddress, PortStatus, Protocol, Service, ServicePort, ServiceType, Written};

/// The kinds of objects that the mesh reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `networking.k8s.io/v1`, cluster-scoped.
    IngressClass,
    /// `networking.k8s.io/v1`.
    Ingress,
    /// `cilium.io/v2`.
    CiliumEnvoyConfig,
    /// `cilium.io/v2`, cluster-scoped.
    CiliumClusterwideEnvoyConfig,
    /// `v1`.
    Service,
    /// `discovery.k8s.io/v1`.
    EndpointSlice,
    /// `v1`.
    Secret,
    /// `v1`.
    ConfigMap,
    /// `v1`, cluster-scoped.
    Node,
}

impl Kind {
    /// Every kind. What is named by others comes before them.
    pub const ALL: [Self; 9] = [
        Self::Node,
        Self::Secret,
        Self::ConfigMap,
        Self::IngressClass,
        Self::Service,
        Self::EndpointSlice,
        Self::Ingress,
        Self::CiliumEnvoyConfig,
        Self::CiliumClusterwideEnvoyConfig,
    ];

    /// The kind as written in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IngressClass => "IngressClass",
            Self::Ingress => "Ingress",
            Self::CiliumEnvoyConfig => "CiliumEnvoyConfig",
            Self::CiliumClusterwideEnvoyConfig => "CiliumClusterwideEnvoyConfig",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Node => "Node",
        }
    }

    /// The `apiVersion` as written in a manifest.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::IngressClass | Self::Ingress => "networking.k8s.io/v1",
            Self::CiliumEnvoyConfig | Self::CiliumClusterwideEnvoyConfig => "cilium.io/v2",
            Self::EndpointSlice => "discovery.k8s.io/v1",
            Self::Service | Self::Secret | Self::ConfigMap | Self::Node => "v1",
        }
    }

    /// Whether objects of this kind live in a namespace.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::IngressClass | Self::CiliumClusterwideEnvoyConfig | Self::Node)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Namespace and name. The namespace is empty for what is cluster-scoped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(String, String)", into = "(String, String)")]
pub struct Name {
    /// Empty for a cluster-scoped object.
    pub namespace: Arc<str>,
    /// The object's own name.
    pub name: Arc<str>,
}

impl Name {
    /// A name in a namespace; `""` for none.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl From<(String, String)> for Name {
    fn from((namespace, name): (String, String)) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl From<Name> for (String, String) {
    fn from(name: Name) -> Self {
        (name.namespace.to_string(), name.name.to_string())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which object. Prints as people name it: `Ingress default/web`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name.
    pub name: Name,
}

impl ObjectKey {
    /// The key of an object; `""` for no namespace.
    #[must_use]
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, name: Name::new(namespace, name) }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An object in its reduced form.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// Which Ingresses are ours.
    IngressClass(IngressClass),
    /// HTTP from outside.
    Ingress(Ingress),
    /// The same, not decoded: it may be another's.
    PackedIngress(PackedIngress),
    /// A CiliumEnvoyConfig or, told by its key, a CiliumClusterwideEnvoyConfig.
    EnvoyConfig(EnvoyConfig),
    /// Frontends and ports.
    Service(Service),
    /// Backends.
    EndpointSlice(EndpointSlice),
    /// Certificates.
    Secret(Secret),
    /// What an IngressClass says of its Ingresses.
    ConfigMap(ConfigMap),
    /// Labels that node selectors look at, and addresses.
    Node(Node),
}

impl Object {
    /// Which object this is.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::IngressClass(it) => ObjectKey { kind: Kind::IngressClass, name: it.meta.name.clone() },
            Self::Ingress(it) => ObjectKey { kind: Kind::Ingress, name: it.meta.name.clone() },
            Self::PackedIngress(it) => ObjectKey { kind: Kind::Ingress, name: it.name.clone() },
            Self::EnvoyConfig(it) => it.key(),
            Self::Service(it) => ObjectKey { kind: Kind::Service, name: it.meta.name.clone() },
            Self::EndpointSlice(it) => ObjectKey { kind: Kind::EndpointSlice, name: it.meta.name.clone() },
            Self::Secret(it) => ObjectKey { kind: Kind::Secret, name: it.meta.name.clone() },
            Self::ConfigMap(it) => ObjectKey { kind: Kind::ConfigMap, name: it.meta.name.clone() },
            Self::Node(it) => ObjectKey { kind: Kind::Node, name: it.meta.name.clone() },
        }
    }
}

/// What happened to the objects.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all events are of the large variant, and none is kept")]
pub enum SourceEvent {
    /// The object is new or changed. Telling the same again changes nothing.
    Apply(Object),
    /// The object is gone.
    Delete(ObjectKey),
    /// The object is there, but nobody can read its present version: what was known of it stays in force.
    Unreadable(Unreadable),
    /// These are all the objects of one kind; others are gone. Every source sends one per kind after its first look,
    /// also for a kind without objects: until then nothing is written or deleted (see [`crate::Engine::is_synced`]).
    Reset {
        /// The kind that was listed.
        kind: Kind,
        /// All its objects.
        objects: Vec<Object>,
        /// Those that are there but cannot be read.
        unreadable: Vec<Unreadable>,
    },
}

impl SourceEvent {
    /// All objects of a kind, each of which could be read.
    #[must_use]
    pub const fn reset(kind: Kind, objects: Vec<Object>) -> Self {
        Self::Reset { kind, objects, unreadable: Vec::new() }
    }

    /// The kind of the objects that it is about.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Apply(object) => object.key().kind,
            Self::Delete(key) => key.kind,
            Self::Unreadable(object) => object.key.kind,
            Self::Reset { kind, .. } => *kind,
        }
    }
}

/// An object that cannot be decoded, such as one that was stored under another definition of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Which object.
    pub key: ObjectKey,
    /// Its uid: an Event without it is not shown.
    pub uid: Option<String>,
    /// What is wrong with it.
    pub why: String,
}
