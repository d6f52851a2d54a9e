//! A folder is served to a node through memory, edits travel, mistakes are named by file and line.

use std::{fs, path::Path, time::Duration};

use axoneme_xds::{
    Change, Client,
    grpc::{Signal, Subscription, subscribe},
    proto::Node,
    type_urls,
};
use tokio::time::timeout;
use tonic::metadata::MetadataMap;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

const INGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: cilium
  rules:
  - http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: app, port: {number: 80}}}}
"#;

const APP: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
"#;

fn pools() -> Pools {
    let network = |text: &str| text.parse().unwrap();
    Pools {
        cluster: vec![network("10.96.0.0/16")],
        load_balancer: vec![network("192.0.2.0/24")],
        node_ports: 30_000..=32_767,
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

fn listen(channel: Channel) -> Subscription {
    let node = Node { id: "node-1".to_owned(), ..Node::default() };
    let client = Client::new(node, [type_urls::CLUSTER, type_urls::LISTENER, type_urls::ROUTE]);
    let (subscription, driver) = subscribe(client, channel, || Ok(MetadataMap::new()));
    tokio::spawn(driver);
    subscription
}

/// Acknowledges everything until a name of a type comes.
async fn until(subscription: &mut Subscription, type_url: &str, name: &str) -> Change {
    let settler = subscription.settler();
    let wait = async {
        loop {
            if let Some(Signal::Update(update)) = subscription.next().await {
                settler.settle(update.receipt, Ok(()));
                if *update.type_url == *type_url && *update.name == *name {
                    return update.change;
                }
            }
        }
    };
    timeout(PATIENCE, wait).await.expect("the node is told")
}

fn options(folder: &Path) -> Options {
    Options {
        folder: folder.to_owned(),
        node: "node-1".to_owned(),
        pools: pools(),
        policy: Policy::default(),
        ingress: crate::model::IngressDefaults::default(),
    }
}

#[tokio::test]
async fn a_folder_is_served_and_edits_travel() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "ingress.yaml", INGRESS);
    write(folder.path(), "app.yaml", APP);
    let mut tasks = Supervisor::new(CancellationToken::new());
    let (operator, channel) = start(options(folder.path()), &mut tasks).unwrap();
    let shutdown = tasks.shutdown();
    let running = tokio::spawn(tasks.run(PATIENCE));

    let mut node = listen(channel);
    let listener = "default/cilium-ingress-default-web/listener";
    assert!(matches!(until(&mut node, type_urls::LISTENER, listener).await, Change::Put(_)));
    let overview = operator.overview().await.unwrap();
    assert!(overview.problems.is_empty() && overview.mistakes.is_empty(), "{overview:?}");
    assert!(overview.reports[0].redirects.iter().any(|redirect| !redirect.addresses.is_empty()), "{overview:?}");

    // A broken file changes nothing but what a person sees.
    let mut revision = operator.revision();
    revision.borrow_and_update();
    write(folder.path(), "ingress.yaml", "a: [b");
    timeout(PATIENCE, revision.wait_for(|_| true)).await.unwrap().unwrap();
    let mistakes = timeout(PATIENCE, async {
        loop {
            let overview = operator.overview().await.unwrap();
            if !overview.mistakes.is_empty() {
                return overview.mistakes;
            }
            revision.changed().await.unwrap();
        }
    });
    assert!(mistakes.await.unwrap()[0].location.to_string().contains("ingress.yaml:"));
    assert_eq!(operator.overview().await.unwrap().reports.len(), 1);

    fs::remove_file(folder.path().join("ingress.yaml")).unwrap();
    assert!(matches!(until(&mut node, type_urls::LISTENER, listener).await, Change::Remove));

    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_problem_names_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "ingress.yaml", INGRESS);
    let mut tasks = Supervisor::new(CancellationToken::new());
    let (operator, channel) = start(options(folder.path()), &mut tasks).unwrap();
    let _running = tokio::spawn(tasks.run(PATIENCE));
    let listener = "default/cilium-ingress-default-web/listener";
    until(&mut listen(channel), type_urls::LISTENER, listener).await;
    let overview = operator.overview().await.unwrap();
    let [Located { location: Some(location), problem, .. }] = &overview.problems[..] else { panic!("{overview:?}") };
    assert_eq!((location.position.line, problem.reason.as_str()), (10, "ServiceNotFound"));
}
