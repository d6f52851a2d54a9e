//! What the charts install: little privilege, no API access for nodes, and an operator that refuses strangers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axoneme_e2e::{
    Cluster,
    cluster::{NAMESPACE, NODES},
    scenario, until,
};

/// Each program by the name that the kernel keeps of it, its user, and its capabilities, as bits of include/uapi/linux/capability.h:
/// NET_BIND_SERVICE 10, NET_ADMIN 12, NET_RAW 13, PERFMON 38, BPF 39.
const PROGRAMS: [(&str, &str, &[u32]); 4] = [
    ("axoneme-node", "0", &[12, 38, 39]),
    ("supervisor", "0", &[10, 13]),
    ("envoy", "0", &[10, 13]),
    ("axoneme-operato", "65532", &[]),
];

#[test]
fn nobody_has_more_rights_than_needed() -> Result<()> {
    scenario("rights", |cluster| {
        for (program, user, bits) in PROGRAMS {
            let allowed = bits.iter().fold(0_u64, |set, bit| set | 1 << bit);
            let mut seen = 0;
            for node in NODES {
                for pid in cluster.exec(node, &["sh", "-c", &format!("pgrep -x {program} || true")])?.lines() {
                    confined(cluster, node, pid, user, allowed)
                        .with_context(|| format!("{program}, process {pid} of {node}"))?;
                    seen += 1;
                }
            }
            // A replica of the operator for each node, too.
            ensure!(seen >= NODES.len(), "{seen} processes {program}");
        }
        let account = format!("--as=system:serviceaccount:{NAMESPACE}:axoneme-node");
        for (verb, kind) in
            [("list", "secrets"), ("get", "pods"), ("watch", "services"), ("get", "configmaps"), ("get", "nodes")]
        {
            let may = cluster.kubectl(&["auth", "can-i", verb, kind, &account, "-n", NAMESPACE]);
            ensure!(may.is_err(), "the node's account may {verb} {kind}");
        }
        Ok(())
    })
}

/// What the chart asks for is in force: capabilities, also those that a program could get again, the seccomp filter, no new privileges
/// by programs that it starts, and a root that cannot be written to.
fn confined(cluster: &Cluster, node: &str, pid: &str, user: &str, allowed: u64) -> Result<()> {
    let status = cluster.exec(node, &["cat", &format!("/proc/{pid}/status")])?;
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        let has = field(&status, set)?;
        let bits = u64::from_str_radix(&has, 16).with_context(|| format!("{set} is no number"))?;
        ensure!(bits & !allowed == 0, "{set} {has}");
    }
    for (name, wanted) in [("NoNewPrivs:", "1"), ("Seccomp:", "2")] {
        let is = field(&status, name)?;
        ensure!(is == wanted, "{name} {is}");
    }
    let users = field(&status, "Uid:")?;
    ensure!(users.split_whitespace().all(|it| it == user), "users {users}");
    let mounts = cluster.exec(node, &["cat", &format!("/proc/{pid}/mounts")])?;
    let root = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/")).context("no root")?;
    let options = root.split(' ').nth(3).unwrap_or_default();
    ensure!(options.split(',').any(|it| it == "ro"), "the root is mounted {options}");
    Ok(())
}

fn field(status: &str, name: &str) -> Result<String> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").to_owned())
}

#[test]
fn the_operator_refuses_strangers() -> Result<()> {
    scenario("refusals", |cluster| {
        let pod = cluster.pod(NAMESPACE, "app.kubernetes.io/name=axoneme-node", "node1")?;
        let token = |audience: &str| {
            let bound = ["--bound-object-kind=Pod", &format!("--bound-object-name={pod}")];
            let account = ["create", "token", "-n", NAMESPACE, "axoneme-node", &format!("--audience={audience}")];
            cluster.kubectl(&[&account[..], &bound].concat())
        };
        let good = token("axoneme-operator")?;
        let other = token("somebody-else")?;
        for (what, token, node, reason) in [
            ("no token", "", "node1", "no_token"),
            ("a made-up token", "made.up.token", "node1", "invalid_token"),
            ("a token for another audience", other.trim(), "node1", "invalid_token"),
            ("a token of node1 for node2's view", good.trim(), "node2", "other_node"),
        ] {
            let label = format!("reason=\"{reason}\"");
            let before = cluster.operator_metric("axoneme_operator_auth_refused_total", &label)?;
            let status = answered(what, || grpc_status(cluster, token, node))?;
            ensure!(matches!(status.as_str(), "7" | "16"), "{what}: gRPC status {status:?}");
            let after = cluster.operator_metric("axoneme_operator_auth_refused_total", &label)?;
            ensure!(after > before, "{what}: refused, but not counted as {reason}");
        }
        let status = answered("the right token", || grpc_status(cluster, good.trim(), "node1"))?;
        ensure!(!matches!(status.as_str(), "7" | "16"), "the right token is refused: gRPC status {status:?}");
        Ok(())
    })
}

/// A replica that stands by refuses the connection; the next attempt may reach the one that serves.
fn answered(what: &str, ask: impl FnMut() -> Result<String>) -> Result<String> {
    until(&format!("the operator answers {what}"), Duration::from_secs(20), ask)
}

/// Opens a stream of intents by hand: one DeltaDiscoveryRequest that names `node`; nothing is asked for. Empty is a stream
/// that was accepted and then left.
fn grpc_status(cluster: &Cluster, token: &str, node: &str) -> Result<String> {
    // DeltaDiscoveryRequest.node = 1, Node.id = 1, behind gRPC's five bytes of prefix.
    let id = format!("\\012\\{:03o}\\012\\{:03o}{node}", node.len() + 2, node.len());
    let message = format!("\\000\\000\\000\\000\\{:03o}{id}", node.len() + 4);
    let operator = cluster.get_json(&["service", "-n", NAMESPACE, "axoneme-operator"])?;
    let address = operator["spec"]["clusterIP"].as_str().context("no clusterIP")?;
    let ca = cluster.get_json(&["configmap", "-n", NAMESPACE, "axoneme-ca"])?;
    let ca = ca["data"]["ca.crt"].as_str().context("no ca.crt")?;
    let name = format!("axoneme-operator.{NAMESPACE}.svc");
    let authorization = if token.is_empty() { String::new() } else { format!("-H 'authorization: Bearer {token}'") };
    let script = format!(
        "ca=$(mktemp) && trap 'rm -f $ca' EXIT && cat > $ca <<'X'\n{ca}\nX\n\
         printf '{message}' | curl --silent --show-error --http2 --max-time 2 --cacert $ca --resolve {name}:15010:{address} \
         -H 'content-type: application/grpc' -H 'te: trailers' {authorization} --data-binary @- --dump-header - --output /dev/null \
         https://{name}:15010/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources || true"
    );
    let headers = cluster.exec("node1", &["sh", "-c", &script])?;
    ensure!(headers.contains("HTTP/2 200"), "the operator did not answer: {headers:?}");
    Ok(headers.lines().find_map(|line| line.strip_prefix("grpc-status: ")).unwrap_or_default().trim().to_owned())
}
