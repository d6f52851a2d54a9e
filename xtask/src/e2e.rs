//! `cargo xtask e2e`: the end-to-end tests, on a cluster that gets what users get: images, and the charts by helm.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context, Result};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{
    cluster::{Cni, KubeProxy, Up, Which, binaries},
    images, paths, shell,
};

/// Namespace of the installation, as the tests expect it.
const NAMESPACE: &str = "axoneme";
/// As a release, but linked in seconds.
const PROFILE: &str = "e2e";

/// Run the end-to-end tests on a cluster of their own.
#[derive(Args)]
pub(crate) struct E2e {
    /// Leave the cluster up; the next run with --keep uses it again.
    #[arg(long)]
    keep: bool,
    /// How pods are wired.
    #[arg(long, value_enum, default_value_t = Cni::Ptp)]
    cni: Cni,
    #[command(flatten)]
    proxy: KubeProxy,
    /// Only install: cluster, images, charts.
    #[arg(long)]
    install: bool,
    /// What to hand to `cargo test`: `--test ingress`, a filter...
    #[arg(last = true)]
    tests: Vec<String>,
}

impl E2e {
    pub(crate) fn run(self) -> Result<()> {
        let which = Which { name: "e2e".to_owned() };
        // Interrupted or terminated, our children end and we live on to take the cluster down.
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).context("cannot catch signals")?;
        }
        let archives = images::make(PROFILE)?;
        let outcome = self.on_cluster(&which, &archives);
        if self.keep || self.install {
            println!("the cluster stays up: export KUBECONFIG={}", which.kubeconfig()?.display());
            println!("`cargo xtask cluster down --name {}` takes it down", which.name);
            return outcome;
        }
        which.down()?;
        outcome
    }

    fn on_cluster(&self, which: &Which, archives: &[PathBuf]) -> Result<()> {
        let up = Up {
            which: which.clone(),
            slot: 5,
            workers: 2,
            cni: self.cni,
            proxy: self.proxy.clone(),
            node_ports: "30000-32767".to_owned(),
            fresh: !(self.keep || self.install),
        };
        up.run()?;
        which.load(archives)?;
        remember(which, up.workers)?;
        install(which)?;
        if self.install {
            return Ok(());
        }
        self.test(which, &self.tests, &[])?;
        // The next run with --keep would have nothing to test.
        if self.keep { Ok(()) } else { self.test(which, &["--test", "uninstall"].map(str::to_owned), &["--ignored"]) }
    }

    fn test(&self, which: &Which, tests: &[String], options: &[&str]) -> Result<()> {
        shell::run(shell::cargo().args(["build", "--quiet", "--package", "axonctl"]))?;
        let mut cargo = shell::cargo();
        cargo
            .args(["test", "--package", "axoneme-e2e", "--features", "cluster", "--no-fail-fast"])
            .args(tests)
            // One at a time: each ends with a look at whether anything is left in the whole cluster.
            .args(["--", "--test-threads=1", "--nocapture"])
            .args(options);
        shell::run(tell(&mut cargo, which)?)
    }
}

/// Tells a command of the harness where the cluster is.
pub(crate) fn tell<'a>(command: &'a mut Command, which: &Which) -> Result<&'a mut Command> {
    Ok(command
        .env("RUST_LIB_BACKTRACE", "0")
        .env("AXONEME_E2E_STATE", which.state()?)
        .env("AXONEME_E2E_ECHO", images::binary(PROFILE, "axoneme-echo")?)
        .env("AXONEME_E2E_AXONCTL", paths::target().join("debug/axonctl"))
        .env("AXONEME_E2E_REPORT", paths::target().join("e2e-report")))
}

/// Keeps what the nodes are like before the charts are installed for the first time, for the test that takes them off again.
fn remember(which: &Which, workers: u8) -> Result<()> {
    for node in (1..=workers).map(|number| format!("node{number}")) {
        let before = which.state()?.join(&node).join("before.txt");
        if !before.exists() {
            let traces =
                shell::output(which.script("exec.sh")?.arg(&node).args(["sh", "-ec", axoneme_testnet::TRACES]))?;
            fs::write(&before, traces).with_context(|| format!("cannot write {}", before.display()))?;
        }
    }
    Ok(())
}

/// Installs both charts, or brings them up to date; what ran before is replaced by the images just loaded.
pub(crate) fn install(which: &Which) -> Result<()> {
    let root = paths::root();
    let tools = binaries::ensure()?.join("bin");
    let kubeconfig = which.kubeconfig()?;
    let helm = |chart: &str, extra: &[&str]| {
        let mut helm = Command::new(tools.join("helm"));
        helm.args(["upgrade", "--install", chart]).arg(root.join("charts").join(chart));
        helm.args(["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "90s"]).args(extra);
        run_quietly(with_state(&mut helm, which, &kubeconfig)?)
    };
    helm("axoneme-crds", &[])?;
    let values = root.join("e2e/values.yaml");
    // The tags never change, so what the images hold must: else pods of a kept cluster would go on with the old ones.
    let stamp = format!("podAnnotations.e2e/images={}", stamp()?);
    helm("axoneme", &["--values", &values.to_string_lossy(), "--set-string", &stamp])
        .with_context(|| describe(which, &tools.join("kubectl"), &kubeconfig))
}

/// Helm keeps its caches under the cluster's state, not in the user's home.
fn with_state<'a>(helm: &'a mut Command, which: &Which, kubeconfig: &Path) -> Result<&'a mut Command> {
    let home = which.state()?.join("helm");
    Ok(helm
        .env("KUBECONFIG", kubeconfig)
        .env("HELM_CACHE_HOME", &home)
        .env("HELM_CONFIG_HOME", &home)
        .env("HELM_DATA_HOME", &home))
}

fn run_quietly(command: &mut Command) -> Result<()> {
    shell::output(command).map(drop)
}

fn stamp() -> Result<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(paths::target().join("images"))? {
        let metadata = entry?.metadata()?;
        all.push(format!("{:?}", metadata.modified()?));
    }
    all.sort();
    Ok(crate::archive::hex(all.join(" ").as_bytes())[..12].to_owned())
}

/// Why an installation does not get ready: the pods and their last words.
fn describe(which: &Which, kubectl: &Path, kubeconfig: &Path) -> String {
    let mut text = format!("the charts did not install on cluster {}", which.name);
    for args in [
        &["get", "pods", "-o", "wide"][..],
        &["get", "events", "--field-selector", "type=Warning"],
        &["logs", "-l", "app.kubernetes.io/part-of=axoneme", "--all-containers", "--prefix", "--tail=15"],
    ] {
        let mut command = Command::new(kubectl);
        command.arg("--kubeconfig").arg(kubeconfig).args(["--namespace", NAMESPACE]).args(args);
        text.push('\n');
        text.push_str(&shell::output(&mut command).unwrap_or_else(|error| format!("{error:#}")));
    }
    text
}
