//! Channels and patterns: from a name to the patterns that match it, and from those to subscribers.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion};
use mirant::bayeux::{ChannelName, ChannelPattern, Limits};
use mirant::router::{Router, Settings};
use mirant::session;

mod support {
    pub(crate) mod parts;
}

use support::parts::{channel, event, session, shared};

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Channels that have a subscriber each, beside those that are looked up.
const OTHERS: usize = 1000;

/// What is published to in every look-up.
const CHANNEL: &str = "/stocks/nyse/ibm";

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    names(&mut criterion);
    look_up(&mut criterion);
    subscribe(&mut criterion);
    criterion.final_summary();
}

fn pattern(text: &str) -> ChannelPattern {
    ChannelPattern::parse(text, &Limits::default()).expect("a pattern")
}

/// A name is parsed, and taken to its `depth + 2` patterns.
fn names(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("names");
    let limits = Limits::default();
    for depth in [1, 3, 8, 32] {
        let text = "/segment".repeat(depth);
        group.bench_function(BenchmarkId::new("parse", depth), |bencher| {
            bencher.iter(|| ChannelName::parse(black_box(&text), &limits));
        });
        let name = channel(&text);
        group.bench_function(BenchmarkId::new("patterns", depth), |bencher| {
            bencher.iter(|| {
                let mut bytes = 0;
                black_box(&name).each_pattern(|pattern| bytes += pattern.len());
                bytes
            });
        });
    }
    let name = channel(CHANNEL);
    for (kind, text) in [
        ("exact", CHANNEL),
        ("star", "/stocks/nyse/*"),
        ("deep", "/stocks/**"),
        ("other", "/stocks/nasdaq/*"),
    ] {
        let pattern = pattern(text);
        group.bench_function(BenchmarkId::new("matches", kind), |bencher| {
            bencher.iter(|| black_box(&pattern).matches(black_box(&name)));
        });
    }
    group.finish();
}

fn router_with_others() -> (Router, Arc<session::Shared>) {
    let router = Router::new(Settings::default(), &[]);
    let shared = shared(session::Settings::default());
    for other in 0..OTHERS {
        let patterns = [pattern(&format!("/stocks/other/{other}"))];
        let subscribed = router.subscribe(&session(&shared), &patterns);
        subscribed.expect("room for channels");
    }
    (router, shared)
}

/// A publish whose only subscriber is its publisher, which is left out: subscribers are found, and
/// nothing is delivered.
fn look_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("look_up");
    let cases: [(&str, &[&str]); 6] = [
        ("nobody", &[]),
        ("exact", &[CHANNEL]),
        ("star", &["/stocks/nyse/*"]),
        ("deep", &["/stocks/**"]),
        ("root", &["/**"]),
        ("all", &[CHANNEL, "/stocks/nyse/*", "/stocks/**", "/**"]),
    ];
    let (name, event, now) = (channel(CHANNEL), Arc::new(event(CHANNEL)), Instant::now());
    for (kind, patterns) in cases {
        let (router, shared) = router_with_others();
        let publisher = session(&shared);
        let patterns: Vec<_> = patterns.iter().copied().map(pattern).collect();
        let subscribed = router.subscribe(&publisher, &patterns);
        subscribed.expect("room for channels");
        let mut delivery = router.delivery(&name, &shared.settings.get());
        delivery.to_publisher = false;
        group.bench_function(kind, |bencher| {
            bencher.iter(|| {
                let name = black_box(&name);
                router.publish(name, &event, Some(publisher.id()), delivery, now)
            });
        });
    }
    group.finish();
}

/// A subscription is made and taken back: of a channel that is new by it, and of one that is not.
fn subscribe(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscribe_and_unsubscribe");
    let (router, shared) = router_with_others();
    let subscriber = session(&shared);
    for (kind, text) in [("new", CHANNEL), ("known", "/stocks/other/1")] {
        let patterns = [pattern(text)];
        group.bench_function(kind, |bencher| {
            bencher.iter(|| {
                let subscribed = router.subscribe(&subscriber, black_box(&patterns));
                subscribed.expect("room for channels");
                router.unsubscribe(&subscriber, &patterns);
            });
        });
    }
    group.finish();
}
