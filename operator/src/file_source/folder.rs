//! What a folder of YAML says, file by file. Pure: texts in, events and mistakes out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::manifest::{self, Found, Manifest};
use crate::source::{Kind, Object, ObjectKey, SourceEvent};
use crate::yaml::{self, Position};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, as the folder was named.
    pub path: PathBuf,
    /// Where in it.
    pub position: Position,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.position.line, self.position.column)
    }
}

/// Something in a file that cannot be used as it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileProblem {
    /// Where.
    pub location: Location,
    /// The object, when it is known.
    pub object: Option<ObjectKey>,
    /// What is wrong, and what stays in force.
    pub message: String,
}

/// An object of a kind that the mesh does not read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ignored {
    /// Where.
    pub location: Location,
    /// As written.
    pub kind: String,
    /// As written.
    pub name: String,
}

#[derive(Debug, Default)]
struct File {
    manifests: Vec<Manifest>,
    ignored: Vec<(String, String, Position)>,
    mistakes: Vec<(Option<ObjectKey>, String, Position)>,
}

/// The state of a folder.
#[derive(Debug, Default)]
pub struct Folder {
    files: BTreeMap<PathBuf, File>,
    /// Files that define an object; the first one counts.
    definitions: BTreeMap<ObjectKey, BTreeSet<PathBuf>>,
    /// What was told last of each object.
    told: BTreeMap<ObjectKey, Object>,
}

impl Folder {
    /// Takes a file's text in, or `None` when the file is gone. Gives one event for each object that changed by it.
    ///
    /// A text that is no YAML changes nothing but the list of problems: what the file said before stays in force. So does
    /// the last good version of an object that cannot be read while the rest of its file can.
    pub fn update(&mut self, path: &Path, text: Option<&str>) -> Vec<SourceEvent> {
        let mut touched = BTreeSet::new();
        let old = self.files.remove(path);
        if let Some(text) = text {
            let mut file = File::default();
            match yaml::parse(text) {
                Ok(documents) => documents.iter().flat_map(manifest::read).for_each(|found| file.take(found)),
                Err(error) => {
                    file = old.unwrap_or_default();
                    let stays = if file.manifests.is_empty() { "" } else { "; what it said before stays in force" };
                    file.mistakes = vec![(None, format!("{}{stays}", error.reason), error.position)];
                    self.files.insert(path.to_owned(), file);
                    return Vec::new();
                }
            }
            for manifest in &file.manifests {
                self.definitions.entry(manifest.key.clone()).or_default().insert(path.to_owned());
                touched.insert(manifest.key.clone());
            }
            self.files.insert(path.to_owned(), file);
        }
        for manifest in old.into_iter().flat_map(|old| old.manifests) {
            if touched.insert(manifest.key.clone())
                && let Some(paths) = self.definitions.get_mut(&manifest.key)
            {
                paths.remove(path);
                if paths.is_empty() {
                    self.definitions.remove(&manifest.key);
                }
            }
        }
        touched.iter().filter_map(|key| self.tell(key)).collect()
    }

    /// The event that brings what was told in line with what stands in the files.
    fn tell(&mut self, key: &ObjectKey) -> Option<SourceEvent> {
        let Some(manifest) = self.manifest(key) else {
            return self.told.remove(key).map(|_| SourceEvent::Delete(key.clone()));
        };
        let Ok(object) = &manifest.object else { return None };
        if self.told.get(key) == Some(object) {
            return None;
        }
        let object = object.clone();
        self.told.insert(key.clone(), object.clone());
        Some(SourceEvent::Apply(object))
    }

    /// Everything that stands in the files, as a first look: one `Reset` for every kind.
    #[must_use]
    pub fn resets(&self) -> Vec<SourceEvent> {
        let of = |kind: Kind| self.told.values().filter(move |object| object.key().kind == kind).cloned().collect();
        Kind::ALL.into_iter().map(|kind| SourceEvent::reset(kind, of(kind))).collect()
    }

    fn manifest(&self, key: &ObjectKey) -> Option<&Manifest> {
        let path = self.definitions.get(key)?.first()?;
        self.files.get(path)?.manifests.iter().find(|manifest| manifest.key == *key)
    }

    /// Where an object's field stands, or the nearest field around it. `""` is the object itself.
    #[must_use]
    pub fn locate(&self, key: &ObjectKey, field: &str) -> Option<Location> {
        let path = self.definitions.get(key)?.first()?.clone();
        Some(Location { position: self.manifest(key)?.positions.find(field), path })
    }

    /// Everything that cannot be used as it stands, by file and line.
    #[must_use]
    pub fn problems(&self) -> Vec<FileProblem> {
        let mut problems = Vec::new();
        for (path, file) in &self.files {
            let at = |position| Location { path: path.clone(), position };
            for (object, message, position) in &file.mistakes {
                let (location, object, message) = (at(*position), object.clone(), message.clone());
                problems.push(FileProblem { location, object, message });
            }
            for manifest in &file.manifests {
                let first = self.definitions.get(&manifest.key).and_then(BTreeSet::first);
                if let Some(other) = first.filter(|first| *first != path) {
                    let message = format!("{} stands in {} too, and that one counts", manifest.key, other.display());
                    let (location, object) = (at(manifest.positions.find("")), Some(manifest.key.clone()));
                    problems.push(FileProblem { location, object, message });
                }
            }
        }
        problems.sort();
        problems
    }

    /// How many objects the mesh reads stand in the files, those that cannot be read among them.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.definitions.len()
    }

    /// Objects for others.
    #[must_use]
    pub fn ignored(&self) -> Vec<Ignored> {
        let of_file = |(path, file): (&PathBuf, &File)| -> Vec<Ignored> {
            let ignored = file.ignored.iter().map(|(kind, name, position)| Ignored {
                location: Location { path: path.clone(), position: *position },
                kind: kind.clone(),
                name: name.clone(),
            });
            ignored.collect()
        };
        self.files.iter().flat_map(of_file).collect()
    }

    /// The files known at or below a path.
    pub fn files_below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        self.files.range(path.to_owned()..).map(|(file, _)| file).take_while(move |file| file.starts_with(path))
    }
}

impl File {
    fn take(&mut self, found: Found) {
        match found {
            Found::Ignored { kind, name, position } => self.ignored.push((kind, name, position)),
            Found::Mistake { message, position } => self.mistakes.push((None, message, position)),
            Found::Manifest(manifest) => self.take_manifest(*manifest),
        }
    }

    fn take_manifest(&mut self, manifest: Manifest) {
        let key = &manifest.key;
        if let Err(mistake) = &manifest.object {
            let message =
                format!("{}: {}; the last good version, if any, stays in force", mistake.field, mistake.message);
            self.mistakes.push((Some(key.clone()), message, manifest.positions.find(&mistake.field)));
        }
        for field in &manifest.unknown_fields {
            let message = format!("{field}: {} has no such field; it has no effect", key.kind);
            self.mistakes.push((Some(key.clone()), message, manifest.positions.find(field)));
        }
        if let Some(first) = self.manifests.iter().find(|other| other.key == *key) {
            let line = first.positions.find("").line;
            let message = format!("{key} stands in line {line} already, and that one counts");
            self.mistakes.push((Some(key.clone()), message, manifest.positions.find("")));
        } else {
            self.manifests.push(manifest);
        }
    }
}

#[cfg(test)]
mod tests;
