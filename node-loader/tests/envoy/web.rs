//! A client.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::ToSocketAddrs,
    time::timeout,
};

use crate::lab::SOON;

pub(crate) async fn get(address: (&str, u16)) -> String {
    get_path(address, "/").await
}

pub(crate) async fn get_path(address: impl ToSocketAddrs, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a listener");
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// Asks on a connection that stays open.
pub(crate) async fn ask(stream: &mut tokio::net::TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("a request");
    let mut answer = String::new();
    let read = async {
        while !answer.ends_with("hello") {
            let mut bytes = [0; 1024];
            let count = stream.read(&mut bytes).await.expect("an answer");
            assert_ne!(count, 0, "closed after {answer:?}");
            answer += &String::from_utf8_lossy(&bytes[..count]);
        }
    };
    timeout(SOON, read).await.expect("an answer");
    answer
}
