//! What nodes say of the resources that they got.

use std::collections::BTreeMap;
use std::sync::Arc;

use axoneme_xds::{Key, Outcome};

use super::Intent;

/// How far an object got on the nodes that it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programmed {
    /// Connected nodes that the object is for.
    pub nodes: usize,
    /// Of these, nodes that run its current version.
    pub done: usize,
    /// Refusals of the current version.
    pub rejections: Vec<Rejection>,
}

/// One resource that one node refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The node's name.
    pub node: Arc<str>,
    /// The resource's name.
    pub resource: Arc<str>,
    /// Envoy's own words, or the kernel's.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Accepted(Arc<str>),
    Rejected { version: Option<Arc<str>>, message: String },
}

/// The last answer of each connected node to each resource.
#[derive(Debug, Default)]
pub(super) struct Answers(BTreeMap<Arc<str>, BTreeMap<Key, Answer>>);

impl Answers {
    pub(super) fn connected(&mut self, node: &str) {
        self.0.entry(node.into()).or_default();
    }

    pub(super) fn gone(&mut self, node: &str) {
        self.0.remove(node);
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    pub(super) fn note(&mut self, node: &str, outcome: &Outcome) {
        let Some(answers) = self.0.get_mut(node) else { return };
        match outcome.clone() {
            Outcome::Acked { type_url, name, version: Some(version) } => {
                answers.insert((type_url, name), Answer::Accepted(version));
            }
            Outcome::Acked { type_url, name, version: None } => {
                answers.remove(&(type_url, name));
            }
            Outcome::Nacked { type_url, name, version, message } => {
                answers.insert((type_url, name), Answer::Rejected { version, message });
            }
        }
    }

    /// Adds one node's share to the account of an owner. An answer to an older version says nothing.
    pub(super) fn count(&self, node: &Arc<str>, intents: &[(&Key, &Intent)], sum: &mut Programmed) {
        let Some(answers) = self.0.get(node) else { return };
        let (mut pending, mut refused) = (false, false);
        for (key, intent) in intents {
            match answers.get(*key) {
                Some(Answer::Rejected { version: Some(version), message }) if *version == intent.resource.version => {
                    refused = true;
                    let (node, resource) = (node.clone(), key.1.clone());
                    sum.rejections.push(Rejection { node, resource, message: message.clone() });
                }
                Some(Answer::Accepted(version)) if *version == intent.resource.version => {}
                _ => pending |= intent.awaited,
            }
        }
        sum.nodes += 1;
        sum.done += usize::from(!pending && !refused);
    }
}
