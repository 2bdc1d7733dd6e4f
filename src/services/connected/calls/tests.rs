//! Which application server has a call, and when it ends.

use std::time::Duration;

use super::*;
use crate::bayeux::{Limits, RandomId};

const BOUNDS: Bounds = Bounds {
    all: 100,
    of_one: 50,
};

fn client(byte: u8) -> ClientId {
    ClientId(RandomId::from_random([byte; 16]))
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name, &Limits::default()).expect("a channel")
}

fn pattern(text: &str) -> ChannelPattern {
    ChannelPattern::parse(text, &Limits::default()).expect("a pattern")
}

/// Calls that hold their own numbers.
struct Rig {
    calls: Calls<u64>,
    now: Instant,
    next: u64,
}

impl Rig {
    fn new(bounds: Bounds, backends: &[(u8, &str)]) -> Self {
        let mut calls = Calls::new(bounds);
        for (backend, text) in backends {
            calls.add(client(*backend), &pattern(text));
        }
        Self {
            calls,
            now: Instant::now(),
            next: 1,
        }
    }

    /// Makes a call, which lasts 10 s.
    fn call(&mut self, name: &str, caller: u8) -> Result<ClientId, Refused<u64>> {
        let number = self.next;
        self.next += 1;
        self.calls.begin(New {
            number,
            channel: channel(name),
            caller: client(caller),
            deadline: self.now + Duration::from_secs(10),
            call: number,
        })
    }
}

#[test]
fn the_one_with_the_fewest_has_the_next() {
    let mut rig = Rig::new(
        BOUNDS,
        &[(1, "/service/a"), (2, "/service/**"), (3, "/service/b")],
    );
    let given: Vec<_> = (0..4).map(|_| rig.call("/service/a", 9)).collect();
    let mut first = [given[0].as_ref(), given[1].as_ref()].map(|given| *given.expect("given"));
    first.sort();
    assert_eq!(first, [client(1), client(2)]);
    assert_eq!(given[..2], given[2..], "in turns");
    let one = given
        .iter()
        .position(|given| *given == Ok(client(1)))
        .expect("one") as u64
        + 1;
    assert_eq!(rig.calls.answer(one, client(2)), None, "it is another's");
    assert_eq!(rig.calls.answer(one, client(1)), Some(one));
    assert_eq!(rig.calls.answer(one, client(1)), None, "it is over");
    assert_eq!(rig.call("/service/a", 9), Ok(client(1)));
    assert_eq!(rig.call("/service/c", 9), Ok(client(2)));
    assert_eq!(rig.call("/other", 9), Err(Refused::NoBackend(7)));
}

#[test]
fn there_are_so_many_in_all_and_of_one() {
    let bounds = Bounds { all: 3, of_one: 2 };
    let mut rig = Rig::new(bounds, &[(1, "/service/**")]);
    assert!(rig.call("/service/a", 9).is_ok());
    assert!(rig.call("/service/a", 9).is_ok());
    assert_eq!(rig.call("/service/a", 9), Err(Refused::TooMany(3)));
    assert!(rig.call("/service/a", 8).is_ok());
    assert_eq!(rig.call("/service/a", 7), Err(Refused::TooMany(5)));
    assert_eq!(rig.calls.answer(1, client(1)), Some(1));
    assert!(rig.call("/service/a", 9).is_ok());
}

#[test]
fn the_calls_of_one_that_is_gone_go_to_another_or_end() {
    let mut rig = Rig::new(
        BOUNDS,
        &[(1, "/service/a"), (1, "/service/b"), (2, "/service/a")],
    );
    assert!(rig.call("/service/b", 9).is_ok());
    let given = [rig.call("/service/a", 9), rig.call("/service/a", 9)];
    let own = if given[0] == Ok(client(1)) { 2 } else { 3 };
    rig.calls.remove_all(client(1));
    assert_eq!(
        rig.calls.next_orphan(),
        Some(Err(1)),
        "nobody else takes these"
    );
    assert_eq!(rig.calls.next_orphan(), Some(Ok((own, client(2)))));
    assert_eq!(rig.calls.next_orphan(), None);
    assert_eq!(rig.calls.answer(own, client(1)), None);
    assert_eq!(rig.calls.answer(own, client(2)), Some(own));
    assert_eq!(rig.calls.len(), 1);
}

#[test]
fn an_orphan_that_is_over_is_passed_over() {
    let mut rig = Rig::new(BOUNDS, &[(1, "/service/a")]);
    assert!(rig.call("/service/a", 9).is_ok());
    rig.calls.remove_all(client(1));
    let end = rig.now + Duration::from_secs(10);
    assert_eq!(rig.calls.next_overdue(end), Some(1));
    assert_eq!(rig.calls.next_orphan(), None);
}

#[test]
fn who_takes_no_more_keeps_what_it_has() {
    let mut rig = Rig::new(BOUNDS, &[(1, "/service/a")]);
    assert!(rig.call("/service/a", 9).is_ok());
    rig.calls.remove(client(1), &pattern("/service/a"));
    assert_eq!(rig.call("/service/a", 9), Err(Refused::NoBackend(2)));
    assert_eq!(rig.calls.answer(1, client(1)), Some(1));
    rig.calls.remove_all(client(1));
    assert_eq!(rig.calls.backends(), 0);
}

#[test]
fn calls_end_at_their_deadlines_in_order() {
    let mut rig = Rig::new(BOUNDS, &[(1, "/service/a")]);
    let start = rig.now;
    assert_eq!(rig.calls.deadline(), None);
    for _ in 0..2 {
        assert!(rig.call("/service/a", 9).is_ok());
        rig.now += Duration::from_secs(1);
    }
    let first = start + Duration::from_secs(10);
    assert_eq!(rig.calls.deadline(), Some(first));
    assert_eq!(
        rig.calls.next_overdue(first - Duration::from_millis(1)),
        None
    );
    assert_eq!(rig.calls.next_overdue(first), Some(1));
    assert_eq!(rig.calls.next_overdue(first), None);
    assert_eq!(rig.calls.deadline(), Some(first + Duration::from_secs(1)));
}

#[test]
fn nothing_is_left_of_what_is_over() {
    let mut rig = Rig::new(BOUNDS, &[(1, "/service/a"), (2, "/service/a")]);
    for caller in 5..9 {
        assert!(rig.call("/service/a", caller).is_ok());
    }
    rig.calls.remove_all(client(2));
    while rig.calls.next_orphan().is_some() {}
    for number in 1..5 {
        assert_eq!(rig.calls.answer(number, client(1)), Some(number));
    }
    rig.calls.remove(client(1), &pattern("/service/a"));
    let calls = &rig.calls;
    assert!(calls.waiting.is_empty() && calls.callers.is_empty() && calls.orphans.is_empty());
    assert!(calls.backends.is_empty() && calls.by_pattern.is_empty());
}
