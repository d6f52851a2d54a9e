//! The condition `Programmed`: how many nodes run an object, which do not, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axoneme_api::intent::{PROXY_AWAY, PROXY_CRASHED};

use super::{ConditionDraft, list};
use crate::intents::Programmed;

/// Names of nodes that a message spells out; the others are counted.
const NODES_TOLD: usize = 3;
/// Of Envoy's words so many bytes; some of its messages hold the whole resource.
const WORDS: usize = 1024;

/// Type of the condition.
pub const PROGRAMMED: &str = "Programmed";

/// What stands behind the condition `Programmed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgrammedReason {
    /// Every node that the object is for runs it.
    Programmed,
    /// Some node has not answered yet.
    Pending,
    /// Every connected node runs it; some that should are not connected.
    NotConnected,
    /// Envoy, or the kernel, refuses it on some node.
    Rejected,
    /// Envoy died of it on some node.
    ProxyCrashed,
    /// Envoy does not run on some node.
    ProxyAway,
    /// The present version is refused; nodes run the last good one.
    LastGoodVersion,
    /// The object is refused and never had a good version, or lost all that it wants to older objects.
    NotAccepted,
    /// No node is meant.
    NoNodes,
}

impl ProgrammedReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Programmed,
        Self::Pending,
        Self::NotConnected,
        Self::Rejected,
        Self::ProxyCrashed,
        Self::ProxyAway,
        Self::LastGoodVersion,
        Self::NotAccepted,
        Self::NoNodes,
    ];

    /// The `reason` of the condition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Programmed => "Programmed",
            Self::Pending => "Pending",
            Self::NotConnected => "NotConnected",
            Self::Rejected => "Rejected",
            Self::ProxyCrashed => "ProxyCrashed",
            Self::ProxyAway => "ProxyAway",
            Self::LastGoodVersion => "LastGoodVersion",
            Self::NotAccepted => "NotAccepted",
            Self::NoNodes => "NoNodes",
        }
    }

    const fn status(self) -> &'static str {
        match self {
            Self::Programmed => "True",
            Self::NoNodes => "Unknown",
            _ => "False",
        }
    }
}

/// How the version that nodes have relates to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// No part of the object is refused, and no older object has what it wants.
    pub(super) accepted: bool,
    /// What nodes have is an older version, because the present one is refused.
    pub(super) outdated: bool,
}

/// `2/3`.
pub(super) fn share(programmed: &Programmed) -> String {
    format!("{}/{}", programmed.done, programmed.nodes)
}

pub(super) fn condition(programmed: &Programmed, standing: Standing) -> ConditionDraft {
    let reason = reason(programmed, standing);
    let mut message = format!("{} nodes", share(programmed));
    match reason {
        ProgrammedReason::LastGoodVersion => message.push_str(" run the last good version of this object"),
        ProgrammedReason::NotAccepted => message.push_str("; no version of this object is in force"),
        ProgrammedReason::NoNodes => message.push_str("; no node with a loader is meant"),
        _ => {}
    }
    let refusals = refusals(programmed);
    if !refusals.is_empty() {
        let _ = write!(message, "; {}", list(refusals.into_iter()));
    }
    if !programmed.waiting.is_empty() {
        let _ = write!(message, "; waiting for {}", names(&programmed.waiting));
    }
    if !programmed.absent.is_empty() {
        let are = if programmed.absent.len() == 1 { "is" } else { "are" };
        let _ = write!(message, "; {} {are} not connected", names(&programmed.absent));
    }
    ConditionDraft { type_: PROGRAMMED, status: reason.status(), reason: reason.as_str(), message, since: None }
}

fn reason(programmed: &Programmed, standing: Standing) -> ProgrammedReason {
    let rejections = &programmed.rejections;
    let all_away = || rejections.iter().all(|it| it.message.starts_with(PROXY_AWAY));
    match () {
        () if programmed.nodes == 0 && !standing.accepted => ProgrammedReason::NotAccepted,
        () if programmed.nodes == 0 => ProgrammedReason::NoNodes,
        () if standing.outdated => ProgrammedReason::LastGoodVersion,
        () if rejections.iter().any(|it| it.message.starts_with(PROXY_CRASHED)) => ProgrammedReason::ProxyCrashed,
        () if !rejections.is_empty() && all_away() => ProgrammedReason::ProxyAway,
        () if !rejections.is_empty() => ProgrammedReason::Rejected,
        () if programmed.done == programmed.nodes => ProgrammedReason::Programmed,
        () if programmed.waiting.is_empty() => ProgrammedReason::NotConnected,
        () => ProgrammedReason::Pending,
    }
}

/// One text for all nodes that refuse the same with the same words.
fn refusals(programmed: &Programmed) -> Vec<String> {
    let mut alike = BTreeMap::<(&Arc<str>, &str), Vec<Arc<str>>>::new();
    for rejection in &programmed.rejections {
        let words = [PROXY_CRASHED, PROXY_AWAY].iter().find_map(|prefix| rejection.message.strip_prefix(prefix));
        let words = words.unwrap_or(&rejection.message);
        alike.entry((&rejection.resource, words)).or_default().push(rejection.node.clone());
    }
    let text = |((resource, words), nodes): ((&Arc<str>, &str), Vec<Arc<str>>)| {
        let end = words.floor_char_boundary(WORDS);
        let dots = if end < words.len() { "..." } else { "" };
        format!("{} refused {resource}: {}{dots}", names(&nodes), &words[..end])
    };
    alike.into_iter().map(text).collect()
}

fn names(nodes: &[Arc<str>]) -> String {
    let told = nodes.iter().take(NODES_TOLD).map(|node| &**node).collect::<Vec<_>>().join(", ");
    match nodes.len().saturating_sub(NODES_TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}
