//! HTTP in both versions, gRPC on top of it, and upgrades.

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    header::HOST,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Question, Scheme, connection::connect};

/// Asks and tells the whole answer.
pub(super) async fn exchange(question: &Question) -> Result<Value> {
    let response = send(question, question.body.clone().into(), question.http2).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.context("read the body")?.to_bytes();
    let text = String::from_utf8_lossy(&body);
    Ok(json!({
        "status": head.status.as_u16(),
        "headers": headers(&head.headers),
        "text": text.trim(),
        "saw": serde_json::from_str(&text).unwrap_or(Value::Null),
    }))
}

/// `text = 1`, as the messages of `corpus.Echo` are.
#[derive(Clone, PartialEq, Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

/// Calls a method whose question and answer are a [`Text`].
pub(super) async fn call(question: &Question) -> Result<Value> {
    let message = Text { text: question.body.clone() }.encode_to_vec();
    // Not compressed, and four bytes of length.
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len())?.to_be_bytes());
    frame.extend(message);
    let response = send(question, frame.into(), true).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.context("read the answer")?;
    let mut all = head.headers;
    all.extend(body.trailers().cloned().unwrap_or_default());
    let frame = body.to_bytes();
    let text = Text::decode(frame.get(5..).unwrap_or_default()).context("understand the answer")?.text;
    let status = all.get("grpc-status").and_then(|status| status.to_str().ok()?.parse::<u16>().ok());
    Ok(json!({ "status": status, "headers": headers(&all), "text": text }))
}

async fn send(question: &Question, body: Bytes, http2: bool) -> Result<Response<Incoming>> {
    let stream = connect(question, if http2 { &["h2"] } else { &["http/1.1"] }).await?;
    let request = request(question, body, http2)?;
    // The connection ends with its task, when both the request and the answer's body are gone.
    if http2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    } else {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender.send_request(request).await?)
    }
}

fn request(question: &Question, body: Bytes, http2: bool) -> Result<Request<Full<Bytes>>> {
    let path = question.url.path_and_query().map_or("/", |path| path.as_str());
    let scheme = Scheme::of(&question.url);
    let builder = Request::builder().method(if scheme.is_grpc() { "POST" } else { &question.method });
    let mut builder = if http2 {
        let scheme = if scheme.is_secure() { "https" } else { "http" };
        builder.uri(format!("{scheme}://{}{path}", question.host))
    } else {
        builder.uri(path).header(HOST, &question.host)
    };
    if scheme.is_grpc() {
        builder = builder.header("content-type", "application/grpc").header("te", "trailers");
    }
    for (name, value) in &question.headers {
        builder = builder.header(name, value);
    }
    Ok(builder.body(Full::new(body))?)
}

/// Upgrades to `websocket`, sends the body as it is, and reads as much as was sent: the proxy does not look inside.
pub(super) async fn upgrade(question: &Question) -> Result<Value> {
    let mut request = request(question, Bytes::new(), false)?;
    request.headers_mut().insert("connection", "upgrade".parse()?);
    request.headers_mut().insert("upgrade", "websocket".parse()?);
    let (mut sender, connection) = http1::handshake(TokioIo::new(connect(question, &[]).await?)).await?;
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request).await?;
    let (status, headers) = (response.status().as_u16(), headers(response.headers()));
    if status != 101 {
        return Ok(json!({ "status": status, "headers": headers }));
    }
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await?);
    stream.write_all(question.body.as_bytes()).await?;
    let mut back = vec![0; question.body.len()];
    stream.read_exact(&mut back).await?;
    Ok(json!({ "status": status, "headers": headers, "text": String::from_utf8_lossy(&back) }))
}

fn headers(all: &HeaderMap) -> Value {
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in all {
        let value = String::from_utf8_lossy(value.as_bytes());
        match headers.get_mut(name.as_str()) {
            Some(Value::String(before)) => *before = format!("{before}, {value}"),
            _ => drop(headers.insert(name.to_string(), value.into())),
        }
    }
    headers.into()
}
