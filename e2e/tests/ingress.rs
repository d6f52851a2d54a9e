//! The Ingress of the article, asked from pods, from processes of the nodes and from outside, on every node.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axoneme_e2e::{Answer, Cluster, From, cluster::NODES, scenario, until};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/article");

#[test]
fn the_articles_ingress_answers_from_everywhere() -> Result<()> {
    scenario("ingress", |cluster| {
        for file in ["apps.yaml", "ingress.yaml"] {
            cluster.kubectl(&["apply", "-f", &format!("{EXAMPLE}/{file}")])?;
        }
        cluster.ready("default")?;
        let address = cluster.ingress_address("default", "cilium-ingress")?;
        let service = cluster.get_json(&["service", "-n", "default", "cilium-ingress-cilium-ingress"])?;
        let cluster_ip = service["spec"]["clusterIP"].as_str().context("no clusterIP")?;
        let node_port = service["spec"]["ports"][0]["nodePort"].as_u64().context("no nodePort")?;

        // foo-app and bar-app are on one node each, clients on both: every pair of same and other node is asked.
        for node in NODES {
            for from in [From::Pod(node), From::Host(node)] {
                asks(cluster, from, cluster_ip)?;
                asks(cluster, from, &address)?;
            }
            asks(cluster, From::Outside, &format!("{}:{node_port}", cluster.address(node)))?;
            asks_by_way_of(cluster, node, &address)?;
        }
        asks(cluster, From::Outside, &address)?;

        for file in ["ingress.yaml", "apps.yaml"] {
            cluster.kubectl(&["delete", "-f", &format!("{EXAMPLE}/{file}")])?;
        }
        Ok(())
    })
}

/// The load balancer's address is announced by one node; a route makes the outside come in by this one.
fn asks_by_way_of(cluster: &Cluster, node: &str, address: &str) -> Result<()> {
    let route = format!("{address}/32");
    let gateway = cluster.address(node);
    cluster.exec("client", &["ip", "route", "replace", &route, "via", &gateway])?;
    let asked = asks(cluster, From::Outside, address);
    cluster.exec("client", &["ip", "route", "del", &route])?;
    asked.with_context(|| format!("by way of {node}"))
}

/// Both applications answer through Envoy and see the client's own address; any other path is 404.
fn asks(cluster: &Cluster, from: From<'_>, authority: &str) -> Result<()> {
    let what = format!("{authority} answers {from:?}");
    until(&what, Duration::from_secs(20), || {
        for app in ["foo", "bar"] {
            let answer = cluster.ask(from, &format!("http://{authority}/{app}"))?;
            ensure!(
                answer.status == 200 && answer.body == format!("{app}\n") && answer.by_envoy(),
                "{app}: {answer:?}"
            );
        }
        Ok(())
    })?;
    let answer = cluster.ask(from, &format!("http://{authority}/foo/echo"))?;
    sees_the_client(&answer).with_context(|| format!("{authority} from {from:?}"))?;
    let answer = cluster.ask(from, &format!("http://{authority}/nothing/here"))?;
    ensure!(answer.status == 404 && answer.by_envoy(), "a wrong path: {answer:?}");
    Ok(())
}

fn sees_the_client(answer: &Answer) -> Result<()> {
    let seen = answer.seen()?;
    let client = answer.local.ip().to_canonical().to_string();
    let told = &seen["headers"]["x-forwarded-for"];
    ensure!(told == client.as_str(), "the client is {client}, the backend was told {told}");
    Ok(())
}
