//! The targets with their seeds, and with these a little spoilt: always the same, and the same everywhere.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::{Target, targets};

/// Inputs for each target, unless `FUZZ_CASES` says how many.
const CASES: u32 = 300;

/// Bytes that mean something to one reader or another.
const TOKENS: [&[u8]; 36] = [
    b"\0",
    b"\xff",
    b"\x80",
    b"\r\n",
    b"\n",
    b"\r",
    b"\t",
    b" ",
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud83d",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b";",
    b"=",
    b"&",
    b"%",
    b"+",
    b"-",
    b"/",
    b"//",
    b"*",
    b"**",
    b".",
    b"~",
    b"0",
    b"-1",
    b"null",
    b"18446744073709551616",
    b"1e400",
    b"\xe2\x80\xa8",
];

/// A change of bytes, by places in them.
#[derive(Debug, Clone)]
enum Edit {
    Flip(Index, u8),
    Insert(Index, &'static [u8]),
    Remove(Index, Index),
    Repeat(Index, Index),
    Splice(Index, &'static [u8], Index),
    Cut(Index),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |index: &Index| index.index(bytes.len() + 1);
        let range = |from: &Index, to: &Index| {
            let (from, to) = (place(from), place(to));
            from.min(to)..from.max(to).min(from.min(to) + 64)
        };
        match self {
            Self::Flip(at, with) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= with;
            }
            Self::Flip(..) => {}
            Self::Insert(at, token) => {
                let at = place(at);
                bytes.splice(at..at, token.iter().copied());
            }
            Self::Remove(from, to) => {
                bytes.drain(range(from, to));
            }
            Self::Repeat(from, to) => {
                let range = range(from, to);
                let again = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, again);
            }
            Self::Splice(at, other, from) => {
                let from = from.index(other.len() + 1);
                bytes.truncate(place(at));
                bytes.extend_from_slice(&other[from..]);
            }
            Self::Cut(at) => bytes.truncate(place(at)),
        }
    }
}

fn edit(seeds: &'static [&'static [u8]]) -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), 1..=u8::MAX).prop_map(|(at, with)| Edit::Flip(at, with)),
        4 => (at(), select(TOKENS.as_slice())).prop_map(|(at, token)| Edit::Insert(at, token)),
        2 => (at(), at()).prop_map(|(from, to)| Edit::Remove(from, to)),
        2 => (at(), at()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        1 => (at(), select(seeds), at()).prop_map(|(at, other, from)| Edit::Splice(at, other, from)),
        1 => at().prop_map(Edit::Cut),
    ]
}

/// A seed, changed a few times; at times not at all like one.
fn inputs(seeds: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec(edit(seeds), 0..5);
    let spoilt = (select(seeds), edits).prop_map(|(seed, edits)| {
        let mut bytes = seed.to_vec();
        for edit in &edits {
            edit.apply(&mut bytes);
        }
        bytes
    });
    prop_oneof![15 => spoilt, 1 => prop::collection::vec(any::<u8>(), 0..100)]
}

/// Returns how many inputs were understood, and how many were not.
fn attack(target: &Target, cases: u32) -> Result<(u32, u32), String> {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let counts = std::cell::Cell::new((0, 0));
    let outcome = runner.run(&inputs(target.seeds), |bytes| {
        let (understood, refused) = counts.get();
        counts.set(match (target.check)(&bytes) {
            true => (understood + 1, refused),
            false => (understood, refused + 1),
        });
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(counts.get()),
        Err(TestError::Fail(reason, bytes)) => Err(format!(
            "{}: b\"{}\": {reason}",
            target.name,
            bytes.escape_ascii()
        )),
        Err(TestError::Abort(reason)) => Err(format!("{}: {reason}", target.name)),
    }
}

#[test]
fn seeds_are_understood() {
    for target in targets() {
        assert!(!target.seeds.is_empty(), "{}", target.name);
        for seed in target.seeds {
            let is_understood = (target.check)(seed);
            assert!(is_understood, "{}: {}", target.name, seed.escape_ascii());
        }
    }
}

#[test]
fn whatever_comes_is_read_right_or_refused() {
    let cases = std::env::var("FUZZ_CASES").ok();
    let cases = cases.map_or(CASES, |cases| {
        cases.parse().expect("FUZZ_CASES is a number")
    });
    let mut problems = Vec::new();
    for target in targets() {
        match attack(target, cases) {
            // An attack that is always, or never, understood attacks nothing.
            Ok((understood, refused)) if understood == 0 || refused == 0 => {
                problems.push(format!(
                    "{}: {understood} understood, {refused} refused",
                    target.name
                ));
            }
            Ok(_) => {}
            Err(problem) => problems.push(problem),
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn an_attack_finds_what_is_wrong() {
    let target = Target {
        name: "wrong",
        check: |bytes| {
            assert!(!bytes.contains(&b'"'), "a quote");
            true
        },
        seeds: &[b"abc"],
    };
    let found = attack(&target, CASES).expect_err("a quote");
    assert!(found.starts_with("wrong: b\"\\\"\":"), "{found}");
}

#[test]
fn each_target_has_its_fuzzer() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    let named = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("name = \""));
    let named: BTreeSet<_> = named.filter_map(|rest| rest.strip_suffix('"')).collect();
    let mut expected: BTreeSet<_> = targets().map(|target| target.name).collect();
    assert_eq!(expected.len(), targets().count(), "two of one name");
    expected.insert("mirant-fuzz");
    assert_eq!(named, expected);
}
