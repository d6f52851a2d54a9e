//! Clients that make work and want no answers. Each loses its connection; others do not notice, and Envoy does not grow.

use std::{io::Write as _, net::TcpStream};

use crate::raw::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, HTTP2, RST_STREAM, connect, exchange, fields, frame,
};
use crate::scene::{Scene, ingress, path, rule};

/// `CANCEL`, RFC 9113, section 7.
const CANCEL: [u8; 4] = 8_u32.to_be_bytes();
/// Bytes that Envoy may grow by in all: far less than a flood sends.
const GROWTH: u64 = 48 << 20;

/// Writes piece by piece until the other side has enough, and tells how many pieces it took.
fn write_until_closed(mut stream: TcpStream, pieces: impl Iterator<Item = Vec<u8>>) -> usize {
    // The answers are read as they come, or the other side would stop for want of a reader.
    let mut reader = stream.try_clone().unwrap();
    let reads = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let (mut written, mut closed) = (0, false);
    for piece in pieces {
        closed = reads.is_finished() || stream.write_all(&piece).is_err();
        if closed {
            break;
        }
        written += 1;
    }
    assert!(closed || reads.join().unwrap().is_ok(), "it is still open after {written} pieces");
    written
}

#[test]
fn cve_2023_44487_cve_2024_30255_floods_end_their_own_connection() {
    let web = ingress("web", "", &format!("rules: [{}]", rule("shop.example", &[&path("Prefix", "/", "web")])));
    let scene = Scene::start("ing-floods", &["web"], &web);
    let ask = scene.curl("http://shop.example/");
    scene.until(&ask, |answer| answer.status == 200);
    let (at, before) = (scene.at("web", 80), scene.envoy_memory());
    let open = || {
        let mut stream = connect(&scene.outside, at);
        stream.write_all(HTTP2).unwrap();
        stream
    };
    let request = fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "shop.example")]);
    let headers = |flags: u8, stream: u32| frame(HEADERS, flags, stream, &request);

    // Rapid reset: requests that are taken back at once.
    let reset = |at: u32| [headers(END_HEADERS | END_STREAM, at), frame(RST_STREAM, 0, at, &CANCEL)].concat();
    let resets = write_until_closed(open(), (0..200_000).map(|at| reset(2 * at + 1)));
    println!("{resets} streams were taken back");
    assert!(resets < 200_000);

    // Headers without an end.
    let more = fields(&[("x-more", &"y".repeat(100))]).repeat(100);
    let endless = std::iter::once(headers(0, 1)).chain((0..20_000).map(|_| frame(CONTINUATION, 0, 1, &more)));
    let continued = write_until_closed(open(), endless);
    println!("{continued} frames of headers");
    assert!(continued < 20_000);

    // Bodies of nothing.
    let post = fields(&[(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "shop.example")]);
    let begin = frame(HEADERS, END_HEADERS, 1, &post);
    // All at once: an answer would end the stream, and what comes for it later is not read any more.
    let empty = [begin, frame(DATA, 0, 1, &[]).repeat(1000)].concat();
    exchange(open(), &empty);

    // One that never says what it wants is not waited for in vain by others.
    let slow = open();
    assert_eq!(ask.ask(&scene.outside).status, 200, "others are served");
    drop(slow);
    let grown = scene.envoy_memory().saturating_sub(before);
    assert!(grown < GROWTH, "Envoy grew by {grown} bytes");
    // The same of somebody who sends nothing but garbage.
    exchange(connect(&scene.outside, at), &[0; 4096]);
    assert_eq!(ask.ask(&scene.outside).status, 200);
}
