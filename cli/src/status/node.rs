//! The node-loader of this machine: listeners, redirects, refusals, counters.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use axoneme_node::{
    config::status_socket,
    layout::{Layout, LayoutDevice},
    status::{self, DrainingFrontend},
};

/// The node-loader to ask.
#[derive(clap::Args)]
pub(super) struct Node {
    /// Folder of the running mesh's sockets.
    #[arg(long, env = "AXONEME_RUN_DIR", default_value = "/run/axoneme", value_name = "DIR")]
    run_dir: PathBuf,
    /// Everything, for programs.
    #[arg(long)]
    json: bool,
}

impl Node {
    pub(super) fn run(self) -> Result<ExitCode> {
        let socket = status_socket(&self.run_dir);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let status = runtime.block_on(status::fetch(&socket)).with_context(|| {
            format!("nobody answers at {}; is the mesh running with this --run-dir?", socket.display())
        })?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&status)?);
        } else {
            print(&status);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(status: &status::Status) {
    let summary = &status.summary;
    let yes = |is: bool| if is { "connected" } else { "away" };
    println!("node {}, version {}", status.node, status.version);
    println!("operator {}, envoy {}", yes(status.operator.connected), yes(summary.envoy_connected));
    println!("\nlisteners");
    for listener in &summary.listeners {
        let port = listener.port.map_or_else(|| "own address".to_owned(), |port| format!("port {port}"));
        let state = match (listener.listening, listener.waits_for.as_slice()) {
            (_, [first, ..]) => format!("waits for route {first}"),
            (true, []) => "ready".to_owned(),
            (false, []) if listener.port.is_none() => String::new(),
            (false, []) => "not listening".to_owned(),
        };
        println!("  {:<56} {port:<12} {state}", listener.name);
    }
    println!("\nredirects");
    for redirect in &summary.redirects {
        println!("  {} -> {}, for {}", redirect.name, redirect.listener, redirect.owner);
        for frontend in &redirect.frontends {
            let state = match &frontend.failure {
                Some(failure) => failure.as_str(),
                None if frontend.on => "on",
                None => "off",
            };
            println!("    {:<54} {state}", frontend.address.to_string());
        }
    }
    section("draining", status.draining.iter().map(draining));
    section("notes", status.notes.iter().cloned());
    section("held back until it is known what Envoy dies of", summary.held_back.iter().cloned());
    section("not answered by Envoy", summary.unanswered.iter().cloned());
    section("refused", summary.rejections.iter().map(|it| format!("{}: {}", it.name, it.message)));
    section(&devices(&status.layout), status.layout.devices.iter().map(device));
    section("not supported", status.layout.unsupported.iter().cloned());
    let counters = status.counters.iter();
    section("connections", counters.map(|it| format!("{:<56} {:<12} {}", it.service, it.reason, it.connections)));
}

/// Whose last connections are waited for, and how long.
fn draining(frontend: &DrainingFrontend) -> String {
    let DrainingFrontend { address, redirect, connections, seconds_left } = frontend;
    let of = redirect.as_ref().map(|redirect| format!(" of {redirect}")).unwrap_or_default();
    format!("{address}{of}: connections {connections}, at most {seconds_left} s more")
}

/// With how programs sit on them; nodes of an earlier version do not tell.
fn devices(layout: &Layout) -> String {
    if layout.attachment.is_empty() { "devices".to_owned() } else { format!("devices, by {}", layout.attachment) }
}

/// Where the programs sit, and which devices are left alone.
fn device(device: &LayoutDevice) -> String {
    let master = device.master.as_ref().map(|master| format!(" of {master}")).unwrap_or_default();
    let what = match (&device.program, &device.left_alone) {
        (Some(program), _) => program.clone(),
        (None, why) => format!("left alone: {}", why.as_deref().unwrap_or("?")),
    };
    format!("{:<16} {:<24} {what}", device.name, format!("{}{master}", device.kind))
}

fn section(title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        println!("\n{title}");
        lines.for_each(|line| println!("  {line}"));
    }
}
