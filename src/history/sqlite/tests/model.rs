//! The store against a plain vector, under random appends, trims, reads and restarts.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::*;

const CHANNELS: [&str; 8] = [
    "/a", "/a/b", "/a/c", "/b/c/d", "/b/e", "/b/f", "/last/a", "/last/b",
];
const PATTERNS: [&str; 7] = ["/a", "/a/*", "/b/**", "/**", "/last/a", "/last/*", "/none"];

/// Numbers as if at random, from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

#[derive(Default)]
struct Model {
    messages: Vec<Kept>,
    last: BTreeMap<String, u64>,
    start: u64,
    head: u64,
}

impl Model {
    fn push(&mut self, entry: Entry, place: Place) {
        let channel = entry.channel.as_str().to_owned();
        let before = self.last.insert(channel.clone(), place.id);
        assert_eq!(place.before, before.unwrap_or(0));
        assert!(place.id > self.head);
        self.head = place.id;
        self.messages.push(Kept { place, entry });
        if channel.starts_with("/last/") {
            while self.of(&channel).count() > 3 {
                let first = self.of(&channel).next().unwrap().place.id;
                self.messages.retain(|kept| kept.place.id != first);
            }
        }
    }

    fn of(&self, pattern: &str) -> impl Iterator<Item = &Kept> {
        let pattern = want(pattern, 0).pattern;
        self.messages
            .iter()
            .filter(move |kept| pattern.matches(&kept.entry.channel))
    }

    fn remove(&mut self, pattern: &str, up_to: u64) -> u64 {
        let pattern = want(pattern, 0).pattern;
        let before = self.messages.len();
        self.messages
            .retain(|kept| kept.place.id > up_to || !pattern.matches(&kept.entry.channel));
        (before - self.messages.len()) as u64
    }
}

async fn run(seed: u64) {
    let mut random = Random(seed);
    let scratch = Scratch::new();
    let settings = Settings {
        sync: Sync::Os,
        ..settings()
    };
    let mut store = scratch.open_with(&settings, policy());
    let epoch = store.epoch();
    let mut model = Model::default();
    model.start = store.survey(want("/**", 0), 1).await.unwrap().head;
    model.head = model.start;
    for step in 0..120 {
        let after = match random.below(3) {
            0 => 0,
            1 => model.head,
            _ => model.head.saturating_sub(random.below(300) as u64),
        };
        let pattern = random.of(&PATTERNS);
        match random.below(8) {
            0..=2 => {
                let batch: Vec<_> = (0..1 + random.below(40))
                    .map(|number| {
                        let mut entry = entry(random.of(&CHANNELS), &format!("[{step},{number}]"));
                        entry.body.ext = (number % 3 == 0).then(|| "{}".into());
                        entry.body.custom = (number % 5 == 0).then(|| r#""x":1"#.into());
                        entry
                    })
                    .collect();
                let places = store.append(batch.clone()).await.unwrap();
                for (entry, place) in batch.into_iter().zip(places) {
                    model.push(entry, place);
                }
            }
            3 => {
                let up_to = after.min(model.head);
                let count = store.remove(want(pattern, 0).pattern, up_to).await.unwrap();
                assert_eq!(
                    count,
                    model.remove(pattern, up_to),
                    "seed {seed}, {pattern} {up_to}"
                );
            }
            4 => store.trim(SystemTime::now()).await.unwrap(),
            5 if random.below(3) == 0 => {
                drop(store);
                store = scratch.open_with(&settings, policy());
                assert_eq!(store.epoch(), epoch);
            }
            5 | 6 => {
                let mut query = query(pattern, after);
                query.max_messages = 1 + random.below(30);
                query.max_bytes = 1 + random.below(400);
                query
                    .wants
                    .push(want(random.of(&PATTERNS), model.head.saturating_sub(20)));
                let wants = query.wants.clone();
                let wanted = |kept: &&Kept| {
                    let takes = |want: &Want| want.takes(&kept.entry.channel, kept.place.id);
                    wants.iter().any(takes)
                };
                let expected: Vec<_> = model.messages.iter().filter(wanted).cloned().collect();
                assert_eq!(
                    read(&store, query).await,
                    expected,
                    "seed {seed}, {wants:?}"
                );
            }
            _ => survey(&store, &model, pattern, after, random.below(60), seed).await,
        }
        assert_eq!(
            store.figures().messages,
            model.messages.len() as u64,
            "seed {seed}"
        );
    }
}

async fn survey(
    store: &SqliteStore,
    model: &Model,
    pattern: &str,
    after: u64,
    max: usize,
    seed: u64,
) {
    let survey = store.survey(want(pattern, after), max).await.unwrap();
    let all: Vec<_> = model.of(pattern).map(|kept| kept.place.id).collect();
    let said = format!("seed {seed}, {pattern} after {after}, {max}: {survey:?}");
    assert_eq!(survey.first, all.first().copied(), "{said}");
    assert_eq!(survey.last, all.last().copied(), "{said}");
    assert_eq!(survey.head, model.head, "{said}");
    let left: Vec<_> = all.into_iter().filter(|id| *id > after).collect();
    assert_eq!(survey.too_many.is_some(), left.len() > max, "{said}");
    if let Some(from) = survey.too_many {
        assert_eq!(left.iter().filter(|id| **id > from).count(), max, "{said}");
    }
    let mut last = query(pattern, after);
    last.selection = Selection::LastOfEach(model.head);
    let newest: BTreeMap<_, _> = model
        .of(pattern)
        .map(|kept| (kept.entry.channel.as_str(), kept))
        .collect();
    let newest = newest.into_values().filter(|kept| kept.place.id > after);
    let mut newest: Vec<_> = newest.cloned().collect();
    newest.sort_by_key(|kept| kept.place.id);
    assert_eq!(read(store, last).await, newest, "{said}");
}

#[tokio::test]
async fn it_is_like_a_vector() {
    for seed in 0..12 {
        run(seed).await;
    }
}

#[tokio::test]
async fn what_is_too_old_goes_and_is_told() {
    let scratch = Scratch::new();
    let policy = Policy::new(|_| Retention {
        age: Some(Duration::from_secs(60)),
        ..Retention::default()
    });
    let store = scratch.open_with(&settings(), policy);
    let start = SystemTime::now();
    let mut places = Vec::new();
    for second in 0..200 {
        let mut entry = entry(["/a", "/b", "/c"][second % 3], "1");
        entry.at = start + Duration::from_secs(second as u64);
        places.extend(store.append(vec![entry]).await.unwrap());
    }
    store.trim(start + Duration::from_secs(160)).await.unwrap();
    let ids = ids(&store, "/**", 0).await;
    assert_eq!(ids.first(), Some(&places[100].id));
    assert_eq!(ids.len(), 100);
    let survey = store.survey(want("/a", 0), 1000).await.unwrap();
    assert_eq!(survey.first, Some(places[102].id));
    assert_eq!(survey.lost, places[99].id);
    let page = store.read(query("/a", places[96].id)).await.unwrap();
    assert_eq!(page.lost, places[99].id);
    let page = store.read(query("/a", places[99].id)).await.unwrap();
    assert_eq!(page.lost, 0);
    store.trim(start + Duration::from_secs(1000)).await.unwrap();
    assert_eq!(store.figures().messages, 0);
    assert_eq!(append(&store, &["/a"]).await[0].before, places[198].id);
}

#[tokio::test]
async fn bytes_of_a_channel_are_bounded() {
    let scratch = Scratch::new();
    let policy = Policy::new(|_| Retention {
        bytes: Some(ByteSize::b(1000)),
        ..Retention::default()
    });
    let store = scratch.open_with(&settings(), policy);
    let text = format!("\"{}\"", "x".repeat(198));
    for _ in 0..100 {
        store
            .append(vec![entry("/a", &text), entry("/b", "1")])
            .await
            .unwrap();
    }
    assert_eq!(read(&store, query("/a", 0)).await.len(), 5);
    assert_eq!(read(&store, query("/b", 0)).await.len(), 100);
}

#[tokio::test]
async fn sessions_are_taken_once() {
    let scratch = Scratch::new();
    let saved = |number: usize| crate::history::Saved {
        key: format!("session {number:03}"),
        state: vec![0xff; number].into(),
    };
    let store = scratch.open();
    store
        .save_sessions((0..10).map(saved).collect())
        .await
        .unwrap();
    store
        .save_sessions((10..20).map(saved).collect())
        .await
        .unwrap();
    store.close().await;
    assert!(store.health().is_err());
    assert!(store.append(vec![entry("/a", "1")]).await.is_err());
    drop(store);
    let store = scratch.open();
    let first = store.take_sessions(15, usize::MAX).await.unwrap();
    assert_eq!(first, (0..15).map(saved).collect::<Vec<_>>());
    drop(store);
    let store = scratch.open();
    assert_eq!(store.take_sessions(15, usize::MAX).await.unwrap().len(), 5);
    assert_eq!(store.take_sessions(15, usize::MAX).await.unwrap(), []);
}
