//! What stands behind the Envoy configs of `e2e/corpus`, in every pod the same.
//!
//! | port | what answers |
//! |---|---|
//! | 8080 | HTTP/1.1 and HTTP/2: a web server that tells what it saw, and the gRPC services that Envoy asks |
//! | 8443 | the same over TLS, if there is a certificate |
//! | 7000 | TCP: every line comes back with the server's name before it |

mod grpc;
mod line;
mod memory;
mod script;
mod streams;
mod tls;
mod web;

use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Parser;
use memory::Memory;
use tokio::net::{TcpListener, TcpStream};

/// What to serve as.
#[derive(Debug, Parser)]
#[command(version, about = "Web server, gRPC services for Envoy, and line server, for the corpus of Envoy configs")]
pub struct Args {
    /// The name that the answers carry.
    #[arg(long)]
    name: String,
    /// The address to listen on, at all three ports.
    #[arg(long, default_value = "::")]
    address: std::net::IpAddr,
    /// Certificate chain, PEM.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
    /// Authorities of client certificates, PEM. A client without one is served too.
    #[arg(long, requires = "certificate")]
    clients: Option<PathBuf>,
}

/// One server: who it is and what it remembers.
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) memory: Memory,
}

/// Serves until Ctrl-C.
///
/// # Errors
/// If a port is taken or a certificate cannot be used.
#[tokio::main(flavor = "current_thread")]
pub async fn serve(args: Args) -> anyhow::Result<()> {
    let Args { name, address, certificate, key, clients } = args;
    let backend = Arc::new(Backend { name, memory: Memory::default() });
    let at = |port| SocketAddr::new(address, port);
    let (plain, lines) = (bind(at(8080)).await?, bind(at(7000)).await?);
    let web = Arc::clone(&backend);
    tokio::spawn(accept(plain, move |stream| web::serve(Arc::clone(&web), stream, web::Tls::default())));
    let talk = Arc::clone(&backend);
    tokio::spawn(accept(lines, move |stream| line::serve(Arc::clone(&talk), stream)));
    if let (Some(certificate), Some(key)) = (certificate, key) {
        let acceptor = tls::acceptor(&certificate, &key, clients.as_deref())?;
        let (secured, web) = (bind(at(8443)).await?, Arc::clone(&backend));
        tokio::spawn(accept(secured, move |stream| tls::serve(acceptor.clone(), Arc::clone(&web), stream)));
    }
    eprintln!("axoneme-backend: {} listens", backend.name);
    tokio::signal::ctrl_c().await.context("wait for Ctrl-C")
}

async fn bind(at: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at}"))
}

/// Serves each connection in a task of its own. One that fails is one whose client went away.
async fn accept<F: Future<Output = io::Result<()>> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream))),
            Err(error) => eprintln!("axoneme-backend: accept: {error}"),
        }
    }
}
