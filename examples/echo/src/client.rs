//! The client: asks for a URL and prints what came, also what its own end of the connection was.
//!
//! Every request has a connection of its own, since what is looked at is how connections are led.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Uri,
    body::Bytes,
    client::conn::http1,
    header::{HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

/// How to ask.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Add a header, `NAME: VALUE`; `Host` replaces the one of the URL.
    #[arg(long = "header", value_name = "HEADER", requires = "get", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Ask this many times, each time on a new connection.
    #[arg(long, default_value_t = 1, requires = "get")]
    count: u32,
    /// Give up a request after this many milliseconds.
    #[arg(long, default_value_t = 5000, requires = "get")]
    timeout: u64,
    /// Print one line of JSON per request.
    #[arg(long, requires = "get")]
    json: bool,
}

struct Answer {
    head: hyper::http::response::Parts,
    body: String,
    local: String,
}

/// Asks, prints, and fails if a request got no answer. With `--json` that is a line with `error` instead.
pub(crate) async fn run(url: &Uri, options: &Options) -> Result<(), String> {
    for _ in 0..options.count {
        let answer = tokio::time::timeout(Duration::from_millis(options.timeout), ask(url, options))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} ms", options.timeout)));
        match answer {
            Ok(answer) if options.json => println!("{}", as_json(&answer)),
            Ok(answer) => print(&answer),
            Err(error) if options.json => println!("{}", json!({ "error": error })),
            Err(error) => return Err(format!("{url}: {error}")),
        }
    }
    Ok(())
}

async fn ask(url: &Uri, options: &Options) -> Result<Answer, String> {
    let host = url.host().ok_or("the URL has no host")?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, url.port_u16().unwrap_or(80))).await.map_err(|error| error.to_string())?;
    let local = stream.local_addr().map_err(|error| error.to_string())?.to_string();
    let mut request = Request::get(url.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, url.authority().map_or(host, |authority| authority.as_str()))
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    for (name, value) in &options.headers {
        request.headers_mut().insert(name, value.clone());
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    let exchange = async {
        let (head, body) = sender.send_request(request).await.map_err(|error| said(&error))?.into_parts();
        let body = body.collect().await.map_err(|error| said(&error))?.to_bytes();
        Ok(Answer { head, body: String::from_utf8_lossy(&body).into_owned(), local })
    };
    tokio::pin!(exchange);
    tokio::select! {
        // The exchange first: a connection that ended in order has delivered the answer already.
        biased;
        answer = &mut exchange => answer,
        ended = connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(said(&error)),
        },
    }
}

/// An error of hyper with its cause, which is where "connection reset" is.
fn said(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn as_json(answer: &Answer) -> Value {
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in &answer.head.headers {
        headers.insert(name.to_string(), String::from_utf8_lossy(value.as_bytes()).into());
    }
    json!({
        "status": answer.head.status.as_u16(),
        "headers": headers,
        "body": answer.body,
        "local": answer.local,
    })
}

fn print(answer: &Answer) {
    println!("{:?} {}", answer.head.version, answer.head.status);
    for (name, value) in &answer.head.headers {
        println!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    print!("\n{}", answer.body);
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("want NAME: VALUE")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} cannot be the name of a header"))?;
    let value = value.trim().parse().map_err(|_| format!("{value:?} cannot be the value of a header"))?;
    Ok((name, value))
}
