//! Requests byte by byte, for what no decent client would send.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread::spawn,
    time::Duration,
};

use axoneme_testnet::Namespace;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection from inside a namespace.
pub(crate) fn connect(from: &Namespace, to: SocketAddr) -> TcpStream {
    let stream = from.enter(|| TcpStream::connect(to)).unwrap().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends all of it, and reads until the other side closes. What comes of a side that never does is not in time.
pub(crate) fn exchange(mut stream: TcpStream, sent: &[u8]) -> Vec<u8> {
    // Who has seen enough may close before it has seen all.
    let _ = stream.write_all(sent);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
            panic!("still open: {error}; it said {:?}", String::from_utf8_lossy(&answer))
        }
        _ => answer,
    }
}

/// A server in a pod that tells what each connection brought, when it ends or pauses, and answers every piece with an empty 200.
pub(crate) fn listen(pod: &Namespace, port: u16) -> Receiver<String> {
    let listener = pod.enter(|| TcpListener::bind(("0.0.0.0", port))).unwrap().unwrap();
    let (tell, told) = channel();
    spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let tell = tell.clone();
            spawn(move || {
                let mut piece = [0; 64 << 10];
                while let Ok(read) = stream.read(&mut piece) {
                    let text = String::from_utf8_lossy(&piece[..read]).into_owned();
                    if read == 0 || tell.send(text).is_err() {
                        return;
                    }
                    // A client that is gone gets no answer.
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                }
            });
        }
    });
    told
}

/// How a connection in HTTP/2 begins: the preface, and settings that ask for nothing.
pub(crate) const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Kinds of frames, RFC 9113, section 6.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
/// Their flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Headers as literals that nobody remembers (RFC 7541, 6.2.2). Names and values are shorter than 127 bytes.
pub(crate) fn fields(all: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in all {
        bytes.push(0);
        for text in [name, value] {
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// The kinds and streams of the frames that came.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(u8, u32)> {
    let mut all = Vec::new();
    while let [a, b, c, kind, _, s0, s1, s2, s3, rest @ ..] = bytes {
        all.push((*kind, u32::from_be_bytes([*s0, *s1, *s2, *s3])));
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        bytes = rest.get(length..).unwrap_or_default();
    }
    all
}
