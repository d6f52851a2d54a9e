//! PROXY protocol: the client is who the header names, and who brings no header is not heard.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use anyhow::{Context as _, Result, ensure};
use axoneme_e2e::{
    theme::{SOON, Theme, ingress},
    until,
};
use serde_json::{Value, json};

const CLIENT: &str = "192.0.2.7";
const REQUEST: &str = "GET /echo HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";

pub(crate) const THEME: Theme = Theme {
    name: "proxy-protocol",
    backends: &[("echo", &[80])],
    manifest: || {
        let annotations = json!({
            "ingress.axoneme.io/proxy-protocol": "enabled",
            // About the client that the header names, not about the proxy that brings it.
            "ingress.axoneme.io/load-balancer-source-ranges": format!("{CLIENT}/32"),
        });
        Ok(ingress("web", "echo", &annotations))
    },
    holds: |place| {
        let address = place.address("web")?;
        let named = |client: &str| format!("PROXY TCP4 {client} 198.51.100.1 40000 80\r\n");
        until(&format!("{}: the client of the header is told to the backend", place.namespace), SOON, || {
            let answer = send(&address, &(named(CLIENT) + REQUEST))?;
            let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no head: {answer:?}"))?;
            ensure!(head.starts_with("HTTP/1.1 200"), "{answer:?}");
            let seen: Value = serde_json::from_str(body)?;
            ensure!(seen["headers"]["x-forwarded-for"] == CLIENT, "{seen}");
            Ok(())
        })?;
        for (who, header) in [("nobody", String::new()), ("somebody else", named("192.0.2.8"))] {
            // A RST is as good as an end without a word.
            let answer = send(&address, &(header + REQUEST)).unwrap_or_default();
            ensure!(answer.is_empty(), "{who} is answered {answer:?}");
        }
        Ok(())
    },
};

/// This machine is in the network of the nodes, and outside of the cluster.
fn send(address: &str, text: &str) -> Result<String> {
    let mut stream = TcpStream::connect((address, 80)).context("no connection")?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(text.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no answer")?;
    Ok(answer)
}
