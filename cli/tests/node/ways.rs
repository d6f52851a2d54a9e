//! Every way to a Service, from everywhere, on a node with its backend and on one without: one table.
//!
//! Two nodes with an overlay underneath, each with its own mesh of the same folder, beside services by NAT as kube-proxy makes them.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axoneme_testnet::{
    Folder, Lab, Layout, Namespace, Node, Process, Service, address, envoy,
    http::{Answer, Client},
    mesh::{Mesh, Programs, Status},
    overlay, wait_until,
};
use tempfile::TempDir;

use crate::scene::{ECHO, SOON, START, frontends};

const MANIFEST: &str = include_str!("ways/web.yaml");
/// `spec.externalIPs` of it.
const EXTERNAL: [&str; 2] = ["10.235.0.7", "fd00:235::7"];
/// Port and node port, and the listener that answers; the plain one has none.
const PORTS: [(u16, u16, &str); 3] = [(80, 30_080, "one"), (81, 30_081, "two"), (82, 30_082, "")];
const REDIRECTS: [&str; 4] = ["default/web:80", "default/web:81", "default/web:83", "default/local:80"];

struct Ways {
    meshes: Vec<Mesh>,
    _run_dirs: [TempDir; 2],
    _server: Process,
    folder: Folder,
    /// The backend's pod, on the first node.
    web: Namespace,
    near: Namespace,
    far: Namespace,
    /// Outside; each knows the way to services by one of the nodes.
    outside: [Namespace; 2],
    nodes: [Node; 2],
    _lab: Lab,
}

impl Ways {
    fn start(name: &str, layout: Layout) -> Self {
        let mut lab = Lab::new(name).unwrap();
        let mut nodes = ["node1", "node2"].map(|name| lab.node(name, layout).unwrap());
        overlay::vxlan([&nodes[0], &nodes[1]]).unwrap();
        let (web, near) = (nodes[0].pod("web").unwrap(), nodes[0].pod("near").unwrap());
        let far = nodes[1].pod("far").unwrap();
        let outside = [0, 1].map(|at| {
            let client = lab.client(&format!("outside{at}")).unwrap();
            let given = [address::SERVICES_V4, address::SERVICES_V6, address::BALANCERS_V4, address::BALANCERS_V6];
            given.iter().chain(&EXTERNAL).for_each(|range| Lab::route(&client, range, &nodes[at]).unwrap());
            client
        });
        let server = web.spawn(&*ECHO, ["--listen", ":8080", "--text", "web"]).unwrap();
        wait_until("the backend", SOON, || Ok(server.log()?.contains("listens"))).unwrap();
        let folder = Folder::new().unwrap();
        let [near4, near6] = near.address.each().map(|ip| ip.to_string());
        folder.write("web.yaml", &MANIFEST.replace("@NEAR4@", &near4).replace("@NEAR6@", &near6)).unwrap();
        folder.write("backends.yaml", &slices(&web)).unwrap();
        let programs = Programs { axonctl: env!("CARGO_BIN_EXE_axonctl").into(), envoy: envoy().unwrap() };
        let run_dirs = [0, 1].map(|_| tempfile::tempdir().unwrap());
        let up = |at: usize| Mesh::up(&nodes[at], &programs, folder.path(), run_dirs[at].path()).unwrap();
        let mut meshes = vec![up(0), up(1)];
        let served = |status: &Status| REDIRECTS.iter().all(|redirect| !frontends(status, redirect).is_empty());
        meshes.iter_mut().for_each(|mesh| drop(mesh.wait_for("the services to be served", START, served).unwrap()));
        let ways =
            Self { meshes, _run_dirs: run_dirs, _server: server, folder, web, near, far, outside, nodes, _lab: lab };
        ways.serve_by_nat();
        ways
    }

    /// Kube-proxy's part on each node: the ports of `web`, at the addresses of the service and those of the node itself.
    fn serve_by_nat(&self) {
        let backend = |ip: IpAddr| {
            let [v4, v6] = self.web.address.each();
            SocketAddr::new(if ip.is_ipv4() { v4 } else { v6 }, 8080)
        };
        for node in &self.nodes {
            let mut services = Vec::new();
            for (port, node_port, _) in PORTS {
                let given = self.given().into_iter().map(|ip| SocketAddr::new(ip, port));
                let own = node.address.each().map(|ip| SocketAddr::new(ip, node_port));
                let service = |at: SocketAddr| Service { frontend: at, backends: vec![backend(at.ip())] };
                services.extend(given.chain(own).map(service));
            }
            node.serve_by_nat(&services).unwrap();
        }
    }

    /// The addresses of `web` but for the nodes' own: those of the service, its external ones, and the load balancer's.
    fn given(&self) -> Vec<IpAddr> {
        let status = self.meshes[0].status().unwrap();
        let all = frontends(&status, REDIRECTS[0]).into_iter().map(|at| at.ip());
        let given: Vec<IpAddr> = all
            .filter(|ip| address::is_service(*ip) || address::is_balancer(*ip) || EXTERNAL.contains(&&*ip.to_string()))
            .collect();
        assert_eq!(given.len(), 6, "{status:#?}");
        given
    }

    fn everybody(&self) -> [&Namespace; 7] {
        let [first, second] = &self.nodes;
        [&self.near, &self.web, &self.far, first, second, &self.outside[0], &self.outside[1]]
    }

    fn get(&self, from: &Namespace, at: SocketAddr) -> Answer {
        Client::new(&ECHO).get(from, &format!("http://{at}/echo")).unwrap()
    }
}

/// The address in `x-forwarded-for` as the backend saw it, and the client's own.
fn addresses(answer: &Answer) -> (String, String) {
    let saw: serde_json::Value = serde_json::from_str(answer.text()).unwrap_or_else(|_| panic!("{answer:?}"));
    let own: SocketAddr = answer.response().unwrap().local.parse().unwrap();
    (saw["headers"]["x-forwarded-for"].as_str().unwrap_or_default().to_owned(), own.ip().to_string())
}

/// The backend of both services, on the first node.
fn slices(pod: &Namespace) -> String {
    let mut text = String::new();
    for service in ["web", "local"] {
        for (family, ip) in ["IPv4", "IPv6"].into_iter().zip(pod.address.each()) {
            let ports =
                ["one", "two", "plain", "guarded"].map(|name| format!("{{name: {name}, port: 8080}}")).join(", ");
            text += &format!(
                "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice
metadata: {{name: {service}-{}, namespace: default, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: {family}\nports: [{ports}]
endpoints: [{{addresses: [\"{ip}\"], nodeName: node1, targetRef: {{kind: Pod, name: web}}}}]\n---\n",
                family.to_lowercase()
            );
        }
    }
    text
}

fn every_way(name: &str, layout: Layout) {
    let ways = Ways::start(name, layout);
    for (number, (port, node_port, listener)) in PORTS.into_iter().enumerate() {
        // Of the other ports it is enough to see that each has its own listener, or none.
        let (all, [first, .., last]) = (ways.everybody(), ways.everybody());
        let from = if number == 0 { all.to_vec() } else { vec![first, all[4], last] };
        let given = ways.given().into_iter().map(|ip| SocketAddr::new(ip, port));
        let on_nodes = ways.nodes.iter().flat_map(|node| node.address.each()).map(|ip| SocketAddr::new(ip, node_port));
        for at in given.chain(on_nodes) {
            for from in &from {
                let answer = ways.get(from, at);
                let what = format!("{layout:?}: {} asks {at}: {answer:?}", from.name);
                assert_eq!((answer.status(), answer.header("x-listener")), (Some(200), listener), "{what}");
                if listener.is_empty() {
                    assert_eq!(answer.header("server"), "", "{what}");
                } else {
                    let (told, own) = addresses(&answer);
                    assert_eq!(told, own, "the backend is told the client's address; {what}");
                }
            }
        }
    }
}

#[test]
fn edge_24_every_way_with_routed_pods() {
    every_way("ways-routed", Layout::Routed);
}

#[test]
fn edge_24_every_way_with_bridged_pods() {
    every_way("ways-bridge", Layout::Bridge);
}

/// What asks for local endpoints is answered on a node without one: the proxy there is the endpoint, and knows the client.
#[test]
fn edge_24_policies_of_traffic_are_not_about_redirected_ports() {
    let ways = Ways::start("ways-local", Layout::Routed);
    let status = ways.meshes[1].status().unwrap();
    let all = frontends(&status, "default/local:80");
    let there: Vec<_> = all
        .iter()
        .filter(|at| {
            let ip = at.ip();
            address::is_service(ip) || address::is_balancer(ip) || ways.nodes[1].address.each().contains(&ip)
        })
        .collect();
    assert_eq!(there.len(), 6, "{status:#?}");
    for at in there {
        for from in [&ways.far, &*ways.nodes[1], &ways.outside[1]] {
            let answer = ways.get(from, *at);
            assert_eq!(answer.header("x-listener"), "local", "{} asks {at}: {answer:?}", from.name);
            let (told, own) = addresses(&answer);
            assert_eq!(told, own, "{at}");
        }
    }
}

/// What a rule of the network says of pods does not hold for what the proxy sends, which comes from the node; a rule in the
/// proxy knows the client.
#[test]
fn edge_25_the_network_sees_the_node_and_the_proxy_sees_the_client() {
    let ways = Ways::start("ways-policy", Layout::Routed);
    let Ways { web, near, far, nodes, .. } = &ways;
    let rules = [(near.address, web.address)].map(|(from, to)| {
        format!(
            "    ip saddr {} ip daddr {} reject with icmp admin-prohibited
    ip6 saddr {} ip6 daddr {} reject with icmpv6 admin-prohibited\n",
            from.v4, to.v4, from.v6, to.v6
        )
    });
    let chain = "type filter hook forward priority filter; policy accept;";
    nodes[0].nft(&format!("table inet rules {{\n  chain forward {{ {chain}\n{}  }}\n}}\n", rules.concat())).unwrap();
    let quick = Client { timeout: Duration::from_secs(3), ..Client::new(&ECHO) };
    for [pod, service] in [
        [web.address.each()[0], "10.232.0.7".parse().unwrap()],
        [web.address.each()[1], "fd00:232::7".parse().unwrap()],
    ] {
        let direct = quick.get(near, &format!("http://{}/", SocketAddr::new(pod, 8080))).unwrap();
        assert_eq!(direct.status(), None, "{direct:?}");
        let guarded = SocketAddr::new(service, 83);
        assert_eq!(ways.get(near, guarded).status(), Some(200), "{guarded}");
        for other in [far, &*nodes[0], &*nodes[1], &ways.outside[0]] {
            let answer = ways.get(other, guarded);
            assert_eq!(
                (answer.status(), answer.text()),
                (Some(403), "RBAC: access denied"),
                "{}: {answer:?}",
                other.name
            );
        }
    }
    // The rule is in the folder, as everything else.
    ways.folder.edit("web.yaml", "prefix_len: 32", "prefix_len: 0").unwrap();
    let guarded = "10.232.0.7:83".parse().unwrap();
    wait_until("the rule to let everybody in", SOON, || Ok(ways.get(far, guarded).status() == Some(200))).unwrap();
}
