//! A backend on a Unix socket that answers with the head of what it was asked, and speaks websocket.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
};

/// Serves on a socket until the process ends.
pub(crate) fn serve(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that is gone takes its connection with it.
            thread::spawn(move || answer(stream?));
        }
    });
}

fn answer(mut stream: UnixStream) -> std::io::Result<()> {
    let head = head(&mut stream)?;
    if head.to_lowercase().contains("upgrade: websocket") {
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")?;
        let mut word = [0; 5];
        stream.read_exact(&mut word)?;
        return stream.write_all(&word);
    }
    let length = head.len();
    stream
        .write_all(format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{head}").as_bytes())
}

/// Reads up to the empty line.
pub(crate) fn head(stream: &mut UnixStream) -> std::io::Result<String> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        text.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
