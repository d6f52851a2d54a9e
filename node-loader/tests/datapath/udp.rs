//! UDP at an address and port whose TCP connections go to the proxy, as a DNS service may have it: it stays kube-proxy's, whoever
//! asks, and whether the socket is connected or not.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use axoneme_testnet::{Layout, Namespace};
use nix::sys::socket::{getsockopt, sockopt::Mark};

use crate::{
    scene::{BACKEND_PORT, PROXY_PORT, Scene},
    talk::PATIENCE,
};

/// How often the backend looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);

/// What comes back, from where, and the socket's mark. Also for the agent, which is a process of the host.
pub(crate) fn ask(to: SocketAddr, connected: bool) -> String {
    talk(to, connected).unwrap_or_else(|error| error.to_string())
}

fn talk(to: SocketAddr, connected: bool) -> io::Result<String> {
    let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.set_read_timeout(Some(PATIENCE))?;
    if connected {
        socket.connect(to)?;
        socket.send(b"hello")?;
    } else {
        socket.send_to(b"hello", to)?;
    }
    let mut answer = [0; 16];
    let (length, from) = socket.recv_from(&mut answer)?;
    let mark = getsockopt(&socket, Mark).map_err(io::Error::from)?;
    Ok(format!("{} {from} {mark}", String::from_utf8_lossy(&answer[..length])))
}

/// Repeats what it is told, until it is dropped.
struct Backend {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    fn start(pod: &Namespace) -> Self {
        let socket = pod.enter(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, BACKEND_PORT))).unwrap().unwrap();
        socket.set_read_timeout(Some(TICK)).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut words = [0; 16];
            while !told.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut words) {
                    drop(socket.send_to(&words[..length], from));
                }
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Kube-proxy's part, for UDP.
fn serve_by_nat(node: &Namespace, frontend: SocketAddr, pod: &Namespace) {
    let [v4, v6] = pod.address.each();
    let (family, to) = if frontend.is_ipv4() { ("ip", v4) } else { ("ip6", v6) };
    let (ip, port, to) = (frontend.ip(), frontend.port(), SocketAddr::new(to, BACKEND_PORT));
    let rule = format!("{family} daddr {ip} udp dport {port} dnat {family} to {to}");
    node.nft(&format!(
        "table inet names {{
  chain prerouting {{ type nat hook prerouting priority dstnat; {rule}; }}
  chain output {{ type nat hook output priority -100; {rule}; }}
  chain postrouting {{ type nat hook postrouting priority srcnat; udp dport {BACKEND_PORT} masquerade; }}
}}\n"
    ))
    .unwrap();
}

#[test]
fn edge_24_udp_at_a_redirected_port_stays_as_it_was() {
    for layout in [Layout::Routed, Layout::Bridge] {
        let mut scene = Scene::new("udp", layout);
        let backend = Backend::start(&scene.backend);
        let proxy = scene.proxy();
        for frontend in scene.frontends() {
            serve_by_nat(&scene.node, frontend, &scene.backend);
            // It would be refused, if it were looked at.
            for state in ["on refuse-all", "draining refuse-all"] {
                scene.agent.tell(&format!("set {frontend} {PROXY_PORT} {state} 1"));
                everybody_is_answered(&mut scene, frontend, state);
            }
            for reason in ["taken", "refused", "bypassed", "drained"] {
                assert_eq!(scene.agent.counter(reason), 0, "{reason}");
            }
            scene.agent.tell(&format!("remove {frontend}"));
            scene.node.nft("delete table inet names\n").unwrap();
        }
        drop((backend, proxy));
        scene.end();
    }
}

fn everybody_is_answered(scene: &mut Scene, frontend: SocketAddr, state: &str) {
    let answer = format!("hello {frontend} 0");
    for how in ["connected", "free"] {
        for from in [&scene.pod, &scene.outside()] {
            let found = from.enter(|| ask(frontend, how == "connected")).unwrap();
            assert_eq!(found, answer, "{}, {how}, {state}", from.name);
        }
        assert_eq!(scene.agent.ask(&format!("udp {frontend} {how}")), answer, "{how}, {state}");
    }
}
