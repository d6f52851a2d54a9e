//! Writes the seeds of every target to `FOLDER/TARGET/seeds/`.

use std::{env, fs, io, path::PathBuf};

use axoneme_fuzz::TARGETS;
// Coverage of the library counts into libFuzzer's tables.
use libfuzzer_sys as _;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from).unwrap_or_default();
    for target in TARGETS {
        let folder = folder.join(target.name).join("seeds");
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)()?.iter().enumerate() {
            fs::write(folder.join(format!("{number:03}")), seed)?;
        }
    }
    Ok(())
}
