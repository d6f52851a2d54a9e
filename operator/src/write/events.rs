//! Kubernetes Events for problems: what `kubectl describe` shows to the author of an object.
//!
//! Events are a courtesy: one attempt, bounded queue, counted when dropped. The condition of the object and the metrics are
//! where a problem stands for good.

use std::{sync::Arc, time::Duration};

use axoneme_api::names;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::EngineGone;
use crate::{
    metrics,
    problem::{Problem, Severity},
    source::ObjectKey,
};

/// Events that may wait; beyond it they are dropped.
pub const WAITING: usize = 256;
/// The API server takes no longer notes.
const NOTE_BYTES: usize = 1024;
const REQUEST: Duration = Duration::from_secs(4);

/// A problem that is new.
#[derive(Clone, Debug)]
pub struct News {
    /// Whose it is.
    pub object: ObjectKey,
    /// Its uid: Events without one are not shown.
    pub uid: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// Hands an Event over, or counts it as dropped.
pub fn tell(events: &mpsc::Sender<News>, news: News) {
    if let Err(error) = events.try_send(news) {
        count("dropped");
        tracing::debug!(%error, "an Event is not written");
    }
}

/// Publishes Events until `shutdown`.
///
/// # Errors
/// [`EngineGone`] when no problem can come any more.
pub async fn run(
    client: Client,
    instance: String,
    mut events: mpsc::Receiver<News>,
    shutdown: CancellationToken,
) -> Result<(), EngineGone> {
    let reporter = Reporter { controller: names::FIELD_MANAGER.to_owned(), instance: Some(instance) };
    let recorder = Arc::new(Recorder::new(client, reporter));
    loop {
        let news = tokio::select! {
            // Inputs end while the process does; that is no failure then.
            biased;
            () = shutdown.cancelled() => return Ok(()),
            news = events.recv() => news.ok_or(EngineGone)?,
        };
        match timeout(REQUEST, recorder.publish(&event(&news.problem), &reference(&news))).await {
            Ok(Ok(())) => count("ok"),
            Ok(Err(error)) => failed(&news.object, &error.to_string()),
            Err(_elapsed) => failed(&news.object, "no answer in time"),
        }
    }
}

fn failed(object: &ObjectKey, reason: &str) {
    count("error");
    tracing::warn!(%object, reason, "an Event was not written");
}

fn count(result: &'static str) {
    ::metrics::counter!(metrics::WRITES, "kind" => "Event", "result" => result).increment(1);
}

fn event(problem: &Problem) -> Event {
    let mut note = problem.to_string();
    note.truncate(note.floor_char_boundary(NOTE_BYTES));
    Event {
        type_: EventType::Warning,
        reason: problem.reason.as_str().to_owned(),
        note: Some(note),
        action: match problem.severity {
            Severity::Error => "Refused".to_owned(),
            Severity::Warning => "Served".to_owned(),
        },
        secondary: None,
    }
}

fn reference(News { object, uid, .. }: &News) -> ObjectReference {
    ObjectReference {
        api_version: Some(object.kind.api_version().to_owned()),
        kind: Some(object.kind.as_str().to_owned()),
        name: Some(object.name.name.to_string()),
        namespace: Some(object.name.namespace.to_string()).filter(|namespace| !namespace.is_empty()),
        uid: uid.clone(),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{problem::Reason, source::Kind};

    #[test]
    fn a_note_names_the_field_and_fits() {
        let problem = Problem::error(Reason::ServiceNotFound, "spec.rules[0]", "ü".repeat(2000));
        let event = event(&problem);
        let note = event.note.unwrap();
        assert!(note.starts_with("spec.rules[0]: ") && note.len() <= NOTE_BYTES);
        assert_eq!(event.reason, "ServiceNotFound");
    }

    #[test]
    fn the_event_is_about_the_object() {
        let news = News {
            object: ObjectKey::new(Kind::Ingress, "default", "web"),
            uid: Some("1-2".to_owned()),
            problem: Problem::warning(Reason::Conflict, "", "taken"),
        };
        let about = reference(&news);
        assert_eq!(about.api_version.as_deref(), Some("networking.k8s.io/v1"));
        assert_eq!((about.namespace.as_deref(), about.uid.as_deref()), (Some("default"), Some("1-2")));
    }
}
