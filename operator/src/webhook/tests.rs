//! Reviews over real TCP and TLS, as the API server sends them.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
};

use hyper::client::conn::http1::{SendRequest, handshake};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::TlsConnector;

use super::*;
use crate::ca::Authority;

async fn server() -> (SocketAddr, TlsConnector) {
    server_of(Hub::new(Engine::new())).await
}

async fn server_of(hub: Hub<Engine>) -> (SocketAddr, TlsConnector) {
    let (address, connector, _) = server_until(hub, CancellationToken::new(), LINGER).await;
    (address, connector)
}

async fn server_until(
    hub: Hub<Engine>,
    shutdown: CancellationToken,
    linger: Duration,
) -> (SocketAddr, TlsConnector, JoinHandle<Result<(), ServeError>>) {
    let authority = Authority::generate().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
    let leaf = Arc::new(Leaf::new(authority, Leaf::service_names("axoneme-operator", "mesh")).unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve_lingering(listener, leaf, hub, shutdown, linger));
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (address, TlsConnector::from(Arc::new(config)), server)
}

async fn open(server: &(SocketAddr, TlsConnector)) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(server.0).await.unwrap();
    let name = ServerName::try_from("axoneme-operator.mesh.svc").unwrap();
    let stream = server.1.connect(name, stream).await.unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn post(server: &(SocketAddr, TlsConnector), path: &str, body: Vec<u8>) -> (StatusCode, Value) {
    let mut sender = open(server).await;
    let request = Request::post(path).header("host", "axoneme-operator").body(Full::new(Bytes::from(body))).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// The review of an Ingress, for which the webhook has to look into the engine.
fn review_of_ingress(annotation: &str) -> Vec<u8> {
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": "a", "namespace": "b", "annotations": { "note": annotation } },
    });
    let kind = json!({ "group": "networking.k8s.io", "version": "v1", "kind": "Ingress" });
    let resource = json!({ "group": "networking.k8s.io", "version": "v1", "resource": "ingresses" });
    let request = json!({
        "uid": "i", "name": "a", "operation": "CREATE", "userInfo": {}, "kind": kind, "resource": resource,
        "object": object,
    });
    serde_json::to_vec(&json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request }))
        .unwrap()
}

fn review(field: &str) -> Vec<u8> {
    let cluster = json!({ "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "c", field: "1s" });
    let object = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideEnvoyConfig", "metadata": { "name": "a" },
        "spec": { "resources": [cluster] },
    });
    let kind = json!({ "group": "cilium.io", "version": "v2", "kind": "CiliumClusterwideEnvoyConfig" });
    let resource = json!({ "group": "cilium.io", "version": "v2", "resource": "ciliumclusterwideenvoyconfigs" });
    let request = json!({
        "uid": "u", "name": "a", "operation": "CREATE", "userInfo": {}, "kind": kind, "resource": resource,
        "object": object,
    });
    serde_json::to_vec(&json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request }))
        .unwrap()
}

#[tokio::test]
async fn a_review_is_answered_in_kind() {
    let server = server().await;
    let (status, answer) = post(&server, "/validate?timeout=5s", review("connect_timeout")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    assert_eq!((&answer["response"]["uid"], &answer["response"]["allowed"]), (&json!("u"), &json!(true)));

    let (_, answer) = post(&server, "/validate", review("connect_timeouts")).await;
    assert_eq!(answer["response"]["allowed"], json!(false));
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("spec.resources[0].connect_timeouts: "), "{message}");
}

#[tokio::test]
async fn what_is_no_review_is_told_so() {
    let server = server().await;
    let empty = br#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}"#.to_vec();
    for (path, body, expected) in [
        ("/", review("connect_timeout"), StatusCode::NOT_FOUND),
        ("/validate", b"no JSON".to_vec(), StatusCode::BAD_REQUEST),
        ("/validate", empty, StatusCode::BAD_REQUEST),
        ("/validate", vec![b' '; LARGEST + 1], StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        assert_eq!(post(&server, path, body).await.0, expected);
    }
}

#[tokio::test]
async fn a_replica_that_ends_still_answers_and_sends_the_next_review_elsewhere() {
    let shutdown = CancellationToken::new();
    let (address, connector, _) =
        server_until(Hub::new(Engine::new()), shutdown.clone(), Duration::from_secs(3600)).await;
    let server = (address, connector);
    let mut kept = open(&server).await;
    shutdown.cancel();
    let body = Full::new(Bytes::from(review("connect_timeout")));
    let answer = kept.send_request(Request::post("/validate").body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["connection"], "close");
    assert_eq!(post(&server, "/validate", review("connect_timeout")).await.0, StatusCode::OK, "a new connection");
}

#[tokio::test]
async fn at_last_it_ends_though_connections_are_kept_open() {
    let shutdown = CancellationToken::new();
    let (address, connector, ended) = server_until(Hub::new(Engine::new()), shutdown.clone(), Duration::ZERO).await;
    let _kept = open(&(address, connector)).await;
    shutdown.cancel();
    timeout(Duration::from_secs(30), ended).await.unwrap().unwrap().unwrap();
}

/// The runtime of this test has one thread, and the large review cannot end before the small ones have.
#[tokio::test]
async fn small_reviews_do_not_wait_for_a_large_one() {
    let hub = Hub::new(Engine::new());
    let server = server_of(hub.clone()).await;
    // It looks into the engine when it starts.
    assert_eq!(post(&server, "/validate", review("connect_timeout")).await.0, StatusCode::OK);
    let (begun, busy) = std::sync::mpsc::channel();
    let (done, all_done) = std::sync::mpsc::channel();
    // Until it is told that the small ones are done: what looks into the engine waits as if it had much to do.
    let engine = std::thread::spawn(move || {
        let mut in_time = false;
        hub.update(|_| {
            begun.send(()).unwrap();
            in_time = all_done.recv_timeout(Duration::from_secs(60)).is_ok();
            BTreeSet::new()
        });
        in_time
    });
    busy.recv().unwrap();
    let large = tokio::spawn({
        let server = server.clone();
        async move { post(&server, "/validate", review_of_ingress(&" ".repeat(LARGE))).await }
    });
    for _ in 0..10 {
        assert_eq!(post(&server, "/validate", review("connect_timeout")).await.0, StatusCode::OK);
    }
    assert!(!large.is_finished());
    let _ = done.send(());
    assert!(engine.join().unwrap(), "the small ones had to wait");
    assert_eq!(large.await.unwrap().0, StatusCode::OK);
}
