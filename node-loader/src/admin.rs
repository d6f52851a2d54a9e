//! Envoy's admin interface, on its Unix socket: what a supervisor has to ask and to order.

use std::{io, path::Path, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};

/// Envoy answers at once, unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks no client to leave at once, and stops listening nowhere: answers from now on say that they are the last ones of their
/// connection, some at first and all when the drain time is over.
pub(crate) async fn drain(socket: &Path) -> io::Result<()> {
    ask(socket, Method::POST, "/drain_listeners?graceful&skip_exit").await.map(drop)
}

/// How many client connections there are.
pub(crate) async fn connections(socket: &Path) -> io::Result<u64> {
    let stats = ask(socket, Method::GET, "/stats?filter=%5Elistener.%2Adownstream_cx_active$").await?;
    Ok(sum(&stats))
}

/// Whether it has all that it waited for at its start: clusters, listeners and what they refer to.
pub(crate) async fn is_live(socket: &Path) -> bool {
    ask(socket, Method::GET, "/ready").await.is_ok()
}

/// Of lines such as `listener.127.0.0.1_10000.downstream_cx_active: 3`, without the one who asks. Each worker has a line, too:
/// they are counted twice.
fn sum(stats: &str) -> u64 {
    let lines = stats.lines().filter(|line| !line.starts_with("listener.admin."));
    let numbers = lines.filter_map(|line| line.rsplit_once(": ")?.1.trim().parse::<u64>().ok());
    numbers.sum()
}

async fn ask(socket: &Path, method: Method, path: &str) -> io::Result<String> {
    let exchange = async {
        let stream = UnixStream::connect(socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let connection = tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header(HOST, "envoy");
        let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        connection.abort();
        let body = String::from_utf8_lossy(&body).into_owned();
        if status == StatusCode::OK { Ok(body) } else { Err(io::Error::other(format!("{path}: {status}: {body}"))) }
    };
    timeout(PATIENCE, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_counted_and_who_counts_them_is_not() {
        let stats = "listener.127.0.0.1_10000.downstream_cx_active: 2\nlistener.127.0.0.1_10000.worker_0.downstream_cx_active: \
                     2\nlistener.[__1]_10001.downstream_cx_active: 0\nlistener.admin.downstream_cx_active: 1\n";
        assert_eq!(sum(stats), 4);
        assert_eq!(sum("listener.admin.downstream_cx_active: 1\n"), 0);
    }
}
