//! An Envoy resource of a user's object, from JSON to bytes.

use bytes::Bytes;
use prost_reflect::{DynamicMessage, ReflectMessage as _};
use serde_json::Value;

use crate::{Policy, Problem, check, encode, fill, path::Path, pgv, policy, pool, problem, redact, walker};

/// The five kinds of resource that an object may hold, in the order in which Envoy wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// `envoy.extensions.transport_sockets.tls.v3.Secret`
    Secret,
    /// `envoy.config.cluster.v3.Cluster`
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`
    Endpoints,
    /// `envoy.config.route.v3.RouteConfiguration`
    Route,
    /// `envoy.config.listener.v3.Listener`
    Listener,
}

impl ResourceKind {
    /// All of them, in Envoy's order.
    pub const ALL: [Self; 5] = [Self::Secret, Self::Cluster, Self::Endpoints, Self::Route, Self::Listener];

    /// The type URL: `type.googleapis.com/` and the message name.
    #[must_use]
    pub fn type_url(self) -> &'static str {
        match self {
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
        }
    }

    /// The kind of a type URL, if it is one of the five.
    #[must_use]
    pub fn of(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url)
    }

    /// The message's name without its package.
    #[must_use]
    pub fn short_name(self) -> &'static str {
        self.type_url().rsplit('.').next().unwrap_or_default()
    }

    /// The field that holds the resource's name.
    pub(crate) fn name_field(self) -> &'static str {
        if self == Self::Endpoints { "cluster_name" } else { "name" }
    }
}

/// A decoded and checked Envoy resource.
///
/// It has no `Debug`: printing a recursive message by reflection can overflow the stack.
#[derive(Clone)]
pub struct EnvoyResource {
    pub(crate) kind: ResourceKind,
    pub(crate) path: String,
    pub(crate) message: DynamicMessage,
    pub(crate) warnings: Vec<Problem>,
}

impl EnvoyResource {
    /// Reads bytes again that [`EnvoyResource::encode`] made, to show them to people. `None` when they are no such message.
    #[must_use]
    pub fn from_bytes(kind: ResourceKind, bytes: &[u8]) -> Option<Self> {
        let message = DynamicMessage::decode(pool::message_of(kind.type_url())?, bytes).ok()?;
        Some(Self { kind, path: String::new(), message, warnings: Vec::new() })
    }

    /// Which of the five it is.
    #[must_use]
    pub fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// Its name: as written after [`decode`], full after [`qualify`](crate::qualify).
    #[must_use]
    pub fn name(&self) -> &str {
        match self.message.descriptor().get_field_by_name(self.kind.name_field()) {
            Some(field) => encode::str_field(&self.message, &field),
            None => "",
        }
    }

    /// Whether it is a listener that takes no connections of the network, only of clusters.
    #[must_use]
    pub fn is_internal_listener(&self) -> bool {
        self.kind == ResourceKind::Listener && self.message.has_field_by_name("internal_listener")
    }

    /// Whether it is a listener that says where it is to be bound.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.kind == ResourceKind::Listener && self.message.has_field_by_name("address")
    }

    /// Where it stands in its object: `spec.resources[1]`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What its author should know although it can be used.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The message's bytes, to stand in an Any. Equal resources give equal bytes: maps are sorted, in nested messages too.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode::encode(&self.message).into()
    }

    /// The resource without its secrets, to show it to people: every field that Envoy marks as sensitive says so instead.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        redact::redact(&mut self.message);
        self
    }

    /// The resource as JSON with proto field names and `@type`, as it could stand in a CiliumEnvoyConfig.
    ///
    /// # Errors
    ///
    /// None for what [`decode`] made: it knows every type in it.
    pub fn to_json(&self) -> Result<Value, serde_json::Error> {
        walker::to_json(&self.message, self.kind.type_url())
    }
}

/// [`decode_under`] a policy that allows everything: for resources that no user wrote.
///
/// # Errors
///
/// As [`decode_under`].
pub fn decode(json: &Value, path: &str) -> Result<EnvoyResource, Vec<Problem>> {
    decode_under(json, path, &Policy::everything())
}

/// [`decode`] for resources that we write ourselves and users cannot: they may ask for scopes over xDS, which we serve them.
///
/// # Errors
///
/// As [`decode_under`].
pub fn decode_own(json: &Value, path: &str) -> Result<EnvoyResource, Vec<Problem>> {
    read(json, path, &Policy::everything(), false)
}

/// Reads one element of `spec.resources`. `path` says where it stands and begins the path of each problem.
///
/// Everything is checked that can be checked without Envoy itself: field names and types, values, Envoy's constraint rules,
/// the combinations that Envoy accepts and that break traffic, and what `policy` denies.
///
/// # Errors
///
/// All problems at once, warnings included, sorted by path; of each severity a hundred are told. Without an error among
/// them, the warnings are in [`EnvoyResource::warnings`].
pub fn decode_under(json: &Value, path: &str, policy: &Policy) -> Result<EnvoyResource, Vec<Problem>> {
    read(json, path, policy, true)
}

fn read(json: &Value, path: &str, policy: &Policy, is_users: bool) -> Result<EnvoyResource, Vec<Problem>> {
    let kind = kind(json, path).map_err(|problem| vec![problem])?;
    let Some(descriptor) = pool::message_of(kind.type_url()) else {
        return Err(vec![Problem::error(path, format!("{} is not known to this Envoy", kind.type_url()))]);
    };
    let (mut message, mut problems) = walker::from_json(json, &descriptor, path);
    let complete = !problems.iter().any(Problem::is_error);
    fill::fill(kind, &mut message);
    pgv::check(&message, Path::new(path), &mut problems);
    policy::check(&message, Path::new(path), policy, &mut problems);
    if complete && is_users {
        check::check(kind, &message, Path::new(path), &mut problems);
    }
    walker::cilium::prune(&mut message);
    if complete && DynamicMessage::decode(descriptor, encode::encode(&message).as_slice()).is_err() {
        problems.push(Problem::error(path, walker::TOO_DEEP));
    }
    problems.sort();
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    if errors >= problem::MOST {
        let message = format!("is wrong in {errors} places or more; no further ones are told");
        problems.insert(0, Problem::error(path, message));
    }
    if errors > 0 {
        return Err(problems);
    }
    Ok(EnvoyResource { kind, path: path.to_owned(), message, warnings: problems })
}

fn kind(json: &Value, path: &str) -> Result<ResourceKind, Problem> {
    let Some(object) = json.as_object() else {
        return Err(Problem::error(path, "must be an object with an @type"));
    };
    let at = Path::new(path).to("@type");
    let accepted = || ResourceKind::ALL.map(ResourceKind::type_url).join(", ");
    match object.get("@type") {
        None => Err(Problem::error(at, format!("is missing; it must be one of {}", accepted()))),
        Some(Value::String(url)) => ResourceKind::of(url).ok_or_else(|| {
            if pool::message_of(url).is_some() {
                let message = format!("{url:?} cannot stand here by itself; it must be one of {}", accepted());
                return Problem::error(at, message);
            }
            let message = format!("type {url:?} is not known to this Envoy; it must be one of {}", accepted());
            let candidates = ResourceKind::ALL.map(|kind| kind.type_url().to_owned());
            Problem::error(at, message).suggest(walker::suggest::nearest(url, candidates))
        }),
        Some(_) => Err(Problem::error(at, "must be a string")),
    }
}
