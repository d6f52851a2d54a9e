//! A virtual machine that runs until it ends itself.

use std::{
    io::{BufRead as _, BufReader, Write as _, stdout},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::package::Files;

/// How the first process ends its last line but for the time.
const ENDED: &str = "tests ended with ";
const MEGABYTES: &str = "2048";

/// Boots the kernel on the archive, passes on what it prints, and looks how its tests ended.
///
/// Without `kvm` every instruction is computed: a boot takes some 10 seconds in place of one, and tests ten times as long.
pub(super) fn run(kernel: &Files, archive: &Path, kvm: bool, limit: u32) -> Result<()> {
    // One thread for both processors: with a thread each, one still sees the breakpoint (`int3`) that the other has just replaced
    // at a static key, and Linux 6.12 ends in `exc_int3`.
    let (accelerator, processor) = if kvm { ("kvm", "host") } else { ("tcg,thread=single", "max") };
    let mut qemu = Command::new("timeout");
    qemu.arg(limit.to_string()).arg("qemu-system-x86_64");
    qemu.args(["-accel", accelerator, "-cpu", processor, "-smp", "2", "-m", MEGABYTES]);
    qemu.args(["-nographic", "-no-reboot", "-net", "none"])
        .arg("-kernel")
        .arg(&kernel.vmlinuz)
        .arg("-initrd")
        .arg(archive);
    qemu.args(["-append", "console=ttyS0 quiet panic=-1"]);
    let mut qemu = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start qemu")?;
    let output = qemu.stdout.take().context("no output")?;
    let mut ended = None;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let text = String::from_utf8_lossy(&line);
        ended = ended.or_else(|| text.split_once(ENDED).and_then(|(_, rest)| rest.chars().next()));
        writeln!(stdout(), "{:<6} {}", kernel.series, text.trim_end())?;
    }
    let status = qemu.wait().context("qemu got lost")?;
    match ended {
        Some('0') => Ok(()),
        Some(_) => bail!("tests failed; their words are above"),
        None if status.code() == Some(124) => bail!("not ready after {limit} s; --limit gives it more"),
        None => bail!("the machine ended with {status} before its tests did; its words are above"),
    }
}
