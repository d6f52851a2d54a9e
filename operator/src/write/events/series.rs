//! Which Events are the same: they are counted in the first one, so that what repeats makes no flood. Pure.
//!
//! Two problems of one object are two Events even if they are of one class: the note is part of what makes an Event itself.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Announcement, News};
use crate::ObjectKey;

/// What comes again within so long is the same series, as in Kubernetes' own recorder.
const APART: Duration = Duration::from_secs(360);

/// Bytes of the object's name that the Event's name takes over.
const LONGEST: usize = 200;

/// What to do with an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Create it under this name.
    First { name: String },
    /// Count it in the one of this name.
    Again { name: String, count: i32 },
}

/// The Events of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Series(HashMap<Key, Known>);

/// With its uid: an object that was made anew under the same name has Events of its own, the old ones went with the old one.
type Key = (ObjectKey, Option<String>, Announcement);

#[derive(Debug)]
struct Known {
    name: String,
    count: i32,
    last: Instant,
}

impl Series {
    /// Costs the Events of the last minutes, which are as many as were written.
    pub(super) fn next(&mut self, news: &News, now: Instant) -> Step {
        self.0.retain(|_, known| now.saturating_duration_since(known.last) < APART);
        let key = key(news);
        if let Some(known) = self.0.get_mut(&key) {
            known.count = known.count.saturating_add(1);
            known.last = now;
            return Step::Again { name: known.name.clone(), count: known.count };
        }
        let name = name(news, &digest(&key));
        self.0.insert(key, Known { name: name.clone(), count: 1, last: now });
        Step::First { name }
    }

    /// The first one once more, under another name: one like it was told before, and is no part of this series.
    pub(super) fn anew(&mut self, news: &News, now: SystemTime) -> Step {
        let moment = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = name(news, &format!("{moment:x}"));
        if let Some(known) = self.0.get_mut(&key(news)) {
            known.name.clone_from(&name);
        }
        Step::First { name }
    }

    /// The next one of this kind is a first one.
    pub(super) fn forget(&mut self, news: &News) {
        self.0.remove(&key(news));
    }
}

fn name(news: &News, suffix: &str) -> String {
    // A name has 253 bytes at most.
    let object = news.object.name.name.get(..LONGEST).unwrap_or(&news.object.name.name);
    format!("{}.{suffix}", object.trim_end_matches(['-', '.']))
}

/// The same for the same Event, in every process.
fn digest((object, uid, what): &Key) -> String {
    let Announcement { warning, reason, action, note } = what;
    let text = json!([object.to_string(), uid, warning, reason, action, note]).to_string();
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn key(News { object, uid, what, .. }: &News) -> Key {
    (object.clone(), uid.clone(), what.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn news(note: &str) -> News {
        let what = Announcement { warning: true, reason: "Rejected", action: "Programmed", note: note.to_owned() };
        News { object: ObjectKey::new(Kind::CiliumEnvoyConfig, "default", "a"), uid: None, what, standing: false }
    }

    fn first(step: Step) -> String {
        let Step::First { name } = step else { panic!("{step:?}") };
        name
    }

    #[test]
    fn another_process_would_give_the_same_name_and_another_problem_another() {
        let now = Instant::now();
        let name = |text: &str| first(Series::default().next(&news(text), now));
        assert_eq!(name("bad regex"), name("bad regex"));
        assert_ne!(name("bad regex"), name("another"));
        let mut with_uid = news("bad regex");
        with_uid.uid = Some("u".to_owned());
        assert_ne!(first(Series::default().next(&with_uid, now)), name("bad regex"));
        assert!(name("bad regex").starts_with("a."), "it is the object's");
    }

    #[test]
    fn what_was_told_by_another_process_begins_a_series_of_its_own() {
        let (mut series, now) = (Series::default(), Instant::now());
        let taken = first(series.next(&news("bad regex"), now));
        let own = first(series.anew(&news("bad regex"), SystemTime::now()));
        assert_ne!(own, taken);
        assert_eq!(series.next(&news("bad regex"), now), Step::Again { name: own, count: 2 });
    }

    #[test]
    fn what_repeats_is_counted_and_what_differs_stands_for_itself() {
        let (mut series, mut now) = (Series::default(), Instant::now());
        let Step::First { name: first } = series.next(&news("bad regex"), now) else { panic!() };
        now += APART / 2;
        assert_eq!(series.next(&news("bad regex"), now), Step::Again { name: first.clone(), count: 2 });
        assert!(matches!(series.next(&news("another bad regex"), now), Step::First { .. }));
        now += APART / 2;
        assert_eq!(series.next(&news("bad regex"), now), Step::Again { name: first, count: 3 });
        now += APART;
        assert!(matches!(series.next(&news("bad regex"), now), Step::First { .. }));
    }

    #[test]
    fn an_object_that_was_made_anew_has_events_of_its_own() {
        let (mut series, now) = (Series::default(), Instant::now());
        series.next(&news("a"), now);
        let again = News { uid: Some("another".to_owned()), ..news("a") };
        assert!(matches!(series.next(&again, now), Step::First { .. }));
    }

    #[test]
    fn an_event_that_was_not_written_is_tried_as_a_new_one() {
        let (mut series, now) = (Series::default(), Instant::now());
        series.next(&news("a"), now);
        series.forget(&news("a"));
        assert!(matches!(series.next(&news("a"), now), Step::First { .. }));
    }
}
