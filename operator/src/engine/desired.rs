//! What has to be written for an Ingress, from what the index shows. Pure: asked again, it answers the same.

use axoneme_api::intent::REDIRECT;
use axoneme_api::names;

use super::writes::{DummySlice, IngressService, Owner, Target, Write};
use crate::index::Index;
use crate::model::IngressDefaults;
use crate::model::options::{Options, RequestedType};
use crate::problem::{Problem, Reason};
use crate::source::{Ingress, Kind, Name, ObjectKey, Unreadable};

/// Everything that may be written for an Ingress.
pub(super) fn targets(ingress: &Name) -> [Target; 3] {
    let own = Name::new(&ingress.namespace, &names::ingress_service(&ingress.name));
    [Target::Service(own.clone()), Target::EndpointSlice(own), Target::IngressStatus(ingress.clone())]
}

/// The write that a target needs, if any.
pub(super) fn write(target: &Target, index: &Index, defaults: &IngressDefaults) -> Option<Write> {
    match target {
        Target::Service(name) => service(name, index, defaults),
        Target::EndpointSlice(name) => slice(name, index),
        Target::IngressStatus(name) => status(name, index),
        Target::ConfigStatus(_) => None,
    }
}

/// The Ingress that a Service or slice is for, when it is there and ours.
fn ingress_for<'a>(name: &Name, index: &'a Index) -> Option<&'a Ingress> {
    let ingress = name.name.strip_prefix(&names::ingress_service(""))?;
    index.ingress(&Name::new(&name.namespace, ingress)).filter(|ingress| index.is_ours(ingress))
}

fn owner(ingress: &Ingress) -> Owner {
    Owner { name: ingress.meta.name.name.to_string(), uid: ingress.meta.uid.clone() }
}

fn service(name: &Name, index: &Index, defaults: &IngressDefaults) -> Option<Write> {
    let there = index.service(name);
    match ingress_for(name, index) {
        // Kubernetes takes the Service away first and the Ingress last: making it anew would keep both for ever.
        Some(ingress) if ingress.meta.deleting => None,
        Some(ingress) => {
            let (mut options, _) = Options::of(ingress, defaults);
            // A class cannot change, and may have come from elsewhere.
            if let Some(class) = there.and_then(|service| service.written.class.clone()) {
                options.service.class = (options.service.type_ == RequestedType::LoadBalancer).then_some(class);
            }
            let wanted = IngressService { name: name.clone(), owner: owner(ingress), options: options.service };
            (!there.is_some_and(|service| wanted.is_met_by(service))).then_some(Write::Service(wanted))
        }
        None => there.filter(|service| service.is_ingress).map(|_| Write::DeleteService(name.clone())),
    }
}

fn slice(name: &Name, index: &Index) -> Option<Write> {
    let there = index.slice(name);
    match ingress_for(name, index) {
        Some(ingress) if ingress.meta.deleting => None,
        Some(ingress) => {
            let wanted = DummySlice { name: name.clone(), owner: owner(ingress) };
            (!there.is_some_and(|slice| wanted.is_met_by(slice))).then_some(Write::EndpointSlice(wanted))
        }
        None => there.filter(|slice| slice.is_ingress).map(|_| Write::DeleteEndpointSlice(name.clone())),
    }
}

/// The addresses of the Service. One that is not ours any more keeps what its new owner writes.
fn status(name: &Name, index: &Index) -> Option<Write> {
    let ingress = index.ingress(name).filter(|ingress| index.is_ours(ingress) && !ingress.meta.deleting)?;
    let service = index.service(&Name::new(&name.namespace, &names::ingress_service(&name.name)));
    let addresses = service.map(|service| service.load_balancer.clone()).unwrap_or_default();
    (addresses != ingress.load_balancer).then(|| Write::IngressStatus { ingress: name.clone(), addresses })
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
    let why = if winner.kind == Kind::Service {
        format!("{short} {name} is filled with the endpoints of {winner}; the one defined here has no effect")
    } else {
        format!("{short} {name} is defined by {winner} already, which is older; the one defined here has no effect")
    };
    Problem::error(Reason::Conflict, "spec.resources", why)
}
