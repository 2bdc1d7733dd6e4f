//! The seam between what is read and what is live: every order in which a store, the one who sends and the one
//! who reads can act, against what a subscriber is to get.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::bayeux::{ChannelName, Limits};
use crate::history::{Body, Entry, Place};

const CHANNELS: [&str; 4] = ["/a/1", "/a/2", "/b/1", "/a/1/x"];
const PATTERNS: [&str; 6] = ["/a/1", "/a/*", "/a/**", "/b/1", "/**", "/c"];

fn pattern(text: &str) -> ChannelPattern {
    ChannelPattern::parse(text, &Limits::default()).expect("a pattern")
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A message comes to be kept, on a channel.
    Keep(usize),
    /// The next message that is kept is offered live.
    Offer,
    /// A page of so many messages is read.
    Read(usize),
    /// The page that was read arrives.
    Arrive,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..CHANNELS.len()).prop_map(Step::Keep),
        Just(Step::Offer),
        (1..4usize).prop_map(Step::Read),
        Just(Step::Arrive),
    ];
    prop::collection::vec(step, 0..40)
}

/// A session that is subscribed to some things, with a store and whoever sends what is kept.
#[derive(Default)]
struct World {
    kept: Vec<Kept>,
    offered: u64,
    live: Vec<ChannelPattern>,
    /// What it subscribes to with a run.
    replayed: Vec<ChannelPattern>,
    replaying: Replaying,
    page: Option<(u64, Vec<Kept>, u64, bool)>,
    got: Vec<u64>,
}

impl World {
    fn keep(&mut self, channel: usize) {
        let channel = ChannelName::parse(CHANNELS[channel], &Limits::default());
        let id = self.kept.len() as u64 + 1;
        self.kept.push(Kept {
            place: Place { id, before: 0 },
            entry: Entry {
                channel: channel.expect("a channel"),
                at: SystemTime::UNIX_EPOCH,
                body: Body {
                    data: Bytes::from_static(b"1"),
                    ext: None,
                    custom: None,
                },
            },
        });
    }

    fn channel(&self, id: u64) -> &str {
        self.kept[usize::try_from(id).expect("small") - 1]
            .entry
            .channel
            .as_str()
    }

    fn offer(&mut self) {
        if self.offered == self.kept.len() as u64 {
            return;
        }
        self.offered += 1;
        let channel = self.channel(self.offered).to_owned();
        let mut subscribed = self.live.iter().chain(&self.replayed);
        if subscribed.any(|pattern| pattern.covers(&channel))
            && self.replaying.offer(&channel, self.offered)
        {
            self.got.push(self.offered);
        }
    }

    fn read(&mut self, max: usize) {
        if self.page.is_some() || !self.replaying.ask() {
            return;
        }
        let Some((run, query)) = self.replaying.query(max, usize::MAX) else {
            return;
        };
        let head = self.kept.len() as u64;
        let is_wanted = |kept: &&Kept| {
            let (channel, id) = (&kept.entry.channel, kept.place.id);
            let is_last = || {
                let mut later = self.kept.iter().filter(|other| other.place.id > id);
                !later.any(|other| other.entry.channel == *channel)
            };
            let is_selected = match query.selection {
                Selection::All => true,
                Selection::LastOfEach(up_to) => id <= up_to && is_last(),
            };
            id > query.position
                && is_selected
                && query.wants.iter().any(|want| want.takes(channel, id))
        };
        let wanted: Vec<Kept> = self.kept.iter().filter(is_wanted).cloned().collect();
        let is_end = wanted.len() <= max;
        let messages: Vec<Kept> = wanted.into_iter().take(max).collect();
        let position = match messages.last() {
            _ if is_end => head,
            Some(last) => last.place.id,
            None => head,
        };
        self.page = Some((run, messages, position, is_end));
    }

    fn arrive(&mut self) {
        let Some((run, messages, position, is_end)) = self.page.take() else {
            return;
        };
        let read = self.replaying.read(run, &messages, position, is_end, 0);
        let Read::Queued(queued) = read else {
            panic!("nothing is lost: {read:?}");
        };
        let queued = messages
            .iter()
            .zip(queued)
            .filter(|(_, is_queued)| *is_queued);
        self.got.extend(queued.map(|(kept, _)| kept.place.id));
    }

    fn take(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Keep(channel) => self.keep(*channel),
                Step::Offer => self.offer(),
                Step::Read(max) => self.read(*max),
                Step::Arrive => self.arrive(),
            }
        }
    }

    /// Lets everything come to rest.
    fn finish(&mut self) {
        while self.offered < self.kept.len() as u64 {
            self.offer();
        }
        for _ in 0..10 * (self.kept.len() + 10) {
            self.read(2);
            self.arrive();
        }
        // What is still passed over is forgotten with the first message behind it.
        for channel in 0..CHANNELS.len() {
            self.keep(channel);
            self.offer();
        }
    }
}

fn counts(ids: &[u64]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for id in ids {
        *counts.entry(*id).or_default() += 1;
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_is_lost_or_comes_twice_where_a_replay_meets_what_is_live(
        live in prop::option::of(0..PATTERNS.len()),
        replayed in 0..PATTERNS.len(),
        after in 0..12u64,
        is_last in any::<bool>(),
        before in steps(),
        undecided in steps(),
        steps in steps(),
    ) {
        let mut world = World::default();
        world.live.extend(live.map(|live| pattern(PATTERNS[live])));
        world.take(&before);
        let had = std::mem::take(&mut world.got);

        let wanted = pattern(PATTERNS[replayed]);
        let offered = world.offered;
        let run = world.replaying.begin(std::slice::from_ref(&wanted), &world.live, world.offered);
        world.replayed.push(wanted.clone());
        world.take(&undecided);
        let head = world.kept.len() as u64;
        let after = after.min(head);
        let selection = if is_last { Selection::LastOfEach(head) } else { Selection::All };
        let after = if is_last { 0 } else { after };
        let want = Want { pattern: wanted.clone(), after };
        let decided = Begins { wants: vec![want.clone()], selection, head, told: 0, fails: false };
        prop_assert!(world.replaying.decide(run, decided));
        world.take(&steps);
        world.finish();

        let mut expected = BTreeMap::new();
        for kept in &world.kept {
            let (channel, id) = (&kept.entry.channel, kept.place.id);
            let is_live = world.live.iter().any(|live| live.covers(channel.as_str()));
            let mut is_due = id > offered && is_live;
            if !is_last {
                is_due |= want.takes(channel, id);
            } else if wanted.matches(channel) && !is_live {
                is_due |= id > head;
            }
            if is_due {
                expected.insert(id, 1);
            }
        }
        let got = counts(&world.got);
        if is_last {
            // Of what was there one message of each channel comes, if it is still the last when it is read.
            for (id, count) in &got {
                prop_assert_eq!(*count, 1, "{} of {:?}", id, world.got);
            }
            for id in expected.keys() {
                prop_assert!(got.contains_key(id), "{} is missing in {:?}", id, world.got);
            }
            for name in CHANNELS {
                let of = |id: &&u64| **id <= head && world.channel(**id) == name;
                let is_live = world.live.iter().any(|live| live.covers(name));
                if !is_live {
                    prop_assert!(got.keys().filter(of).count() <= 1, "{}: {:?}", name, world.got);
                }
                let in_channel = |kept: &&Kept| kept.entry.channel.as_str() == name;
                let last = world.kept.iter().rev().find(in_channel);
                let last = last.filter(|last| wanted.matches(&last.entry.channel) && !is_live);
                if let Some(last) = last {
                    prop_assert!(got.contains_key(&last.place.id), "{:?}", world.got);
                }
            }
        } else {
            prop_assert_eq!(&got, &expected, "had {:?}, got {:?}", had, world.got);
        }
        // What only the run brings comes in order.
        let is_alone = |id: &u64| {
            !world.live.iter().any(|live| live.covers(world.channel(*id)))
        };
        let alone: Vec<u64> = world.got.iter().copied().filter(is_alone).collect();
        prop_assert!(alone.is_sorted(), "{:?}", alone);
        let has_channels = CHANNELS.iter().any(|channel| wanted.covers(channel));
        prop_assert!(world.replaying.is_empty() || !has_channels, "{:?}", world.replaying);
    }
}

#[test]
fn a_page_that_is_read_twice_comes_once() {
    let mut world = World::default();
    for _ in 0..3 {
        world.keep(0);
    }
    let name = pattern(CHANNELS[0]);
    let run = world.replaying.begin(std::slice::from_ref(&name), &[], 0);
    assert_eq!(world.replaying.came_up_to(&name, 2), None, "it is to come");
    assert_eq!(world.replaying.came_up_to(&pattern("/b/1"), 2), Some(2));
    let want = Want {
        pattern: name.clone(),
        after: 0,
    };
    let begins = Begins {
        wants: vec![want],
        selection: Selection::All,
        head: 3,
        told: 0,
        fails: false,
    };
    assert!(world.replaying.decide(run, begins));
    let mut read = |messages: &[Kept], position, is_end| {
        world.replaying.read(run, messages, position, is_end, 0)
    };
    let all = &world.kept;
    assert_eq!(read(&all[..2], 2, false), Read::Queued(vec![true; 2]));
    assert_eq!(read(&all[..2], 2, false), Read::Queued(vec![false; 2]));
    assert_eq!(read(&all[2..], 3, true), Read::Queued(vec![true]));
    assert_eq!(world.replaying.came_up_to(&name, 2), Some(3), "it has come");
}

#[test]
fn what_a_run_is_to_bring_has_not_come_before_it_is_known_from_where_on_it_reads() {
    let names = ["/a/1", "/b/1"].map(pattern);
    let mut replaying = Replaying::default();
    assert_eq!(replaying.read_up_to(), None);
    replaying.begin(&names[..1], &[], 7);
    assert_eq!(replaying.read_up_to(), Some(7));
    let mut replaying = Replaying::default();
    let run = replaying.begin_again(&[(names[0].clone(), 3), (names[1].clone(), 2)]);
    assert_eq!(replaying.read_up_to(), Some(2));
    let want = |(pattern, after): (&ChannelPattern, u64)| Want {
        pattern: pattern.clone(),
        after,
    };
    let wants = names.iter().zip([3, 2]).map(want).collect();
    let selection = Selection::All;
    let begins = Begins {
        wants,
        selection,
        head: 9,
        told: 0,
        fails: false,
    };
    assert!(replaying.decide(run, begins));
    assert_eq!(replaying.read_up_to(), Some(2));
    replaying.read(run, &[], 5, false, 0);
    assert_eq!(replaying.read_up_to(), Some(5));
    // Who asks anew for what is being read has not got it either.
    replaying.begin(&names[..1], &[], 9);
    assert_eq!(replaying.read_up_to(), Some(5));
}

#[test]
fn who_asks_again_for_what_is_being_read_has_it_read_anew_and_who_unsubscribes_gets_no_more() {
    let mut world = World::default();
    for _ in 0..4 {
        world.keep(0);
    }
    let wanted = [pattern("/a/1"), pattern("/b/1")];
    let begin = |world: &mut World, after| {
        let run = world.replaying.begin(&wanted, &wanted, 0);
        let wants = wanted.iter().map(|pattern| Want {
            pattern: pattern.clone(),
            after,
        });
        let begins = Begins {
            wants: wants.collect(),
            selection: Selection::All,
            head: 4,
            told: 0,
            fails: false,
        };
        assert!(world.replaying.decide(run, begins));
    };
    begin(&mut world, 0);
    world.read(2);
    world.arrive();
    begin(&mut world, 1);
    for _ in 0..9 {
        world.read(2);
        world.arrive();
    }
    assert_eq!(world.got, [1, 2, 2, 3, 4]);
    begin(&mut world, 0);
    world.read(2);
    world.replaying.forget(&wanted[0]);
    world.arrive();
    world.read(2);
    world.arrive();
    assert_eq!(world.got.len(), 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn of_two_runs_each_message_comes_once_unless_it_had_come_before_the_second_was_asked_for(
        live in prop::option::of(0..PATTERNS.len()),
        one in (0..PATTERNS.len(), 0..12u64),
        other in (0..PATTERNS.len(), 0..12u64),
        steps in prop::collection::vec(steps(), 4),
    ) {
        let mut world = World::default();
        world.live.extend(live.map(|live| pattern(PATTERNS[live])));
        world.take(&steps[0]);
        world.got.clear();
        let offered = world.offered;
        let mut wants = Vec::new();
        let mut had = Vec::new();
        for (index, (replayed, after)) in [one, other].into_iter().enumerate() {
            let wanted = pattern(PATTERNS[replayed]);
            let subscriptions = [&world.live[..], &world.replayed[..]].concat();
            let sent = world.offered;
            let patterns = std::slice::from_ref(&wanted);
            let run = world.replaying.begin(patterns, &subscriptions, sent);
            world.replayed.push(wanted.clone());
            had.clone_from(&world.got);
            let head = world.kept.len() as u64;
            let want = Want { pattern: wanted, after: after.min(head) };
            wants.push(want.clone());
            let selection = Selection::All;
            let decided = Begins { wants: vec![want], selection, head, told: 0, fails: false };
            prop_assert!(world.replaying.decide(run, decided));
            world.take(&steps[index + 1]);
        }
        world.take(&steps[3]);
        world.finish();
        let got = counts(&world.got);
        let had = counts(&had);
        let is_same = wants[0].pattern == wants[1].pattern;
        for kept in &world.kept {
            let (channel, id) = (&kept.entry.channel, kept.place.id);
            let is_live = world.live.iter().any(|live| live.covers(channel.as_str()));
            let first = wants[0].takes(channel, id) && (!is_same || had.contains_key(&id));
            let is_due = (id > offered && is_live) || first || wants[1].takes(channel, id);
            let again = had.contains_key(&id) && wants[1].takes(channel, id);
            let most = usize::from(is_due) + usize::from(again);
            let count = got.get(&id).copied().unwrap_or(0);
            // Who asks anew for the same has what comes after the new position.
            let least = usize::from(is_due && !is_same);
            prop_assert!((least..=most.max(1)).contains(&count), "{} comes {} times: {:?}, had {:?}, {:?}", id, count, world.got, had, wants);
        }
    }
}
