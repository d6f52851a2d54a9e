//! A thousand configs, of which Envoy alone can see that one is wrong.

use std::{collections::BTreeSet, future::ready, net::SocketAddr, ops::Range, time::Duration};

use anyhow::{Result, ensure};
use axoneme_testnet::{Namespace, mesh::Mesh, wait_until};
use futures::stream::{self, StreamExt as _};

use crate::{
    load,
    log::{self, Hop, Key, Log},
    stage::{PORT, SOON, Stage, last_words, serve},
};

const CONFIGS: usize = 1000;
/// The wrong one, and one that becomes wrong when it has been good.
const POISONED: usize = 500;
const LATER: usize = 700;
/// How long a thousand listeners may take on a busy machine.
const START: Duration = Duration::from_secs(120);
/// So many are asked at a time.
const AT_ONCE: usize = 16;
/// Nothing but RE2 says that this is none.
const POISON: &str = "safe_regex: {regex: 'a(b'}";
const GOOD: &str = "prefix: /";
/// The words of RE2.
const WORDS: &str = "missing ): a(b";

#[test]
fn one_poisoned_config_among_a_thousand_harms_itself_only() {
    let mut stage = Stage::new("thousand").unwrap();
    let backend = stage.pod("backend").unwrap();
    let _server = serve(&backend).unwrap();
    for number in 0..CONFIGS {
        let wrong = if number == POISONED { POISON } else { GOOD };
        stage.folder.write(&file(number), &manifest(number, wrong, &backend)).unwrap();
    }
    let mesh = stage.mesh().unwrap();
    runs(&mesh, |number| number != POISONED);
    is_refused(&mesh, POISONED);
    assert_eq!(lines(&mesh, "refused").len(), 1, "{}", last_words(&mesh));
    assert_eq!(answered(&stage), (0..CONFIGS).filter(|number| *number != POISONED).collect(), "{}", last_words(&mesh));

    let mut sent = Log::of(&mesh).unwrap();
    stage.folder.write(&file(POISONED), &manifest(POISONED, GOOD, &backend)).unwrap();
    runs(&mesh, |_| true);
    wait_until("the mended one to serve", SOON, || Ok(answers(&stage, POISONED))).unwrap();
    sent.turn_over().unwrap();

    // What has been good stays in force when it is poisoned.
    stage.folder.write(&file(LATER), &manifest(LATER, POISON, &backend)).unwrap();
    sent.until_in_force(&BTreeSet::from([route(LATER)])).unwrap();
    is_refused(&mesh, LATER);
    assert_eq!(sent.count(Hop::Node).into_keys().collect::<Vec<_>>(), [route(LATER)]);
    assert_eq!(sent.count(Hop::Envoy).into_keys().collect::<Vec<_>>(), [route(LATER)]);
    assert!(answers(&stage, LATER), "{}", last_words(&mesh));
}

fn file(number: usize) -> String {
    format!("config-{number:04}.yaml")
}

fn object(number: usize) -> String {
    format!("CiliumEnvoyConfig scale/config-{number:04}")
}

fn route(number: usize) -> Key {
    ("RouteConfiguration".to_owned(), format!("scale/config-{number:04}/routes"))
}

fn address(number: usize) -> SocketAddr {
    format!("10.232.{}.{}:80", 1 + number / 250, 1 + number % 250).parse().unwrap()
}

/// A Service, its endpoints and its config: all answer from one backend, each with a header of its own.
fn manifest(number: usize, matches: &str, backend: &Namespace) -> String {
    let (cluster_ip, pod) = (address(number).ip(), backend.address.v4);
    format!(
        r#"apiVersion: v1
kind: Service
metadata: {{name: service-{number:04}, namespace: scale}}
spec:
  clusterIP: {cluster_ip}
  ports:
  - {{name: http, port: 80, targetPort: {PORT}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: service-{number:04}-1
  namespace: scale
  labels: {{kubernetes.io/service-name: service-{number:04}}}
addressType: IPv4
endpoints:
- addresses: [{pod}]
  conditions: {{ready: true}}
ports:
- {{name: http, port: {PORT}, protocol: TCP}}
---
apiVersion: cilium.io/v2
kind: CiliumEnvoyConfig
metadata: {{name: config-{number:04}, namespace: scale}}
spec:
  services:
  - name: service-{number:04}
  resources:
  - "@type": type.googleapis.com/envoy.config.listener.v3.Listener
    name: listener
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: config-{number:04}
          rds: {{route_config_name: routes}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  - "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
    name: routes
    response_headers_to_add:
    - header: {{key: x-config, value: "{number}"}}
    virtual_hosts:
    - name: all
      domains: ["*"]
      routes:
      - match:
          {matches}
        route: {{cluster: scale/service-{number:04}}}
  - "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
    name: scale/service-{number:04}
    type: EDS
    connect_timeout: 5s
    lb_policy: ROUND_ROBIN
"#
    )
}

/// Waits until these run, which the screen says of each, and no other.
fn runs(mesh: &Mesh, which: impl Fn(usize) -> bool) {
    let wanted: BTreeSet<String> = (0..CONFIGS).filter(|number| which(*number)).map(object).collect();
    let (mut running, mut read) = (BTreeSet::new(), 0);
    let waited = wait_until("the configs to run", START, || {
        let new = log::whole_lines(mesh.process(), &mut read)?;
        running.extend(new.lines().filter_map(|line| line.strip_prefix("runs ")).map(|line| line.trim().to_owned()));
        Ok(running.len() >= wanted.len())
    });
    assert!(waited.is_ok(), "{} of {} run\n{}", running.len(), wanted.len(), last_words(mesh));
    assert_eq!(running, wanted);
}

/// Waits until the screen says of one, in Envoy's words, why it does not run.
fn is_refused(mesh: &Mesh, number: usize) {
    let told = |line: &String| line.contains(&object(number)) && line.contains(WORDS);
    let waited = wait_until("the words", SOON, || Ok(lines(mesh, "refused").iter().any(told)));
    assert!(waited.is_ok(), "{}", last_words(mesh));
}

/// What the screen says that begins with this word.
fn lines(mesh: &Mesh, word: &str) -> Vec<String> {
    let log = mesh.process().log().unwrap();
    log.lines().filter(|line| line.starts_with(&format!("{word} "))).map(str::to_owned).collect()
}

/// Which of all configs answer, each by its own listener.
fn answered(stage: &Stage) -> BTreeSet<usize> {
    ask(stage, 0..CONFIGS)
}

/// Whether a config answers.
fn answers(stage: &Stage, number: usize) -> bool {
    ask(stage, number..number + 1).contains(&number)
}

/// Asks them, several at a time.
fn ask(stage: &Stage, numbers: Range<usize>) -> BTreeSet<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = stream::iter(numbers).map(|number| async move { answer(number).await.is_ok().then_some(number) });
    let answered = asked.buffer_unordered(AT_ONCE).filter_map(ready);
    stage.client.enter(|| runtime.block_on(answered.collect())).unwrap()
}

async fn answer(number: usize) -> Result<()> {
    let exchange = async {
        let mut connection = load::connect(address(number), None).await?;
        load::ask(&mut connection, "/").await
    };
    let answer = tokio::time::timeout(load::PATIENCE, exchange).await??;
    ensure!(answer.status() == 200 && answer.headers()["server"] == "envoy", "{answer:?}");
    ensure!(answer.headers()["x-config"] == number.to_string().as_str(), "{answer:?}");
    Ok(())
}
