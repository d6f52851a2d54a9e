//! YAML to JSON, remembering where everything stands, so that a mistake can be shown with file and line.
//!
//! The one module that knows which YAML library is used. The library gives events; what is made of them is bounded, so that
//! no text, however it is nested and whatever its aliases stand for, takes more than a small multiple of its length.

use saphyr_parser::Parser;
use serde_json::Value;

mod build;
mod positions;

pub use positions::Positions;

use build::Builder;

/// A place in a text, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl Default for Position {
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

/// One document of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it says.
    pub value: Value,
    /// Where it says so.
    pub positions: Positions,
}

/// A text that is not YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {reason}", position.line, position.column)]
pub struct SyntaxError {
    /// Where the parser gave up.
    pub position: Position,
    /// Why.
    pub reason: String,
}

/// Reads every document of a text. Empty ones (two `---` with nothing between) are left out.
///
/// # Errors
///
/// The first place that is not YAML, has a key twice, or is of no use in JSON.
pub fn parse(text: &str) -> Result<Vec<Document>, SyntaxError> {
    let (mut parser, mut builder) = (Parser::new_from_str(text), Builder::default());
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| SyntaxError { position: place(error.marker()), reason: error.info().to_owned() })?;
        builder.take(event, place(&span.start))?;
    }
    Ok(builder.documents)
}

fn place(marker: &saphyr_parser::Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment
kind: Ingress
spec:
  rules:
    - host: a.example
      http:
        paths: [{path: /a, pathType: Exact}]
metadata:
  annotations:
    a.b/c_D: \"yes\"
---
---
kind: List
";

    fn at(positions: &Positions, path: &str) -> (usize, usize) {
        let Position { line, column } = positions.find(path);
        (line, column)
    }

    #[test]
    fn fields_are_found_by_path() {
        let documents = parse(TEXT).unwrap();
        assert_eq!(documents.len(), 2);
        let positions = &documents[0].positions;
        assert_eq!(at(positions, "kind"), (2, 1));
        assert_eq!(at(positions, "spec.rules[0].host"), (5, 7));
        assert_eq!(at(positions, "spec.rules[0].http.paths[0].pathType"), (7, 28));
        assert_eq!(at(positions, "spec.rules[0].http.paths[0].path_type"), (7, 28));
        assert_eq!(at(positions, "metadata.annotations[\"a.b/c_D\"]"), (10, 5));
        assert_eq!(at(&documents[1].positions, "kind"), (13, 1));
    }

    #[test]
    fn what_is_missing_is_looked_for_around() {
        let documents = parse(TEXT).unwrap();
        assert_eq!(at(&documents[0].positions, "spec.rules[0].http.paths[7].backend.service"), (7, 9));
        let part = documents[0].positions.part("spec.rules[0]");
        assert_eq!(at(&part, "host"), (5, 7));
        assert_eq!(at(&part, "nothing.of.that"), (5, 7));
    }

    #[test]
    fn a_mistake_has_line_and_column() {
        let error = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.position.line >= 2, "{error}");
        let twice = parse("a: 1\na: 2\n").unwrap_err();
        assert_eq!(twice.position.line, 2, "{twice}");
    }

    #[test]
    fn anchors_and_quoted_numbers_mean_what_yaml_says() {
        let documents = parse("a: &x {n: 80}\nb: *x\nc: \"80\"\nd: !!str 80\ne: 0x10\n").unwrap();
        let expected = serde_json::json!({ "a": {"n": 80}, "b": {"n": 80}, "c": "80", "d": "80", "e": 16 });
        assert_eq!(documents[0].value, expected);
    }

    #[test]
    fn nesting_has_an_end() {
        for text in ["- ".repeat(100_000), "[".repeat(100_000), "a: ".repeat(100_000), "? ".repeat(100_000)] {
            let error = parse(&text).unwrap_err();
            assert_eq!(error.position.line, 1, "{error}");
        }
        let deep = format!("{}x{}", "[".repeat(128), "]".repeat(128));
        assert_eq!(parse(&deep).unwrap().len(), 1);
    }

    #[test]
    fn aliases_do_not_multiply_without_end() {
        let list = |n: u32| format!("- &l{n} [{}]\n", vec![format!("*l{}", n - 1); 9].join(","));
        let bomb = |n| format!("- &l0 [x]\n{}", (1..n).map(list).collect::<String>());
        assert_eq!(parse(&bomb(4)).unwrap().len(), 1);
        assert!(parse(&bomb(9)).unwrap_err().reason.contains("aliases"));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(10_000), vec!["*a"; 10_000].join(","));
        assert!(parse(&long).unwrap_err().reason.contains("aliases"));
        let anchors = format!("{}x{}", "[&a ".repeat(100), "]".repeat(100)).replace('x', &"1,".repeat(10_000));
        assert!(parse(&anchors).unwrap_err().reason.contains("anchors"));
        for nothing in ["a: &a [*a]", "a: *b", "a: &x 1\n---\nb: *x\n"] {
            assert!(parse(nothing).is_err(), "{nothing}");
        }
    }

    #[test]
    fn a_long_key_is_kept_once() {
        let text = format!("\"{}\": [{}]\n", "k".repeat(1000), vec!["1"; 300_000].join(","));
        let documents = parse(&text).unwrap();
        assert_eq!(documents[0].positions.find(&format!("{}[299999]", "k".repeat(1000))).line, 1);
    }

    #[test]
    fn a_path_may_have_any_key_in_it() {
        let documents = parse("spec:\n  services:([{name: right\n  a]b[: 1\n").unwrap();
        let positions = &documents[0].positions;
        // Not found exactly, for no path can say which bracket is part of a key; but near.
        for odd in ["spec.services:([{name", "spec.a]b[", "spec.[", "spec[\"", "spec..[[", "[", ".", "[]["] {
            assert_eq!(at(positions, odd), (1, 1), "{odd}");
        }
    }
}
