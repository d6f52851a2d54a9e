//! What is wrong in a file, shown as a compiler would: the reason, the line, and a mark under the place.

use std::{collections::BTreeMap, fmt};

use axoneme_operator::{Reason, Severity, file_source::FileProblem, standalone::Located, yaml::Position};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, SourceSpan};
use serde_json::{Value, json};

/// One thing that is wrong, with its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, as it was named.
    pub file: String,
    /// Where in it.
    pub position: Position,
    /// Error or warning.
    pub severity: Severity,
    /// The class of what is wrong, as in conditions and Events.
    pub reason: Reason,
    /// The object, where it is known: `Ingress default/web`.
    pub object: String,
    /// Where in the object; empty for the whole of it.
    pub field: String,
    /// What, why, and what to do.
    pub message: String,
}

/// Everything that is wrong: what cannot be read, then what cannot be served, by place.
///
/// What refers to something that is not there is told with `references`: next to a cluster, it may be there.
pub(crate) fn all(mistakes: &[FileProblem], problems: &[Located], references: Option<Severity>) -> Vec<Finding> {
    let mistakes = mistakes.iter().map(|mistake| Finding {
        file: mistake.location.path.display().to_string(),
        position: mistake.location.position,
        severity: Severity::Error,
        reason: Reason::Invalid,
        object: mistake.object.as_ref().map_or_else(String::new, ToString::to_string),
        field: String::new(),
        message: mistake.message.clone(),
    });
    let problems = problems.iter().map(|Located { location, object, problem }| Finding {
        file: location.as_ref().map_or_else(String::new, |location| location.path.display().to_string()),
        position: location.as_ref().map_or_else(Position::default, |location| location.position),
        severity: references.filter(|_| problem.reason.is_reference()).unwrap_or(problem.severity),
        reason: problem.reason,
        object: object.to_string(),
        field: problem.field.clone(),
        message: problem.message.clone(),
    });
    let mut found: Vec<_> = mistakes.chain(problems).collect();
    found.sort();
    found
}

impl Finding {
    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "file": self.file,
            "line": self.position.line,
            "column": self.position.column,
            "severity": severity(self.severity),
            "reason": self.reason.as_str(),
            "object": self.object,
            "field": self.field,
            "message": self.message,
        })
    }

    /// For people, with the line of the file. `texts` has the files by name.
    pub(crate) fn show(&self, texts: &BTreeMap<String, String>) -> String {
        let text = texts.get(&self.file).map_or("", String::as_str);
        let subject = [self.object.as_str(), self.field.as_str()].into_iter().filter(|part| !part.is_empty());
        let subject = subject.collect::<Vec<_>>().join(" ");
        let title = if subject.is_empty() { self.message.clone() } else { format!("{subject}: {}", self.message) };
        let mut diagnostic = MietteDiagnostic::new(title).with_severity(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        });
        if let Some(span) = span(text, self.position) {
            diagnostic = diagnostic.with_label(LabeledSpan::new_with_span(None, span));
        }
        let report = miette::Report::new(diagnostic).with_source_code(NamedSource::new(&self.file, text.to_owned()));
        let mut shown = String::new();
        // The words that compilers use, in place of signs.
        let mut theme = GraphicalTheme::default();
        (theme.characters.error, theme.characters.warning) = ("error:".to_owned(), "warning:".to_owned());
        // A String takes everything.
        let _ =
            GraphicalReportHandler::new_themed(theme).with_context_lines(1).render_report(&mut shown, report.as_ref());
        shown
    }
}

impl fmt::Display for Finding {
    /// One line, as editors and terminals make clickable: `file:line:column: error: ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, position, severity: how, object, field, message, .. } = self;
        write!(f, "{file}:{}:{}: {}: ", position.line, position.column, severity(*how))?;
        for part in [object, field].into_iter().filter(|part| !part.is_empty()) {
            write!(f, "{part}: ")?;
        }
        f.write_str(message)
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// The word at a position, in bytes.
fn span(text: &str, position: Position) -> Option<SourceSpan> {
    let line_start: usize = text.split_inclusive('\n').take(position.line.checked_sub(1)?).map(str::len).sum();
    let line = text.get(line_start..)?.lines().next()?;
    let column = line.char_indices().nth(position.column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
    let word = line[column..].find([':', ' ', ',', '}', ']']).unwrap_or(line.len() - column);
    Some((line_start + column, word.max(1)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_under_the_word() {
        let text = "a: 1\nspec: {né: two, c: 3}\n";
        let span = span(text, Position { line: 2, column: 8 }).unwrap();
        assert_eq!(&text[span.offset()..span.offset() + span.len()], "né");
    }

    #[test]
    fn a_position_outside_the_text_has_no_mark_or_an_empty_one() {
        assert!(span("a: 1\n", Position { line: 9, column: 1 }).is_none());
        assert!(span("a: 1\n", Position { line: 1, column: 99 }).is_some());
    }
}
