//! All targets, without a fuzzer: right inputs, and right inputs damaged at random.

use fuzz::{TARGETS, seeds};
use proptest::prelude::*;

/// What has to hold of right inputs holds.
#[test]
fn seeds_are_right() {
    for (name, run) in TARGETS {
        let seeds = seeds::of(name);
        assert!(seeds.len() > 10, "{name}");
        seeds.iter().for_each(|seed| run(seed));
    }
}

/// cargo-fuzz has the same targets.
#[test]
fn each_target_can_be_fuzzed() {
    let manifest: toml::Table = include_str!("../targets/Cargo.toml").parse().expect("a manifest");
    let programs = manifest["bin"].as_array().expect("programs");
    let names: Vec<&str> = programs.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, TARGETS.map(|(name, _)| name));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is done to a right input, what has to hold does.
    #[test]
    fn damaged_seeds_break_nothing(
        target in 0..TARGETS.len(),
        pick: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let (name, run) = TARGETS[target];
        let seeds = seeds::of(name);
        let mut input = pick.get(&seeds).clone();
        for (place, value) in damage {
            let place = place.index(input.len());
            input[place] = value;
        }
        if let Some(cut) = cut {
            input.truncate(cut.index(input.len()));
        }
        run(&input);
    }
}
