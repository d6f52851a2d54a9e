//! Host network mode: each Ingress at a port of the nodes, who wants the same one decided by age, the nodes in the status.

use anyhow::{Context as _, Result, ensure};
use axoneme_e2e::{
    Cluster,
    cluster::{NAMESPACE as INSTALLED, NODES},
    curl::Request,
    theme::{self, Place, SOON, Theme, served_by},
    until,
};
use serde_json::{Value, json};

use super::CLASS;

const DEPLOYMENT: &str = "deployment/axoneme-operator";
const FLAG: &str = "AXONEME_INGRESS_HOSTNETWORK_ENABLED";
/// Neither one of the proxy's own nor a node port.
const PORT: u16 = 8081;

/// The operator in this mode, until it is dropped.
pub(crate) struct Mode<'a>(Option<&'a Cluster>);

impl<'a> Mode<'a> {
    pub(crate) fn on(cluster: &'a Cluster) -> Result<Self> {
        let mode = Self(Some(cluster));
        switch(cluster, true)?;
        Ok(mode)
    }

    pub(crate) fn off(mut self) -> Result<()> {
        self.0.take().map_or(Ok(()), |cluster| switch(cluster, false))
    }
}

impl Drop for Mode<'_> {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.map(|cluster| switch(cluster, false)) {
            println!("the operator stays in host network mode: {error:#}");
        }
    }
}

/// What a new value of the chart comes to.
fn switch(cluster: &Cluster, on: bool) -> Result<()> {
    cluster.kubectl(&["set", "env", "-n", INSTALLED, DEPLOYMENT, &format!("{FLAG}={on}")])?;
    cluster.kubectl(&["rollout", "status", "-n", INSTALLED, DEPLOYMENT, "--timeout=120s"]).map(drop)
}

pub(crate) const THEME: Theme = Theme {
    name: "host-network",
    backends: &[("first", &[80]), ("second", &[80])],
    manifest: || Ok(ingress("first")),
    holds: |place| {
        is_served_by(place, "first")?;
        let nodes = json!(NODES.map(|node| json!({ "ip": place.cluster.address(node) })));
        until("the status shows the nodes", SOON, || {
            let ingress = place.cluster.get_json(&["ingress", "-n", &place.namespace, "first"])?;
            let shown = &ingress["status"]["loadBalancer"]["ingress"];
            ensure!(*shown == nodes, "{shown}");
            Ok(())
        })?;
        let service = place.cluster.get_json(&["service", "-n", &place.namespace, "cilium-ingress-first"])?;
        ensure!(service["spec"]["type"] == "ClusterIP", "{}", service["spec"]);

        // Which only the operator's flags tell.
        let mut axonctl = place.cluster.axonctl()?;
        axonctl.args(["status", "ingress", "first", "-n", &place.namespace, "-o", "json", "--kubeconfig"]);
        let output = axonctl.arg(place.cluster.kubeconfig()).output()?;
        let told: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
        ensure!(told["ingresses"][0]["mode"] == "host-network" && told["notes"] == json!([]), "{told}");

        // The younger one has to wait until the port is free.
        let second = ingress("second").replace(theme::CLASS, CLASS);
        place.cluster.apply(&place.namespace, &second)?;
        place.event("second", "Conflict", &format!("{}/first is older and has port {PORT}", place.namespace))?;
        is_served_by(place, "first")?;
        place.kubectl(&["delete", "ingress", "first"])?;
        is_served_by(place, "second")
    },
};

fn ingress(name: &str) -> String {
    let annotations = json!({"ingress.axoneme.io/host-listener-port": PORT.to_string()});
    theme::ingress(name, name, &annotations)
}

fn is_served_by(place: &Place<'_>, backend: &str) -> Result<()> {
    until(&format!("{}: {backend} serves at port {PORT} of every node", place.namespace), SOON, || {
        for node in NODES {
            let node = place.cluster.address(node);
            let url = format!("http://{node}:{PORT}/");
            let answer = place.cluster.curl(Request::get(&url, &node))?;
            served_by(backend, &answer, "/").with_context(|| format!("{url}: {answer:?}"))?;
        }
        Ok(())
    })
}
