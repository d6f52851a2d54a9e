//! Tests that documents name are there: who looks one up finds it, also after somebody gave it a better name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::paths;

/// How names of tests begin that are named after a list.
const LISTED: [&str; 3] = ["cve_", "edge_", "soak_"];
/// Others are sentences, of more words than anything else between backticks, but metrics.
const LONG: usize = 4;
const METRIC: &str = "axoneme_";

/// Fails with every name for which there is no function. A document may leave out the end of it.
pub(crate) fn check() -> Result<()> {
    let (mut functions, mut missing, mut named) = (Vec::new(), Vec::new(), 0);
    for file in files(&paths::root(), "rs")? {
        let text = read(&file)?;
        let names =
            text.lines().filter_map(|line| line.split_once("fn ")?.1.split(['(', '<']).next().map(str::to_owned));
        functions.extend(names.filter(|name| name.contains('_')));
    }
    functions.sort_unstable();
    for file in files(&paths::root().join("docs"), "md")? {
        let text = read(&file)?;
        for name in text.split('`').skip(1).step_by(2).filter(|name| is_test(name)) {
            let begin = name.trim_end_matches('…');
            let at = functions.partition_point(|function| function.as_str() < begin);
            named += 1;
            if !functions.get(at).is_some_and(|function| function.starts_with(begin)) {
                missing.push(format!("{}: {name}", file.display()));
            }
        }
    }
    ensure!(missing.is_empty(), "there is no such test:\n{}", missing.join("\n"));
    ensure!(named > 0, "no document names a test");
    Ok(())
}

fn is_test(word: &str) -> bool {
    let is_name = word.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, '_' | '…'));
    let is_sentence = word.matches('_').count() >= LONG && !word.starts_with(METRIC);
    is_name && word.len() > LISTED[0].len() + 1 && (is_sentence || LISTED.iter().any(|begin| word.starts_with(begin)))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}

/// All with this extension, below folders that are neither hidden nor of build results.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    Ok(found)
}
