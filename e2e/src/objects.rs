//! What the tests look at in Kubernetes objects and on the nodes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{Cluster, cluster::NODES, until};

/// How long an edit may take to arrive; it takes milliseconds, this is for a busy machine.
const SOON: Duration = Duration::from_secs(60);

impl Cluster {
    /// The load balancer's address of an Ingress, once it has one.
    ///
    /// # Errors
    /// When it gets none.
    pub fn ingress_address(&self, namespace: &str, name: &str) -> Result<String> {
        until(&format!("Ingress {namespace}/{name} has an address"), SOON, || {
            let ingress = self.get_json(&["ingress", "-n", namespace, name])?;
            let address = ingress["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().map(str::to_owned);
            address.with_context(|| format!("no address in {}", ingress["status"]))
        })
    }

    /// `http://CLUSTERIP:PORT/` of a Service, for who has no cluster DNS.
    ///
    /// # Errors
    /// When there is no such Service.
    pub fn service_url(&self, namespace: &str, name: &str, port: u16) -> Result<String> {
        let service = self.get_json(&["service", "-n", namespace, name])?;
        let address = service["spec"]["clusterIP"].as_str().context("no clusterIP")?;
        Ok(format!("http://{address}:{port}/"))
    }

    /// Status and message of a condition of a CiliumEnvoyConfig.
    ///
    /// # Errors
    /// When there is no such condition.
    pub fn condition(&self, namespace: &str, name: &str, kind: &str) -> Result<(String, String)> {
        let config = self.get_json(&["ciliumenvoyconfig", "-n", namespace, name])?;
        let fresh = config["status"]["observedGeneration"] == config["metadata"]["generation"];
        ensure!(fresh, "the status is of an older generation: {}", config["status"]);
        let conditions = config["status"]["conditions"].as_array().into_iter().flatten();
        let found = conditions.into_iter().find(|condition| condition["type"] == kind);
        let text = |field: &str| found.map_or("", |it| it[field].as_str().unwrap_or_default()).to_owned();
        ensure!(found.is_some(), "no condition {kind} in {}", config["status"]);
        Ok((text("status"), text("message")))
    }

    /// Waits for a condition with this status and these words in its message.
    ///
    /// # Errors
    /// When it does not come.
    pub fn until_condition(&self, namespace: &str, name: &str, kind: &str, status: &str, words: &str) -> Result<()> {
        until(&format!("{namespace}/{name}: {kind} is {status} ({words})"), SOON, || {
            let (is, message) = self.condition(namespace, name, kind)?;
            ensure!(is == status && message.contains(words), "{kind} is {is}: {message:?}");
            Ok(())
        })
    }

    /// From now on the webhook does not look at what is stored in this namespace.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn exempt_from_the_webhook(&self, namespace: &str) -> Result<()> {
        self.kubectl(&["label", "namespace", namespace, "axoneme.io/e2e-unchecked=true"])?;
        let selector = r#"[{"op": "add", "path": "/webhooks/0/namespaceSelector", "value":
            {"matchExpressions": [{"key": "axoneme.io/e2e-unchecked", "operator": "DoesNotExist"}]}}]"#;
        let webhook = ["patch", "validatingwebhookconfiguration", "axoneme-operator", "--type=json", "-p", selector];
        self.kubectl(&webhook).map(drop)
    }

    /// Waits until a changed Deployment runs its new pods only.
    ///
    /// # Errors
    /// After a minute.
    pub fn ready_anew(&self, namespace: &str, name: &str) -> Result<()> {
        self.kubectl(&["rollout", "status", "deployment", "-n", namespace, name, "--timeout=60s"])?;
        let label = format!("name={name}");
        until(&format!("{name} has one pod"), Duration::from_secs(60), || {
            let pods = self.get_json(&["pods", "-n", namespace, "-l", &label])?;
            let count = pods["items"].as_array().map_or(0, Vec::len);
            ensure!(count == 1, "{count} pods");
            Ok(())
        })
    }

    /// Waits until nothing of any Ingress or config is left: Services, slices, proxy ports, redirects.
    ///
    /// # Errors
    /// What is left.
    pub fn nothing_left(&self) -> Result<()> {
        until("nothing is left in the cluster", SOON, || {
            let made = self.get_json(&["services,endpointslices", "-A", "-l", "cilium.io/ingress=true"])?;
            ensure!(made["items"].as_array().is_some_and(Vec::is_empty), "left: {}", made["items"]);
            Ok(())
        })?;
        self.nodes_are_clean()
    }

    /// Waits until no node has a proxy port or a redirect.
    ///
    /// # Errors
    /// What is left.
    pub fn nodes_are_clean(&self) -> Result<()> {
        for node in NODES {
            until(&format!("nothing is left on {node}"), SOON, || self.node_is_clean(node))?;
        }
        Ok(())
    }

    /// No listener of Envoy and no frontend in the kernel's map.
    fn node_is_clean(&self, node: &str) -> Result<()> {
        // By its holder, not by its port: kubelet and kube-proxy have ports in the proxy's range.
        let sockets = self.exec(node, &["ss", "-Hlntp"])?;
        let held = sockets.lines().filter(|line| line.contains("\"envoy\"")).collect::<Vec<_>>();
        ensure!(held.is_empty(), "Envoy listens: {held:?}");
        let entries = self.exec(node, &["sh", "-c", FRONTENDS])?;
        let entries = serde_json::from_str::<Value>(&entries).context("bpftool printed no JSON")?;
        ensure!(entries.as_array().is_some_and(Vec::is_empty), "frontends in the kernel: {entries}");
        Ok(())
    }
}

/// The pinned map of frontends, as JSON.
const FRONTENDS: &str = "bpftool -j map dump pinned $(find /sys/fs/bpf/axoneme -iname '*frontends*' | head -1)";
