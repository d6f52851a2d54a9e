//! What a person sees of a running mesh: what was loaded, where it answers, what is wrong, and each change of it as it happens.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    path::{Path, PathBuf},
};

use axoneme_node::NodeEvent;
use axoneme_operator::{
    Report,
    intents::Rejection,
    standalone::{Overview, Standalone},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::finding::{self, Finding};

/// A look costs all objects, so the next one waits: this many times as long as the last one took.
const REST: u32 = 10;

/// Prints to standard output, a line for each thing.
pub(crate) struct Screen {
    standalone: Standalone,
    folder: PathBuf,
    /// What was printed last, to print only what changed.
    findings: BTreeSet<Finding>,
    notes: BTreeSet<String>,
}

impl Screen {
    pub(crate) fn new(standalone: Standalone, folder: &Path) -> Self {
        Self { standalone, folder: folder.to_owned(), findings: BTreeSet::new(), notes: BTreeSet::new() }
    }

    /// Prints until `shutdown`. Sleeps unless something happens.
    pub(crate) async fn follow(
        mut self,
        mut events: mpsc::UnboundedReceiver<NodeEvent>,
        shutdown: CancellationToken,
    ) -> Result<(), Infallible> {
        println!("the mesh of {}; Ctrl-C ends it", self.folder.display());
        let mut revision = self.standalone.revision();
        revision.mark_changed();
        let mut told = true;
        let rested = sleep_until(Instant::now());
        tokio::pin!(rested);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = &mut rested, if !rested.is_elapsed() => {}
                Ok(()) = revision.changed(), if rested.is_elapsed() => {
                    let start = Instant::now();
                    self.look().await;
                    rested.as_mut().reset(start + start.elapsed() * REST);
                }
                event = events.recv(), if told => match event {
                    Some(event) => print(&event),
                    None => told = false,
                },
            }
        }
    }

    async fn look(&mut self) {
        let Some(overview) = self.standalone.overview().await else { return };
        let findings: BTreeSet<_> = finding::all(&overview.mistakes, &overview.problems, None).into_iter().collect();
        for new in findings.difference(&self.findings) {
            println!("{new}");
        }
        for gone in self.findings.difference(&findings) {
            println!("mended   {}:{}: {}", gone.file, gone.position.line, gone.object);
        }
        let notes = notes(&overview);
        for new in notes.difference(&self.notes) {
            println!("{new}");
        }
        (self.findings, self.notes) = (findings, notes);
    }
}

/// What is there, apart from what is wrong with it.
fn notes(overview: &Overview) -> BTreeSet<String> {
    let objects = overview.reports.iter().map(|report| format!("loaded   {}", report.object));
    let runs = |report: &&Report| report.programmed.nodes > 0 && report.programmed.done == report.programmed.nodes;
    let running = overview.reports.iter().filter(runs);
    let running = running.map(|report| format!("runs     {}", report.object));
    let refused = overview.reports.iter().flat_map(|report| {
        let told = |it: &Rejection| format!("refused  {}: {}: {}", report.object, it.resource, it.message);
        report.programmed.rejections.iter().map(told)
    });
    let answers = overview.reports.iter().flat_map(|report| &report.redirects).map(|redirect| {
        let mut places = redirect.addresses.clone();
        places.extend(redirect.node_ports.iter().map(|port| format!("node port {port}")));
        format!("answers  {} at {}", redirect.service, places.join(", "))
    });
    let at_ports = overview.reports.iter().flat_map(|report| {
        report.host_ports.iter().map(|port| format!("answers  {} at port {port} of this machine", report.object))
    });
    let ignored = overview.ignored.iter().map(|ignored| {
        let (path, line) = (ignored.location.path.display(), ignored.location.position.line);
        format!("skipped  {path}:{line}: {} {}: not for the mesh", ignored.kind, ignored.name)
    });
    objects.chain(answers).chain(at_ports).chain(running).chain(refused).chain(ignored).collect()
}

fn print(event: &NodeEvent) {
    match event {
        NodeEvent::EnvoyConnected => println!("envoy    connected"),
        NodeEvent::EnvoyLost => println!("envoy    lost"),
        NodeEvent::ListenerReady { name, port } => println!("listens  {name} on port {port}"),
        NodeEvent::ListenerGone { name } => println!("gone     {name}"),
        NodeEvent::RedirectOn { name, owner, port } => println!("on       {name} -> port {port}, for {owner}"),
        NodeEvent::RedirectOff { name } => println!("off      {name}"),
        NodeEvent::PortConflict { name, port } => println!("moves    {name}: somebody else has port {port}"),
        NodeEvent::OperatorLost { reason } => println!("operator lost: {reason}"),
        // Of no interest where all is in one process, too frequent, or told of the object that it is about.
        NodeEvent::OperatorConnected | NodeEvent::Applied { .. } | NodeEvent::Rejected { .. } => {}
    }
}
