//! Plain TCP: a line there, one or more back.

use anyhow::Result;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{Question, connection::connect};

/// Sends the body as a line. A connection that is closed without an answer gives an empty `text`.
pub(super) async fn exchange(question: &Question) -> Result<Value> {
    let mut stream = BufReader::new(connect(question, &[]).await?);
    stream.write_all(format!("{}\n", question.body).as_bytes()).await?;
    stream.flush().await?;
    let mut lines = Vec::new();
    for _ in 0..question.lines {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        lines.push(line.trim_end().to_owned());
    }
    Ok(json!({ "text": lines.join("\n") }))
}
