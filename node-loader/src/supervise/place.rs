//! The place of a supervised Envoy on its node: a seat that it has to itself, and the files that go with it.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    fcntl::{Flock, FlockArg},
    time::{ClockId, clock_gettime},
};
use tokio::time::{Instant, sleep};

use crate::{Config, admin, envoy_module::SEARCH_PATH, seat::Seat};

/// Both seats are taken only while one Envoy takes over from another.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often connections are counted while Envoy drains, and how many times at most: a drain may take hours, and looking is work.
const COUNT_AGAIN: Duration = Duration::from_millis(250);
const COUNTS: u32 = 240;

/// What an Envoy needs to be one of this node's.
#[derive(Debug, Clone)]
pub struct Node {
    /// Of the node, as its loader has it: the name and the folder.
    pub config: Config,
    /// How long clients may take to leave, when it has been asked to end. For the first half of it some answers say that they are
    /// the last ones of their connection, more and more of them; then all do.
    pub drain_time: Duration,
    /// What tells this Envoy from the other one: the name of its pod, for one.
    pub instance: String,
}

/// Whether the Envoy that was started as `instance` serves all that it was told of.
///
/// # Errors
/// The system's, when the node's folder cannot be read.
pub async fn is_ready(config: &Config, instance: &str) -> io::Result<bool> {
    for seat in Seat::ALL {
        match fs::read_to_string(lock_file(config, seat)) {
            Ok(holder) if holder == instance => return Ok(admin::is_live(&config.admin_socket(seat)).await),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(false)
}

/// A seat that is ours until we end, however that comes.
pub(super) struct Place {
    node: Node,
    seat: Seat,
    _lock: Flock<File>,
}

impl Place {
    /// Takes a free seat, the first one if there is a choice; waits for one if need be.
    pub(super) async fn take(node: Node) -> io::Result<Self> {
        let mut waits = false;
        loop {
            for seat in Seat::ALL {
                if let Some(mut lock) = lock(&node.config, seat)? {
                    lock.set_len(0)?;
                    lock.write_all(node.instance.as_bytes())?;
                    tracing::info!(?seat, "took a seat");
                    return Ok(Self { node, seat, _lock: lock });
                }
            }
            if !std::mem::replace(&mut waits, true) {
                tracing::warn!("two Envoys are at work on this node; waiting for one of them to end");
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The node's folder.
    pub(super) fn folder(&self) -> &Path {
        &self.node.config.run_dir
    }

    /// Writes the bootstrap for an Envoy that starts now, and says with which arguments and variables Envoy will find it.
    pub(super) fn prepare(&self) -> io::Result<(Vec<OsString>, (&'static str, PathBuf))> {
        let Node { config, drain_time, .. } = &self.node;
        let file = config.bootstrap_file(self.seat);
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
        fs::write(&file, config.bootstrap(self.seat, Some(now.into())))?;
        // In the second half every answer is the last one of its connection.
        let drain_time = (drain_time.as_secs() / 2).max(1).to_string();
        let arguments = ["--config-path".into(), file.into_os_string(), "--drain-time-s".into(), drain_time.into()];
        let hot_restart = OsString::from("--disable-hot-restart");
        Ok((arguments.into_iter().chain([hot_restart]).collect(), (SEARCH_PATH, config.modules_dir())))
    }

    /// Lets clients go: returns when the last one has left, or when their time is up.
    pub(super) async fn drain(&self) {
        let socket = self.node.config.admin_socket(self.seat);
        if let Err(error) = admin::drain(&socket).await {
            tracing::warn!(%error, "Envoy cannot be asked to drain; it ends at once");
            return;
        }
        let drain_time = self.node.drain_time;
        let until = Instant::now() + drain_time;
        tracing::info!(?drain_time, "draining");
        loop {
            let pause = COUNT_AGAIN.max(drain_time / COUNTS);
            sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
            match admin::connections(&socket).await {
                Ok(left) if left.is_empty() => return,
                Ok(left) if Instant::now() >= until => {
                    for (listener, connections) in left {
                        tracing::warn!(
                            listener,
                            connections,
                            ?drain_time,
                            "connections did not end in time; they are cut"
                        );
                    }
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "Envoy does not tell its connections; it ends");
                    return;
                }
            }
        }
    }
}

/// `None` if somebody else has it.
fn lock(config: &Config, seat: Seat) -> io::Result<Option<Flock<File>>> {
    fs::create_dir_all(&config.run_dir)?;
    let file = lock_file(config, seat);
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(file)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Held while the seat is taken; it says by whom.
fn lock_file(config: &Config, seat: Seat) -> PathBuf {
    config.run_dir.join(seat.file("seat", "lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_are_two_seats_and_the_third_waits() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { run_dir: folder.path().join("run"), ..Config::new("node-1") };
        let node = Node { config: config.clone(), drain_time: Duration::ZERO, instance: "old".to_owned() };
        let first = Place::take(node.clone()).await.unwrap();
        let node = Node { instance: "new".to_owned(), ..node };
        let second = Place::take(node.clone()).await.unwrap();
        assert_eq!((first.seat, second.seat), (Seat::First, Seat::Second));
        let third = tokio::spawn(Place::take(node));
        drop(second);
        assert_eq!(third.await.unwrap().unwrap().seat, Seat::Second);
        let (arguments, _) = first.prepare().unwrap();
        let bootstrap = fs::read_to_string(&arguments[1]).unwrap();
        assert!(bootstrap.contains("\"node-1@") && bootstrap.contains("admin.sock"), "{bootstrap}");
        let holder = |seat| fs::read_to_string(lock_file(&config, seat)).unwrap();
        assert_eq!(Seat::ALL.map(holder), ["old", "new"]);
        for instance in ["old", "nobody"] {
            assert!(!is_ready(&config, instance).await.unwrap(), "no Envoy runs");
        }
    }
}
