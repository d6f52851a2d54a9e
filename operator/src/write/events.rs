//! Kubernetes Events: what `kubectl describe` shows to the author of an object.
//!
//! Events are a courtesy: one attempt, bounded queue, counted when dropped. The condition of the object and the metrics are
//! where a problem stands for good. The same Event again is counted in the first one (`series`).

use std::time::{Duration, Instant, SystemTime};

use axoneme_api::names;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use self::series::{Series, Step};
use super::EngineGone;
use crate::{
    metrics,
    problem::{Problem, Severity},
    source::ObjectKey,
};

mod series;

/// Events that may wait; beyond it they are dropped.
pub const WAITING: usize = 256;
/// The API server takes no longer notes.
const NOTE_BYTES: usize = 1024;
const REQUEST: Duration = Duration::from_secs(4);

/// Something to tell of an object.
#[derive(Clone, Debug)]
pub struct News {
    /// Whose it is.
    pub object: ObjectKey,
    /// Its uid: Events without one are not shown.
    pub uid: Option<String>,
    /// What to tell.
    pub what: Announcement,
    /// It may have been told before, by the replica that led before or before a restart: then it is not told again.
    pub standing: bool,
}

/// What an Event says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Announcement {
    /// Whether somebody should do something.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// What was done about it.
    pub action: &'static str,
    /// For people.
    pub note: String,
}

impl From<&Problem> for Announcement {
    fn from(problem: &Problem) -> Self {
        Self {
            warning: true,
            reason: problem.reason.as_str(),
            action: match problem.severity {
                Severity::Error => "Refused",
                Severity::Warning => "Served",
            },
            note: problem.to_string(),
        }
    }
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
/// [`EngineGone`] when nothing can come any more.
pub async fn run(
    client: Client,
    instance: String,
    mut events: mpsc::Receiver<News>,
    shutdown: CancellationToken,
) -> Result<(), EngineGone> {
    let mut series = Series::default();
    loop {
        let news = tokio::select! {
            // Inputs end while the process does; that is no failure then.
            biased;
            () = shutdown.cancelled() => return Ok(()),
            news = events.recv() => news.ok_or(EngineGone)?,
        };
        match timeout(REQUEST, write(&client, &instance, &news, &mut series)).await {
            Ok(Ok(told)) => {
                count(if told { "ok" } else { "known" });
                continue;
            }
            Ok(Err(error)) => tracing::warn!(object = %news.object, %error, "an Event was not written"),
            Err(_elapsed) => tracing::warn!(object = %news.object, "an Event was not written in time"),
        }
        count("error");
        series.forget(&news);
    }
}

/// Counts the Event in the first of its series. When somebody deleted that one, it is the first itself.
///
/// A first Event has a name that follows from what it says, so it is known whether it was told before, by whomever: what
/// stands is left at that, and news get an Event of their own. Gives whether one was written.
async fn write(client: &Client, instance: &str, news: &News, series: &mut Series) -> Result<bool, kube::Error> {
    let step = series.next(news, Instant::now());
    match publish(client, instance, news, &step).await {
        Err(kube::Error::Api(answer)) if answer.code == 404 && matches!(step, Step::Again { .. }) => {
            series.forget(news);
            publish(client, instance, news, &series.next(news, Instant::now())).await
        }
        Err(kube::Error::Api(answer)) if answer.code == 409 && matches!(step, Step::First { .. }) => {
            if news.standing {
                // How often it was told before is not known here: the next time is a new Event.
                series.forget(news);
                return Ok(false);
            }
            publish(client, instance, news, &series.anew(news, SystemTime::now())).await
        }
        published => published,
    }?;
    Ok(true)
}

fn count(result: &'static str) {
    ::metrics::counter!(metrics::WRITES, "kind" => "Event", "result" => result).increment(1);
}

async fn publish(client: &Client, instance: &str, news: &News, step: &Step) -> Result<(), kube::Error> {
    let namespace = &*news.object.name.namespace;
    // Events of cluster-scoped objects live in `default`.
    let api = Api::<Event>::namespaced(client.clone(), if namespace.is_empty() { "default" } else { namespace });
    match step {
        Step::First { name } => api.create(&PostParams::default(), &event(news, name, instance)).await?,
        Step::Again { name, count } => {
            let series = EventSeries { count: *count, last_observed_time: MicroTime(Timestamp::now()) };
            api.patch(name, &PatchParams::default(), &Patch::Merge(json!({ "series": series }))).await?
        }
    };
    Ok(())
}

fn event(news: &News, name: &str, instance: &str) -> Event {
    let Announcement { warning, reason, action, note } = &news.what;
    let mut note = note.clone();
    note.truncate(note.floor_char_boundary(NOTE_BYTES));
    let regarding = reference(news);
    Event {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: regarding.namespace.clone().or_else(|| Some("default".to_owned())),
            ..ObjectMeta::default()
        },
        type_: Some(if *warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some((*reason).to_owned()),
        action: Some((*action).to_owned()),
        note: Some(note),
        event_time: Some(MicroTime(Timestamp::now())),
        regarding: Some(regarding),
        reporting_controller: Some(names::FIELD_MANAGER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        ..Event::default()
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

    fn news(kind: Kind, namespace: &str, problem: &Problem) -> News {
        News {
            object: ObjectKey::new(kind, namespace, "web"),
            uid: Some("1-2".to_owned()),
            what: problem.into(),
            standing: false,
        }
    }

    #[test]
    fn a_note_names_the_field_and_fits() {
        let problem = Problem::error(Reason::ServiceNotFound, "spec.rules[0]", "ü".repeat(2000));
        let event = event(&news(Kind::Ingress, "default", &problem), "web.1", "pod");
        let note = event.note.unwrap();
        assert!(note.starts_with("spec.rules[0]: ") && note.len() <= NOTE_BYTES);
        assert_eq!(event.reason.as_deref(), Some("ServiceNotFound"));
        assert_eq!(event.type_.as_deref(), Some("Warning"));
    }

    #[test]
    fn the_event_is_about_the_object() {
        let problem = Problem::warning(Reason::Conflict, "", "taken");
        let about = reference(&news(Kind::Ingress, "default", &problem));
        assert_eq!(about.api_version.as_deref(), Some("networking.k8s.io/v1"));
        assert_eq!((about.kind.as_deref(), about.namespace.as_deref()), (Some("Ingress"), Some("default")));
        assert_eq!(about.uid.as_deref(), Some("1-2"));

        let news = news(Kind::CiliumClusterwideEnvoyConfig, "", &problem);
        assert_eq!(reference(&news).namespace, None);
        assert_eq!(event(&news, "web.1", "pod").metadata.namespace.as_deref(), Some("default"));
    }
}
