//! A store beside plain lists, under random appends, trims, reads, removes and restarts.

use std::time::Duration;

use bytesize::ByteSize;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

const CHANNELS: [&str; 6] = ["/a", "/a/x", "/a/y", "/a/y/z", "/b", "/b/x"];
const PATTERNS: [&str; 12] = [
    "/a", "/a/x", "/a/y", "/a/y/z", "/b", "/b/x", "/*", "/a/*", "/a/**", "/b/**", "/**", "/c",
];

fn retention(channel: &str) -> Retention {
    let age = Some(Duration::from_millis(20_500));
    let bytes = Some(ByteSize::b(60));
    match channel {
        "/a/x" => messages(3),
        "/a/y" => Retention { age, ..messages(5) },
        "/a/y/z" => Retention {
            age,
            ..Retention::default()
        },
        "/b" => Retention {
            bytes,
            ..Retention::default()
        },
        _ => messages(100),
    }
}

/// What is done. Numbers are taken from what there is, by what is left of a division.
#[derive(Debug, Clone)]
enum Step {
    /// Channels, and how long the data is.
    Append(Vec<(usize, usize)>),
    /// So many seconds later.
    Later(u64),
    Trim,
    Remove(usize, usize),
    /// Patterns, each with a number; the position; and the size of pages.
    Read(Vec<(usize, usize)>, usize, usize, usize),
    LastOfEach(usize, usize, usize, usize),
    Survey(usize, usize, usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let pattern = || 0..PATTERNS.len();
    let number = || 0..1000_usize;
    let entry = (0..CHANNELS.len(), 1..40_usize);
    prop_oneof![
        6 => vec(entry, 0..12).prop_map(Step::Append),
        2 => (1..15_u64).prop_map(Step::Later),
        2 => Just(Step::Trim),
        1 => (pattern(), number()).prop_map(|(pattern, id)| Step::Remove(pattern, id)),
        6 => (vec((pattern(), number()), 0..4), number(), 1..8_usize, 1..200_usize)
            .prop_map(|(wants, position, messages, bytes)| Step::Read(wants, position, messages, bytes)),
        2 => (pattern(), number(), number(), 1..5_usize)
            .prop_map(|(pattern, after, limit, max)| Step::LastOfEach(pattern, after, limit, max)),
        3 => (pattern(), number(), 1..10_usize)
            .prop_map(|(pattern, after, max)| Step::Survey(pattern, after, max)),
        1 => Just(Step::Restart),
    ]
}

/// Runs so many random lives of a store.
pub(crate) fn check(factory: &dyn Factory, cases: u32) {
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(cases)
    };
    let steps = vec(step(), 1..60);
    let run = |steps: Vec<Step>| {
        let mut model = Model::new(factory);
        for step in &steps {
            model.take(step);
        }
        Ok(())
    };
    let result = TestRunner::new(config).run(&steps, run);
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// All that was ever appended to a channel, and from where on it may still be there.
#[derive(Debug, Default)]
struct List {
    all: Vec<Kept>,
    /// So many at the front were removed, or seen to be gone.
    gone: usize,
}

impl List {
    /// Returns how many at the front need not be there.
    fn dispensable(&self, now: u64) -> usize {
        let Some(first) = self.all.first() else {
            return 0;
        };
        let retention = retention(first.entry.channel.as_str());
        let mut start = self.all.len();
        let mut bytes = 0;
        while start > self.gone {
            let kept = &self.all[start - 1];
            bytes += kept.entry.body.len() as u64;
            let count = (self.all.len() - start + 1) as u64;
            let age = time(now).duration_since(kept.entry.at).unwrap_or_default();
            let is_kept = retention.messages.is_none_or(|max| count <= max)
                && retention.bytes.is_none_or(|max| bytes <= max.as_u64())
                && retention.age.is_none_or(|max| age <= max);
            if !is_kept {
                break;
            }
            start -= 1;
        }
        start
    }

    fn left(&self) -> &[Kept] {
        &self.all[self.gone..]
    }

    /// Returns the number of the newest that is gone.
    fn lost(&self) -> u64 {
        let index = self.gone.checked_sub(1);
        index.map_or(0, |index| self.all[index].place.id)
    }
}

struct Model<'a> {
    factory: &'a dyn Factory,
    store: Option<Arc<dyn Store>>,
    lists: [List; CHANNELS.len()],
    start: u64,
    head: u64,
    now: u64,
    count: u64,
}

impl<'a> Model<'a> {
    fn new(factory: &'a dyn Factory) -> Self {
        let store = factory.open(Bounds::of(retention));
        let start = survey(&*store, want("/**", 0), 1).head;
        Self {
            factory,
            store: Some(store),
            lists: Default::default(),
            start,
            head: start,
            now: 0,
            count: 0,
        }
    }

    fn store(&self) -> &dyn Store {
        self.store.as_deref().expect("it is open")
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append(entries) => self.append(entries),
            Step::Later(seconds) => self.now += seconds,
            Step::Trim => self.trim(),
            Step::Remove(pattern, id) => self.remove(PATTERNS[*pattern], self.id(*id)),
            Step::Read(wants, position, max_messages, max_bytes) => {
                let wants = wants.iter();
                let wants = wants.map(|(pattern, id)| want(PATTERNS[*pattern], self.id(*id)));
                self.read(&Query {
                    wants: wants.collect(),
                    selection: Selection::All,
                    position: self.id(*position),
                    max_messages: *max_messages,
                    max_bytes: *max_bytes,
                });
            }
            Step::LastOfEach(pattern, after, limit, max_messages) => self.read(&Query {
                wants: vec![want(PATTERNS[*pattern], self.id(*after))],
                selection: Selection::LastOfEach(self.id(*limit)),
                position: 0,
                max_messages: *max_messages,
                max_bytes: 1000,
            }),
            Step::Survey(pattern, after, max) => {
                self.survey(&want(PATTERNS[*pattern], self.id(*after)), *max);
            }
            Step::Restart => self.restart(),
        }
    }

    /// Returns a number that there is, or one beside it.
    fn id(&self, choice: usize) -> u64 {
        match choice % 10 {
            0 => 0,
            1 => self.head,
            _ => {
                let all = self.lists.iter().flat_map(|list| &list.all);
                let all = all.map(|kept| kept.place.id);
                let mut all: Vec<_> = all.chain([self.start]).collect();
                all.sort_unstable();
                let id = all[choice * 7919 % all.len()];
                (id + choice as u64 % 3) - 1
            }
        }
    }

    fn append(&mut self, entries: &[(usize, usize)]) {
        let batch: Vec<_> = entries
            .iter()
            .map(|(channel, len)| {
                self.count += 1;
                let mut entry = entry(CHANNELS[*channel], self.now, &self.count.to_string());
                if self.count.is_multiple_of(3) {
                    entry.body.ext = Some(format!("{{\"x\":\"{}\"}}", "x".repeat(*len)).into());
                }
                if self.count.is_multiple_of(5) {
                    entry.body.custom = Some(format!("\"c\":{}", self.count).into());
                }
                entry
            })
            .collect();
        let places = wait(self.store().append(batch.clone())).expect("appended");
        assert_eq!(places.len(), batch.len());
        for (((channel, _), place), entry) in entries.iter().zip(places).zip(batch) {
            let list = &mut self.lists[*channel];
            let before = list.all.last().map_or(0, |kept| kept.place.id);
            assert!(place.id > self.head, "{place:?} after {}", self.head);
            assert_eq!(place.before, before);
            self.head = place.id;
            list.all.push(Kept { place, entry });
        }
        self.look();
    }

    /// Sees what is there: all that has to be, and before that nothing with a hole.
    fn look(&mut self) {
        let store = self.store.as_deref().expect("it is open");
        for (list, channel) in self.lists.iter_mut().zip(CHANNELS) {
            let left = read(store, &query(vec![want(channel, 0)]));
            let gone = list.all.len().checked_sub(left.len());
            let gone = gone.expect("no more than was appended");
            assert!(gone <= list.dispensable(self.now), "{channel} lacks some");
            assert!(gone >= list.gone, "{channel} has some again");
            assert_eq!(left, list.all[gone..], "{channel}");
            list.gone = gone;
        }
    }

    fn trim(&mut self) {
        trim(self.store(), self.now);
        self.look();
        for (list, channel) in self.lists.iter().zip(CHANNELS) {
            assert_eq!(
                list.gone,
                list.dispensable(self.now),
                "{channel} has too much"
            );
        }
        let left = self.lists.iter().map(|list| list.left().len() as u64);
        assert_eq!(self.store().figures().messages, left.sum::<u64>());
    }

    fn remove(&mut self, text: &str, up_to: u64) {
        let (mut count, pattern) = (0, pattern(text));
        for list in &mut self.lists {
            while let Some(oldest) = list.left().first()
                && pattern.matches(&oldest.entry.channel)
                && oldest.place.id <= up_to
            {
                list.gone += 1;
                count += 1;
            }
        }
        let removed = wait(self.store().remove(pattern, up_to));
        assert_eq!(removed, Ok(count), "{text} up to {up_to}");
        self.look();
    }

    fn takes(query: &Query, kept: &Kept) -> bool {
        let id = kept.place.id;
        let is_taken = |want: &Want| want.takes(&kept.entry.channel, id);
        id > query.position && query.wants.iter().any(is_taken)
    }

    fn read(&self, query: &Query) {
        let lists = || self.lists.iter();
        let mut expected: Vec<_> = match query.selection {
            Selection::All => lists().flat_map(List::left).collect(),
            Selection::LastOfEach(limit) => lists()
                .filter_map(|list| list.left().last())
                .filter(|kept| kept.place.id <= limit)
                .collect(),
        };
        expected.retain(|kept| Self::takes(query, kept));
        expected.sort_by_key(|kept| kept.place.id);
        let pages = pages(self.store(), query);
        let read: Vec<_> = pages.iter().flat_map(|page| &page.messages).collect();
        assert_eq!(read, expected, "{query:?}");
        // All gone messages that would have been read.
        let gone = lists().flat_map(|list| &list.all[..list.gone]);
        let lost = gone.filter(|kept| Self::takes(query, kept));
        let mut lost = lost.map(|kept| kept.place.id).max().unwrap_or(0);
        if matches!(query.selection, Selection::LastOfEach(_)) {
            lost = 0;
        }
        let told = pages.iter().map(|page| page.lost).max().unwrap_or(0);
        // What was before this store may be said to be lost.
        let is_start = told == self.start && lost == 0;
        assert!(told == lost || is_start, "{told} for {lost}: {query:?}");
    }

    fn survey(&self, want: &Want, max: usize) {
        let lists = self.lists.iter();
        let is_of = |list: &&List| {
            let channel = list.all.first().map(|kept| &kept.entry.channel);
            channel.is_some_and(|channel| want.pattern.matches(channel))
        };
        let lists: Vec<_> = lists.filter(is_of).collect();
        let mut ids: Vec<_> = lists
            .iter()
            .flat_map(|list| list.left())
            .map(|kept| kept.place.id)
            .collect();
        ids.sort_unstable();
        let survey = survey(self.store(), want.clone(), max);
        assert_eq!(survey.first, ids.first().copied());
        assert_eq!(survey.last, ids.last().copied());
        assert_eq!(survey.head, self.head);
        let lost = lists.iter().map(|list| list.lost()).max().unwrap_or(0);
        assert_eq!(survey.lost, lost.max(self.start));
        ids.retain(|id| *id > want.after);
        assert_eq!(survey.too_many.is_some(), ids.len() > max, "{want:?} {max}");
        if let Some(too_many) = survey.too_many {
            assert!(too_many >= want.after);
            ids.retain(|id| *id > too_many);
            assert_eq!(ids.len(), max);
        }
    }

    fn restart(&mut self) {
        if !self.store().is_durable() {
            return;
        }
        let epoch = self.store().epoch();
        wait(self.store().close());
        self.store = None;
        self.store = Some(self.factory.reopen(Bounds::of(retention)));
        assert_eq!(self.store().epoch(), epoch);
        self.look();
    }
}
