//! A client's connection, from wherever.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Error, ErrorKind, Read as _, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::{Child, Stdio},
    time::Duration,
};

use axoneme_testnet::Namespace;
use nix::{
    sys::{
        signal::{Signal, killpg},
        socket::{
            AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt::ReuseAddr,
        },
    },
    unistd::Pid,
};

/// How long a busy machine may take. What hangs, hangs longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Where a client is.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// In a pod, or outside: only the network matters.
    Net(&'a Namespace),
    /// A process of the node, which must be in the node's control group.
    Host(&'a Namespace),
}

impl Place<'_> {
    /// Its address of the frontend's family.
    pub(crate) fn address(&self, frontend: SocketAddr) -> IpAddr {
        let (Place::Net(it) | Place::Host(it)) = self;
        if frontend.is_ipv4() { it.address.v4.into() } else { it.address.v6.into() }
    }
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Place::Net(it) | Place::Host(it)) = self;
        f.write_str(&it.name)
    }
}

/// A connection that somebody greeted.
pub(crate) struct Talk {
    /// `proxy` or `backend`.
    pub(crate) who: String,
    /// The client's address, as seen by who greeted.
    pub(crate) peer: SocketAddr,
    /// The address that was dialled, as seen by who greeted.
    pub(crate) local: SocketAddr,
    reader: Box<dyn BufRead>,
    writer: Box<dyn Write>,
    child: Option<Child>,
}

pub(crate) fn dial(from: &Place<'_>, to: SocketAddr) -> io::Result<Talk> {
    match from {
        Place::Net(network) => {
            let stream = network.enter(|| TcpStream::connect_timeout(&to, PATIENCE)).map_err(Error::other)??;
            over(stream)
        }
        Place::Host(node) => from_process(node, to),
    }
}

/// Dials from a chosen address and port.
pub(crate) fn dial_from(network: &Namespace, from: SocketAddr, to: SocketAddr) -> io::Result<Talk> {
    let stream = network.enter(|| -> io::Result<TcpStream> {
        let family = if from.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&fd, ReuseAddr, &true)?;
        bind(fd.as_raw_fd(), &SockaddrStorage::from(from))?;
        connect(fd.as_raw_fd(), &SockaddrStorage::from(to))?;
        Ok(TcpStream::from(fd))
    });
    over(stream.map_err(Error::other)??)
}

fn over(stream: TcpStream) -> io::Result<Talk> {
    stream.set_read_timeout(Some(PATIENCE * 2))?;
    stream.set_write_timeout(Some(PATIENCE * 2))?;
    let reader = BufReader::new(stream.try_clone()?);
    greet(Box::new(reader), Box::new(stream), None)
}

/// The shell connects, so that the socket is made by a process of the node. It ends with the talk; the limit is for tests that
/// were killed, and longer than any test of live connections takes where every instruction is computed.
fn from_process(node: &Namespace, to: SocketAddr) -> io::Result<Talk> {
    let script = "exec 3<>/dev/tcp/$0/$1 || exit 1; cat <&0 >&3 & exec timeout 900 cat <&3";
    let mut command = node.command("bash");
    command.args(["-c", script, &to.ip().to_string(), &to.port().to_string()]);
    // A group of its own, so that its end is the end of all that it starts.
    command.process_group(0);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let (Some(input), Some(output)) = (input, output) else { return Err(ErrorKind::BrokenPipe.into()) };
    let mut errors = child.stderr.take();
    greet(Box::new(BufReader::new(output)), Box::new(input), Some(child)).map_err(|error| {
        let mut words = String::new();
        drop(errors.as_mut().map(|errors| errors.read_to_string(&mut words)));
        if words.contains("refused") { Error::new(ErrorKind::ConnectionRefused, words) } else { error }
    })
}

fn greet(mut reader: Box<dyn BufRead>, writer: Box<dyn Write>, child: Option<Child>) -> io::Result<Talk> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let mut next = || words.next().ok_or(Error::from(ErrorKind::UnexpectedEof));
    let (who, peer, local) = (next()?.to_owned(), next()?, next()?);
    let parse = |text: &str| text.parse().map_err(Error::other);
    Ok(Talk { who, peer: parse(peer)?, local: parse(local)?, reader, writer, child })
}

impl Talk {
    /// Says something and returns the answer.
    pub(crate) fn say(&mut self, words: &str) -> io::Result<String> {
        writeln!(self.writer, "{words}")?;
        self.writer.flush()?;
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// The connection lives.
    pub(crate) fn check(&mut self) {
        assert_eq!(self.say("hello").map_err(|error| error.to_string()), Ok("hello".to_owned()), "{self:?}");
    }

    /// Lets the other side close first, and waits until it did.
    pub(crate) fn ask_to_close(mut self) {
        drop(self.say("close"));
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
            drop(child.wait());
        }
    }
}

impl fmt::Debug for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} between {} and {}", self.who, self.peer, self.local)
    }
}
