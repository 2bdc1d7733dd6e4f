//! Broken variants of what keeps the promises: each has to be noticed, by what it breaks.

use super::run;

/// Seeds until a broken variant has to be noticed.
const SEEDS: u64 = 200;

/// What is wrong with a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// Nothing.
    None,
    /// A session leaves before all that was published before was delivered.
    NoBarrier,
    /// What came with a session is delivered again.
    LowFloor,
    /// A claim does not look at whose the session is, and in which generation.
    NoComparison,
    /// A node thinks for too long that its sessions are its own.
    NoLease,
    /// A claim does not look at whether the owner is dead.
    ClaimsOfTheLiving,
    /// What is written of a session is taken from who does not own it.
    NoFence,
    /// What a session is subscribed to comes to its new node only after the session.
    InterestAfterState,
    /// What a client has acknowledged is written once only.
    NoCheckpoint,
    /// What has just been subscribed to is thought to come all the time.
    SettlesEarly,
    /// Nothing can be had again.
    NoReplay,
}

/// A variant, and of what it is noticed by.
const MUTANTS: [(Mutant, &str); 9] = [
    (Mutant::NoBarrier, "is lost"),
    (Mutant::LowFloor, "came twice"),
    (Mutant::NoComparison, "owns the session"),
    (Mutant::NoLease, "owns the session"),
    (Mutant::ClaimsOfTheLiving, "owns the session"),
    (Mutant::NoFence, "owns the session"),
    (Mutant::InterestAfterState, "is lost"),
    (Mutant::NoCheckpoint, "is written to be acknowledged"),
    (Mutant::NoReplay, "is lost"),
];

#[test]
fn broken_variants_are_noticed() {
    for (mutant, reason) in MUTANTS {
        let is_noticed = |seed: &u64| {
            let failures = run(*seed, mutant);
            failures.iter().any(|failure| failure.contains(reason))
        };
        // Those of the seeds in which something fails.
        let noticed = (1..=SEEDS).step_by(2).find(is_noticed);
        eprintln!("{mutant:?} is noticed by seed {noticed:?}");
        assert!(noticed.is_some(), "{mutant:?} is not noticed");
    }
}
