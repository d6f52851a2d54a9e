//! A certificate that comes, rotates, breaks and goes, while clients of this and of another name are connected.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use axoneme_testnet::Namespace;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

use crate::certificates::Pair;
use crate::scene::{Scene, ingress, path, rule};

/// A connection that stays open.
struct Kept {
    host: &'static str,
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Kept {
    fn open(from: &Namespace, at: SocketAddr, host: &'static str, trusted: &Pair) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.certificate.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), ServerName::try_from(host).unwrap()).unwrap();
        let socket = from.enter(|| TcpStream::connect(at)).unwrap().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut kept = Self { host, stream: StreamOwned::new(client, socket) };
        kept.answers("the first time");
        kept
    }

    /// Asks once more on the same connection, which the server must not want to end.
    fn answers(&mut self, when: &str) {
        let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while !answer.ends_with(b"web\n") {
            let read = self.stream.read(&mut piece).unwrap_or_else(|error| panic!("{}, {when}: {error}", self.host));
            assert!(read > 0, "{}, {when}: closed", self.host);
            answer.extend_from_slice(&piece[..read]);
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200"), "{}, {when}: {answer}", self.host);
        assert!(!answer.contains("connection: close"), "{}, {when}: {answer}", self.host);
    }
}

#[test]
fn edge_17_cve_2024_42486_a_certificate_comes_rotates_breaks_and_goes_and_nobody_else_notices() {
    let rules = ["mine.example", "other.example"].map(|host| rule(host, &[&path("Prefix", "/", "web")]));
    let tls = "[{hosts: [mine.example], secretName: mine}, {hosts: [other.example], secretName: other}]";
    let web = ingress("web", "", &format!("tls: {tls}\n  rules: [{}]", rules.join(", ")));
    let (other, one, two) = (Pair::of(&["other.example"]), Pair::of(&["mine.example"]), Pair::of(&["mine.example"]));
    let scene = Scene::start("ing-rotate", &["web"], &[web, other.secret("other")].concat());
    let mine = scene.curl("https://mine.example/");
    let (trust_one, trust_two, trust_other) = (one.file(), two.file(), other.file());

    scene.until(&scene.curl("https://other.example/").trust(&trust_other), |answer| answer.status == 200);
    let mut neighbour = Kept::open(&scene.outside, scene.at("web", 443), "other.example", &other);
    scene.says(&["spec.tls[0].secretName", "Secret shop/mine is not there"]);
    assert_eq!(mine.clone().with(&["--insecure"]).ask(&scene.outside).exit, 35);

    scene.write("mine.yaml", &one.secret("mine"));
    scene.until(&mine.clone().trust(&trust_one), |answer| answer.status == 200);
    neighbour.answers("when a certificate came");
    let mut client = Kept::open(&scene.outside, scene.at("web", 443), "mine.example", &one);

    scene.write("mine.yaml", &two.secret("mine"));
    scene.until(&mine.clone().trust(&trust_two), |answer| answer.status == 200);
    neighbour.answers("when it rotated");
    client.answers("when its certificate rotated");

    let broken = Pair { certificate: one.certificate.clone(), key: two.key };
    scene.write("mine.yaml", &broken.secret("mine"));
    scene.says(&["Secret shop/mine has a tls.key that is not the key", "its last good version stays in force"]);
    assert_eq!(mine.clone().trust(&trust_two).ask(&scene.outside).status, 200);
    neighbour.answers("when it broke");
    client.answers("when its certificate broke");

    scene.delete("mine.yaml");
    scene.until(&mine.clone().with(&["--insecure"]), |answer| answer.exit == 35);
    neighbour.answers("when it went");
    scene.write("mine.yaml", &one.secret("mine"));
    scene.until(&mine.trust(&trust_one), |answer| answer.status == 200);
    neighbour.answers("when it came back");
    // A listener that drains ends its connections one by one, and these may not have been among the first.
    assert_eq!(scene.draining_listeners(), 0);
}
