//! Whatever happens: who is guilty ends in quarantine, and nobody else does.

use std::time::Duration;

use proptest::prelude::*;

use super::model::World;

const NAMES: [&str; 10] = ["c0", "c1", "c2", "c3", "l0", "l1", "l2", "l3", "l4", "e0"];
/// Version 2 of these kills.
const CULPRITS: [&str; 3] = ["c1:2", "l2:2", "l4:2"];

#[derive(Debug, Clone)]
enum Step {
    Wish(usize, u8),
    Unwish(usize),
    Steps(usize),
    StreamEnds,
    LoaderRestarts,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..NAMES.len(), 1..4_u8).prop_map(|(name, version)| Step::Wish(name, version)),
        1 => (0..NAMES.len()).prop_map(Step::Unwish),
        8 => (1..30_usize).prop_map(Step::Steps),
        1 => Just(Step::StreamEnds),
        1 => Just(Step::LoaderRestarts),
    ]
}

fn play(world: &mut World, step: &Step) {
    match step {
        Step::Wish(name, version) => world.wish(NAMES[*name], &version.to_string()),
        Step::Unwish(name) => world.unwish(NAMES[*name]),
        Step::Steps(count) => (0..*count).for_each(|_| _ = world.step()),
        Step::StreamEnds => world.stream_ends(),
        Step::LoaderRestarts => world.loader_restarts(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_guilty_are_quarantined_and_the_others_run(
        steps in prop::collection::vec(step(), 0..40),
        last in prop::collection::vec(1..4_u8, NAMES.len()),
        late in prop_oneof![Just(0), 1..3_000_u64],
        kill in prop::option::of(0..40_usize),
    ) {
        let mut world = World::new(&CULPRITS);
        world.late = Duration::from_millis(late);
        for (n, step) in steps.iter().enumerate() {
            play(&mut world, step);
            // A death that nobody on trial is guilty of.
            if kill == Some(n) {
                world.kill();
            }
        }
        for (name, version) in NAMES.iter().zip(&last) {
            world.wish(name, &version.to_string());
        }
        world.rest();
        for (name, version) in NAMES.iter().zip(&last) {
            let guilty = CULPRITS.contains(&format!("{name}:{version}").as_str());
            let quarantined = world.quarantined().iter().any(|other| other == name);
            prop_assert_eq!(guilty, quarantined, "{}:{}", name, version);
            let offered = world.offered(name) == Some(version.to_string().as_str());
            prop_assert_eq!(offered, !guilty, "{}:{}", name, version);
            prop_assert!(guilty || name.starts_with('e') || world.runs(name, &version.to_string()), "{}", name);
        }
    }

    /// Every death at least halves the suspects.
    #[test]
    fn the_number_of_deaths_is_bounded(count in 1..64_usize, which in any::<prop::sample::Index>(), late in 0..3_000_u64) {
        let culprit = format!("l{}", which.index(count));
        let mut world = World::new(&[&culprit]);
        world.late = Duration::from_millis(late);
        for n in 0..count {
            world.wish(&format!("l{n}"), "1");
        }
        world.rest();
        prop_assert_eq!(world.quarantined(), [culprit]);
        prop_assert_eq!(world.running().len(), count - 1);
        prop_assert!(world.deaths <= 3 + count.ilog2() + 1, "{} deaths of {}", world.deaths, count);
    }

    /// A listener that lacks its cluster only because that one is held back comes up when it is back.
    #[test]
    fn a_refusal_for_want_of_what_is_held_back_is_none(culprit in 0..8_usize) {
        let culprit = format!("l{culprit}");
        let mut world = World::new(&[&culprit]);
        for n in 0..8 {
            world.wish(&format!("c{n}"), "1");
            world.wish(&format!("l{n}"), "needs it");
        }
        world.rest();
        prop_assert_eq!(world.quarantined(), [culprit]);
        prop_assert_eq!(world.running().len(), 15);
    }
}
