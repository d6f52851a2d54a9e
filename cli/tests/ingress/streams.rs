//! What lasts, and what is long: websockets, gRPC, events, and bodies that nobody on the way holds as a whole.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::certificates::Pair;
use crate::grpc::Calls;
use crate::raw::connect;
use crate::scene::{Scene, ingress, path, rule};

/// All paths lead to one backend, at a host with TLS that is served without TLS too.
fn start(name: &str, pair: &Pair) -> Scene {
    let spec = format!(
        "tls: [{{hosts: [shop.example], secretName: shop}}]\n  rules: [{}]",
        rule("shop.example", &[&path("Prefix", "/", "calls")])
    );
    let web = ingress("web", "ingress.cilium.io/force-https: disabled", &spec);
    let mut scene = Scene::start(name, &["web"], &[web, pair.secret("shop")].concat());
    scene.publish_backend("calls");
    scene.until(&scene.curl("https://shop.example/").trust(&pair.file()), |answer| answer.status == 200);
    scene
}

/// Asks for a websocket.
fn upgrade(scene: &Scene) -> TcpStream {
    let mut stream = connect(&scene.outside, scene.at("web", 80));
    let request = "GET /socket HTTP/1.1\r\nhost: shop.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream
}

#[test]
fn edge_23_a_websocket_passes_in_both_directions() {
    let scene = start("ing-socket", &Pair::of(&["shop.example"]));
    let mut stream = upgrade(&scene);
    for said in ["hello".to_owned(), "again".to_owned(), "x".repeat(100_000)] {
        let mut back = vec![0; said.len()];
        std::thread::scope(|scope| {
            let mut writer = stream.try_clone().unwrap();
            let said = said.as_bytes();
            scope.spawn(move || writer.write_all(said).unwrap());
            stream.read_exact(&mut back).unwrap();
        });
        assert!(back == said.as_bytes());
    }
    // Its end is passed on too.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn edge_23_grpc_passes_one_question_and_many() {
    let pair = Pair::of(&["shop.example"]);
    let scene = start("ing-grpc", &pair);
    let calls = Calls { to: scene.at("web", 443), host: "shop.example", tls: pair.connector(&["h2"]) };
    // The cluster for HTTP/2 may be a moment later than the one that was asked.
    let (mut last, limit) = (None, std::time::Duration::from_secs(20));
    let waited = axoneme_testnet::wait_until("the calls", limit, || {
        last = calls.all(&scene.outside).err();
        Ok(last.is_none())
    });
    assert!(waited.is_ok(), "{last:?}\n{}", scene.log());
}

#[test]
fn edge_23_events_come_when_they_happen_and_after_more_than_fifteen_seconds() {
    let scene = start("ing-events", &Pair::of(&["shop.example"]));
    // A socket is open beside it for as long, and says nothing.
    let mut socket = upgrade(&scene);
    let mut stream = connect(&scene.outside, scene.at("web", 80));
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    stream.write_all(b"GET /events/16 HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n").unwrap();
    let (mut came, mut piece) = (String::new(), [0; 4096]);
    let mut read_until = |what: &str| {
        while !came.contains(what) {
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "it ended: {came}");
            came.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        came.clone()
    };
    let first = read_until("data: first\n\n");
    assert!(!first.contains("data: later"), "not held back until there is more: {first}");
    read_until("data: later\n\n");
    let mut back = [0; 5];
    socket.write_all(b"still").unwrap();
    socket.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"still");
}

/// So many bytes there and back, plain and over TLS. Envoy holds some of them at a time, and never all.
fn passes(scene: &Scene, pair: &Pair, bytes: u64) {
    // Nothing is stored: the file is one hole.
    let hole = tempfile::NamedTempFile::new().unwrap();
    File::options().write(true).open(hole.path()).unwrap().set_len(bytes).unwrap();
    let (hole_path, trusted) = (hole.path().to_str().unwrap(), pair.file());
    let before = scene.envoy_memory();
    for scheme in ["http", "https"] {
        let curl = |path: &str| {
            let curl = scene.curl(&format!("{scheme}://shop.example{path}")).trust(&trusted);
            curl.header("expect:").with(&["--max-time", "300"])
        };
        let uploaded = curl("/upload").with(&["--upload-file", hole_path]).ask(&scene.outside);
        assert_eq!((uploaded.status, uploaded.body), (200, bytes.to_string()), "{scheme}");
        let url = format!("{scheme}://shop.example/download/{bytes}");
        let more = ["--output", "/dev/null", "--write-out", "%{http_code} %{size_download}", &url];
        let (exit, printed, said) = curl("").run(&scene.outside, more);
        assert_eq!((exit, printed), (0, format!("200 {bytes}")), "{scheme}: {said}");
    }
    let grown = scene.envoy_memory().saturating_sub(before);
    println!("{bytes} bytes each way, Envoy grew by {grown}");
    assert!(grown < 64 << 20, "Envoy grew by {grown} bytes");
}

#[test]
fn edge_23_long_bodies_are_not_held() {
    let pair = Pair::of(&["shop.example"]);
    passes(&start("ing-bodies", &pair), &pair, 100 << 20);
}

#[test]
#[ignore = "long: cargo xtask soak"]
fn soak_edge_23_a_gibibyte_is_not_held() {
    let pair = Pair::of(&["shop.example"]);
    passes(&start("ing-gibibyte", &pair), &pair, 1 << 30);
}
