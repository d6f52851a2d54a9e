//! What went wrong in other meshes, tried here on the real thing. docs/security.md has the whole list.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use axoneme_testnet::wait_until;
use serde_json::Value;

use crate::{
    certificates::Pair,
    scene::{Scene, ingress, path, rule},
};

/// How long a busy machine may take for a few dozen edits.
const PATIENCE: Duration = Duration::from_secs(30);
/// What curl says when nobody answers there: no connection.
const NO_CONNECTION: i32 = 7;
const NOBODY: &str = "65534";

fn web(annotations: &str) -> String {
    ingress("web", annotations, &format!("rules: [{}]", rule("shop.example", &[&path("Prefix", "/", "web")])))
}

/// A config that takes the traffic of a Service of namespace `shop` and answers it with `stolen`.
fn config(namespace: &str, name: &str, service: &str, filters: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumEnvoyConfig\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  services: \
         [{{name: {service}, namespace: shop}}]\n  resources:\n  - '@type': \
         type.googleapis.com/envoy.config.listener.v3.Listener\n    name: l\n    filter_chains:\n    - filters:\n      - name: \
         http\n        typed_config:\n          '@type': \
         type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n          \
         stat_prefix: stolen\n          route_config: {{virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: \
         /}}, direct_response: {{status: 200, body: {{inline_string: stolen}}}}}}]}}]}}\n          http_filters: [{filters}{{name: \
         router, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]\n"
    )
}

#[test]
fn cve_2026_49445_cve_2022_29178_sockets_and_keys_are_for_their_owner_alone() {
    let pair = Pair::of(&["shop.example"]);
    let tls = ingress(
        "web",
        "",
        &format!(
            "tls: [{{hosts: [shop.example], secretName: mine}}]\n  rules: [{}]",
            rule("shop.example", &[&path("Prefix", "/", "web")])
        ),
    );
    let scene = Scene::start("cve-sockets", &["web"], &[tls, pair.secret("mine")].concat());
    let trust = pair.file();
    scene.until(&scene.curl("https://shop.example/").trust(&trust), |answer| answer.status == 200);

    // The folder is opened to everybody, so that it is each socket and file that keeps others out.
    let folder = scene.run_dir();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let run_as = |user: &str, program: &str, arguments: &[&str]| {
        let mut command = scene.node().command("setpriv");
        command
            .args(["--reuid", user, "--regid", user, "--clear-groups", "--inh-caps=-all", "--", program])
            .args(arguments);
        let output = command.output().unwrap();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut sockets = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_socket() {
            let path = entry.path().to_str().unwrap().to_owned();
            let connects =
                |user| run_as(user, "curl", &["--silent", "--max-time", "2", "--unix-socket", &path, "http://x/"]).0;
            assert_ne!(connects("0"), NO_CONNECTION, "{path}: nobody listens");
            assert_eq!(connects(NOBODY), NO_CONNECTION, "{path}: everybody may connect");
            sockets.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    for socket in ["admin.sock", "status.sock", "xds.sock"] {
        assert!(sockets.iter().any(|it| it == socket), "no {socket} among {sockets:?}");
    }
    let keys = |user| run_as(user, "grep", &["-rlaE", "PRIVATE KEY", folder.to_str().unwrap()]).1;
    assert!(keys("0").contains("/state/"), "there is no key to be found at all");
    assert_eq!(keys(NOBODY), "");

    // And no port of Envoy's or ours but the listeners that were asked for: no admin interface, no xDS.
    let listening = scene.node().run("ss", ["-Hltn"]).unwrap();
    for line in listening.lines() {
        let port = line.split_whitespace().nth(3).and_then(|local| local.rsplit(':').next()?.parse::<u16>().ok());
        assert!(port.is_some_and(|port| (10_000..=20_000).contains(&port)), "{line}");
    }
}

#[test]
fn cve_2026_53935_cve_2026_22771_cve_2021_32783_a_hostile_object_gets_nothing() {
    let scene = Scene::start("cve-hostile", &["web"], &web(""));
    let shop = scene.curl("http://shop.example/");
    scene.until(&shop, |answer| answer.body == "web");

    // The traffic of another namespace.
    scene.write("thief.yaml", &config("evil", "thief", "cilium-ingress-web", ""));
    scene.says(&["CiliumEnvoyConfig evil/thief", "spec.services[0].namespace", "\"shop\""]);

    // Code in the proxy, which would run as soon as it is loaded.
    let proof = scene.run_dir().join("proof");
    let lua = format!(
        "{{name: lua, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, \
         default_source_code: {{inline_string: \"io.open('{}', 'w'):close()\"}}}}}}, ",
        proof.display()
    );
    scene.write("code.yaml", &config("shop", "code", "api", &lua));
    scene.says(&["CiliumEnvoyConfig shop/code", "spec.resources[0]", "runs Lua inside the proxy"]);

    // The proxy's own admin interface, by its socket and by a name.
    let admin = scene.run_dir().join("admin.sock");
    let cluster = format!(
        "  - '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster\n    name: admin\n    load_assignment: {{cluster_name: \
         admin, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{pipe: {{path: {}}}}}}}}}]}}]}}\n",
        admin.display()
    );
    scene.write("admin.yaml", &(config("shop", "admin", "api", "") + &cluster));
    scene.says(&["CiliumEnvoyConfig shop/admin", "spec.resources[1]", "pipe", "admin socket"]);
    let elsewhere = "apiVersion: v1\nkind: Service\nmetadata: {name: elsewhere, namespace: shop}\nspec: {type: ExternalName, \
                     externalName: localhost, ports: [{port: 80}]}\n---\n";
    let paths = [path("Prefix", "/", "web"), path("Prefix", "/admin", "elsewhere")];
    let rules = rule("shop.example", &[&paths[0], &paths[1]]);
    scene.write("ingress.yaml", &(elsewhere.to_owned() + &ingress("web", "", &format!("rules: [{rules}]"))));
    scene.until(&scene.curl("http://shop.example/admin"), |answer| answer.status == 503);
    scene.says(&["spec.rules[0].http.paths[1]", "is an ExternalName"]);

    assert_eq!(shop.ask(&scene.outside).body, "web");
    assert!(!proof.exists(), "a script was run");
    let log = scene.log();
    assert!(!log.contains("stolen"), "{log}");
}

#[test]
fn cve_2024_28248_cve_2025_30162_who_may_not_connect_never_does_while_everything_changes() {
    const EDITS: usize = 12;
    let ranges = |ranges: &str| format!("ingress.axoneme.io/load-balancer-source-ranges: {ranges:?}");
    let closed = web(&ranges("198.51.100.0/24"));
    let scene = Scene::start("cve-churn", &["web"], &closed);
    // From a pod, so that the packets come in by no uplink: it is Envoy that knows the ranges.
    let ask = scene.curl("http://shop.example/").with(&["--max-time", "5"]);
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let leaks = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut leaks = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let answer = ask.ask(&scene.pods[1]);
                if answer.status != 0 {
                    leaks.push(answer);
                }
                asked.fetch_add(1, Ordering::Relaxed);
            }
            leaks
        });
        for edit in 0..EDITS {
            let paths = [path("Prefix", "/", "web"), path("Prefix", &format!("/{edit}"), "api")];
            let rules = rule("shop.example", &[&paths[0], &paths[1]]);
            scene.write("ingress.yaml", &ingress("web", &ranges("198.51.100.0/24"), &format!("rules: [{rules}]")));
            let host = rule(&format!("{edit}.example"), &[&path("Prefix", "/", "api")]);
            scene.write("other.yaml", &ingress("other", "", &format!("rules: [{host}]")));
            let before = asked.load(Ordering::Relaxed);
            let more = || Ok(asked.load(Ordering::Relaxed) > before + 1);
            wait_until("two more requests", PATIENCE, more).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    });
    assert_eq!(leaks.len(), 0, "of {} requests: {:?}", asked.into_inner(), leaks.first());
    // Once it may, it does: it was the rule that kept it out.
    let own = scene.pods[1].address.each()[0];
    scene.write("ingress.yaml", &web(&ranges(&format!("{own}/32"))));
    let answered = || Ok(ask.ask(&scene.pods[1]).body == "web");
    wait_until("an answer", PATIENCE, answered).unwrap();
}

#[test]
fn cve_2024_28249_cve_2024_28250_what_the_proxy_sends_bears_a_mark() {
    let scene = Scene::start("cve-mark", &["web"], &web(""));
    let pod = scene.pods[0].address.v4;
    let syn = format!("ip daddr {pod} tcp dport 8080 tcp flags & (syn | ack) == syn");
    scene
        .node()
        .nft(&format!(
            "table inet witness {{ counter marked {{ }}; counter plain {{ }}; chain out {{ type filter hook output priority 0; {syn} \
             meta mark & 0xf00 == 0xc00 counter name marked; {syn} meta mark & 0xf00 != 0xc00 counter name plain; }}; }}"
        ))
        .unwrap();
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.body == "web");
    let listed = scene.node().run("nft", ["-j", "list", "counters", "table", "inet", "witness"]).unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let count = |name: &str| {
        let counters = listed["nftables"].as_array().unwrap().iter().map(|it| &it["counter"]);
        counters
            .filter(|counter| counter["name"] == name)
            .map(|counter| counter["packets"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert!(count("marked") > 0, "{listed}");
    assert_eq!(count("plain"), 0, "{listed}");
}
