//! Edits travel: each is seen by requests, and after the last deletion nothing of it is left.

use anyhow::{Context, Result, ensure};
use axoneme_e2e::{Answer, Cluster, From, scenario};

const INGRESS: &str = "e2e-edit-ingress";
const CONFIG: &str = "e2e-edit-config";

#[test]
fn edits_of_an_ingress_travel() -> Result<()> {
    scenario("edit-ingress", |cluster| {
        cluster.fresh_namespace(INGRESS)?;
        cluster.apply(INGRESS, include_str!("manifests/edit-ingress.yaml"))?;
        cluster.ready(INGRESS)?;
        let address = cluster.ingress_address(INGRESS, "web")?;
        let (old, new) = (format!("http://{address}/old"), format!("http://{address}/new"));
        cluster.ask_until("the path /old answers", From::Outside, &old, |it| it.status == 200)?;

        let path = r#"[{"op": "replace", "path": "/spec/rules/0/http/paths/0/path", "value": "/new"}]"#;
        cluster.kubectl(&["patch", "ingress", "-n", INGRESS, "web", "--type=json", "-p", path])?;
        cluster.ask_until("the path is now /new", From::Outside, &new, |it| it.status == 200)?;
        cluster.ask_until("the path /old is gone", From::Outside, &old, |it| it.status == 404)?;

        for replicas in [3, 0, 1] {
            scale(cluster, "web", replicas)?;
            let name = format!("{replicas} backends serve");
            match replicas {
                0 => drop(cluster.ask_until(&name, From::Outside, &new, |it| it.status == 503 && it.by_envoy())?),
                _ => serves_from(cluster, &name, &new, replicas)?,
            }
        }

        cluster.kubectl(&["delete", "ingress", "-n", INGRESS, "web"])?;
        cluster.nothing_left()?;
        cluster.leave(INGRESS)
    })
}

#[test]
fn edits_of_a_config_travel() -> Result<()> {
    scenario("edit-config", |cluster| {
        cluster.fresh_namespace(CONFIG)?;
        cluster.apply(CONFIG, include_str!("manifests/edit-config.yaml"))?;
        cluster.ready(CONFIG)?;
        let url = format!("http://left.{CONFIG}:8080/");
        let by = |body: &'static str| move |it: &Answer| it.by_envoy() && it.body == body;
        cluster.ask_until("left serves all", From::Pod("node1"), &url, by("left\n"))?;
        cluster.until_condition(CONFIG, "split", "Programmed", "True", "2/2 nodes")?;

        let swapped = include_str!("manifests/edit-config.yaml")
            .replace("weight: 100", "weight: 1000")
            .replace("weight: 0", "weight: 100");
        let swapped = swapped.replace("weight: 1000", "weight: 0");
        cluster.apply(CONFIG, &swapped)?;
        cluster.ask_until("right serves all", From::Pod("node1"), &url, by("right\n"))?;
        cluster.ask_until("right serves all, on the other node too", From::Pod("node2"), &url, by("right\n"))?;

        cluster.kubectl(&["delete", "ciliumenvoyconfig", "-n", CONFIG, "split"])?;
        let plain = |it: &Answer| !it.by_envoy() && it.body == "left\n";
        cluster.ask_until("the Service answers as plain Kubernetes again", From::Pod("node1"), &url, plain)?;
        cluster.ask_until(
            "... on the other node too",
            From::Host("node2"),
            &cluster.service_url(CONFIG, "left", 8080)?,
            plain,
        )?;
        cluster.nothing_left()?;
        cluster.leave(CONFIG)
    })
}

fn scale(cluster: &Cluster, deployment: &str, replicas: usize) -> Result<()> {
    let replicas = format!("--replicas={replicas}");
    cluster.kubectl(&["scale", "deployment", "-n", INGRESS, deployment, &replicas])?;
    cluster.kubectl(&["rollout", "status", "deployment", "-n", INGRESS, deployment, "--timeout=60s"]).map(drop)
}

/// As many pods as wanted answer, none fails.
fn serves_from(cluster: &Cluster, what: &str, url: &str, pods: usize) -> Result<()> {
    axoneme_e2e::until(what, std::time::Duration::from_secs(20), || {
        let answers = cluster.ask_many(From::Outside, url, 30)?;
        let mut names = std::collections::BTreeSet::new();
        for answer in answers {
            let answer = answer.context("a request failed")?;
            ensure!(answer.status == 200, "{answer:?}");
            names.insert(answer.header("x-echo-name").to_owned());
        }
        ensure!(names.len() == pods, "{names:?} answered");
        Ok(())
    })
}
