//! `axonctl monitor`: what the redirect of this machine decides, as it happens.

use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use axoneme_node::config::status_socket;
use axoneme_node::monitor::{Line, Seen, follow};

/// Watch what becomes of connections to redirected Services, until Ctrl-C.
///
/// Each line is a decision of the eBPF programs of this node: a connection that the proxy takes, that goes around it, that is
/// refused. Packets of connections that the proxy has are not told. At most a thousand a second and processor are; what is more
/// is counted.
#[derive(clap::Args)]
pub(crate) struct Monitor {
    /// Folder of the running mesh's sockets.
    #[arg(long, env = "AXONEME_RUN_DIR", default_value = "/run/axoneme", value_name = "DIR")]
    run_dir: PathBuf,
    /// How to write each decision.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Output {
    /// A line for people.
    Text,
    /// A line of JSON.
    Json,
}

impl Monitor {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let socket = status_socket(&self.run_dir);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let watched = runtime.block_on(follow(&socket, |line| {
            let text = match (self.output, &line) {
                (Output::Json, line) => serde_json::to_string(line)?,
                (Output::Text, Line::Seen(seen)) => text(seen),
                (Output::Text, Line::Lost { lost: 0 }) => {
                    eprintln!("watching; Ctrl-C ends it");
                    return Ok(());
                }
                (Output::Text, Line::Lost { lost }) => format!("... {lost} more, too many to tell"),
            };
            writeln!(io::stdout().lock(), "{text}")
        }));
        match watched {
            // Whoever read it has enough, such as `head`.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            watched => {
                watched.with_context(|| {
                    format!("watch the node at {}; is the mesh running with this --run-dir?", socket.display())
                })?;
                eprintln!("the node ended");
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

/// Time of day (UTC), program, what was decided, who dialled what, whose it is.
fn text(seen: &Seen) -> String {
    let seconds = seen.time_us / 1_000_000;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let micros = seen.time_us % 1_000_000;
    let client = seen.client.map_or_else(|| "host".to_owned(), |client| client.to_string());
    format!(
        "{hour:02}:{minute:02}:{second:02}.{micros:06} {:<14} {:<12} {client} -> {} {}",
        seen.program, seen.reason, seen.frontend, seen.service
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_a_line() {
        let mut seen = Seen {
            time_us: 86_400_000_000 + 3_723_000_042,
            service: "default/web:80".to_owned(),
            reason: "source-range".to_owned(),
            program: "from_netdev".to_owned(),
            client: "192.0.2.1:40000".parse().ok(),
            frontend: "[2001:db8::1]:80".parse().unwrap(),
        };
        let expected = "01:02:03.000042 from_netdev    source-range 192.0.2.1:40000 -> [2001:db8::1]:80 default/web:80";
        assert_eq!(text(&seen), expected);
        (seen.client, seen.program) = (None, "connect".to_owned());
        assert!(text(&seen).contains(" connect        source-range host -> "));
    }
}
