//! Proxy ports that somebody else has, before the node starts or when it comes back, and none left. Sockets and Envoy are real.

use std::net::TcpListener;

use axoneme_node::{Config, EnvoyBinary, NodeEvent, status};
use axoneme_xds::Resource;

use crate::{
    lab::{Intents, Lab, Memory},
    resources::{ROUTER, listener, redirect, routes},
};

/// A listener, and on which address somebody takes its port. The last one is no address of the proxy's.
const TAKEN: [(&str, &str); 5] =
    [("own-v4", "127.0.0.1"), ("all-v4", "0.0.0.0"), ("all", "::"), ("own-v6", "::1"), ("other", "127.0.0.2")];

fn resources() -> Vec<Resource> {
    let all = TAKEN.iter().zip(1..).flat_map(|((name, _), number)| {
        let redirect = redirect(&format!("default/{name}:80"), name, &frontend(number));
        [listener(name, "r", ROUTER), redirect]
    });
    std::iter::once(routes("r", "hello")).chain(all).collect()
}

fn frontend(number: u8) -> String {
    format!("10.0.7.{number}:80")
}

async fn ports(lab: &Lab) -> Vec<u16> {
    let mut ports = Vec::new();
    for (name, _) in TAKEN {
        ports.push(lab.port_of(name).await);
        lab.serves(ports[ports.len() - 1]).await;
    }
    ports
}

fn thieves(ports: &[u16]) -> Vec<TcpListener> {
    let thief = |((_, address), port): (&(&str, &str), &u16)| TcpListener::bind((*address, *port)).expect("the port");
    TAKEN.iter().zip(ports).map(thief).collect()
}

#[tokio::test]
async fn edge_11_ports_that_somebody_has_are_passed_over_and_given_up() {
    let intents = Intents::new();
    let folder = || tempfile::tempdir().expect("a folder");
    intents.put(&resources());
    let lab = Lab::start(folder(), Memory::default(), intents.operator.clone(), true);
    let chosen = ports(&lab).await;
    lab.stop().await;

    // Somebody was there before: nobody tries.
    let thieves_before = thieves(&chosen);
    let mut lab = Lab::start(folder(), Memory::default(), intents.operator.clone(), false);
    let second = ports(&lab).await;
    let kept: Vec<bool> = chosen.iter().zip(&second).map(|(chosen, second)| chosen == second).collect();
    assert_eq!(kept, [false, false, false, false, true], "{chosen:?} {second:?}");
    lab.never(|event| matches!(event, NodeEvent::PortConflict { .. }));
    for (number, port) in (1..).zip(&second) {
        lab.leads(&frontend(number), *port).await;
    }
    let (folder, kernel) = lab.stop().await;
    drop(thieves_before);

    // Somebody came meanwhile: what is on disk, and in the kernel, is of no use.
    let thieves_meanwhile = thieves(&second);
    let mut lab = Lab::start(folder, kernel, intents.operator.clone(), true);
    for _ in 1..TAKEN.len() {
        lab.event(|event| matches!(event, NodeEvent::PortConflict { .. })).await;
    }
    let third = ports(&lab).await;
    let kept: Vec<bool> = second.iter().zip(&third).map(|(second, third)| second == third).collect();
    assert_eq!(kept, [false, false, false, false, true], "{second:?} {third:?}");
    for (number, port) in (1..).zip(&third) {
        lab.leads(&frontend(number), *port).await;
    }
    drop(thieves_meanwhile);
    lab.stop().await;
}

/// A node of its own with an Envoy of its own, and these ports.
fn with_ports(range: &str, intents: &Intents) -> Lab {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::new("node-1");
    config.run_dir = folder.path().to_owned();
    config.envoy = Some(EnvoyBinary { path: axoneme_testnet::envoy().expect("Envoy"), concurrency: 1 });
    config.cleanup_on_exit = true;
    config.ports = range.parse().expect("a range");
    Lab::start_with(config, folder, Memory::default(), intents.operator.clone())
}

#[tokio::test]
async fn edge_11_no_port_left_is_told_and_over_when_one_is_given_back() {
    let mut intents = Intents::new();
    let somebody = TcpListener::bind("0.0.0.0:27701").expect("a port that is nobody's");
    let lab = with_ports("27700-27702", &intents);
    let (first, second, third) =
        (listener("first", "r", ROUTER), listener("second", "r", ROUTER), listener("third", "r", ROUTER));
    intents.put(&[routes("r", "hello"), first.clone()]);
    assert_eq!(intents.outcome(&first, false).await, Ok(()));
    intents.put(std::slice::from_ref(&second));
    assert_eq!(intents.outcome(&second, false).await, Ok(()));
    intents.put(std::slice::from_ref(&third));
    let told = intents.outcome(&third, false).await.expect_err("there is no port");
    assert!(told.contains("no free proxy port in 27700-27702"), "{told}");
    let status = status::fetch(&lab.folder.path().join("status.sock")).await.expect("a status");
    assert!(status.summary.rejections.iter().any(|it| it.name == "third" && it.message == told), "{status:?}");
    for name in ["first", "second"] {
        lab.serves(lab.port_of(name).await).await;
    }

    // One of ours goes: the operator hears that all is well, and so it does when somebody else's goes.
    intents.remove(std::slice::from_ref(&first));
    assert_eq!(intents.outcome(&third, false).await, Ok(()));
    lab.serves(lab.port_of("third").await).await;
    intents.put(std::slice::from_ref(&first));
    intents.outcome(&first, false).await.expect_err("there is no port");
    drop(somebody);
    assert_eq!(intents.outcome(&first, false).await, Ok(()));
    assert_eq!(lab.port_of("first").await, 27_701);
    lab.stop().await;
}

/// Who holds on to the number, such as a client that did not hear of the end, is not to meet another listener there.
#[tokio::test]
async fn edge_26_a_port_that_is_given_back_waits_for_its_name_while_others_have_a_choice() {
    let mut intents = Intents::new();
    let lab = with_ports("27710-27712", &intents);
    let [first, next] = ["first", "next"].map(|name| listener(name, "r", ROUTER));
    intents.put(&[routes("r", "hello"), first.clone()]);
    assert_eq!(intents.outcome(&first, false).await, Ok(()));
    let port = lab.port_of("first").await;
    intents.remove(std::slice::from_ref(&first));
    assert_eq!(intents.outcome(&first, true).await, Ok(()));

    // Its search begins at the same port.
    intents.put(std::slice::from_ref(&next));
    assert_eq!(intents.outcome(&next, false).await, Ok(()));
    assert_ne!(lab.port_of("next").await, port);
    intents.put(std::slice::from_ref(&first));
    assert_eq!(intents.outcome(&first, false).await, Ok(()));
    assert_eq!(lab.port_of("first").await, port);
    lab.serves(port).await;
    lab.stop().await;
}
