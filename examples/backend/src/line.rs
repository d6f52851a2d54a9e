//! The line server: what comes in goes back, with the server's name before it.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::Backend;

pub(crate) async fn serve(backend: Arc<Backend>, stream: TcpStream) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        writer.write_all(format!("{}: {line}\n", backend.name).as_bytes()).await?;
    }
    Ok(())
}
