//! The server and the client, as the two processes that they are.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_axoneme-echo"))
            .args(["--listen", "127.0.0.1:0", "--name", "me"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split(' ').nth(4).unwrap().to_owned();
        Self { process, address }
    }

    fn get(&self, path: &str, arguments: &[&str]) -> Vec<Value> {
        let url = format!("http://{}{path}", self.address);
        let output = Command::new(env!("CARGO_BIN_EXE_axoneme-echo"))
            .args(["--json", "--get", &url])
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn it_answers_a_text_and_says_who_it_is() {
    let server = Server::start(&["--text", "foo"]);
    let answer = &server.get("/any/path", &[])[0];
    assert_eq!((&answer["status"], &answer["body"]), (&200.into(), &"foo\n".into()));
    assert_eq!(answer["headers"]["x-app-name"], "http-echo");
    assert_eq!(answer["headers"]["x-echo-name"], "me");
    assert_eq!(answer["headers"]["x-echo-path"], "/any/path");
}

#[test]
fn it_says_what_it_saw() {
    let server = Server::start(&[]);
    let answer = &server.get("/foo/echo?a=1", &["--header", "Host: example.org"])[0];
    let saw: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!((&saw["method"], &saw["path"]), (&"GET".into(), &"/foo/echo?a=1".into()));
    assert_eq!((&saw["host"], &saw["name"]), (&"example.org".into(), &"me".into()));
    assert_eq!((&saw["remote"], &saw["local"]), (&answer["local"], &server.address.as_str().into()));
}

#[test]
fn it_fails_as_often_as_told_but_stays_healthy() {
    let server = Server::start(&["--fail-ratio", "0.5"]);
    let statuses: Vec<_> = server.get("/", &["--count", "4"]).iter().map(|answer| answer["status"].clone()).collect();
    assert_eq!(statuses, [200, 503, 200, 503]);
    assert_eq!(server.get("/health", &["--count", "2"])[1]["status"], 200);
    assert_eq!(Server::start(&[]).get("/status/418", &[])[0]["status"], 418);
}

#[test]
fn a_request_without_answer_is_an_error_that_says_why() {
    let mut server = Server::start(&[]);
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let error = server.get("/", &[])[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("refused"), "{error}");
}
