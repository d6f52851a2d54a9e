//! `axonctl validate`: the checks of the operator, before anything is applied.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use axoneme_operator::{Severity, file_source::Folder, policy_flags::PolicyFlags, standalone};

use crate::{
    finding::{self, Finding},
    input::Input,
    output,
};

mod envoy_check;

/// Check manifests as the operator would, and show each mistake with its line.
///
/// Exits with 0 when everything can be applied, with warnings or without; 1 when something is wrong; 2 when a file cannot be
/// read, Envoy cannot be asked, or the command line is wrong.
#[derive(clap::Args)]
pub(crate) struct Validate {
    /// Files and folders of YAML; `-` is standard input. Objects in them may refer to each other.
    #[arg(required = true, value_name = "FILE|FOLDER")]
    files: Vec<PathBuf>,
    /// An Envoy to ask as well, about what only Envoy knows: regular expressions, certificates, Lua.
    #[arg(long, value_name = "PROGRAM")]
    envoy: Option<PathBuf>,
    #[command(flatten)]
    policy: PolicyFlags,
    /// How to show what is found.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// With the line of the file and a mark.
    Text,
    /// One line each: `file:line:column: error: ...`.
    Short,
    /// An array of objects.
    Json,
}

impl Validate {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let Input { engine, folder, texts } = Input::read(&self.files, self.policy.policy())?;
        let mut problems = standalone::locate(&engine, &folder);
        if let Some(program) = &self.envoy {
            problems.extend(envoy_check::refusals(&engine, &folder, program)?);
        }
        // What a file refers to may be in the cluster already: worth telling, no reason to refuse.
        let findings = finding::all(&folder.problems(), &problems, Some(Severity::Warning));
        output::print(&match self.output {
            Output::Json => {
                let list: Vec<_> = findings.iter().map(Finding::to_json).collect();
                serde_json::to_string_pretty(&list)? + "\n"
            }
            Output::Short => findings.iter().map(|finding| format!("{finding}\n")).collect(),
            Output::Text => {
                let shown: String = findings.iter().map(|finding| finding.show(&texts) + "\n").collect();
                format!("{shown}{}\n", summary(&folder, &findings))
            }
        })?;
        let wrong = findings.iter().any(|finding| finding.severity == Severity::Error);
        Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// How much was looked at, and how much is wrong: a file without an object for the mesh is no good news.
fn summary(folder: &Folder, findings: &[Finding]) -> String {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let others = match folder.ignored().len() {
        0 => String::new(),
        n => format!(", {n} of kinds that the mesh does not read"),
    };
    let (errors, warnings) = (count(errors, "error"), count(warnings, "warning"));
    format!("{}{others}: {errors}, {warnings}", count(folder.objects(), "object"))
}
