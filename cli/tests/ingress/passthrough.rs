//! TLS passthrough: the client's TLS ends at the backend.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread::spawn,
};

use axoneme_testnet::Namespace;
use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::certificates::Pair;
use crate::scene::{Scene, ingress, path, rule};

pub(crate) const BODY: &str = "the backend itself";

/// A server in a pod that ends TLS with its own certificate, and answers each connection once.
pub(crate) fn tls_server(pod: &Namespace, port: u16, pair: &Pair) {
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let config = Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = pod.enter(|| TcpListener::bind(("0.0.0.0", port))).unwrap().unwrap();
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let server = ServerConnection::new(config.clone()).unwrap();
            // A client that goes away, or wants another name, is answered no more.
            spawn(move || answer(StreamOwned::new(server, stream)).ok());
        }
    });
}

fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    let length = BODY.len();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{BODY}")?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Two names that are passed through, one that is not, and one whose backend is nowhere.
fn web(tls: &str) -> String {
    let rules = [
        rule("own.example", &[&path("Prefix", "/", "web")]),
        rule("db.example", &[&path("Prefix", "/", "db")]),
        rule("*.wild.example", &[&path("Prefix", "/", "db")]),
        rule("gone.example", &[&path("Prefix", "/", "gone")]),
    ];
    let passed = "ingress.axoneme.io/tls-passthrough: 'db.example,*.wild.example,gone.example'";
    ingress("web", passed, &format!("tls: [{{hosts: [{tls}], secretName: own}}]\n  rules: [{}]", rules.join(", ")))
}

#[test]
fn edge_19_the_client_sees_the_certificate_of_the_backend_itself() {
    let (own, backend) = (Pair::of(&["own.example"]), Pair::of(&["db.example", "*.wild.example"]));
    let scene = Scene::start("ing-pass", &["web"], &[web("own.example"), own.secret("own")].concat());
    let pod = &scene.pods[0];
    tls_server(pod, 8443, &backend);
    scene.publish("db", "", pod, 8443);
    let (trust_own, trust_backend) = (own.file(), backend.file());
    let db = scene.curl("https://db.example/").trust(&trust_backend);
    assert_eq!(scene.until(&db, |answer| answer.status == 200).body, BODY);
    let wild = scene.curl("https://a.wild.example/").trust(&trust_backend);
    assert_eq!(scene.until(&wild, |answer| answer.status == 200).body, BODY);
    // Beside it, at the same address, what ends here.
    let mine = scene.curl("https://own.example/").trust(&trust_own);
    assert_eq!(scene.until(&mine, |answer| answer.status == 200).body, "web");
    // Who asks for the one on a connection for the other is sent to a connection of its own.
    assert_eq!(mine.clone().header("host: db.example").ask(&scene.outside).status, 421);
    assert_eq!(scene.get("http://db.example/a").header("location"), "https://db.example/a");

    // Closed at once: who waits in vain gives up with 28.
    let refused = |host: &str| scene.curl(&format!("https://{host}/")).with(&["--insecure"]);
    for host in ["gone.example", "unknown.example", "wild.example"] {
        scene.until(&refused(host), |answer| answer.exit == 35);
    }
    scene.publish("gone", "", pod, 8443);
    assert_eq!(scene.until(&refused("gone.example"), |answer| answer.status == 200).body, BODY);

    // A certificate for a name that is passed through changes nothing but what is told.
    scene.write("ingress.yaml", &[web("own.example, db.example"), own.secret("own")].concat());
    scene.says(&["spec.tls[0].hosts[1]", "db.example is passed through"]);
    assert_eq!(db.ask(&scene.outside).body, BODY);
    assert_eq!(mine.ask(&scene.outside).body, "web");
    assert_eq!(scene.draining_listeners(), 0);

    // The last endpoint goes: nobody is left hanging.
    scene.delete("db.yaml");
    scene.until(&refused("db.example"), |answer| answer.exit == 35);
    assert_eq!(mine.ask(&scene.outside).body, "web");
}

#[test]
fn edge_19_a_whole_ingress_is_passed_through() {
    let backend = Pair::of(&["db.example"]);
    let spec = format!("rules: [{}]", rule("db.example", &[&path("Prefix", "/", "db")]));
    let scene =
        Scene::start("ing-pass-all", &["web"], &ingress("web", "ingress.cilium.io/tls-passthrough: enabled", &spec));
    let pod = &scene.pods[0];
    tls_server(pod, 8443, &backend);
    scene.publish("db", "", pod, 8443);
    let trusted = backend.file();
    scene.until(&scene.curl("https://db.example/").trust(&trusted), |answer| answer.body == BODY);
}
