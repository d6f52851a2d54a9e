//! What has to be written for an Ingress, from what the index shows. Pure: asked again, it answers the same.

use std::sync::Arc;

use axoneme_api::intent::REDIRECT;
use axoneme_api::names;

use super::writes::{DummySlice, IngressService, Owner, Target, Write};
use crate::index::Index;
use crate::model::IngressDefaults;
use crate::model::options::{Exposure, Mode, Options, RequestedType};
use crate::problem::{Problem, Reason};
use crate::shared::{Place, place};
use crate::source::{Ingress, Kind, LoadBalancerAddress, Name, ObjectKey, Unreadable};

/// What has to be written for one Ingress.
#[derive(Debug)]
pub(super) struct Desired {
    /// Everything that may be written, with the write that it needs, if any.
    pub(super) writes: [(Target, Option<Write>); 3],
    /// Which nodes serve stands in one of them.
    pub(super) follows_nodes: bool,
}

/// Looks at one Ingress, ours or not, there or not. Costs its size; the nodes too where its status or slice shows them.
pub(super) fn desired(name: &Name, index: &Index, flags: &IngressDefaults) -> Desired {
    let own = Name::new(&name.namespace, &names::ingress_service(&name.name));
    let ours = index.ingress(name);
    let wanted = ours.map(|ingress| Wanted::new(ingress, own.clone(), index, flags));
    let [service, slice, status] = match &wanted {
        // Kubernetes takes the Service away first and the Ingress last: making it anew would keep both for ever.
        Some(wanted) if wanted.ingress.meta.deleting => [None, None, None],
        // It would be written twice.
        Some(wanted) if index.awaits_defaults(wanted.ingress) => [None, None, None],
        Some(wanted) => [wanted.service(), wanted.slice(), wanted.status()],
        // A name that looks like one of ours may be the shared one.
        None if own == flags.shared_service => [None, None, None],
        None => {
            // What its new owner wrote there by now is not ours to take away.
            let shows_ours = index.foreign(name).is_some_and(|foreign| foreign.shows_ours);
            [
                delete_service(&own, index),
                delete_slice(&own, index),
                shows_ours.then(|| Write::ClearIngressStatus(name.clone())),
            ]
        }
    };
    let writes = [
        (Target::Service(own.clone()), service),
        (Target::EndpointSlice(own), slice),
        (Target::IngressStatus(name.clone()), status),
    ];
    Desired { writes, follows_nodes: wanted.is_some_and(|wanted| wanted.follows_nodes()) }
}

fn delete_service(own: &Name, index: &Index) -> Option<Write> {
    index.service(own).filter(|service| service.is_ingress).map(|_| Write::DeleteService(own.clone()))
}

pub(super) fn delete_slice(own: &Name, index: &Index) -> Option<Write> {
    index.slice(own).filter(|slice| slice.is_ingress).map(|_| Write::DeleteEndpointSlice(own.clone()))
}

/// An Ingress of ours and what it asks for.
struct Wanted<'a> {
    ingress: &'a Ingress,
    /// Its Service.
    own: Name,
    index: &'a Index,
    flags: &'a IngressDefaults,
    options: Options,
    place: Place,
}

impl<'a> Wanted<'a> {
    fn new(ingress: &'a Ingress, own: Name, index: &'a Index, flags: &'a IngressDefaults) -> Self {
        let defaults = index.defaults(ingress, flags);
        let (options, _) = Options::of(ingress, &defaults);
        let place = place(ingress, index, &defaults);
        Self { ingress, own, index, flags, options, place }
    }

    fn owner(&self) -> Owner {
        Owner { name: self.ingress.meta.name.name.to_string(), uid: self.ingress.meta.uid.clone() }
    }

    fn service(&self) -> Option<Write> {
        match self.place {
            Place { dedicated: false, .. } => return delete_service(&self.own, self.index),
            // It stays as it is until its clients are told of the other one.
            Place { mode: Mode::Shared, .. } => return None,
            Place { mode: Mode::Dedicated, .. } => {}
        }
        let there = self.index.service(&self.own);
        let mut options = self.options.service.clone();
        // The other end of a connection with a PROXY header is a load balancer, and ranges are about clients.
        if self.options.proxy_protocol.unwrap_or(self.flags.proxy_protocol) {
            options.sources = None;
        }
        // A class cannot change, and may have come from elsewhere.
        if let Some(class) = there.and_then(|service| service.written.class.clone()) {
            options.class = (options.type_ == RequestedType::LoadBalancer).then_some(class);
        }
        let wanted = IngressService { name: self.own.clone(), owner: self.owner(), options };
        (!there.is_some_and(|service| wanted.is_met_by(service))).then_some(Write::Service(wanted))
    }

    /// None in host network mode: nobody listens at the cluster IP, and without an endpoint it refuses.
    fn slice(&self) -> Option<Write> {
        if self.flags.host_network.is_some() || !self.place.dedicated {
            return delete_slice(&self.own, self.index);
        }
        let nodes = nodes(self.options.service.local_traffic_only, self.index)?;
        let wanted = DummySlice { name: self.own.clone(), owner: self.owner(), nodes };
        let there = self.index.slice(&self.own);
        (!there.is_some_and(|slice| wanted.is_met_by(slice))).then_some(Write::EndpointSlice(wanted))
    }

    /// While there is nothing to show, what another controller wrote stays: clients may still be on their way there.
    fn status(&self) -> Option<Write> {
        let addresses = self.addresses()?;
        let is_anothers = !self.ingress.shows_ours && addresses.is_empty();
        let ingress = self.ingress.meta.name.clone();
        (!is_anothers && addresses != self.ingress.load_balancer).then_some(Write::IngressStatus { ingress, addresses })
    }

    /// Where clients find it. `None` while that is not known; nothing while it is nowhere.
    fn addresses(&self) -> Option<Vec<LoadBalancerAddress>> {
        // Nobody is told of an address that is not there yet, as long as the one before is.
        let new = |addresses: Vec<_>, has_old: bool| (!has_old || !addresses.is_empty()).then_some(addresses);
        if self.flags.host_network.is_none() && self.place.mode == Mode::Shared {
            let service = self.index.service(&self.flags.shared_service).filter(|service| service.is_ingress);
            return new(service.map(|it| it.load_balancer.clone()).unwrap_or_default(), self.place.dedicated);
        }
        if self.options.exposure == Exposure::Closed {
            return new(Vec::new(), self.place.shared);
        }
        if let Some(network) = &self.flags.host_network {
            return self.index.node_addresses(network.nodes.as_ref());
        }
        let Some(service) = self.index.service(&self.own) else { return new(Vec::new(), self.place.shared) };
        match self.options.service.type_ {
            RequestedType::LoadBalancer => new(service.load_balancer.clone(), self.place.shared),
            RequestedType::NodePort | RequestedType::ClusterIp => self.index.node_addresses(None),
        }
    }

    fn follows_nodes(&self) -> bool {
        let service = &self.options.service;
        let by_node = service.type_ == RequestedType::NodePort || service.local_traffic_only;
        self.flags.host_network.is_some() || self.place.mode == Mode::Dedicated && by_node
    }
}

/// The nodes that a slice names, if it names any. `None` while nobody knows which they are.
#[expect(clippy::option_option, reason = "unknown, all of them without a name, these")]
pub(super) fn nodes(local_traffic_only: bool, index: &Index) -> Option<Option<Vec<Arc<str>>>> {
    if local_traffic_only { index.serving_nodes().map(Some) } else { Some(None) }
}

/// What was known of the object stays in force.
pub(super) fn unreadable(object: &Unreadable) -> Problem {
    let why = format!("the present version of this object cannot be read and changes nothing: {}", object.why);
    Problem::error(Reason::Invalid, "", why)
}

/// An older object has what this one wants.
pub(super) fn lost(loser: &ObjectKey, type_url: &str, name: &str, winner: &ObjectKey) -> Problem {
    let short = type_url.rsplit('.').next().unwrap_or(type_url);
    if type_url == REDIRECT {
        let why = format!("{winner} is older and takes the traffic of Service port {name} already");
        let field = if loser.kind == Kind::Ingress { "" } else { "spec.services" };
        return Problem::error(Reason::Conflict, field, why);
    }
    if let Some(port) = names::host_listener_port(name) {
        let winner = match &*winner.name.namespace {
            "" => "shared mode".to_owned(),
            _ => format!("{winner} is older and"),
        };
        let why = format!(
            "{winner} has port {port} of the nodes; give this Ingress another one with the annotation host-listener-port"
        );
        return Problem::error(Reason::Conflict, "metadata.annotations", why);
    }
    let why = if winner.kind == Kind::Service {
        format!("{short} {name} is filled with the endpoints of {winner}; the one defined here has no effect")
    } else {
        format!("{short} {name} is defined by {winner} already, which is older; the one defined here has no effect")
    };
    Problem::error(Reason::Conflict, "spec.resources", why)
}
