//! A rollout as the writer sees it: the real engine and the real queue, in time that the test makes.

use std::sync::Arc;

use axoneme_xds::{Outcome, View as _, type_urls};

use super::*;
use crate::{
    Engine, Kind, Object, ObjectKey, SourceEvent,
    source::EnvoyConfig,
    write::queue::{Attempt, Queue},
};

const NODES: usize = 1000;
/// How often the driver looks at statuses.
const LOOK: Duration = Duration::from_millis(200);

fn config(generation: i64) -> EnvoyConfig {
    let manifest = serde_json::json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumEnvoyConfig",
        "metadata": { "namespace": "default", "name": "a", "generation": generation },
        "spec": { "resources": [{
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "c",
            "connect_timeout": format!("{generation}s"),
        }] },
    });
    let object: axoneme_api::cec::CiliumEnvoyConfig = serde_json::from_value(manifest).unwrap();
    (&object).into()
}

/// A cluster of [`NODES`] nodes, one object, and what was written of it.
struct World {
    engine: Engine,
    queue: Queue,
    object: EnvoyConfig,
    now: Instant,
    written: Vec<(Instant, ConfigStatus)>,
}

impl World {
    fn new() -> Self {
        let mut engine = Engine::new();
        for kind in Kind::ALL {
            engine.apply(SourceEvent::reset(kind, Vec::new()));
        }
        for node in 0..NODES {
            engine.node_connected(&node_name(node));
        }
        let (queue, now) = (Queue::default(), Instant::now());
        let mut world = Self { engine, queue, object: config(1), now, written: Vec::new() };
        world.edit(config(1));
        world
    }

    fn edit(&mut self, object: EnvoyConfig) {
        let EnvoyConfig { conditions, observed_generation, .. } = self.object.clone();
        self.object = EnvoyConfig { conditions, observed_generation, ..object };
        self.engine.apply(SourceEvent::Apply(Object::EnvoyConfig(self.object.clone())));
    }

    fn ack(&mut self, node: usize) {
        let version = self.engine.intents().view("n").get(type_urls::CLUSTER, "default/a/c").unwrap().version;
        let outcome =
            Outcome::Acked { type_url: type_urls::CLUSTER.into(), name: "default/a/c".into(), version: Some(version) };
        self.engine.node_answered(&node_name(node), &outcome);
    }

    /// The driver looks, the writer writes what is due, the object comes back by the watch.
    fn look(&mut self) {
        for write in self.engine.take_status_writes() {
            self.queue.push(write, self.now);
        }
        while let Some(write) = self.queue.take(self.now) {
            let Write::ConfigStatus { status, .. } = &write else { panic!("{write:?}") };
            self.written.push((self.now, status.clone()));
            let time = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
            let shown = status.to_status(&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time));
            (self.object.conditions, self.object.observed_generation) = (shown.conditions, shown.observed_generation);
            self.queue.settle(write, Attempt::Done, self.now);
            self.engine.apply(SourceEvent::Apply(Object::EnvoyConfig(self.object.clone())));
        }
        self.now += LOOK;
    }

    fn last(&self) -> (&'static str, &str) {
        let programmed = &self.written.last().unwrap().1.conditions[2];
        (programmed.reason, &programmed.message)
    }
}

fn node_name(node: usize) -> Arc<str> {
    format!("node-{node:04}").into()
}

#[test]
fn a_rollout_over_a_thousand_nodes_is_a_handful_of_writes() {
    let mut world = World::new();
    // Five seconds of answers, then quiet.
    for node in 0..NODES {
        world.ack(node);
        if node % 40 == 39 {
            world.look();
        }
    }
    let end = world.now;
    for _ in 0..50 {
        world.look();
    }
    assert!(world.written.len() <= 8, "{} writes", world.written.len());
    assert_eq!(world.last(), ("Programmed", "1000/1000 nodes"));
    let told = world.written.last().unwrap().0;
    assert!(told <= end + 2 * LOOK, "the end is told after {:?}", told - end);
}

#[test]
fn progress_never_waits_longer_than_its_limit() {
    let mut world = World::new();
    // One answer a second: a minute's rollout.
    for node in 0..60 {
        world.ack(node);
        for _ in 0..5 {
            world.look();
        }
    }
    let gaps: Vec<_> = world.written.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps.iter().all(|gap| *gap <= PROGRESS + 2 * LOOK), "{gaps:?}");
    assert!(world.written.len() <= 18, "{} writes in a minute", world.written.len());
}

#[test]
fn news_do_not_wait_for_progress() {
    let mut world = World::new();
    for node in 0..NODES / 2 {
        world.ack(node);
        world.look();
    }
    // The author saves twice more: each version is told of at once, whatever the pace of the counting was.
    for generation in [2, 3] {
        world.edit(config(generation));
        let saved = world.now;
        world.look();
        world.look();
        let (told, status) = world.written.last().unwrap();
        assert_eq!(status.observed_generation, Some(generation));
        assert!(*told <= saved + 2 * LOOK);
        world.look();
    }
    assert_eq!(
        world.engine.index().config(&ObjectKey::new(Kind::CiliumEnvoyConfig, "default", "a")),
        Some(&world.object)
    );
}
