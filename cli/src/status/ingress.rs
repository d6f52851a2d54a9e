//! `axonctl status ingress`: of each Ingress of ours its class, mode, hosts, addresses, certificates, and what is wrong.
//!
//! Like `explain` it reads objects, not the mesh: `docs/adr/0017-explain-reads-objects.md`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use axoneme_operator::{Severity, policy_flags::PolicyFlags};

use crate::{
    explain::world::{self, Client, World, cluster::Access},
    output,
};

mod events;
mod row;
mod table;

use row::Row;

/// Show the Ingresses that the mesh serves: class, mode, hosts, addresses, certificates, problems.
///
/// Looks at the cluster of your kubeconfig, of which it only reads, or at the manifests of `-f`. Exits with 1 when an Ingress
/// is not served as it is written.
#[derive(clap::Args)]
pub(super) struct Ingresses {
    /// One of them, with the Events that were written of it.
    name: Option<String>,
    /// Of this namespace; otherwise of all, or with a name of your context's.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Files and folders of YAML in place of a cluster; `-` is standard input. Can be given several times.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    file: Vec<PathBuf>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    policy: PolicyFlags,
    /// How to tell it.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs; docs/cli.md describes it.
    Json,
}

/// What is told.
#[derive(serde::Serialize)]
struct Answer {
    ingresses: Vec<Row>,
    notes: Vec<String>,
}

impl Ingresses {
    pub(super) fn run(self) -> Result<ExitCode> {
        let answer = self.answer()?;
        output::print(&match self.output {
            Output::Table => table::text(&answer),
            Output::Json => serde_json::to_string_pretty(&answer)? + "\n",
        })?;
        let failed = answer.ingresses.iter().any(|row| row.problems.iter().any(|it| it.severity == Severity::Error));
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn answer(&self) -> Result<Answer> {
        let namespace = self.namespace.clone();
        if !self.file.is_empty() {
            if self.access.is_given() {
                bail!("--kubeconfig and --context are for a cluster; leave them out to look at files");
            }
            let world = world::of_files(&self.file, self.policy.policy(), Client::Anywhere, namespace)?;
            return self.select(world);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let world = world::cluster::read(&self.access, self.policy.given(), Client::Anywhere, namespace).await?;
            let mut answer = self.select(world)?;
            if let (Some(_), [row]) = (&self.name, &mut answer.ingresses[..]) {
                match events::read(&self.access, &row.namespace, &row.name, row.uid.as_deref()).await? {
                    Some(events) => row.events = events,
                    None => answer.notes.push("you may not list Events, so none are shown".to_owned()),
                }
            }
            Ok(answer)
        })
    }

    fn select(&self, world: World) -> Result<Answer> {
        let mut rows = row::all(&world.engine);
        if let Some(name) = &self.name {
            rows.retain(|row| row.name == *name && row.namespace == world.namespace);
            if rows.is_empty() {
                bail!("{}", row::why_not(&world.engine, &world.namespace, name));
            }
        } else if self.namespace.is_some() {
            rows.retain(|row| row.namespace == world.namespace);
        }
        Ok(Answer { ingresses: rows, notes: world.notes })
    }
}
