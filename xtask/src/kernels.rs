//! `cargo xtask kernels`: the loader's tests on other kernels than this machine's, each in a virtual machine.
//!
//! A machine has Debian's kernel and, as its only file system, an archive in memory: the tests, the tools that they run, and the
//! kernel's modules for networks. It runs the tests and ends with what came of them.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::{embed, setup};

mod cpio;
mod image;
mod machine;
mod package;
mod programs;

use image::Image;
use package::Kernel;
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
    #[arg(long, default_value_t = 1800, value_name = "SECONDS")]
    limit: u32,
}

impl Kernels {
    pub(crate) fn run(self) -> Result<()> {
        setup::for_kernels()?;
        let kernels = package::known(&self.versions)?;
        embed::build()?;
        let programs = programs::build()?;
        let mut lines = Vec::new();
        let mut failed = false;
        for kernel in &kernels {
            let start = Instant::now();
            let outcome = self.test(kernel, &programs);
            failed |= outcome.is_err();
            let words = outcome.map_or_else(|error| format!("{error:#}"), |()| "passed".to_owned());
            lines.push(format!("{:>7.1} s  Linux {:<6} {words}", start.elapsed().as_secs_f32(), kernel.series));
        }
        println!("\n{}", lines.join("\n"));
        if failed { bail!("not every kernel passed") } else { Ok(()) }
    }

    fn test(&self, kernel: &Kernel, programs: &Programs) -> Result<()> {
        println!("\n== Linux {}", kernel.series);
        let files = kernel.files()?;
        let image = Image { kernel: &files, programs, filter: self.filter.as_deref() };
        machine::run(&files.vmlinuz, &image.write()?, self.kvm, self.limit)
    }
}
