//! From a saved file to the first answer that has the edit.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{
    load::Connection,
    scene::{Scene, write_edited},
};

/// How long an edit may take before the bench gives up.
const LIMIT: Duration = Duration::from_secs(10);

/// The time of each edit, sorted. One connection asks without a pause, so what is added is at most one request.
pub(super) fn time(scene: &Scene, edits: usize) -> Result<Vec<Duration>> {
    let folder = scene.folder.path().to_owned();
    let mut times = scene.client.enter(|| {
        let mut connection = Connection::open(Scene::edited())?;
        let mut times = Vec::with_capacity(edits);
        for edit in 1..=edits {
            let answer = format!("edit-{edit}");
            let start = Instant::now();
            write_edited(&folder, &answer)?;
            while connection.ask()? != answer.as_bytes() {
                if start.elapsed() > LIMIT {
                    bail!("{answer} is not served after {LIMIT:?}");
                }
            }
            times.push(start.elapsed());
        }
        Ok(times)
    })??;
    times.sort_unstable();
    Ok(times)
}
