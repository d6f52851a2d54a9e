//! What is asked of a case, and all that is wrong with it.

use std::fmt::Write as _;

use axoneme_testnet::wait_until;
use serde_json::Value;

use crate::{
    ask,
    case::{Afterwards, Case, Told},
    client::{self, Question},
    compare,
    stage::{SOON, Stage},
};

/// Judges a case.
///
/// # Errors
/// Everything that is not as the case says, for people.
pub(crate) fn judge(stage: &Stage, case: &Case) -> Result<(), String> {
    let mut wrong = validated(stage, case);
    if case.said.refused.is_empty() {
        wrong.extend(programmed(stage, case));
        wrong.extend(asked(stage, case));
        wrong.extend(case.said.afterwards.iter().filter_map(|wanted| afterwards(stage, case, wanted)));
    } else {
        wrong.extend(refused(stage, case));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// `axonctl validate` says what the case says, and nothing else.
fn validated(stage: &Stage, case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for (severity, told) in [("error", &case.said.refused), ("warning", &case.said.warnings)] {
        let found: Vec<_> = stage.findings(case).filter(|finding| finding["severity"] == severity).collect();
        let is = |finding: &&Value, told: &Told| {
            let message = finding["message"].as_str().unwrap_or_default();
            finding["field"] == told.field.as_str() && message.contains(&told.says)
        };
        let same = found.len() == told.len() && told.iter().all(|told| found.iter().any(|finding| is(finding, told)));
        if !same {
            let mut text = format!("axonctl validate: expected as {severity} {told:#?}\nfound");
            for finding in found {
                let _ = write!(text, "\n- field: {}\n  says: {}", finding["field"], finding["message"]);
            }
            wrong.push(text);
        }
    }
    wrong
}

/// The running mesh said the same of the file, and serves nothing of it.
fn refused(stage: &Stage, case: &Case) -> Vec<String> {
    let start = format!("{}:", stage.file(case));
    let errors = |log: &str| -> Vec<String> {
        log.lines().filter(|line| line.starts_with(&start) && line.contains(": error: ")).map(str::to_owned).collect()
    };
    let refused = &case.said.refused;
    let is_said = |errors: &[String]| {
        let says = |error: &String, told: &Told| error.contains(&told.field) && error.contains(&told.says);
        errors.len() == refused.len() && refused.iter().all(|told| errors.iter().any(|error| says(error, told)))
    };
    let mut wrong = Vec::new();
    if wait_until("words", SOON, || Ok(is_said(&errors(&stage.log())))).is_err() {
        wrong.push(format!("axonctl up: expected as errors {refused:#?}\nfound\n{}", errors(&stage.log()).join("\n")));
    }
    let prefix = format!("{}/", case.namespace);
    let status = stage.status();
    let served = status.redirects.keys().chain(status.listeners.keys()).filter(|name| name.starts_with(&prefix));
    wrong.extend(served.map(|name| format!("{name} is served, although the config is refused")));
    wrong
}

/// The node runs all of it, and Envoy refused nothing.
fn programmed(stage: &Stage, case: &Case) -> Vec<String> {
    let is_own = |name: &str| name.trim_start_matches('/').starts_with(&format!("{}/", case.namespace));
    let rejections = stage.status().rejections;
    let refused = rejections.iter().filter(|(name, _)| is_own(name));
    let mut wrong: Vec<_> = refused.map(|(name, why)| format!("{name} is refused: {why}")).collect();
    for config in case.configs() {
        let runs = format!("runs     {config}");
        if wait_until("words", SOON, || Ok(stage.log().lines().any(|line| line == runs))).is_err() {
            wrong.push(format!("axonctl up did not say that it {runs}"));
        }
    }
    wrong
}

/// Makes every ask, from the client's pod.
fn asked(stage: &Stage, case: &Case) -> Vec<String> {
    let all = async {
        let mut wrong = Vec::new();
        for (at, it) in case.said.asks.iter().enumerate() {
            let redirect = ask::redirect(case, it);
            let Some(to) = stage.address(&redirect, it.ipv6) else {
                wrong.push(format!("asks[{at}] {}: {redirect} is not served", it.ask));
                continue;
            };
            wrong.extend(ask::run(case, at, it, to, stage.tls(case, it.certificate.as_deref())).await);
        }
        wrong
    };
    in_client_pod(stage, all)
}

fn in_client_pod<T: Send>(stage: &Stage, work: impl Future<Output = T> + Send) -> T {
    let inside = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work)
    };
    stage.client.enter(inside).unwrap()
}

/// What does not come to be so.
fn afterwards(stage: &Stage, case: &Case, wanted: &Afterwards) -> Option<String> {
    let look = || match &wanted.pod {
        None => (Value::from(stage.log()), Value::Null),
        Some(pod) => {
            let ask = |path: String| in_client_pod(stage, client::ask(Question::get(stage.pod(pod), &path)));
            let seen = ask(format!("/seen/{}", case.namespace));
            (ask("/log".to_owned())["text"].clone(), seen["saw"].clone())
        }
    };
    let is_so = || {
        let (log, seen) = look();
        let logged = wanted
            .log
            .as_ref()
            .is_none_or(|log_line| compare::differences(&Value::from(log_line.as_str()), &log).is_empty());
        logged && wanted.seen.as_ref().is_none_or(|wanted| seen == *wanted)
    };
    let waited = wait_until("it", SOON, || Ok(is_so()));
    waited.is_err().then(|| format!("afterwards: expected {wanted:?}, the last look gave {:?}", look()))
}
