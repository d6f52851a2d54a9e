//! Nodes dial over real TCP and TLS: who trusts the authority is served its view, others do not get that far.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axoneme_xds::{
    Client,
    grpc::{Signal, Subscription, endpoint, subscribe},
    proto::Node,
    type_urls,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tonic::{metadata::MetadataMap, transport::Endpoint};

use super::*;
use crate::ca::Authority;

const PATIENCE: Duration = Duration::from_secs(10);

/// A server with an empty engine, its address and the certificate that clients must trust.
async fn server() -> (SocketAddr, String, mpsc::UnboundedReceiver<Event>) {
    server_aged([CONNECTION_AGE, CONNECTION_GRACE]).await
}

async fn server_aged(age: [Duration; 2]) -> (SocketAddr, String, mpsc::UnboundedReceiver<Event>) {
    let authority = Authority::generate().unwrap();
    let trusted = authority.certificate_pem().to_owned();
    let leaf = Arc::new(Leaf::new(authority, Leaf::service_names("axoneme-operator", "mesh")).unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    let (events_in, events) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(heard) = heard.recv().await {
            match heard {
                Heard::Opening { go, .. } => drop(go.send(())),
                Heard::Stream(event) => drop(events_in.send(event)),
            }
        }
    });
    let nodes = Nodes::new(Admission::Only("node-1".into()), sender);
    tokio::spawn(serve_aged(listener, leaf, Hub::new(Engine::new()), nodes, CancellationToken::new(), age));
    (address, trusted, events)
}

fn dial(address: SocketAddr, trusted: &str) -> Channel {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tls = TlsConnector::from(Arc::new(config));
    let connector = tower::service_fn(move |_| {
        let tls = tls.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("axoneme-operator.mesh.svc").unwrap();
            Ok::<_, io::Error>(TokioIo::new(tls.connect(name, stream).await?))
        }
    });
    endpoint(Endpoint::from_static("http://axoneme-operator.mesh.svc")).connect_with_connector_lazy(connector)
}

async fn first_signal(channel: Channel) -> Signal {
    timeout(PATIENCE, listen(channel).next()).await.unwrap().unwrap()
}

fn listen(channel: Channel) -> Subscription {
    let node = Node { id: "node-1".to_owned(), ..Node::default() };
    let (subscription, driver) =
        subscribe(Client::new(node, [type_urls::LISTENER]), channel, || Ok(MetadataMap::new()));
    tokio::spawn(driver);
    subscription
}

#[tokio::test]
async fn a_node_that_trusts_the_authority_is_served() {
    let (address, trusted, mut events) = server().await;
    assert!(matches!(first_signal(dial(address, &trusted)).await, Signal::Connected));
    let event = timeout(PATIENCE, events.recv()).await.unwrap();
    assert!(matches!(event, Some(Event::Opened { subscriber, .. }) if *subscriber == *"node-1"));
}

#[tokio::test]
async fn a_node_that_trusts_another_authority_refuses_us() {
    let (address, _, mut events) = server().await;
    let foreign = Authority::generate().unwrap();
    let signal = first_signal(dial(address, foreign.certificate_pem())).await;
    assert!(matches!(signal, Signal::Disconnected { .. }), "{signal:?}");
    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn a_node_is_told_nothing_before_it_is_known_what_its_envoy_can_do() {
    let (sender, mut heard) = mpsc::unbounded_channel();
    let (channel, server) = serve_local(Hub::new(Engine::new()), "node-1", sender, CancellationToken::new());
    tokio::spawn(server);
    let node = Node { client_features: vec![HOSTKEY_FEATURE.to_owned()], ..Node::default() };
    let (mut subscription, driver) =
        subscribe(Client::new(node, [type_urls::LISTENER]), channel, || Ok(MetadataMap::new()));
    tokio::spawn(driver);
    let Some(Heard::Opening { node, has_module: true, go }) = timeout(PATIENCE, heard.recv()).await.unwrap() else {
        panic!("something else was heard")
    };
    assert_eq!(*node, *"node-1");
    assert!(timeout(Duration::from_millis(200), subscription.next()).await.is_err(), "it was told something");
    go.send(()).unwrap();
    assert!(matches!(timeout(PATIENCE, subscription.next()).await.unwrap(), Some(Signal::Connected)));
    assert!(matches!(heard.recv().await, Some(Heard::Stream(Event::Opened { .. }))));
}

#[tokio::test]
async fn a_slow_handshake_holds_up_nobody() {
    let (address, trusted, _events) = server().await;
    let _silent = TcpStream::connect(address).await.unwrap();
    assert!(matches!(first_signal(dial(address, &trusted)).await, Signal::Connected));
}

#[tokio::test]
async fn a_node_has_to_prove_itself_anew_after_a_while() {
    let (address, trusted, mut events) = server_aged([Duration::from_millis(100); 2]).await;
    let mut subscription = listen(dial(address, &trusted));
    for connected in [true, false, true] {
        let signal = timeout(PATIENCE, subscription.next()).await.unwrap().unwrap();
        assert_eq!(matches!(signal, Signal::Connected), connected, "{signal:?}");
    }
    let mut opened = 0;
    while let Ok(event) = events.try_recv() {
        opened += usize::from(matches!(event, Event::Opened { .. }));
    }
    assert_eq!(opened, 2);
}
