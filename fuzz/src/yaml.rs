//! A file of the folder that `axonctl` reads: from its text to what a node would be told.

use std::path::Path;

use axoneme_envoy::Policy;
use axoneme_operator::{
    Engine,
    file_source::Folder,
    local::{Local, Pools},
};

const FILE: &str = "a.yaml";

/// Reads a text as a file of manifests and runs the engine on what is in it.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mut folder, file) = (Folder::default(), Path::new(FILE));
    folder.update(file, Some(text));
    let resets = folder.resets();
    assert!(folder.update(file, Some(text)).is_empty(), "the same text is a change");

    // YAML also ends a line at a return, and sees the end of a text behind its last line.
    let lines = text.matches(['\n', '\r']).count() + 2;
    let (mut engine, mut local) = (Engine::under(Policy::default()), Local::new(pools()));
    for reset in resets {
        local.drive(&mut engine, reset);
    }
    engine.take_status_writes();
    for (object, problems) in engine.problems() {
        for problem in problems {
            let Some(location) = folder.locate(object, &problem.field) else {
                unreachable!("a problem of {object}, which is in no file")
            };
            assert!(location.position.line <= lines, "{location} is not in the file");
        }
    }
    for problem in folder.problems() {
        assert!(problem.location.position.line <= lines, "{} is not in the file", problem.location);
    }

    folder.update(file, None);
    assert!(folder.problems().is_empty() && folder.ignored().is_empty(), "something is left of a file that is gone");
}

fn pools() -> Pools {
    let network = |text: &str| text.parse().into_iter().collect();
    Pools { cluster: network("198.18.0.0/24"), load_balancer: network("198.18.1.0/24"), node_ports: 30_000..=30_100 }
}
