//! From a saved config that kills Envoy to the last answer that somebody else did not get.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use axoneme_testnet::deadly;

use super::{load::Connection, scene::Scene};

/// How long the cause may stay unknown before the bench gives up.
const LIMIT: Duration = Duration::from_secs(30);
/// How long is asked on after the cause was found: nothing may fail then.
const AFTER: Duration = Duration::from_secs(1);

/// What others saw of one config that kills Envoy.
pub(super) struct Crash {
    /// From the saved file to the end of the last request that failed; zero if none did.
    pub(super) restored: Duration,
    /// From the saved file until the object says `ProxyCrashed`.
    pub(super) told: Duration,
    /// Requests that failed.
    pub(super) failed: usize,
}

/// Lets Envoy be killed by `crashes` configs, one after another, while somebody asks without a pause, each time on a new
/// connection. Before each, Envoy is known to live with everything else.
pub(super) fn time(scene: &mut Scene, crashes: usize) -> Result<Vec<Crash>> {
    (1..=crashes).map(|attempt| once(scene, attempt)).collect()
}

fn once(scene: &mut Scene, attempt: usize) -> Result<Crash> {
    let proven = "Envoy to be known to live with everything";
    scene.mesh.wait_for(proven, LIMIT, |status| status.suspects == Some(0))?;
    let (client, file) = (scene.client.clone(), scene.folder.path().join("deadly.yaml"));
    let mesh = &mut scene.mesh;
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let (told, asked) = thread::scope(|scope| {
        let probe = scope.spawn(|| client.enter(|| probe(start, &stop)));
        // Another content each time: what was found deadly once stays away.
        let told = fs::write(&file, deadly("bench", attempt)).map_err(anyhow::Error::from).and_then(|()| {
            let crashed = |message: &String| message.starts_with("ProxyCrashed: ");
            mesh.wait_for("the cause", LIMIT, |status| status.rejections.values().any(crashed))?;
            let told = start.elapsed();
            thread::sleep(AFTER);
            Ok(told)
        });
        stop.store(true, Ordering::Relaxed);
        (told, probe.join())
    });
    let (restored, failed) = asked.map_err(|_| anyhow!("the client panicked"))??;
    let told = told?;
    fs::remove_file(&file)?;
    mesh.wait_for("the config to go", LIMIT, |status| status.rejections.is_empty())?;
    Ok(Crash { restored, told, failed })
}

/// Asks until it is told to stop: when the last failure was over, and how many there were.
fn probe(start: Instant, stop: &AtomicBool) -> (Duration, usize) {
    let (mut last, mut failed) = (Duration::ZERO, 0);
    while !stop.load(Ordering::Relaxed) {
        let asked = Connection::open_within(Scene::edited(), Duration::from_millis(250));
        let good = asked.is_ok_and(|mut connection| connection.ask().is_ok_and(|answer| answer.starts_with(b"edit-")));
        if good {
            thread::sleep(Duration::from_millis(2));
        } else {
            (last, failed) = (start.elapsed(), failed + 1);
        }
    }
    (last, failed)
}
