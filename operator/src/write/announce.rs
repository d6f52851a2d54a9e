//! Status as Events, for objects whose definition has no status. Only changes of state are told: progress is not.

use std::collections::BTreeMap;

use super::events::Announcement;
use crate::{
    ObjectKey,
    engine::{
        ConditionDraft, ConfigStatus,
        status::{PROGRAMMED, ProgrammedReason},
    },
};

/// Objects whose state is remembered. Beyond it one is told again, which is no harm.
const REMEMBERED: usize = 8192;

/// What was told of each object last.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<ObjectKey, State>);

#[derive(Debug, Default)]
struct State {
    uid: Option<String>,
    /// Condition type to status and reason.
    shown: BTreeMap<&'static str, (&'static str, &'static str)>,
}

impl Told {
    /// What is new about an object, and whether that may have been told before by another replica.
    ///
    /// A healthy object has one Event, `Programmed`. Why it is not accepted, or what it names in vain, is told as problems
    /// anyway; here only that they are solved.
    pub(super) fn news(&mut self, object: &ObjectKey, status: &ConfigStatus) -> Vec<(Announcement, bool)> {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(object) {
            self.0.pop_first();
        }
        let state = self.0.entry(object.clone()).or_default();
        if state.uid != status.uid {
            *state = State { uid: status.uid.clone(), shown: BTreeMap::new() };
        }
        let mut news = Vec::new();
        for condition in &status.conditions {
            let now = (condition.status, condition.reason);
            let before = state.shown.insert(condition.type_, now);
            if before != Some(now) && is_worth_telling(condition, before.map(|(status, _)| status)) {
                news.push((announcement(condition), before.is_none()));
            }
        }
        news
    }
}

fn is_worth_telling(condition: &ConditionDraft, before: Option<&str>) -> bool {
    if condition.type_ == PROGRAMMED {
        condition.reason != ProgrammedReason::Pending.as_str()
    } else {
        condition.status == "True" && before == Some("False")
    }
}

fn announcement(condition: &ConditionDraft) -> Announcement {
    Announcement {
        warning: condition.status == "False",
        reason: condition.reason,
        action: condition.type_,
        note: condition.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn status(programmed: (&'static str, &'static str), accepted: &'static str, message: &str) -> ConfigStatus {
        let draft = |type_, (status, reason), message: &str| ConditionDraft {
            type_,
            status,
            reason,
            message: message.to_owned(),
            since: None,
        };
        let accepted = draft("Accepted", (accepted, if accepted == "True" { "Accepted" } else { "Invalid" }), "");
        let conditions = vec![accepted, draft(PROGRAMMED, programmed, message)];
        ConfigStatus { uid: Some("u".to_owned()), observed_generation: None, nodes: String::new(), conditions }
    }

    fn told(told: &mut Told, status: &ConfigStatus) -> Vec<String> {
        let news = told.news(&ObjectKey::new(Kind::CiliumEnvoyConfig, "default", "a"), status);
        news.into_iter().map(|(it, _)| format!("{} {} {}", it.warning, it.reason, it.note)).collect()
    }

    const PENDING: (&str, &str) = ("False", "Pending");
    const DONE: (&str, &str) = ("True", "Programmed");
    const REFUSED: (&str, &str) = ("False", "Rejected");

    #[test]
    fn a_healthy_rollout_is_one_event() {
        let mut memory = Told::default();
        for count in 0..100 {
            let message = format!("{count}/100 nodes");
            assert_eq!(told(&mut memory, &status(PENDING, "True", &message)), Vec::<String>::new());
        }
        assert_eq!(told(&mut memory, &status(DONE, "True", "100/100 nodes")), ["false Programmed 100/100 nodes"]);
        assert_eq!(told(&mut memory, &status(DONE, "True", "101/101 nodes")), Vec::<String>::new());
    }

    #[test]
    fn a_refusal_is_told_and_so_is_its_end() {
        let mut memory = Told::default();
        assert_eq!(told(&mut memory, &status(REFUSED, "True", "n1 refused")), ["true Rejected n1 refused"]);
        assert_eq!(told(&mut memory, &status(REFUSED, "False", "n1, n2 refused")), Vec::<String>::new());
        assert_eq!(told(&mut memory, &status(DONE, "True", "2/2")), ["false Accepted ", "false Programmed 2/2"]);
        let mut again = status(DONE, "True", "2/2");
        again.uid = Some("another object of that name".to_owned());
        assert_eq!(told(&mut memory, &again), ["false Programmed 2/2"]);
    }
}
