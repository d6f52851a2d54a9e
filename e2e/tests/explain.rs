//! `axonctl explain` says of a live cluster what is true of it, to somebody who may only read.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use axoneme_e2e::{Answer, Cluster, From, ask::CLIENTS, scenario};
use serde_json::{Value, json};

const NAMESPACE: &str = "e2e-explain";

#[test]
fn what_serves_is_told_with_its_status_and_endpoints() -> Result<()> {
    scenario("explain", |cluster| {
        cluster.fresh_namespace(NAMESPACE)?;
        cluster.apply(NAMESPACE, include_str!("manifests/edit-config.yaml"))?;
        cluster.apply(NAMESPACE, include_str!("manifests/reader.yaml"))?;
        cluster.ready(NAMESPACE)?;
        let url = format!("http://left.{NAMESPACE}:8080/");
        cluster.ask_until("the config is served", From::Pod("node1"), &url, Answer::by_envoy)?;
        cluster.until_condition(NAMESPACE, "split", "Programmed", "True", "2/2")?;
        let reader = reader(cluster)?;

        let pod = format!("{}/{}", CLIENTS, cluster.pod(CLIENTS, "app=client", "node1")?);
        let (code, story) = explain(cluster, &reader, &[&url, "--pod", &pod])?;
        ensure!(code == 0 && story["served"] == true && story["node"] == "node1", "{code}: {story}");
        let way = &story["ways"][0];
        let object = format!("CiliumEnvoyConfig {NAMESPACE}/split");
        ensure!(way["object"] == object && way["redirect"] == format!("{NAMESPACE}/left:8080"), "{story}");
        let programmed = way["status"].as_array().into_iter().flatten().find(|it| it["type"] == "Programmed");
        let programmed = programmed.with_context(|| format!("no condition Programmed: {story}"))?;
        let words = programmed["message"].as_str().unwrap_or_default();
        ensure!(
            programmed["status"] == "True" && words.contains("2/2") && programmed["current"] == true,
            "{programmed}"
        );
        let cluster_ip = cluster.service_url(NAMESPACE, "left", 8080)?;
        let addresses = way["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str);
        ensure!(addresses.clone().any(|it| cluster_ip.contains(it)), "{cluster_ip} is not among {story}");
        let left = pod_address(cluster, "left")?;
        let endpoints = way["clusters"][0]["endpoints"][0]["address"].as_str().unwrap_or_default();
        ensure!(endpoints.contains(&format!("{left}:8080")), "{left} is not in {story}");

        // The same object, for the other node only.
        let only = r#"{"spec": {"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "node2"}}}}"#;
        cluster.kubectl(&["patch", "cec", "-n", NAMESPACE, "split", "--type=merge", "-p", only])?;
        let (code, story) = explain(cluster, &reader, &["left:8080", "-n", NAMESPACE, "--node=node1"])?;
        let why = story["others"][0]["why"].as_str().unwrap_or_default();
        ensure!(
            code == 1 && story["others"][0]["what"] == object && why.contains("not for this node"),
            "{code}: {story}"
        );
        let (code, story) = explain(cluster, &reader, &["left:8080", "-n", NAMESPACE, "--node=node2"])?;
        ensure!(code == 0 && story["served"] == true, "{code}: {story}");
        cluster.kubectl(&["delete", "-n", NAMESPACE, "clusterrolebinding,clusterrole", "e2e-reader"])?;
        cluster.leave(NAMESPACE)
    })
}

/// A kubeconfig of somebody who may read what explain needs, Secrets not among it.
fn reader(cluster: &Cluster) -> Result<tempfile::TempPath> {
    let token = cluster.kubectl(&["create", "token", "-n", NAMESPACE, "reader"])?;
    let view = cluster.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"])?;
    let mut config: Value = serde_json::from_str(&view)?;
    config["users"][0]["user"] = json!({ "token": token.trim() });
    let file = tempfile::NamedTempFile::new()?.into_temp_path();
    fs::write(&file, config.to_string())?;
    Ok(file)
}

/// Exit code and story.
fn explain(cluster: &Cluster, kubeconfig: &std::path::Path, args: &[&str]) -> Result<(i32, Value)> {
    let mut command = cluster.axonctl()?;
    let output = command.arg("explain").args(args).args(["-o", "json", "--kubeconfig"]).arg(kubeconfig).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().with_context(|| format!("axonctl died: {told}"))?;
    let story = serde_json::from_slice(&output.stdout).with_context(|| format!("exit code {code}: {told}"))?;
    Ok((code, story))
}

fn pod_address(cluster: &Cluster, name: &str) -> Result<String> {
    let path = "jsonpath={.items[0].status.podIP}";
    cluster.kubectl(&["get", "pods", "-n", NAMESPACE, "-l", &format!("app={name}"), "-o", path])
}
