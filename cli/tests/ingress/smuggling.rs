//! Requests of which two readers could disagree where they end, or whom they are for. Envoy reads each of them in one way and
//! writes its own words to the backend, or refuses it. None of it is passed on as it came.

use std::{sync::mpsc::Receiver, time::Duration};

use crate::raw::{END_HEADERS, END_STREAM, HEADERS, HTTP2, connect, exchange, fields, frame, frames, listen};
use crate::scene::{Scene, ingress, path, rule};

/// A scene whose only backend tells the bytes that it gets.
fn start(name: &str) -> (Scene, Receiver<String>) {
    let manifests = ingress("web", "", &format!("rules: [{}]", rule("shop.example", &[&path("Prefix", "/", "told")])));
    let scene = Scene::start(name, &["web"], &manifests);
    let told = listen(&scene.pods[0], 8081);
    scene.publish("told", "", &scene.pods[0], 8081);
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.status == 200);
    while told.try_recv().is_ok() {}
    (scene, told)
}

#[test]
fn cve_http_1_requests_with_two_ends_are_refused() {
    let (scene, told) = start("ing-smuggle");
    // Each is the rest of a request that begins with `POST /`, and the statuses of the answers. After it comes another request,
    // which is either a body or never looked at.
    let inner = "GET /inner HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    let refused = [
        ("both lengths, CL.TE", "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        ("both lengths, TE.CL", "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n", "400"),
        ("two lengths", "content-length: 0\r\ncontent-length: 40\r\n\r\n", "400"),
        ("a list of lengths", "content-length: 0, 40\r\n\r\n", "400"),
        ("a length with a sign", "content-length: +0\r\n\r\n", "400"),
        ("a length below nothing", "content-length: -1\r\n\r\n", "400"),
        ("a length in hexadecimal", "content-length: 0x0\r\n\r\n", "400"),
        ("a space before the colon", "transfer-encoding : chunked\r\n\r\n0\r\n\r\n", "400"),
        ("an encoding that is none", "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", "501"),
        ("an encoding on top", "transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n", "501"),
        ("a size that is none", "transfer-encoding: chunked\r\n\r\nxyz\r\n\r\n", "400"),
        ("a size that overflows", "transfer-encoding: chunked\r\n\r\n10000000000000000\r\n\r\n", "400"),
        ("a zero byte in a value", "x-a: b\0c\r\ncontent-length: 0\r\n\r\n", "400"),
        // It is passed on, but not as the end of a line: see below.
        ("a return in a value", "x-a: b\rc: d\r\ncontent-length: 0\r\n\r\n", "200 200"),
        ("a name with a space", "x a: b\r\ncontent-length: 0\r\n\r\n", "400"),
        ("a line without a colon", "x-a\r\ncontent-length: 0\r\n\r\n", "400"),
    ];
    let answers = refused.map(|(what, rest, _)| {
        let request = format!("POST / HTTP/1.1\r\nhost: shop.example\r\n{rest}{inner}");
        let answer = exchange(connect(&scene.outside, scene.at("web", 80)), request.as_bytes());
        (what, statuses(&answer))
    });
    assert_eq!(answers, refused.map(|(what, _, status)| (what, status.to_owned())));
    // What is in order is told last, and nothing before it.
    scene.get("http://shop.example/last");
    let pieces: Vec<_> = std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(20)).ok())
        .take_while(|piece| !piece.starts_with("GET /last "))
        .collect();
    let ends = |piece: &String| piece.replace("\r\n", "").contains(['\r', '\n']);
    assert!(!pieces.iter().any(ends), "{pieces:?}");
}

/// The statuses of all answers.
fn statuses(answers: &[u8]) -> String {
    let answers = String::from_utf8_lossy(answers);
    let statuses: Vec<_> = answers.split("HTTP/1.1 ").skip(1).map(|answer| answer.split(' ').next().unwrap()).collect();
    statuses.join(" ")
}

#[test]
fn cve_http_1_a_request_is_for_the_host_that_its_route_was_chosen_by() {
    let (scene, told) = start("ing-whose");
    let ask = |head: &str| {
        let answer = exchange(connect(&scene.outside, scene.at("web", 80)), head.as_bytes());
        String::from_utf8_lossy(&answer).into_owned()
    };
    // The target's host counts, and is what the backend is told.
    let answer = ask("GET http://shop.example/absolute HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let got = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(got.starts_with("GET /absolute ") && got.contains("host: shop.example") && !got.contains("other"), "{got}");
    let answer = ask("GET http://other.example/ HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let refused = [
        ("no host", "GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "400"),
        (
            "two hosts",
            "GET / HTTP/1.1\r\nhost: shop.example\r\nhost: other.example\r\nconnection: close\r\n\r\n",
            "404",
        ),
        ("a host that is none", "GET / HTTP/1.1\r\nhost: shop.example/admin\r\nconnection: close\r\n\r\n", "400"),
        ("an old version", "GET / HTTP/1.0\r\nhost: shop.example\r\nconnection: close\r\n\r\n", "426"),
    ];
    assert_eq!(
        refused.map(|(what, head, _)| (what, statuses(ask(head).as_bytes()))),
        refused.map(|(what, _, status)| (what, status.to_owned()))
    );
    assert!(told.try_recv().is_err());
}

#[test]
fn cve_http_2_what_http_1_could_not_say_is_refused() {
    let (scene, told) = start("ing-downgrade");
    let usual = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "shop.example")];
    let refused: [(&str, &[(&str, &str)]); 8] = [
        ("an encoding", &[("transfer-encoding", "chunked")]),
        ("a connection", &[("connection", "x")]),
        ("an upper case name", &[("X-A", "b")]),
        ("a line more", &[("x-a", "b\r\nc: d")]),
        ("a name with a line more", &[("x-a: b\r\nc", "d")]),
        ("a zero byte", &[("x-a", "b\0")]),
        ("a wrong length", &[("content-length", "40")]),
        ("a second path", &[(":path", "/inner")]),
    ];
    for (what, more) in refused {
        let headers = fields(&[&usual, more].concat());
        let request = [HTTP2, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers)].concat();
        let mut stream = connect(&scene.outside, scene.at("web", 80));
        // It ends the stream or all of the connection; in neither case with an answer of the backend.
        let came = until_refused(&mut stream, &request);
        assert!(came, "{what}");
    }
    assert_eq!(told.try_recv().ok(), None);
    let asked = fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "shop.example")]);
    let request = [HTTP2, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &asked)].concat();
    assert!(!until_refused(&mut connect(&scene.outside, scene.at("web", 80)), &request), "a decent one is answered");
}

/// Sends, and tells whether the first stream was refused (true) or answered with 200 (false).
fn until_refused(stream: &mut std::net::TcpStream, request: &[u8]) -> bool {
    use std::io::{Read as _, Write as _};

    // The first field of an answer is its status: 200 is entry 8 of the static table (RFC 7541, appendix A).
    const GOOD: u8 = 0x88;
    stream.write_all(request).unwrap();
    let (mut came, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).unwrap_or(0);
        came.extend_from_slice(&piece[..read]);
        let all = frames(&came);
        if let Some(at) = all.iter().position(|(kind, stream)| (*kind, *stream) == (HEADERS, 1)) {
            return first_byte(&came, at) != Some(GOOD);
        }
        if read == 0 || all.iter().any(|(kind, _)| matches!(*kind, crate::raw::RST_STREAM | crate::raw::GOAWAY)) {
            return true;
        }
    }
}

/// The first byte of the payload of a frame.
fn first_byte(mut bytes: &[u8], at: usize) -> Option<u8> {
    for _ in 0..at {
        let length = u32::from_be_bytes([0, *bytes.first()?, *bytes.get(1)?, *bytes.get(2)?]) as usize;
        bytes = bytes.get(9 + length..)?;
    }
    bytes.get(9).copied()
}
