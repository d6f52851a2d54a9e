//! The pods of the nodes are replaced, loader and Envoy at once, while pods and processes of every node ask: no request fails, and
//! Envoy answers each.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use axoneme_e2e::{
    Cluster, From, beside,
    cluster::{NAMESPACE as INSTALLED, NODES},
    scenario, until,
};

const NAMESPACE: &str = "e2e-upgrade";
const DAEMON_SET: &str = "daemonset/axoneme-node";
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn replaced_pods_of_the_nodes_fail_no_request() -> Result<()> {
    scenario("upgrade", |cluster| {
        cluster.fresh_namespace(NAMESPACE)?;
        cluster
            .apply(NAMESPACE, &include_str!("manifests/status.yaml").replace("NAME", "web").replace("REGEX", "/.*"))?;
        let url = cluster.service_url(NAMESPACE, "web", 80)?;
        let places = NODES.iter().flat_map(|node| [From::Host(node), From::Pod(node)]).collect::<Vec<_>>();
        for from in &places {
            cluster.ask_until("the config serves", *from, &url, |answer| answer.body == "served\n")?;
        }
        let (before, start) = (pods(cluster)?, Instant::now());
        let ask = |from: &From<'_>, asked: &mut usize| {
            let failed = |what: String| format!("{from:?}, request {asked}, after {:?}: {what}", start.elapsed());
            let answer = cluster.ask(*from, &url).map_err(|error| anyhow!(failed(format!("{error:#}"))))?;
            ensure!(answer.body == "served\n" && answer.by_envoy(), failed(format!("{answer:?}")));
            *asked += 1;
            thread::sleep(Duration::from_millis(20));
            Ok(())
        };
        let ((), asked) = beside(&places, ask, || replace(cluster))?;
        println!(
            "pods of {} nodes were replaced in {:?}; {asked:?} requests, none failed",
            NODES.len(),
            start.elapsed()
        );
        let after = pods(cluster)?;
        ensure!(!after.iter().any(|pod| before.contains(pod)), "{before:?} became {after:?}");
        ensure!(asked.iter().all(|asked| *asked > 0), "{asked:?}");
        cluster.leave(NAMESPACE)
    })
}

/// As an upgrade of the chart does.
fn replace(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["rollout", "restart", "-n", INSTALLED, DAEMON_SET])?;
    cluster.kubectl(&["rollout", "status", "-n", INSTALLED, DAEMON_SET, "--timeout=240s"])?;
    until("the old pods to have let their clients go", LIMIT, || {
        let pods = cluster.get_json(&["pods", "-n", INSTALLED, "-l", "app.kubernetes.io/name=axoneme-node"])?;
        let pods = pods["items"].as_array().context("no pods")?;
        let leaving = pods.iter().filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null()).count();
        ensure!(leaving == 0 && pods.len() == NODES.len(), "{leaving} of {} pods are leaving", pods.len());
        Ok(())
    })
}

/// Names of the nodes' pods.
fn pods(cluster: &Cluster) -> Result<Vec<String>> {
    let pods = cluster.get_json(&["pods", "-n", INSTALLED, "-l", "app.kubernetes.io/name=axoneme-node"])?;
    let pods = pods["items"].as_array().context("no pods")?;
    Ok(pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect())
}
