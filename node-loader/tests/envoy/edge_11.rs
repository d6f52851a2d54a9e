//! Edge case 11: refusals, deaths, restarts, and ports that are not what a file says.

use axoneme_api::intent::PROXY_CRASHED;
use axoneme_node::{Config, NodeEvent, Operator};
use axoneme_xds::{
    Resource,
    grpc::in_memory,
    type_urls::{LISTENER, SECRET},
};

use crate::{
    lab::{Elsewhere, Intents, Lab, Memory},
    resources::{FRONTEND, ROUTER, chain_to, deadly, field, listener, redirect, routes, tls},
    web::{ask, get},
};

#[tokio::test]
async fn edge_11_a_fresh_port_file_is_enough_to_serve_without_an_operator() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), false);
    let set = [listener("kept", "r", ROUTER), routes("r", "hello"), redirect("default/web:80", "kept", FRONTEND)];
    intents.put(&set);
    let port = lab.port("kept").await;
    assert_eq!(intents.outcome(&set[2], false).await, Ok(()));
    let (folder, kernel) = lab.stop().await;
    assert_eq!(kernel.0.lock().len(), 1, "traffic flows on");

    // Nobody is behind this channel.
    let (channel, nobody) = in_memory();
    drop(nobody);
    let mut lab = Lab::start(folder, kernel, Operator::Channel(channel), true);
    assert_eq!(lab.port("kept").await, port);
    assert!(get(("127.0.0.1", port)).await.ends_with("hello"));
    assert_eq!(lab.entry(FRONTEND).map(|entry| entry.proxy_port), Some(port));
    lab.stop().await;
}

#[tokio::test]
async fn edge_11_a_port_that_is_stolen_while_nothing_runs_is_given_up() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), false);
    let set = [listener("taken", "r", ROUTER), routes("r", "hello")];
    intents.put(&set);
    let port = lab.port("taken").await;
    // Its socket is there before it is on disk.
    assert_eq!(intents.outcome(&set[0], false).await, Ok(()));
    let (folder, kernel) = lab.stop().await;

    // Another program takes the port while nothing runs, and state says that it is ours.
    let thief = std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port");
    let mut lab = Lab::start(folder, kernel, intents.operator.clone(), true);
    lab.event(|event| matches!(event, NodeEvent::PortConflict { .. })).await;
    let moved = lab.port("taken").await;
    assert_ne!(moved, port);
    assert!(get(("127.0.0.1", moved)).await.ends_with("hello"));
    drop(thief);
    lab.stop().await;
}

#[tokio::test]
async fn edge_11_an_envoy_that_is_killed_comes_back_with_everything() {
    let intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), true);
    intents.put(&[listener("again", "r", ROUTER), routes("r", "hello")]);
    let port = lab.port("again").await;
    let pids = std::process::Command::new("pgrep").arg("-f").arg(lab.folder.path()).output().expect("pgrep").stdout;
    let pid: i32 = String::from_utf8(pids).expect("text").trim().parse().expect("one Envoy");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("a kill");
    lab.event(|event| matches!(event, NodeEvent::EnvoyLost)).await;
    assert_eq!(lab.port("again").await, port);
    assert!(get(("127.0.0.1", port)).await.ends_with("hello"));
    lab.stop().await;
}

#[tokio::test]
async fn edge_11_a_listener_that_kills_envoy_is_quarantined_and_the_rest_serves() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), false);
    let (calm, risky) = (listener("calm", "r", ROUTER), listener("risky", "r", ROUTER));
    intents.put(&[calm.clone(), risky.clone(), routes("r", "hello")]);
    let calm_port = lab.port("calm").await;
    assert_eq!(intents.outcome(&risky, false).await, Ok(()));
    let (deadly, first) = (deadly("risky"), deadly("first"));

    intents.put(std::slice::from_ref(&first));
    let refusal = intents.outcome(&first, false).await.expect_err("a refusal");
    assert!(refusal.starts_with(PROXY_CRASHED), "{refusal}");
    lab.serves(calm_port).await;

    // An update of what served: that goes on.
    intents.put(std::slice::from_ref(&deadly));
    let refusal = intents.outcome(&deadly, false).await.expect_err("a refusal");
    assert!(refusal.starts_with(PROXY_CRASHED), "{refusal}");
    let risky_port = lab.port_of("risky").await;
    lab.serves(calm_port).await;
    lab.serves(risky_port).await;
    assert!(lab.envoys() <= 1 + 2 * 3, "{} Envoys", lab.envoys());

    // The next run knows it, although the operator begins from the start.
    let (folder, kernel) = lab.stop().await;
    let mut lab = Lab::start(folder, kernel, intents.operator.clone(), true);
    let refusal = intents.outcome(&deadly, false).await.expect_err("a refusal");
    assert!(refusal.starts_with(PROXY_CRASHED), "{refusal}");
    lab.serves(risky_port).await;
    let mended = listener("first", "r", ROUTER);
    intents.put(std::slice::from_ref(&mended));
    assert_eq!(intents.outcome(&mended, false).await, Ok(()));
    let port = lab.port_of("first").await;
    lab.serves(port).await;
    assert_eq!(lab.envoys(), 1);
    lab.stop().await;
}

#[tokio::test]
async fn edge_11_what_envoy_refuses_comes_back_in_its_words_and_harms_nobody() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), true);
    intents.put(&[listener("steady", "r", ROUTER), routes("r", "hello")]);
    let port = lab.port("steady").await;

    let reference =
        Resource::new(LISTENER, "reference", [field(1, "reference"), field(3, chain_to("nowhere"))].concat());
    // The same condition twice, none at all: chains of one listener after those of the other.
    let once = listener("twice", "r", ROUTER).body;
    let twice = Resource::new(LISTENER, "twice", [&*once, &*once].concat());
    let pair = [field(1, field(3, "no certificate")), field(2, field(3, "no key"))].concat();
    let secret = Resource::new(SECRET, "broken", [field(1, "broken"), field(2, pair)].concat());
    intents.put(&[tls("tls", "broken")]);
    for (resource, words) in [(&reference, "nowhere"), (&twice, "same matching rules"), (&secret, "certificate")] {
        intents.put(std::slice::from_ref(resource));
        let refusal = intents.outcome(resource, false).await.expect_err("a refusal");
        assert!(refusal.contains(words), "{}: {refusal}", resource.name);
        lab.serves(port).await;
    }
    assert_eq!(lab.envoys(), 1);
    lab.stop().await;
}

#[tokio::test]
async fn edge_11_a_port_file_that_is_corrupt_missing_or_stale_harms_nobody() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = Lab::start(folder, Memory::default(), intents.operator.clone(), false);
    let set = [listener("filed", "r", ROUTER), routes("r", "hello"), redirect("default/web:80", "filed", FRONTEND)];
    intents.put(&set);
    lab.port("filed").await;
    assert_eq!(intents.outcome(&set[2], false).await, Ok(()));
    let (mut folder, mut kernel) = lab.stop().await;
    let spoil: [fn(&std::path::Path); 2] = [
        |file| std::fs::write(file, "no record").expect("a write"),
        |file| std::fs::remove_file(file).expect("a removal"),
    ];
    for spoil in spoil {
        let files = std::fs::read_dir(folder.path().join("state")).expect("a folder");
        files.for_each(|file| spoil(&file.expect("a file").path()));
        let mut lab = Lab::start(folder, kernel, intents.operator.clone(), false);
        let port = lab.port("filed").await;
        lab.serves(port).await;
        let on = |event: &NodeEvent| matches!(event, NodeEvent::RedirectOn { port: on, .. } if *on == port);
        lab.event(on).await;
        assert_eq!(lab.entry(FRONTEND).map(|entry| entry.proxy_port), Some(port));
        (folder, kernel) = lab.stop().await;
    }

    // The operator has forgotten all of it meanwhile.
    intents.remove(&set);
    let mut lab = Lab::start(folder, kernel, intents.operator.clone(), false);
    lab.event(|event| matches!(event, NodeEvent::ListenerGone { name } if &**name == "filed")).await;
    assert_eq!(lab.entry(FRONTEND), None);
    let (folder, _) = lab.stop().await;
    assert_eq!(std::fs::read(folder.path().join("state/log")).expect("a log"), b"");
}

#[tokio::test]
async fn edge_11_an_agent_that_starts_anew_drains_no_listener_and_cuts_no_connection() {
    let mut intents = Intents::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::new("node-1");
    config.run_dir = folder.path().to_owned();
    let mut lab = Lab::start_with(config.clone(), folder, Memory::default(), intents.operator.clone());
    let _envoy = Elsewhere::start(&config);
    let set = [listener("stays", "r", ROUTER), routes("r", "hello"), redirect("default/web:80", "stays", FRONTEND)];
    intents.put(&set);
    let port = lab.port("stays").await;
    assert_eq!(intents.outcome(&set[2], false).await, Ok(()));
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("a listener");
    ask(&mut stream).await;
    for _ in 0..3 {
        let (folder, kernel) = lab.stop().await;
        ask(&mut stream).await;
        lab = Lab::start_with(config.clone(), folder, kernel, intents.operator.clone());
        assert_eq!(lab.port("stays").await, port);
        let answer = ask(&mut stream).await;
        assert!(!answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }
    lab.stop().await;
}
