//! Connections that have to last: half of them say nothing until the end, half talk all the time.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use axoneme_testnet::Namespace;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    process::Child,
    runtime::Runtime,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How long a busy machine may take. What hangs, hangs longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two words of a talk.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a client is.
pub(crate) enum Place<'a> {
    /// In a pod, or outside.
    Net(&'a Namespace),
    /// A process of the node.
    Host(&'a Namespace),
}

/// One connection, which somebody greeted.
pub(crate) struct Held {
    /// In words of who greeted.
    pub(crate) who: String,
    life: Life,
    /// The process that has it, which ends with it.
    _process: Option<Child>,
}

enum Life {
    Idle(Wire),
    Talk { stop: Arc<AtomicBool>, talk: JoinHandle<Result<Wire>> },
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Wire = BufReader<Box<dyn Stream>>;

/// Dials, and waits to be greeted.
pub(crate) fn dial(runtime: &Runtime, from: &Place<'_>, to: SocketAddr) -> Result<Held> {
    let mut process = None;
    let stream: Box<dyn Stream> = match from {
        Place::Net(network) => {
            let stream = network.enter(|| TcpStream::connect_timeout(&to, PATIENCE))?.context("connect")?;
            stream.set_nonblocking(true)?;
            let _inside = runtime.enter();
            Box::new(tokio::net::TcpStream::from_std(stream)?)
        }
        Place::Host(node) => {
            // The shell connects: the socket has to be made by a process of the node.
            let script = "exec 3<>/dev/tcp/$0/$1 || exit 1; cat <&0 >&3 & exec cat <&3";
            let mut command = node.command("bash");
            command.args(["-c", script, &to.ip().to_string(), &to.port().to_string()]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let _inside = runtime.enter();
            let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
            let (input, output) = child.stdin.take().zip(child.stdout.take()).context("no pipes")?;
            process = Some(child);
            Box::new(tokio::io::join(output, input))
        }
    };
    let mut wire = BufReader::new(stream);
    let who = runtime.block_on(line(&mut wire)).context("no greeting")?;
    Ok(Held { who, life: Life::Idle(wire), _process: process })
}

impl Held {
    /// Talks from now on.
    pub(crate) fn talking(self, runtime: &Runtime) -> Self {
        let Life::Idle(mut wire) = self.life else { return self };
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let talk = runtime.spawn(async move {
            let mut said = 0;
            while !told.load(Ordering::Relaxed) {
                exchange(&mut wire, said).await?;
                said += 1;
                sleep(PAUSE).await;
            }
            Ok(wire)
        });
        Self { life: Life::Talk { stop, talk }, ..self }
    }

    /// Whether it has lived all the time, and does now.
    pub(crate) fn finish(self, runtime: &Runtime) -> Result<()> {
        runtime.block_on(async {
            let mut wire = match self.life {
                Life::Idle(wire) => wire,
                Life::Talk { stop, talk } => {
                    stop.store(true, Ordering::Relaxed);
                    talk.await??
                }
            };
            exchange(&mut wire, usize::MAX).await
        })
    }

    /// Waits until the other side, or somebody in its name, ends it.
    pub(crate) fn ends(self, runtime: &Runtime) -> Result<()> {
        let Life::Idle(mut wire) = self.life else { return Ok(()) };
        let mut line = String::new();
        let ended = runtime.block_on(async { timeout(PATIENCE, wire.read_line(&mut line)).await });
        // Zero bytes are its end as well.
        ensure!(!matches!(ended.context("it lives on")?, Ok(1..)), "it was told {line:?}");
        Ok(())
    }
}

/// Says a number, which must come back.
async fn exchange(wire: &mut Wire, number: usize) -> Result<()> {
    let words = format!("{number:0>1000}");
    timeout(PATIENCE, wire.write_all(format!("{words}\n").as_bytes())).await.context("nobody listens")??;
    let back = line(wire).await.with_context(|| format!("after {number} answers"))?;
    ensure!(back == words, "{back:?} came back for {number}");
    Ok(())
}

async fn line(wire: &mut Wire) -> Result<String> {
    let mut line = String::new();
    let read = timeout(PATIENCE, wire.read_line(&mut line)).await.context("nothing came in time")??;
    ensure!(read > 0, "the connection was ended");
    Ok(line.trim_end().to_owned())
}

/// Greets whoever comes, and repeats what is said.
pub(crate) fn serve(runtime: &Runtime, pod: &Namespace, port: u16, greeting: &'static str) -> Result<()> {
    let listener = pod.enter(|| TcpListener::bind((std::net::Ipv6Addr::UNSPECIFIED, port)))??;
    listener.set_nonblocking(true)?;
    let _inside = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    runtime.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(format!("{greeting}\n").as_bytes()).await?;
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
    Ok(())
}
