//! A config that kills Envoy, on a real cluster: the container does not restart, everything else serves again at once, and the
//! object says why it does not.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axoneme_e2e::{
    Cluster, From, beside,
    cluster::{NAMESPACE as INSTALLED, NODES},
    scenario, until,
};

const NAMESPACE: &str = "e2e-crash";
const DEADLY: &str = include_str!("../../testnet/deadly.yaml");
const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_config_that_kills_envoy_harms_itself_alone() -> Result<()> {
    scenario("crash", |cluster| {
        cluster.fresh_namespace(NAMESPACE)?;
        let other = include_str!("manifests/status.yaml").replace("NAME", "other").replace("REGEX", "/.*");
        cluster.apply(NAMESPACE, &other)?;
        let url = cluster.service_url(NAMESPACE, "other", 80)?;
        for node in NODES {
            cluster.ask_until("the other config serves", From::Host(node), &url, |it| it.body == "served\n")?;
            proven(cluster, node)?;
        }
        let restarts = restarts(cluster)?;

        for version in ["2", "3"] {
            let seen = crash(cluster, &url, version)?;
            println!("version {version}: the other config serves again after {seen:?}");
            // The last failure, as far as both nodes were asked: the figure is for people, this is for regressions to the
            // kubelet's ten seconds and more.
            until("every node serves it", SOON, || {
                NODES.iter().try_for_each(|node| {
                    let answer = cluster.ask(From::Host(node), &url)?;
                    ensure!(answer.body == "served\n", "{node}: {answer:?}");
                    Ok(())
                })
            })?;
        }
        ensure!(self::restarts(cluster)? == restarts, "Envoy's container was restarted");

        // Mended, it comes up.
        cluster.apply(NAMESPACE, &DEADLY.replace("VERSION", "2").replace("HTTP3", "HTTP1"))?;
        until("the mended config runs everywhere", SOON, || {
            let (status, message) = cluster.condition(NAMESPACE, "deadly", "Programmed")?;
            ensure!(status == "True", "{message}");
            Ok(())
        })?;
        cluster.leave(NAMESPACE)
    })
}

/// Applies a deadly version while both nodes are asked, until the object says what it is. Returns when the last request failed.
fn crash(cluster: &Cluster, url: &str, version: &str) -> Result<Duration> {
    let start = Instant::now();
    let ask = |node: &&str, last: &mut Duration| {
        if !cluster.ask(From::Host(node), url).is_ok_and(|answer| answer.body == "served\n") {
            *last = start.elapsed();
        }
        Ok(())
    };
    let ((), failed) = beside(&NODES, ask, || {
        cluster.apply(NAMESPACE, &DEADLY.replace("VERSION", version))?;
        until("the object says ProxyCrashed", SOON, || {
            let config = cluster.get_json(&["ciliumenvoyconfig", "-n", NAMESPACE, "deadly"])?;
            let fresh = config["status"]["observedGeneration"] == config["metadata"]["generation"];
            let conditions = config["status"]["conditions"].as_array().into_iter().flatten();
            let crashed = conditions.into_iter().any(|condition| condition["reason"] == "ProxyCrashed");
            let everywhere = config["status"].to_string().contains("0/2 nodes");
            ensure!(fresh && crashed && everywhere, "{}", config["status"]);
            Ok(())
        })
    })?;
    Ok(failed.into_iter().max().unwrap_or_default())
}

/// Waits until Envoy is known to live with all that there is: only then a death has one suspect.
fn proven(cluster: &Cluster, node: &str) -> Result<()> {
    until(&format!("{node} suspects nothing"), SOON, || {
        let suspects = &cluster.node_status(node)?["suspects"];
        ensure!(*suspects == 0, "{suspects} suspects");
        Ok(())
    })
}

/// How often Envoy's containers were restarted, by pod.
fn restarts(cluster: &Cluster) -> Result<Vec<String>> {
    let pods = cluster.get_json(&["pods", "-n", INSTALLED, "-l", "app.kubernetes.io/name=axoneme-node"])?;
    let pods = pods["items"].as_array().context("no pods")?.iter().map(|pod| {
        let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        let envoy = containers.into_iter().find(|container| container["name"] == "envoy");
        let count = envoy.context("no container envoy")?["restartCount"].clone();
        Ok(format!("{} {count}", pod["metadata"]["name"]))
    });
    pods.collect()
}
