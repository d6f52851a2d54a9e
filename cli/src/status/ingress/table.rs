//! The answer as a table for people, in the manner of `kubectl get`.

use axoneme_operator::Severity;

use super::{
    Answer,
    row::{Certificate, Row},
};

const HEAD: [&str; 8] = ["NAMESPACE", "NAME", "CLASS", "MODE", "HOSTS", "ADDRESS", "TLS", "PROBLEMS"];
/// Of a list, so many stand in a cell.
const SHOWN: usize = 2;

pub(super) fn text(answer: &Answer) -> String {
    let mut text = if answer.ingresses.is_empty() {
        "no Ingress is one of the mesh\n".to_owned()
    } else {
        table(answer.ingresses.iter().map(cells))
    };
    text.extend(answer.ingresses.iter().map(details));
    text.extend(answer.notes.iter().map(|note| format!("\nnote: {note}\n")));
    text
}

/// Columns as wide as their widest cell.
fn table(rows: impl Iterator<Item = [String; HEAD.len()]>) -> String {
    let rows: Vec<_> = std::iter::once(HEAD.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; HEAD.len()]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn cells(row: &Row) -> [String; HEAD.len()] {
    let tls: Vec<_> = row.tls.iter().map(|it| certificate(row, it)).collect();
    let problems = if row.problems.is_empty() { "-".to_owned() } else { row.problems.len().to_string() };
    let (hosts, addresses) = (list(&row.hosts), list(&row.addresses));
    let mode = row.mode.to_owned();
    [row.namespace.clone(), row.name.clone(), row.class.clone(), mode, hosts, addresses, list(&tls), problems]
}

/// The Secret, without the namespace that stands in the row anyway.
fn certificate(row: &Row, certificate: &Certificate) -> String {
    let secret = certificate.secret.as_deref().unwrap_or("none");
    let own = secret.strip_prefix(&row.namespace).and_then(|rest| rest.strip_prefix('/'));
    let state = match (certificate.usable, &certificate.why) {
        (true, None) => "",
        (true, Some(_)) => "(last good)",
        (false, _) => "(unusable)",
    };
    format!("{}{state}", own.unwrap_or(secret))
}

fn list(all: &[String]) -> String {
    match all {
        [] => "-".to_owned(),
        _ if all.len() <= SHOWN => all.join(","),
        _ => format!("{},+{}", all[..SHOWN].join(","), all.len() - SHOWN),
    }
}

/// What does not fit into cells.
fn details(row: &Row) -> String {
    let problems = row.problems.iter().map(|problem| {
        let severity = if problem.severity == Severity::Error { "error  " } else { "warning" };
        let place = if problem.field.is_empty() { String::new() } else { format!("{}: ", problem.field) };
        format!("  {severity}  {}: {place}{}\n", problem.reason, problem.message)
    });
    let events = row.events.iter().map(|event| {
        let last = event.last.as_deref().unwrap_or("-");
        format!("  event    {last}  {}x {} {}: {}\n", event.count, event.type_, event.reason, event.message)
    });
    let lines: String = problems.chain(events).collect();
    if lines.is_empty() { lines } else { format!("\n{}/{}\n{lines}", row.namespace, row.name) }
}
