use std::fs;

use super::*;
use crate::source::{Kind, Object};

/// How long an edit may take to be told; far more than it does.
const PATIENCE: Duration = Duration::from_secs(10);

fn service(name: &str, port: u16) -> String {
    format!("{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{ports: [{{port: {port}}}]}}}}")
}

/// The next events that say something, as text.
async fn next(source: &mut FileSource) -> Vec<String> {
    loop {
        let events = tokio::time::timeout(PATIENCE, source.next()).await.expect("no event").unwrap();
        if !events.is_empty() {
            return events.into_iter().map(tell).collect();
        }
    }
}

fn tell(event: SourceEvent) -> String {
    match event {
        SourceEvent::Apply(Object::Service(it)) => format!("{} {}", it.meta.name, it.ports[0].port),
        SourceEvent::Delete(key) => format!("delete {key}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_folder_is_read_and_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, service("a", 80)).unwrap();
    fs::write(folder.path().join("notes.txt"), "not: [yaml").unwrap();
    let (mut source, resets) = FileSource::open(folder.path()).unwrap();
    assert_eq!(resets.len(), Kind::ALL.len());

    fs::write(&file, service("a", 81)).unwrap();
    assert_eq!(next(&mut source).await, ["default/a 81"]);

    // As editors save: a new file in the old one's place.
    let new = folder.path().join(".a.yaml.swp");
    fs::write(&new, service("a", 82)).unwrap();
    fs::rename(&new, &file).unwrap();
    assert_eq!(next(&mut source).await, ["default/a 82"]);

    // As others do: the old file moves away first.
    fs::rename(&file, folder.path().join("a.yaml~")).unwrap();
    fs::write(&file, service("a", 83)).unwrap();
    assert_eq!(next(&mut source).await, ["default/a 83"], "the object was never gone");

    let below = folder.path().join("more");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("b.yaml"), service("b", 80)).unwrap();
    assert_eq!(next(&mut source).await, ["default/b 80"]);

    fs::remove_dir_all(&below).unwrap();
    assert_eq!(next(&mut source).await, ["delete Service default/b"]);
}

#[tokio::test]
async fn a_folder_that_is_moved_in_or_away_is_read_whole() {
    let outside = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let made = outside.path().join("made");
    fs::create_dir(&made).unwrap();
    fs::write(made.join("a.yaml"), service("a", 80)).unwrap();
    let (mut source, _) = FileSource::open(folder.path()).unwrap();
    fs::rename(&made, folder.path().join("made")).unwrap();
    assert_eq!(next(&mut source).await, ["default/a 80"]);
    fs::rename(folder.path().join("made"), &made).unwrap();
    assert_eq!(next(&mut source).await, ["delete Service default/a"]);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = FileSource::open(Path::new("/no/such/folder")).unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
}
