//! `cargo xtask kernels`: the loader's tests on other kernels than this machine's, each in a virtual machine.
//!
//! A machine has Debian's kernel and, as its only file system, an archive in memory: the tests, the tools that they run, and the
//! kernel's modules for networks. It runs the tests and ends with what came of them.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use anyhow::{Result, bail};
use clap::Args;

use crate::{embed, setup};

mod cpio;
mod image;
mod machine;
mod package;
mod programs;

use image::Image;
use package::{Files, Kernel};
use programs::Programs;

/// Run the loader's tests on kernels of Debian, in virtual machines: TCX on 6.12, clsact on 6.1.
#[derive(Args)]
pub(crate) struct Kernels {
    /// Versions, such as 6.1; without any, all that are known.
    versions: Vec<String>,
    /// Only tests whose names contain this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Let the processor run the machines, where /dev/kvm allows it; otherwise QEMU computes every instruction.
    #[arg(long)]
    kvm: bool,
    /// Seconds that one machine may take.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    limit: u32,
}

impl Kernels {
    pub(crate) fn run(self) -> Result<()> {
        setup::for_kernels()?;
        let kernels = package::known(&self.versions)?;
        embed::build()?;
        let programs = programs::build()?;
        let images = kernels.iter().map(|kernel| self.image(kernel, &programs)).collect::<Result<Vec<_>>>()?;
        // Side by side: a test waits for others half of the time.
        let passed = thread::scope(|scope| {
            let machines: Vec<_> =
                images.iter().map(|(files, archive)| scope.spawn(|| self.test(files, archive))).collect();
            machines.into_iter().map(|machine| machine.join().unwrap_or_default()).collect::<Vec<bool>>()
        });
        if passed.contains(&false) { bail!("not every kernel passed") } else { Ok(()) }
    }

    fn image(&self, kernel: &Kernel, programs: &Programs) -> Result<(Files, PathBuf)> {
        let files = kernel.files()?;
        let archive = Image { kernel: &files, programs, filter: self.filter.as_deref() }.write()?;
        Ok((files, archive))
    }

    /// Whether all tests passed; says so, and how long it took.
    fn test(&self, kernel: &Files, archive: &Path) -> bool {
        let start = Instant::now();
        let outcome = machine::run(kernel, archive, self.kvm, self.limit);
        let words = outcome.as_ref().map_or_else(|error| format!("{error:#}"), |()| "passed".to_owned());
        println!("{:>7.1} s  Linux {:<6} {words}", start.elapsed().as_secs_f32(), kernel.series);
        outcome.is_ok()
    }
}
