//! `axonctl`: the mesh in the hands of a person. Checks manifests, runs the mesh on one machine, shows its state.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(test)]
mod documents;
mod explain;
mod finding;
mod input;
mod monitor;
mod output;
mod render;
mod status;
mod up;
mod validate;

#[derive(Parser)]
#[command(name = "axonctl", version, about = "Axoneme: a sidecarless service mesh", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Validate(validate::Validate),
    Render(render::Render),
    Explain(Box<explain::Explain>),
    Up(Box<up::Up>),
    Status(status::Status),
    Monitor(monitor::Monitor),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Validate(command) => command.run(),
        Command::Render(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Up(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Monitor(command) => command.run(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
