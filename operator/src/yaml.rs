//! YAML to JSON, remembering where everything stands, so that a mistake can be shown with file and line.
//!
//! The one module that knows which YAML library is used.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Number, Value};

/// A place in a text, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// One document of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it says.
    pub value: Value,
    /// Where it says so.
    pub positions: Positions,
}

/// Where the fields of a document, or of a part of it, stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<String, Position>);

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
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| SyntaxError { position: place(error.marker()), reason: error.info().to_owned() })?;
    let mut read = Vec::new();
    for document in &documents {
        let mut positions = Positions::default();
        let value = convert(document, &mut String::new(), &mut positions)?;
        if !value.is_null() {
            read.push(Document { value, positions });
        }
    }
    Ok(read)
}

fn place(marker: &saphyr::Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

fn convert(node: &MarkedYaml<'_>, path: &mut String, positions: &mut Positions) -> Result<Value, SyntaxError> {
    let here = place(&node.span.start);
    positions.0.entry(path.clone()).or_insert(here);
    match &node.data {
        YamlData::Value(scalar) => Ok(convert_scalar(scalar)),
        YamlData::Sequence(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (at, item) in items.iter().enumerate() {
                list.push(within(path, &format!("[{at}]"), |path| convert(item, path, positions))?);
            }
            Ok(Value::Array(list))
        }
        YamlData::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let (name, at) = (key_text(key)?, place(&key.span.start));
                let value = within(path, &step(&name), |path| {
                    // The key is what a person looks for, not the value that may begin lines further down.
                    positions.0.insert(path.clone(), at);
                    convert(value, path, positions)
                })?;
                map.insert(name, value);
            }
            Ok(Value::Object(map))
        }
        YamlData::Tagged(_, node) => convert(node, path, positions),
        YamlData::Representation(text, ..) => Ok(Value::String(text.to_string())),
        YamlData::Alias(_) | YamlData::BadValue => {
            Err(SyntaxError { position: here, reason: "this value cannot be understood".to_owned() })
        }
    }
}

fn convert_scalar(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(it) => Value::Bool(*it),
        Scalar::Integer(it) => Value::Number(Number::from(*it)),
        Scalar::FloatingPoint(it) => Number::from_f64(it.into_inner()).map_or(Value::Null, Value::Number),
        Scalar::String(it) => Value::String(it.to_string()),
    }
}

fn key_text(key: &MarkedYaml<'_>) -> Result<String, SyntaxError> {
    let unusable = || SyntaxError { position: place(&key.span.start), reason: "a key must be a text".to_owned() };
    match &key.data {
        YamlData::Value(Scalar::String(text)) => Ok(text.to_string()),
        YamlData::Value(Scalar::Null) => Err(unusable()),
        YamlData::Value(scalar) => Ok(convert_scalar(scalar).to_string()),
        _ => Err(unusable()),
    }
}

fn within<T>(path: &mut String, step: &str, then: impl FnOnce(&mut String) -> T) -> T {
    let length = path.len();
    path.push_str(step);
    let result = then(path);
    path.truncate(length);
    result
}

/// One step of a normalised path. Envoy's fields are written `filter_chains` or `filterChains`, and told either way.
fn step(key: &str) -> String {
    let plain = key.chars().filter(|c| *c != '_').flat_map(char::to_lowercase);
    std::iter::once('.').chain(plain).collect()
}

/// The steps of a path as problems name it: `spec.rules[0].host`, `metadata.annotations["a.b/c"].d`.
fn steps(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let after = rest.strip_prefix('.').unwrap_or(rest);
        if let Some((key, more)) = after.strip_prefix("[\"").and_then(|quoted| quoted.split_once("\"]")) {
            steps.push(step(key));
            rest = more;
        } else if let Some((index, more)) = after.strip_prefix('[').and_then(|index| index.split_once(']')) {
            steps.push(format!("[{index}]"));
            rest = more;
        } else {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (key, more) = after.split_at(end);
            steps.push(step(key));
            rest = more;
        }
    }
    steps
}

impl Positions {
    /// Where a field stands; when it is not there (it is missing, say), the nearest one around it.
    #[must_use]
    pub fn find(&self, path: &str) -> Position {
        let mut steps = steps(path);
        loop {
            if let Some(position) = self.0.get(&steps.concat()) {
                return *position;
            }
            if steps.pop().is_none() {
                return Position { line: 1, column: 1 };
            }
        }
    }

    /// The positions of a part, with paths that begin there.
    #[must_use]
    pub fn part(&self, path: &str) -> Self {
        let prefix = steps(path).concat();
        let from = self.0.range(prefix.clone()..);
        let inside = from.map_while(|(path, at)| Some((path.strip_prefix(&prefix)?.to_owned(), *at)));
        Self(inside.filter(|(rest, _)| rest.is_empty() || rest.starts_with(['.', '['])).collect())
    }
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
}
