//! One [`Ask`] of a case: made as often as it says, and what came held against what is expected.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Instant,
};

use serde_json::Value;

use crate::{
    case::{Ask, Case},
    client::{self, Question, Scheme},
    compare,
    stage::SOON,
};

/// Where an ask goes: the redirect `namespace/service:port`, of which the address is yet to be looked up.
pub(crate) fn redirect(case: &Case, ask: &Ask) -> String {
    let url = url(ask);
    let host = url.host().unwrap();
    let (service, namespace) = host.split_once('.').unwrap_or((host, &case.namespace));
    let port = url.port_u16().unwrap_or(if Scheme::of(&url).is_secure() { 443 } else { 80 });
    format!("{namespace}/{service}:{port}")
}

fn url(ask: &Ask) -> hyper::Uri {
    let text = ask.ask.rsplit(' ').next().unwrap();
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Asks, and tells everything that is not as expected.
pub(crate) async fn run(case: &Case, at: usize, ask: &Ask, to: SocketAddr, tls: client::Tls) -> Vec<String> {
    let end = Instant::now() + SOON;
    loop {
        let wrong = judge(ask, &answers(case, at, ask, to, &tls).await);
        if wrong.is_empty() || !ask.eventually || Instant::now() > end {
            return wrong.into_iter().map(|wrong| format!("asks[{at}] {}: {wrong}", ask.ask)).collect();
        }
    }
}

async fn answers(case: &Case, at: usize, ask: &Ask, to: SocketAddr, tls: &client::Tls) -> Vec<Value> {
    if ask.at_once {
        let all = (0..ask.times).map(|nth| client::ask(question(case, at, ask, to, tls, nth)));
        return futures::future::join_all(all).await;
    }
    let (mut answers, mut cookies) = (Vec::new(), None);
    for nth in 0..ask.times {
        let mut question = question(case, at, ask, to, tls, nth);
        question.headers.extend(cookies.clone().map(|cookies| ("cookie".to_owned(), cookies)));
        let answer = client::ask(question).await;
        if let Some(cookie) = answer["headers"]["set-cookie"].as_str().filter(|_| ask.cookies) {
            cookies = cookie.split(';').next().map(str::to_owned);
        }
        answers.push(answer);
    }
    answers
}

/// The `nth` request of an ask. `x-case` and `x-ask` let the backends tell requests apart.
fn question(case: &Case, at: usize, ask: &Ask, to: SocketAddr, tls: &client::Tls, nth: usize) -> Question {
    let (url, mut headers) = (url(ask), ask.headers.clone());
    headers.insert("x-case".to_owned(), case.namespace.clone());
    headers.insert("x-ask".to_owned(), format!("{}/{at}/{nth}", case.namespace));
    Question {
        to,
        method: ask.ask.split_once(' ').map_or("GET", |(method, _)| method).to_owned(),
        host: ask.host.clone().unwrap_or_else(|| url.host().unwrap().to_owned()),
        url,
        headers,
        body: ask.body.clone(),
        lines: ask.lines,
        http2: ask.http2,
        tls: tls.clone(),
    }
}

fn judge(ask: &Ask, answers: &[Value]) -> Vec<String> {
    let mut expected = ask.expect.clone();
    let told = |name: &str| ask.expect.contains_key(name) || ask.counts.contains_key(name);
    // An answer is a good one unless said otherwise.
    if let Some(good) = Scheme::of(&url(ask)).good_status().filter(|_| !told("status") && !told("error")) {
        expected.insert("status".to_owned(), good.into());
    }
    let expected = Value::Object(expected);
    let mut wrong: Vec<String> = Vec::new();
    for (nth, answer) in answers.iter().enumerate() {
        let mut differences = compare::differences(&expected, answer);
        if answer["milliseconds"].as_u64().is_some_and(|took| took < ask.at_least_milliseconds) {
            differences.push(format!("it was there before {} milliseconds", ask.at_least_milliseconds));
        }
        if !differences.is_empty() {
            wrong.push(format!("answer {nth}: {}; it was {answer:#}", differences.join("; ")));
            break;
        }
    }
    for (field, wanted) in &ask.counts {
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        answers.iter().for_each(|answer| *counted.entry(text(answer, field)).or_default() += 1);
        let all = wanted.iter().all(|(value, count)| count.holds(counted.get(value).copied().unwrap_or_default()));
        if !all || counted.keys().any(|value| !wanted.contains_key(value)) {
            let last = answers.last().unwrap_or(&Value::Null);
            wrong.push(format!("{field} is so often: {counted:?}, expected {wanted:?}; the last answer was {last:#}"));
        }
    }
    for (field, wanted) in &ask.different {
        let values: BTreeSet<_> = answers.iter().map(|answer| text(answer, field)).collect();
        if !wanted.holds(values.len()) {
            wrong.push(format!("{field} has the values {values:?}, expected {wanted:?} different ones"));
        }
    }
    wrong
}

/// A field of an answer, `headers.x-a` for deeper ones; `none` if it is not there.
fn text(answer: &Value, field: &str) -> String {
    match field.split('.').fold(answer, |value, step| &value[step]) {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
