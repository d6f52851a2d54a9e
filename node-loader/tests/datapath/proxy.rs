//! A toy in Envoy's place: transparent listeners on both loopback addresses, and a backend for what goes around it.
//!
//! Both greet with who they are and the two addresses that they see, and repeat what is said to them. On `close` they close.
#![expect(unsafe_code, reason = "IPV6_TRANSPARENT is in no safe wrapper")]

use std::{
    io::{self, BufRead as _, BufReader, ErrorKind, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use axoneme_testnet::Namespace;
use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, shutdown, socket,
    sockopt::{IpTransparent, Mark, ReuseAddr, TcpRepair},
};
use parking_lot::Mutex;

/// `SO_MARK` of the proxy's listeners.
const LISTENER_MARK: u32 = 0xa00;
/// How often a conversation looks whether its server is silenced.
const TICK: Duration = Duration::from_millis(50);

pub(crate) struct Server {
    listeners: Vec<TcpListener>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    silenced: Arc<AtomicBool>,
}

/// The proxy, on `port` of the node's loopback addresses.
pub(crate) fn proxy(node: &Namespace, port: u16) -> Server {
    let addresses = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
    Server::start("proxy", addresses.map(|address| node.enter(|| transparent(address)).unwrap()).into())
}

/// A backend, on `port` of all addresses of a pod.
pub(crate) fn backend(pod: &Namespace, port: u16) -> Server {
    let listener = pod.enter(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))).unwrap().unwrap();
    Server::start("backend", vec![listener])
}

impl Server {
    fn start(name: &'static str, listeners: Vec<TcpListener>) -> Self {
        let connections = Arc::new(Mutex::new(Vec::new()));
        let silenced = Arc::new(AtomicBool::new(false));
        for listener in &listeners {
            let listener = listener.try_clone().unwrap();
            let (connections, silenced) = (Arc::clone(&connections), Arc::clone(&silenced));
            thread::spawn(move || {
                while let Ok((stream, peer)) = listener.accept() {
                    connections.lock().push(stream.try_clone().unwrap());
                    let silenced = Arc::clone(&silenced);
                    thread::spawn(move || drop(converse(name, &stream, peer, &silenced)));
                }
            });
        }
        Self { listeners, connections, silenced }
    }

    /// Ends without a word to the peers, as after a crash whose FINs were lost. It is over when the kernel has no connection of it any
    /// more: until then what clients say is acknowledged, and they would wait for an answer.
    pub(crate) fn die_silently(self) {
        for connection in self.connections.lock().drain(..) {
            // A socket under repair is closed without telling the peer.
            setsockopt(&connection, TcpRepair, &1).unwrap();
        }
        self.silenced.store(true, Ordering::Relaxed);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for listener in &self.listeners {
            // Makes the threads' `accept` fail.
            let _ = shutdown(listener.as_raw_fd(), Shutdown::Both);
        }
        for connection in self.connections.lock().drain(..) {
            let _ = shutdown(connection.as_raw_fd(), Shutdown::Both);
        }
    }
}

fn converse(name: &str, mut stream: &TcpStream, peer: SocketAddr, silenced: &AtomicBool) -> io::Result<()> {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    writeln!(stream, "{name} {} {}", canonical(peer), canonical(stream.local_addr()?))?;
    stream.set_read_timeout(Some(TICK))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        match reader.read_line(&mut line) {
            Ok(0) => break,
            Ok(_) if line == "close\n" => break,
            Ok(_) => {
                stream.write_all(line.as_bytes())?;
                line.clear();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && !silenced.load(Ordering::Relaxed) => {}
            Err(error) => return Err(error),
        }
    }
    stream.shutdown(std::net::Shutdown::Both)
}

fn transparent(address: SocketAddr) -> TcpListener {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&fd, ReuseAddr, &true).unwrap();
    setsockopt(&fd, Mark, &LISTENER_MARK).unwrap();
    let_foreign_addresses(&fd, address.is_ipv4());
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
    listen(&fd, Backlog::new(64).unwrap()).unwrap();
    // SAFETY: the descriptor is a listening socket, and given away.
    unsafe { TcpListener::from_raw_fd(fd.into_raw_fd()) }
}

/// Lets a socket have an address that is not the node's.
pub(crate) fn let_foreign_addresses(fd: &OwnedFd, v4: bool) {
    if v4 {
        setsockopt(fd, IpTransparent, &true).unwrap();
        return;
    }
    let one: libc::c_int = 1;
    let length = size_of_val(&one) as libc::socklen_t;
    // SAFETY: the option's value is an int, and `length` is its size.
    let result = unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_IPV6, libc::IPV6_TRANSPARENT, (&raw const one).cast(), length)
    };
    assert_eq!(result, 0);
}
