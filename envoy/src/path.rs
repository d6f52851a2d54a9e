//! The path of the field that is being looked at, as one string that grows and shrinks with the walk.

use std::fmt::{self, Write as _};

/// The longest name or key that stands in a path whole, in bytes. Each problem has a path, so a key of a megabyte would be
/// there once for each of them.
const LONGEST: usize = 200;

/// Where a walk stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn new(root: &str) -> Self {
        Self(root.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the walk stands, to come back to with [`Path::back`].
    pub(crate) fn mark(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn back(&mut self, mark: usize) {
        self.0.truncate(mark);
    }

    pub(crate) fn field(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(short(name));
    }

    pub(crate) fn index(&mut self, index: usize) {
        self.write(format_args!("[{index}]"));
    }

    pub(crate) fn key(&mut self, key: &str) {
        self.write(format_args!("[{:?}]", short(key)));
    }

    /// The path of a field of the current message, without going there.
    pub(crate) fn to(&self, field: &str) -> String {
        let mut path = self.clone();
        path.field(field);
        path.0
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
    }
}

/// The beginning of what somebody wrote.
fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}
