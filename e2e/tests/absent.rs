//! A node that is cut off from the operator: the status counts it as missing and names it, and what it serves it goes on serving.

use std::time::Duration;

use anyhow::{Result, ensure};
use axoneme_e2e::{Answer, Cluster, From, scenario, until};

const NAMESPACE: &str = "e2e-absent";
/// A node is away when its last stream ended so long ago as `operator.nodeGrace` of the chart says.
const LIMIT: Duration = Duration::from_secs(150);

#[test]
fn a_node_that_is_cut_off_is_counted_out_and_in_again() -> Result<()> {
    scenario("absent", |cluster| {
        cluster.fresh_namespace(NAMESPACE)?;
        let manifest = |path| include_str!("manifests/status.yaml").replace("NAME", "web").replace("REGEX", path);
        cluster.apply(NAMESPACE, &manifest("/one"))?;
        programmed(cluster, "True", "Programmed", &["2/2 nodes"])?;

        let cut = Cut::off(cluster, "node2")?;
        // An edit is everywhere but there; that it cannot be sent there ends the stream.
        cluster.apply(NAMESPACE, &manifest("/two"))?;
        cluster.ask_until("node1 serves the edit", From::Pod("node1"), &url("/two"), served)?;
        cluster.ask_until("node2 serves what it has", From::Pod("node2"), &url("/one"), served)?;
        programmed(cluster, "False", "NotConnected", &["1/2 nodes", "node2"])?;
        ensure!(!served(&cluster.ask(From::Pod("node2"), &url("/two"))?), "node2 is not cut off");

        drop(cut);
        programmed(cluster, "True", "Programmed", &["2/2 nodes"])?;
        cluster.ask_until("node2 serves the edit", From::Pod("node2"), &url("/two"), served)?;
        cluster.leave(NAMESPACE)
    })
}

fn url(path: &str) -> String {
    format!("http://web.{NAMESPACE}{path}")
}

fn served(answer: &Answer) -> bool {
    answer.body == "served\n"
}

fn programmed(cluster: &Cluster, status: &str, reason: &str, words: &[&str]) -> Result<()> {
    until(&format!("Programmed is {status}, {reason}"), LIMIT, || {
        let config = cluster.get_json(&["ciliumenvoyconfig", "-n", NAMESPACE, "web"])?;
        let fresh = config["status"]["observedGeneration"] == config["metadata"]["generation"];
        let conditions = config["status"]["conditions"].as_array().into_iter().flatten();
        let found = conditions.into_iter().find(|condition| condition["type"] == "Programmed");
        let is = |field: &str, value: &str| found.is_some_and(|condition| condition[field] == value);
        let message = found.map_or("", |condition| condition["message"].as_str().unwrap_or_default());
        let said = words.iter().all(|word| message.contains(word));
        ensure!(fresh && is("status", status) && is("reason", reason) && said, "{}", config["status"]);
        Ok(())
    })
}

/// No packet goes between a node and any operator, until this is dropped.
struct Cut<'a> {
    cluster: &'a Cluster,
    node: &'a str,
}

impl<'a> Cut<'a> {
    fn off(cluster: &'a Cluster, node: &'a str) -> Result<Self> {
        let cut = Self { cluster, node };
        // After kube-proxy's DNAT, which leaves the port as it is; pods of the operator on the node itself included. Refused, not
        // dropped, and the refusals let through: a silent stream takes half a minute more to be given up.
        let refuse = |port: &str| format!("{port} 15010 tcp flags & rst == 0 reject with tcp reset;");
        let rules = refuse("tcp dport") + &refuse("tcp sport");
        let chain = |hook: &str| format!("chain {hook} {{ type filter hook {hook} priority 10; {rules} }}");
        let table = format!("table inet axoneme-e2e-cut {{\n{}\n{}\n}}", chain("output"), chain("input"));
        cluster.exec(node, &["nft", &table])?;
        Ok(cut)
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.cluster.exec(self.node, &["nft", "delete table inet axoneme-e2e-cut"]) {
            println!("{} stays cut off: {error:#}", self.node);
        }
    }
}
