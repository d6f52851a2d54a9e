//! Whatever the documents tell people to type is understood.

use std::{fs, path::Path};

use clap::{Parser as _, error::ErrorKind};

use crate::Cli;

/// The command lines in a document's code, by line in blocks and whole in the text, as far as a shell gives them to us.
fn commands(document: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, part) in document.split("```").enumerate() {
        if at % 2 == 1 {
            found.extend(part.lines().filter_map(|line| line.split_once("axonctl ")).map(|(_, rest)| rest));
        } else {
            let code = part.split('`').skip(1).step_by(2);
            found.extend(code.filter_map(|code| code.strip_prefix("axonctl ")));
        }
    }
    found.into_iter().map(ours).collect()
}

/// Up to a comment, or to the next program.
fn ours(line: &str) -> &str {
    let end = [" #", " | "].iter().filter_map(|end| line.find(end)).min();
    end.map_or(line, |end| &line[..end])
}

/// As a shell does, as far as the documents need one.
fn words(line: &str) -> Vec<&str> {
    let is_quoted = |at: usize| at % 2 == 1;
    let parts = line.split('\'').enumerate();
    parts.flat_map(|(at, part)| if is_quoted(at) { vec![part] } else { part.split_whitespace().collect() }).collect()
}

/// The mention of a command may lack what it wants.
fn is_understood(line: &str) -> bool {
    let error = Cli::try_parse_from(["axonctl"].into_iter().chain(words(line))).err();
    let is_only_short = |kind| {
        matches!(kind, ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand | ErrorKind::DisplayHelp)
    };
    error.is_none_or(|error| is_only_short(error.kind()))
}

#[test]
fn what_the_documents_tell_to_type_is_understood() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = docs.filter(|path| path.extension().is_some_and(|it| it == "md"));
    let others = ["README.md", "CONTRIBUTING.md", "examples/article/README.md"].map(|name| root.join(name));
    let (mut found, mut wrong) = (0, Vec::new());
    for path in documents.chain(others) {
        let text = fs::read_to_string(&path).unwrap();
        for line in commands(&text).into_iter().filter(|line| !line.starts_with("COMMAND")) {
            found += 1;
            if !is_understood(line) {
                wrong.push(format!("{}: axonctl {line}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!is_understood("render --from config") && !is_understood("sing"));
    assert!(found > 20, "only {found} commands are found");
}
