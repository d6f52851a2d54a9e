//! The cluster under test: kubectl as its administrator, and commands inside its boxes.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Namespace that the charts are installed in.
pub const NAMESPACE: &str = "axoneme";
/// The workers of the cluster.
pub const NODES: [&str; 2] = ["node1", "node2"];

/// On every namespace that a test makes.
const TEST_LABEL: &str = "axoneme.io/e2e=true";

/// A running cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    state: PathBuf,
    binaries: PathBuf,
    echo: PathBuf,
    underlay: String,
}

impl Cluster {
    /// The cluster that `cargo xtask e2e` tells of in the environment.
    ///
    /// # Errors
    /// When there is none.
    pub fn get() -> Result<Self> {
        let state = PathBuf::from(env::var("AXONEME_E2E_STATE").context("no cluster: run this by `cargo xtask e2e`")?);
        let echo = PathBuf::from(env::var("AXONEME_E2E_ECHO").context("no AXONEME_E2E_ECHO: the echo binary, static")?);
        let settings = fs::read_to_string(state.join("settings")).context("the cluster is not up")?;
        let setting = |name: &str| {
            let line = settings.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
            line.map(|value| value.trim_matches('"').to_owned())
                .with_context(|| format!("the cluster's settings lack {name}"))
        };
        Ok(Self { binaries: setting("BIN")?.into(), underlay: setting("NET")?, state, echo })
    }

    /// Address of a node in the underlay.
    #[must_use]
    pub fn address(&self, node: &str) -> String {
        let number = node.trim_start_matches("node").parse::<u8>().unwrap_or_default();
        self.underlay(10 + number)
    }

    /// An address in the underlay: 1 is this machine, 100 the outside, 11 and up are nodes, 200 and up the load balancer's.
    #[must_use]
    pub fn underlay(&self, host: u8) -> String {
        format!("{}.{host}", self.underlay)
    }

    /// Path of the static echo binary: a client that runs in every box.
    #[must_use]
    pub fn echo(&self) -> &Path {
        &self.echo
    }

    /// A command in a box: a node, `cp` or `client`, the outside.
    #[must_use]
    pub fn command(&self, place: &str) -> Command {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/exec.sh"));
        let name = self.state.file_name().unwrap_or_default();
        command.env("NAME", name).env("STATE", &self.state).arg(place);
        command
    }

    /// Runs a command in a box and returns what it prints.
    ///
    /// # Errors
    /// When it fails; the error holds what it said.
    pub fn exec(&self, place: &str, args: &[&str]) -> Result<String> {
        output(self.command(place).args(args), None)
    }

    /// Runs kubectl and returns what it prints.
    ///
    /// # Errors
    /// When it fails; the error holds what it said.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        output(self.kubectl_command().args(args), None)
    }

    /// kubectl as the administrator.
    #[must_use]
    pub fn kubectl_command(&self) -> Command {
        let mut command = Command::new(self.binaries.join("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command.arg("--cache-dir").arg(self.state.join("kubectl-cache"));
        command
    }

    /// Runs helm as the administrator and returns what it prints.
    ///
    /// # Errors
    /// When it fails; the error holds what it said.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(self.binaries.join("helm"));
        // Its caches are the cluster's, not the user's.
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(folder, self.state.join("helm"));
        }
        output(command.env("KUBECONFIG", self.kubeconfig()).args(args), None)
    }

    /// The administrator's.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("pki/admin.kubeconfig")
    }

    /// axonctl, in nobody's name: give it a `--kubeconfig`.
    ///
    /// # Errors
    /// When `cargo xtask e2e` does not tell where it is.
    pub fn axonctl(&self) -> Result<Command> {
        let program = env::var_os("AXONEME_E2E_AXONCTL").context("no AXONEME_E2E_AXONCTL: the program axonctl")?;
        let mut command = Command::new(program);
        command.env_remove("KUBECONFIG");
        Ok(command)
    }

    /// An object, or a list of objects, as JSON: `get(&["ingress", "x", "-n", "y"])`.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn get_json(&self, args: &[&str]) -> Result<Value> {
        let text = output(self.kubectl_command().arg("get").args(args).args(["-o", "json"]), None)?;
        serde_json::from_str(&text).context("kubectl printed no JSON")
    }

    /// Applies YAML to a namespace; `@NAMESPACE@` in it stands for its name.
    ///
    /// # Errors
    /// When kubectl refuses it.
    pub fn apply(&self, namespace: &str, yaml: &str) -> Result<()> {
        let yaml = yaml.replace("@NAMESPACE@", namespace);
        output(self.kubectl_command().args(["apply", "-n", namespace, "-f", "-"]), Some(&yaml)).map(drop)
    }

    /// A namespace of its own for a test, without what an earlier run left in it.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn fresh_namespace(&self, name: &str) -> Result<()> {
        self.kubectl(&["delete", "namespace", name, "--ignore-not-found", "--wait"])?;
        let namespace = labelled_namespace(name).to_string();
        output(self.kubectl_command().args(["create", "-f", "-"]), Some(&namespace)).map(drop)
    }

    /// Deletes what the mesh serves of a test's namespace and, without waiting, the rest with the namespace: Kubernetes begins with
    /// that five seconds later, and no other test needs a namespace of this name.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn leave(&self, namespace: &str) -> Result<()> {
        self.kubectl(&["delete", "ingresses,ciliumenvoyconfigs", "--all", "-n", namespace])?;
        self.kubectl(&["delete", "namespace", namespace, "--wait=false"]).map(drop)
    }

    /// Deletes the Service of shared mode and its slice, which stay when the last Ingress goes.
    ///
    /// # Errors
    /// When kubectl fails, or the nodes do not forget the Ingresses: whose operator still knows one would heal it.
    pub fn leave_the_shared_address(&self) -> Result<()> {
        self.nodes_are_clean()?;
        self.delete_shared_service()
    }

    fn delete_shared_service(&self) -> Result<()> {
        let shared = ["service/cilium-ingress", "endpointslice/cilium-ingress"];
        self.kubectl(&[&["delete", "--ignore-not-found", "-n", NAMESPACE], &shared[..]].concat()).map(drop)
    }

    /// Its name: part of the names of its namespaces and control groups.
    #[must_use]
    pub fn name(&self) -> String {
        self.state.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Where the cluster keeps its state: certificates, logs.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Deletes what the tests made, so that one that failed does not make the next one fail.
    pub(crate) fn sweep(&self) -> Result<()> {
        self.kubectl(&["delete", "namespace", "-l", TEST_LABEL, "--wait"])?;
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/article");
        self.kubectl(&["delete", "-f", example, "--ignore-not-found", "--wait"])?;
        self.delete_shared_service()
    }

    /// Waits until all pods of a namespace are Ready and its deployments have what they want.
    ///
    /// # Errors
    /// After a minute.
    pub fn ready(&self, namespace: &str) -> Result<()> {
        let deployments = self.kubectl(&["get", "deployments,daemonsets", "-n", namespace, "-o", "name"])?;
        for name in deployments.lines() {
            self.kubectl(&["rollout", "status", "-n", namespace, name, "--timeout=60s"])?;
        }
        self.kubectl(&["wait", "pod", "--all", "-n", namespace, "--for=condition=Ready", "--timeout=60s"]).map(drop)
    }

    /// Name of the pod with this label on a node.
    ///
    /// # Errors
    /// When there is none.
    pub fn pod(&self, namespace: &str, label: &str, node: &str) -> Result<String> {
        let field = format!("spec.nodeName={node},status.phase=Running");
        let name =
            self.kubectl(&["get", "pods", "-n", namespace, "-l", label, "--field-selector", &field, "-o", "name"])?;
        let first = name.lines().next().with_context(|| format!("no pod {label} in {namespace} on {node}"))?;
        Ok(first.trim_start_matches("pod/").to_owned())
    }

    /// What the node-loader says of itself, on the socket that is for processes of its node.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn node_status(&self, node: &str) -> Result<Value> {
        let ask =
            ["curl", "--silent", "--show-error", "--unix-socket", "/run/axoneme/status.sock", "http://node/status"];
        let text = self.exec(node, &ask)?;
        serde_json::from_str(&text).with_context(|| format!("the status of {node} is no JSON: {text}"))
    }

    /// Sum over the operator's replicas of all samples of a metric whose line contains `label`.
    ///
    /// # Errors
    /// When a replica does not answer.
    pub fn operator_metric(&self, name: &str, label: &str) -> Result<f64> {
        let list = "app.kubernetes.io/name=axoneme-operator";
        let pods =
            self.kubectl(&["get", "pods", "-n", NAMESPACE, "-l", list, "-o", "jsonpath={.items[*].metadata.name}"])?;
        let mut sum = 0.0;
        for pod in pods.split_whitespace() {
            let url = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:15014/proxy/metrics");
            let metrics = self.kubectl(&["get", "--raw", &url])?;
            let lines = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
            sum += lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>();
        }
        Ok(sum)
    }
}

/// A namespace that is swept when its test fails.
#[must_use]
pub fn labelled_namespace(name: &str) -> Value {
    let (label, value) = TEST_LABEL.split_once('=').unwrap_or_default();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {label: value}}})
}

/// What a command prints; its error holds what it said.
fn output(command: &mut Command, input: Option<&str>) -> Result<String> {
    let name = format!("{command:?}");
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.as_bytes()).context("the command does not read its input")?;
    }
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    if !status.success() {
        bail!("{name} ended with {status}: {}", String::from_utf8_lossy(&stderr).trim());
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
