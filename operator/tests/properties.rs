//! Whatever the order of events: the same objects give the same views, and edits told one by one add up to the whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use axoneme_operator::file_source::Folder;
use axoneme_operator::local::Local;
use axoneme_operator::{Changes, Engine, Kind, ObjectKey, Problem, Reason, Severity, SourceEvent};
use axoneme_xds::{Key, Resource, View as _};
use proptest::prelude::*;

const NODES: [&str; 2] = ["a", "b"];

/// One object of a small world, in one of its versions.
#[derive(Clone, Copy, Debug)]
struct File {
    kind: u8,
    name: u8,
    version: u8,
}

const KINDS: u8 = 11;
const NAMES: u8 = 2;
const VERSIONS: u8 = 4;

impl File {
    fn path(self) -> String {
        format!("{}-{}.yaml", self.kind, self.name)
    }

    fn text(self) -> String {
        let Self { name: n, version: v, .. } = self;
        match self.kind {
            0 => format!(
                "{{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {{name: class-{n}, annotations: \
                 {{ingressclass.kubernetes.io/is-default-class: \"{}\"}}}}, spec: {{controller: {}}}}}",
                v % 2 == 0,
                if v < 2 { "cilium.io/ingress-controller" } else { "example.org/other" },
            ),
            1 => format!(
                "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: ingress-{n}}}, spec: {{{} rules: \
                 [{{host: h{v}.example, http: {{paths: [{{path: /{v}, pathType: Prefix, backend: {{service: {{name: \
                 service-{}, port: {{number: 80}}}}}}}}]}}}}]}}}}",
                ["", "ingressClassName: class-0,", "ingressClassName: class-1,", "ingressClassName: cilium,"]
                    [v as usize],
                v % 2,
            ),
            2 | 3 => format!(
                "{{apiVersion: cilium.io/v2, kind: CiliumEnvoyConfig, metadata: {{name: config-{}-{n}, creationTimestamp: \
                 \"2026-01-0{}T00:00:00Z\", annotations: {{cec.cilium.io/use-original-source-address: \"{}\"}}}}, spec: {{{} services: [{{name: service-{}}}], resources: [{{\"@type\": \
                 type.googleapis.com/envoy.config.listener.v3.Listener, name: l, filter_chains: [{{filters: [{{name: t, \
                 typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
                 stat_prefix: t, cluster: default/service-{n}}}}}]}}]}}, {{\"@type\": \
                 type.googleapis.com/envoy.config.cluster.v3.Cluster, name: default/service-{n}, type: EDS, \
                 connect_timeout: {v}.5s}}]}}}}",
                self.kind,
                1 + (v + self.kind) % 4,
                ["true", "false", "garbage", "0"][v as usize],
                if v == 1 { "nodeSelector: {matchLabels: {zone: z0}}," } else { "" },
                v % 2,
            ),
            4 => format!(
                "{{apiVersion: v1, kind: Service, metadata: {{name: service-{n}}}, spec: {{type: {}, ports: [{{name: p, \
                 port: 8{}}}]}}}}",
                if v < 2 { "ClusterIP" } else { "NodePort" },
                v % 2,
            ),
            // Both families of the same pod, in some versions.
            5 | 6 => format!(
                "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: slice-{}-{n}, labels: \
                 {{kubernetes.io/service-name: service-{}}}}}, addressType: {}, ports: [{{name: p, port: 8080}}], \
                 endpoints: [{{addresses: [\"{}{n}.{v}\"], targetRef: {{kind: Pod, name: pod-{v}}}, zone: z{}, nodeName: a}}, \
                 {{addresses: [\"{}9.{n}\"]}}]}}",
                self.kind,
                v % 2,
                ["IPv4", "IPv6"][usize::from(self.kind - 5)],
                ["10.0.", "::ffff:10.1."][usize::from(self.kind - 5)],
                v / 2,
                ["10.0.", "::ffff:10.1."][usize::from(self.kind - 5)],
            ),
            7 => format!(
                "{{apiVersion: v1, kind: Secret, metadata: {{name: secret-{n}}}, stringData: {{generic: text-{v}}}}}"
            ),
            // Claims what the others claim, with a Secret of theirs.
            8 => format!(
                "{{apiVersion: cilium.io/v2, kind: CiliumClusterwideEnvoyConfig, metadata: {{name: wide-{n}, \
                 creationTimestamp: \"2026-01-0{}T12:00:00Z\"}}, spec: {{{} services: [{{name: service-{}, namespace: \
                 default}}], resources: [{{\"@type\": type.googleapis.com/envoy.config.listener.v3.Listener, name: l, \
                 filter_chains: [{{filters: [{{name: t, typed_config: {{\"@type\": \
                 type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: \
                 c}}}}]}}]}}, {{\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: c, type: EDS, \
                 eds_cluster_config: {{service_name: \"default/service-{n}:p\"}}, transport_socket: {{name: tls, \
                 typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, \
                 common_tls_context: {{validation_context_sds_secret_config: {{name: default/secret-{}}}}}}}}}}}]}}}}",
                1 + v,
                if v == 2 {
                    "nodeSelector: {matchExpressions: [{key: zone, operator: NotIn, values: [z0]}]},"
                } else {
                    ""
                },
                v % 2,
                v / 2,
            ),
            // Both of them want the same hosts in some versions, one of them moves, and one passes its host through.
            9 => format!(
                "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: common-{n}, creationTimestamp: \
                 \"2026-01-0{}T00:00:00Z\", annotations: {{ingress.cilium.io/loadbalancer-mode: {}{}}}}}, spec: \
                 {{ingressClassName: cilium, {} rules: [{{host: \"{}\", http: {{paths: [{{path: /{}, pathType: Prefix, \
                 backend: {{service: {{name: service-{n}, port: {{number: 80}}}}}}}}]}}}}]}}}}",
                1 + (v + n) % 3,
                if v == 3 && n == 1 { "dedicated" } else { "shared" },
                match (v, n) {
                    (0, 1) => ", ingress.cilium.io/tls-passthrough: enabled",
                    (3, 0) => ", ingress.axoneme.io/load-balancer-source-ranges: 192.0.2.0/24",
                    _ => "",
                },
                if v == 2 { "defaultBackend: {service: {name: service-0, port: {number: 81}}}," } else { "" },
                ["a.example", "*.example", "a.example", "b.example"][v as usize],
                if v == 0 && n == 1 { "" } else { ["0", "1"][v as usize % 2] },
            ),
            _ => format!(
                "{{apiVersion: v1, kind: Node, metadata: {{name: {}, labels: {{zone: z{}}}}}}}",
                NODES[n as usize],
                v % 2,
            ),
        }
    }
}

fn file() -> impl Strategy<Value = File> {
    (0..KINDS, 0..NAMES, 0..VERSIONS).prop_map(|(kind, name, version)| File { kind, name, version })
}

/// An edit: the file's text, or its removal.
fn edits() -> impl Strategy<Value = Vec<(File, bool)>> {
    prop::collection::vec((file(), prop::bool::weighted(0.8)), 1..60)
}

/// A step of a history.
#[derive(Clone, Debug)]
enum Step {
    /// The file's text, or its removal.
    Edit(File, bool),
    /// The operator starts anew and lists the kinds in some order. What it wrote is still there, or, where the mesh is one
    /// process without Kubernetes, is not.
    Restart { all: bool, order: Vec<prop::sample::Index> },
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let edit = (file(), prop::bool::weighted(0.8)).prop_map(|(file, keep)| Step::Edit(file, keep));
    let order = prop::collection::vec(any::<prop::sample::Index>(), Kind::ALL.len());
    let restart = (any::<bool>(), order).prop_map(|(all, order)| Step::Restart { all, order });
    prop::collection::vec(prop_oneof![6 => edit, 1 => restart], 1..60)
}

/// Everything that nodes and people are told, kept up to date by what the engine says of each event.
#[derive(Debug, Default, PartialEq)]
struct Told {
    views: BTreeMap<&'static str, BTreeMap<Key, Resource>>,
    problems: BTreeMap<ObjectKey, Vec<Problem>>,
}

impl Told {
    /// Makes edits one after another, each with what nodes are told of it.
    fn hear_edits(&mut self, edits: Vec<(File, bool)>, folder: &mut Folder, engine: &mut Engine, local: &mut Local) {
        for (file, keep) in edits {
            let text = file.text();
            for event in folder.update(Path::new(&file.path()), keep.then_some(&text)) {
                let changes = local.drive(engine, event);
                self.hear(engine, &changes);
            }
        }
    }

    fn hear(&mut self, engine: &Engine, changes: &Changes) {
        for node in NODES {
            let (view, held) = (engine.intents().view(node), self.views.entry(node).or_default());
            for key in &changes.intents {
                match view.get(&key.0, &key.1) {
                    Some(resource) => drop(held.insert(key.clone(), resource)),
                    None => drop(held.remove(key)),
                }
            }
        }
        for (object, change) in &changes.problems {
            let problems = self.problems.entry(object.clone()).or_default();
            for cleared in &change.cleared {
                let at = problems.iter().position(|problem| problem == cleared).expect("cleared what was never added");
                problems.remove(at);
            }
            problems.extend(change.added.iter().cloned());
            problems.sort();
            if problems.is_empty() {
                self.problems.remove(object);
            }
        }
    }

    fn all(engine: &Engine) -> Self {
        let view = |node| engine.intents().view(node).iter().map(|it| (it.key(), it.clone())).collect();
        let mut problems = engine.problems().clone();
        problems.values_mut().for_each(|problems| problems.sort());
        Self { views: NODES.iter().map(|node| (*node, view(node))).collect(), problems }
    }
}

fn fresh(folder: &Folder) -> Told {
    Told::all(&support::run(folder).0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Deltas add up to the whole, and the whole depends on the objects alone, not on how they came to be.
    #[test]
    fn edits_add_up_to_a_fresh_start(edits in edits()) {
        let mut folder = Folder::default();
        let (mut engine, mut local) = support::run(&folder);
        let mut told = Told::all(&engine);
        told.hear_edits(edits, &mut folder, &mut engine, &mut local);
        prop_assert_eq!(folder.problems(), vec![]);
        prop_assert_eq!(&told, &Told::all(&engine));
        prop_assert_eq!(told, fresh(&folder));
    }

    /// A history with restarts anywhere in it ends where a start at its end would be.
    #[test]
    fn restarts_make_no_difference(history in history()) {
        let mut folder = Folder::default();
        let (mut engine, mut local) = support::run(&folder);
        for step in history {
            match step {
                Step::Edit(file, keep) => {
                    let text = file.text();
                    for event in folder.update(Path::new(&file.path()), keep.then_some(&text)) {
                        local.drive(&mut engine, event);
                    }
                }
                Step::Restart { all, order } => {
                    engine = Engine::new();
                    if all {
                        local = Local::new(support::pools());
                    }
                    let mut resets = folder.resets();
                    for at in order {
                        if resets.is_empty() { break }
                        let reset = resets.swap_remove(at.index(resets.len()));
                        local.drive(&mut engine, reset);
                    }
                    prop_assert!(resets.is_empty());
                }
            }
        }
        prop_assert_eq!(Told::all(&engine), fresh(&folder));
    }

    /// The order of first events, and telling them twice, makes no difference.
    #[test]
    fn order_and_repetition_do_not_matter(
        files in prop::collection::vec(file(), 1..14),
        order in prop::collection::vec(any::<prop::sample::Index>(), 28),
    ) {
        let mut folder = Folder::default();
        for file in files {
            folder.update(Path::new(&file.path()), Some(&file.text()));
        }
        let (mut engine, mut local) = support::run(&Folder::default());
        let mut events = support::applies(&folder);
        events.extend(events.clone());
        for at in order {
            if events.is_empty() { break }
            let event = events.swap_remove(at.index(events.len()));
            local.drive(&mut engine, event);
        }
        for event in events {
            local.drive(&mut engine, event);
        }
        prop_assert_eq!(Told::all(&engine), fresh(&folder));
    }

    /// A listing of what is there already changes nothing; a listing after missed events makes up for them.
    #[test]
    fn a_listing_makes_up_for_missed_events(
        before in prop::collection::vec(file(), 0..10),
        after in prop::collection::vec(file(), 0..10),
    ) {
        let of = |files: &[File]| {
            let mut folder = Folder::default();
            for file in files {
                folder.update(Path::new(&file.path()), Some(&file.text()));
            }
            folder
        };
        let (mut engine, mut local) = support::run(&of(&before));
        for event in of(&after).resets() {
            local.drive(&mut engine, event);
        }
        prop_assert_eq!(Told::all(&engine), fresh(&of(&after)));
        for event in of(&after).resets() {
            let changes = local.drive(&mut engine, event);
            prop_assert_eq!(changes, Changes::default());
        }
    }
}

proptest! {
    // A node with the module has thousands of tables, so there are few cases.
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    /// The same for shared hosts in shards, beside a node that has them in one table.
    #[test]
    fn edits_of_shards_add_up_to_a_fresh_start(edits in prop::collection::vec((shared_file(), prop::bool::weighted(0.7)), 1..12)) {
        let opens = |engine: &mut Engine| {
            engine.node_opens(NODES[0], false);
            engine.node_opens(NODES[1], true);
        };
        let mut folder = Folder::default();
        let (mut engine, mut local) = support::run(&folder);
        opens(&mut engine);
        let mut told = Told::all(&engine);
        told.hear_edits(edits, &mut folder, &mut engine, &mut local);
        let (mut fresh, _) = support::run(&folder);
        opens(&mut fresh);
        prop_assert!(told == Told::all(&engine), "deltas are not what changed");
        prop_assert!(told == Told::all(&fresh), "a fresh start is another");
    }
}

/// Shared Ingresses and the Services that they name.
fn shared_file() -> impl Strategy<Value = File> {
    (prop_oneof![3 => Just(9), 1 => Just(4)], 0..NAMES, 0..VERSIONS).prop_map(|(kind, name, version)| File {
        kind,
        name,
        version,
    })
}

#[test]
fn the_small_world_is_all_valid() {
    for kind in 0..KINDS {
        for version in 0..VERSIONS {
            let file = File { kind, name: 1, version };
            let folder = support::text(&file.text());
            assert!(matches!(support::applies(&folder)[..], [SourceEvent::Apply(_)]), "{file:?}");
            let (engine, _): (Engine, Local) = support::run(&folder);
            let refused = |problem: &&Problem| problem.severity == Severity::Error && problem.reason == Reason::Invalid;
            let invalid = engine.problems().values().flatten().find(refused);
            assert_eq!(invalid, None, "{file:?}");
        }
    }
}
