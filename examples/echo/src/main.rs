//! `axoneme-echo`: the backend of the examples, and the client that the tests ask with.
//!
//! As a server it answers like `hashicorp/http-echo`, and on request says what it saw. As a client (`--get`) it asks once or
//! many times and prints the answer for a person or, with `--json`, for a program.

mod client;
mod server;

use std::{net::SocketAddr, process::ExitCode};

use clap::Parser;

#[derive(Parser)]
#[command(version, about = "Answers with a text, or with what it saw of the request")]
struct Args {
    /// Where to listen: `ADDRESS:PORT`, or `:PORT` for every address, IPv4 and IPv6.
    #[arg(long, default_value = ":5678", value_parser = listen_address)]
    listen: SocketAddr,
    /// The text to answer with; the server's name if not given.
    #[arg(long)]
    text: Option<String>,
    /// The name that the answers carry in `x-echo-name`; the host's name if not given.
    #[arg(long, env = "POD_NAME")]
    name: Option<String>,
    /// Answer this share of the requests (0 to 1) with 503, evenly spread. `/health` is not counted.
    #[arg(long, default_value_t = 0.0, value_parser = ratio)]
    fail_ratio: f64,
    /// Be a client: ask for this URL, print the answer, and end with 0 if there was one, whatever its status.
    #[arg(long, value_name = "URL", conflicts_with_all = ["listen", "text", "name", "fail_ratio"])]
    get: Option<hyper::Uri>,
    #[command(flatten)]
    client: client::Options,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start: {error}")),
    };
    let result = match args.get {
        Some(url) => runtime.block_on(client::run(&url, &args.client)),
        None => {
            let name = args.name.unwrap_or_else(server::host_name);
            let text = args.text.unwrap_or_else(|| name.clone());
            runtime.block_on(server::run(args.listen, server::Echo::new(name, text, args.fail_ratio)))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> ExitCode {
    eprintln!("axoneme-echo: {error}");
    ExitCode::FAILURE
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let full = text.strip_prefix(':').map_or_else(|| text.to_owned(), |port| format!("[::]:{port}"));
    full.parse().map_err(|_| "want ADDRESS:PORT or :PORT".to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or_else(|| "want a number from 0 to 1".to_owned())
}
