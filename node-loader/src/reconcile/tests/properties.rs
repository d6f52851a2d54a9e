//! Whatever happens, in whatever order, ends in the same state.

use proptest::prelude::*;

use super::{
    model::{World, assignment, key, redirect, redirect_without_backends, resource},
    *,
};

/// What the operator may want of a few names; 0 is nothing, and some versions are bad.
#[derive(Debug, Clone)]
struct Wish {
    name: usize,
    version: u8,
}

const NAMES: usize = 9;

fn make(wish: &Wish) -> (axoneme_xds::Key, Option<axoneme_xds::Resource>) {
    let version = wish.version;
    let text = if version == 3 { "bad".to_owned() } else { format!("version {version}") };
    let one = match wish.name {
        0 => resource(CLUSTER, "c", fixtures::cluster("c", if version == 2 { "e2" } else { "e" })),
        1 => assignment("e", version),
        2 => resource(ROUTE, "r", text),
        3 if version == 2 => resource(ROUTE, "r2", fixtures::route(&["c", "d"])),
        3 => resource(ROUTE, "r2", text),
        4 => {
            let routes: &[&str] = if version == 2 { &["r", "r2"] } else { &["r"] };
            resource(LISTENER, "l", fixtures::listener(routes, &[]))
        }
        5 => resource(LISTENER, "m", fixtures::listener(&["r2"], if version == 2 { &["s"] } else { &[] })),
        6 if version == 2 => redirect("ns/a:80", "l", &["10.0.0.1:80"]),
        6 => redirect("ns/a:80", if version == 3 { "m" } else { "l" }, &["10.0.0.1:80", "10.0.0.2:80"]),
        7 => redirect_without_backends("ns/b:80", "m", if version == 2 { &["10.0.0.2:80"] } else { &["10.0.0.3:80"] }),
        _ => resource(CLUSTER, "d", fixtures::cluster("d", &text)),
    };
    (one.key(), (version > 0).then_some(one))
}

#[derive(Debug, Clone)]
enum Step {
    Wish(Wish),
    Answer,
    Drain,
    Expire,
    Quiet,
    EnvoyRestarts,
}

fn wish() -> impl Strategy<Value = Wish> {
    (0..NAMES, 0..4_u8).prop_map(|(name, version)| Wish { name, version })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => wish().prop_map(Step::Wish),
        6 => Just(Step::Answer),
        2 => Just(Step::Drain),
        1 => Just(Step::Expire),
        1 => Just(Step::Quiet),
        1 => Just(Step::EnvoyRestarts),
    ]
}

fn wish_for(world: &mut World, wish: &Wish) {
    match make(wish) {
        (_, Some(resource)) => drop(world.put(resource)),
        (key, None) => drop(world.remove(key)),
    }
}

fn play(world: &mut World, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Wish(wish) => wish_for(world, wish),
            Step::Answer => drop(world.envoy_answers()),
            Step::Drain => drop(world.drain()),
            Step::Expire => world.expire(),
            Step::Quiet => world.apply(Event::Quiet),
            Step::EnvoyRestarts => world.envoy_restarts(),
        }
    }
}

/// What a node does, as far as its history must not show: numbers in the kernel's counters aside.
fn essence(world: &World) -> (Vec<axoneme_xds::Resource>, Vec<(SocketAddr, FrontendState)>) {
    let kernel = world.kernel.iter().map(|(address, entry)| (*address, entry.state)).collect();
    (world.offer.values().cloned().collect(), kernel)
}

/// All wishes once, none of them bad, and nothing that refers to what is not there: what a listener or cluster still has
/// is kept for it, so there history may show.
fn good_wishes() -> impl Strategy<Value = Vec<Wish>> {
    let one = |name| (u8::from((1..=3).contains(&name))..3).prop_map(move |version| Wish { name, version });
    (0..NAMES).map(one).collect::<Vec<_>>().prop_map(|mut wishes| {
        for (listener, redirect) in [(4, 6), (5, 7)] {
            if wishes[listener].version == 0 {
                wishes[redirect].version = 0;
            }
        }
        wishes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Order of intents does not matter, nor what was wanted before: deltas end where the whole ends.
    #[test]
    fn history_does_not_show(
        steps in prop::collection::vec(step(), 0..40),
        wishes in good_wishes(),
        order in Just((0..NAMES).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut fresh = World::new();
        for wish in &wishes {
            wish_for(&mut fresh, wish);
        }
        fresh.rest();
        let mut old = World::new();
        play(&mut old, &steps);
        for name in order {
            wish_for(&mut old, &wishes[name]);
        }
        old.rest();
        prop_assert_eq!(essence(&fresh), essence(&old));
    }

    /// Every question of the operator is answered once, unless something that it refers to is missing or bad.
    #[test]
    fn everything_that_can_be_settled_is(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        play(&mut world, &steps);
        for name in 0..NAMES {
            wish_for(&mut world, &Wish { name, version: 1 });
        }
        world.rest();
        prop_assert_eq!(world.unsettled(), 0);
        for name in 0..NAMES {
            wish_for(&mut world, &Wish { name, version: 0 });
        }
        world.rest();
        prop_assert_eq!(world.unsettled(), 0);
        prop_assert!(world.offer.is_empty() && world.kernel.is_empty() && world.disk.is_empty());
        prop_assert!(world.core.users.is_empty() && world.core.items.is_empty() && world.core.loads.is_empty());
    }

    /// A restart from disk and kernel, without the operator, does what was done before.
    #[test]
    fn a_restart_equals_what_was(wishes in good_wishes()) {
        let mut world = World::new();
        for wish in &wishes {
            wish_for(&mut world, wish);
        }
        world.rest();
        let records = world.disk.values().cloned().collect();
        let mut again = World::restarted(world.kernel.clone(), records);
        // What waits for something missing was never in force, so it is not on disk.
        let kept = |world: &World| world.disk.keys().cloned().collect::<Vec<_>>();
        again.envoy_answers_all();
        prop_assert_eq!(&world.kernel, &again.kernel);
        prop_assert_eq!(kept(&world), kept(&again));
        for wish in &wishes {
            wish_for(&mut again, wish);
        }
        again.rest();
        prop_assert_eq!(essence(&world), essence(&again));
        prop_assert_eq!(&world.kernel, &again.kernel);
    }
}

#[test]
fn wishes_have_keys_of_their_own() {
    let keys: BTreeSet<_> = (0..NAMES).map(|name| make(&Wish { name, version: 1 }).0).collect();
    assert_eq!(keys.len(), NAMES);
    assert!(keys.contains(&key(CLUSTER, "d")));
}
