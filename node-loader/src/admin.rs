//! Envoy's admin interface, on its Unix socket: what a supervisor has to ask and to order.

use std::{collections::BTreeMap, io, path::Path, time::Duration};

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

/// How many client connections each listener has, by its name; those that have none are left out.
pub(crate) async fn connections(socket: &Path) -> io::Result<BTreeMap<String, u64>> {
    let stats = ask(socket, Method::GET, "/stats?filter=%5Elistener.%2Adownstream_cx_active$").await?;
    let counts = counts(&stats);
    if counts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let listeners = ask(socket, Method::GET, "/listeners").await?;
    Ok(named(counts, &listeners))
}

/// Whether it has all that it waited for at its start: clusters, listeners and what they refer to.
pub(crate) async fn is_live(socket: &Path) -> bool {
    ask(socket, Method::GET, "/ready").await.is_ok()
}

/// Of lines such as `listener.127.0.0.1_10000.downstream_cx_active: 3`, without the one who asks. Each worker has a line, too.
fn counts(stats: &str) -> BTreeMap<&str, u64> {
    fn count(line: &str) -> Option<(&str, u64)> {
        let (name, count) = line.rsplit_once(": ")?;
        let address = name.strip_prefix("listener.")?.strip_suffix(".downstream_cx_active")?;
        Some((address, count.trim().parse().ok()?))
    }
    let clients =
        |(address, count): &(&str, u64)| !address.starts_with("admin") && !address.contains(".worker_") && *count > 0;
    stats.lines().filter_map(count).filter(clients).collect()
}

/// Lines such as `shop/web/listener::127.0.0.1:10000` say the names. One that is gone already is called by its address.
fn named(counts: BTreeMap<&str, u64>, listeners: &str) -> BTreeMap<String, u64> {
    let names = listeners.lines().filter_map(|line| line.split_once("::"));
    let names: BTreeMap<String, &str> = names.map(|(name, address)| (address.replace(':', "_"), name)).collect();
    let name = |address: &str| names.get(address).copied().unwrap_or(address).to_owned();
    let mut all = BTreeMap::new();
    for (address, count) in counts {
        *all.entry(name(address)).or_default() += count;
    }
    all
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
    fn clients_are_counted_by_listener_and_who_counts_them_is_not() {
        let stats = "listener.127.0.0.1_10000.downstream_cx_active: 2\nlistener.127.0.0.1_10000.worker_0.downstream_cx_active: \
                     2\nlistener.[__1]_10001.downstream_cx_active: 1\nlistener.127.0.0.1_10002.downstream_cx_active: 0\n\
                     listener.127.0.0.1_10003.downstream_cx_active: 4\nlistener.admin.downstream_cx_active: 1\n\
                     listener.admin.main_thread.downstream_cx_active: 1\n";
        let listeners = "shop/web/listener::127.0.0.1:10000\nshop/six/listener::[::1]:10001\n";
        let found = named(counts(stats), listeners);
        let expected = [("127.0.0.1_10003", 4), ("shop/six/listener", 1), ("shop/web/listener", 2)];
        assert_eq!(found.iter().map(|(name, count)| (&**name, *count)).collect::<Vec<_>>(), expected);
        assert!(counts("listener.admin.downstream_cx_active: 1\n").is_empty());
    }
}
