//! Every way to a redirected Service, with a backend on one node only and policies that keep kube-proxy from sending traffic to
//! another one: the node that a connection reaches takes it, and its proxy finds the backend.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use axoneme_e2e::{Answer, Cluster, From, cluster::NODES, scenario, until};

const NAMESPACE: &str = "e2e-ways-in";
const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_service_with_local_policies_is_reached_by_every_way() -> Result<()> {
    scenario("ways-in", |cluster| {
        let external = cluster.underlay(150);
        cluster.fresh_namespace(NAMESPACE)?;
        cluster.apply(NAMESPACE, &include_str!("manifests/ways-in.yaml").replace("@EXTERNAL@", &external))?;
        cluster.ready(NAMESPACE)?;
        let service = Service::of(cluster)?;

        for node in NODES {
            for from in [From::Pod(node), From::Host(node)] {
                for address in [&service.cluster_ip, &service.balanced, &external] {
                    reached(cluster, from, &format!("{address}:80"))?;
                }
            }
            reached(cluster, From::Outside, &format!("{}:{}", cluster.address(node), service.node_port))?;
            by_way_of(cluster, node, &[&service.balanced, &external], |address| {
                reached(cluster, From::Outside, &format!("{address}:80"))
            })?;
        }
        // The other port is plain Kubernetes, where the backend is.
        let plain = format!("http://{}:81/echo", service.cluster_ip);
        cluster.ask_until("port 81 is not redirected", From::Pod("node1"), &plain, |it| !it.by_envoy())?;

        source_ranges(cluster, &service, &external)?;
        cluster.leave(NAMESPACE)
    })
}

/// They hold for what the load balancer gave out, for clients from outside, on every node, and are counted.
fn source_ranges(cluster: &Cluster, service: &Service, external: &str) -> Result<()> {
    let balanced = format!("http://{}/echo", service.balanced);
    let allow = |range: &str| {
        let spec = format!(r#"{{"spec": {{"loadBalancerSourceRanges": ["{range}"]}}}}"#);
        cluster.kubectl(&["patch", "service", "-n", NAMESPACE, "web", "--type=merge", "-p", &spec])
    };
    allow("192.0.2.0/24")?;
    for node in NODES {
        by_way_of(cluster, node, &[&service.balanced, external], |address| {
            if address == external {
                return reached(cluster, From::Outside, &format!("{address}:80"));
            }
            until(&format!("{node} refuses who is not listed"), SOON, || match cluster.ask(From::Outside, &balanced) {
                Err(error) if format!("{error:#}").contains("refused") => Ok(()),
                other => bail!("not refused: {other:?}"),
            })
        })?;
        until(&format!("{node} counted it"), SOON, || {
            let status = cluster.node_status(node)?;
            let mut counters = status["counters"].as_array().into_iter().flatten();
            let name = format!("{NAMESPACE}/web:80");
            let found = counters.any(|it| it["service"] == *name && it["reason"] == "source-range");
            ensure!(found, "{}", status["counters"]);
            Ok(())
        })?;
        reached(cluster, From::Pod(node), &format!("{}:80", service.balanced))?;
        reached(cluster, From::Outside, &format!("{}:{}", cluster.address(node), service.node_port))?;
    }
    allow(&format!("{}/32", cluster.underlay(100)))?;
    for node in NODES {
        by_way_of(cluster, node, &[&service.balanced], |address| {
            reached(cluster, From::Outside, &format!("{address}:80"))
        })?;
    }
    Ok(())
}

/// Where the Service is found.
struct Service {
    cluster_ip: String,
    balanced: String,
    node_port: u64,
}

impl Service {
    fn of(cluster: &Cluster) -> Result<Self> {
        until("the Service has an address", SOON, || {
            let service = cluster.get_json(&["service", "-n", NAMESPACE, "web"])?;
            let balanced = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().context("no address")?;
            Ok(Self {
                cluster_ip: service["spec"]["clusterIP"].as_str().context("no clusterIP")?.to_owned(),
                balanced: balanced.to_owned(),
                node_port: service["spec"]["ports"][0]["nodePort"].as_u64().context("no nodePort")?,
            })
        })
    }
}

/// The backend answers through Envoy, and is told the client's own address.
fn reached(cluster: &Cluster, from: From<'_>, authority: &str) -> Result<()> {
    let url = format!("http://{authority}/echo");
    let by_the_backend = |answer: &Answer| answer.status == 200 && answer.by_envoy();
    let answer = cluster.ask_until(&format!("{authority} answers {from:?}"), from, &url, by_the_backend)?;
    let (seen, client) = (answer.seen()?, answer.local.ip().to_canonical().to_string());
    let told = &seen["headers"]["x-forwarded-for"];
    ensure!(told == client.as_str(), "the client is {client}, the backend was told {told}");
    Ok(())
}

/// Does something for each address while the outside comes to it by this node.
fn by_way_of(cluster: &Cluster, node: &str, addresses: &[&str], act: impl Fn(&str) -> Result<()>) -> Result<()> {
    let gateway = cluster.address(node);
    for address in addresses {
        let route = format!("{address}/32");
        cluster.exec("client", &["ip", "route", "replace", &route, "via", &gateway])?;
        let done = act(address);
        cluster.exec("client", &["ip", "route", "del", &route])?;
        done.with_context(|| format!("{address} by way of {node}"))?;
    }
    Ok(())
}
