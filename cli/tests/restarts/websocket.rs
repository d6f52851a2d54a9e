//! One websocket, which somebody holds while Envoys come and go.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use axoneme_testnet::Namespace;

use crate::scene::SOON;

pub(crate) struct Websocket(TcpStream);

impl Websocket {
    pub(crate) fn open(from: &Namespace, to: SocketAddr) -> Self {
        let mut stream = from.enter(|| TcpStream::connect_timeout(&to, SOON)).unwrap().unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let ask = "GET /socket HTTP/1.1\r\nhost: web.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(ask.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        Self(stream)
    }

    /// What is sent comes back; an error when the connection is over.
    pub(crate) fn talk(&mut self) -> io::Result<()> {
        let (words, mut back) = (*b"there and back..", [0; 16]);
        self.0.write_all(&words)?;
        self.0.read_exact(&mut back)?;
        assert_eq!(back, words);
        Ok(())
    }
}
