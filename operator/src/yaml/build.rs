//! Events of the parser to documents.

use std::{borrow::Cow, collections::BTreeMap};

use saphyr::Scalar;
use saphyr_parser::{Event, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

use super::{Document, Position, Positions, SyntaxError};

/// Lists and objects inside each other: as many as JSON from the API server may have.
const DEPTH: usize = 128;

/// What has an anchor, and what aliases stand for, in all: values, and bytes of strings.
const COPIES: usize = 1 << 18;

/// What was read so far.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) documents: Vec<Document>,
    /// The collections around the next event.
    open: Vec<Collection>,
    /// What has an anchor in this document.
    anchors: BTreeMap<usize, Node>,
    /// How much was copied for anchors and aliases.
    copied: usize,
}

/// Something that is complete.
#[derive(Clone)]
struct Node {
    value: Value,
    positions: Positions,
    /// The values in it, and the bytes of its strings.
    size: usize,
}

/// A list or an object that has begun.
struct Collection {
    node: Node,
    anchor: usize,
    /// The key that the next value is of, and where it stands.
    key: Option<(String, Position)>,
}

impl Builder {
    pub(super) fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::SequenceStart(anchor, _) => self.begin(Value::Array(Vec::new()), anchor, at),
            Event::MappingStart(anchor, _) => self.begin(Value::Object(Map::new()), anchor, at),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Collection { node, anchor, .. }) => self.complete(node, anchor),
                None => Ok(()),
            },
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(text, style, tag.as_ref()).ok_or_else(|| unusable(at))?;
                let size = 1 + value.as_str().map_or(0, str::len);
                self.complete(Node { value, positions: Positions::new(at), size }, anchor)
            }
            Event::Alias(anchor) => {
                let mut node = self.anchors.get(&anchor).ok_or_else(|| unusable(at))?.clone();
                self.count_copy(&node)?;
                node.positions.at = at;
                self.complete(node, 0)
            }
            Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => Ok(()),
        }
    }

    fn begin(&mut self, value: Value, anchor: usize, at: Position) -> Result<(), SyntaxError> {
        if self.open.len() == DEPTH {
            return Err(error(at, &format!("more than {DEPTH} lists and objects inside each other")));
        }
        let node = Node { value, positions: Positions::new(at), size: 1 };
        self.open.push(Collection { node, anchor, key: None });
        Ok(())
    }

    fn count_copy(&mut self, node: &Node) -> Result<(), SyntaxError> {
        self.copied += node.size;
        if self.copied > COPIES {
            return Err(error(node.positions.at, "the anchors and aliases of this file stand for too much"));
        }
        Ok(())
    }

    /// Puts a node where it belongs: into what is open, as a key or a value, or among the documents.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if anchor > 0 {
            self.count_copy(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(collection) => return collection.take(node),
            None if !node.value.is_null() => {
                self.documents.push(Document { value: node.value, positions: node.positions });
            }
            None => {}
        }
        Ok(())
    }
}

impl Collection {
    fn take(&mut self, mut part: Node) -> Result<(), SyntaxError> {
        self.node.size += part.size;
        match &mut self.node.value {
            Value::Array(items) => {
                self.node.positions.item(items.len(), part.positions);
                items.push(part.value);
            }
            Value::Object(fields) => match self.key.take() {
                None => self.key = Some((key(&part)?, part.positions.at)),
                Some((key, at)) => {
                    if fields.contains_key(&key) {
                        return Err(error(at, "this key is there twice"));
                    }
                    // The key is what a person looks for, not the value that may begin lines further down.
                    part.positions.at = at;
                    self.node.positions.field(&key, part.positions);
                    fields.insert(key, part.value);
                }
            },
            _ => {}
        }
        Ok(())
    }
}

fn key(node: &Node) -> Result<String, SyntaxError> {
    match &node.value {
        Value::String(text) => Ok(text.clone()),
        scalar @ (Value::Bool(_) | Value::Number(_)) => Ok(scalar.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(error(node.positions.at, "a key must be a text")),
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Cow<'_, Tag>>) -> Option<Value> {
    // A tag of somebody's own changes nothing.
    let tag = tag.filter(|tag| tag.is_yaml_core_schema());
    let value = match Scalar::parse_from_cow_and_metadata(text, style, tag)? {
        Scalar::Null => Value::Null,
        Scalar::Boolean(it) => Value::Bool(it),
        Scalar::Integer(it) => Value::Number(Number::from(it)),
        Scalar::FloatingPoint(it) => Number::from_f64(it.into_inner()).map_or(Value::Null, Value::Number),
        Scalar::String(it) => Value::String(it.into_owned()),
    };
    Some(value)
}

fn unusable(at: Position) -> SyntaxError {
    error(at, "this value cannot be understood")
}

fn error(position: Position, reason: &str) -> SyntaxError {
    SyntaxError { position, reason: reason.to_owned() }
}
