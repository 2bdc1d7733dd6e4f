//! Events in virtual time: tables, and many seeded runs whose receivers fail as they like.

use super::*;

const MS: Duration = Duration::from_millis(1);

const BOUNDS: Bounds = Bounds {
    max_queue: 5,
    max_batch: 3,
    batch_wait: Duration::from_millis(100),
    max_age: Duration::from_millis(10_000),
    backoff: Backoff {
        min: Duration::from_millis(100),
        max: Duration::from_millis(1000),
    },
};

fn numbers<T>(batch: &Batch<T>) -> Vec<u64> {
    batch.events.iter().map(|event| event.number).collect()
}

fn send<T: std::fmt::Debug>(next: Next<T>) -> Batch<T> {
    match next {
        Next::Send(batch, 0) => batch,
        other => panic!("{other:?}"),
    }
}

fn pushed(is_news: bool, has_dropped: bool) -> Pushed {
    Pushed {
        is_news,
        has_dropped,
    }
}

#[test]
fn events_wait_for_others_until_the_first_has_waited_or_a_batch_is_full() {
    let start = Instant::now();
    let mut delivery = Delivery::new(BOUNDS);
    assert!(matches!(delivery.next(start), Next::Nothing(0)));
    assert_eq!(delivery.push('a', start), pushed(true, false));
    assert!(matches!(delivery.next(start), Next::At(due, 0) if due == start + 100 * MS));
    let later = start + 50 * MS;
    assert_eq!(delivery.push('b', later), pushed(false, false));
    assert!(matches!(delivery.next(later), Next::At(due, 0) if due == start + 100 * MS));
    let batch = send(delivery.next(start + 100 * MS));
    assert_eq!((numbers(&batch), batch.dropped), (vec![1, 2], 0));

    for event in ['c', 'd'] {
        delivery.push(event, later);
    }
    assert_eq!(delivery.push('e', later), pushed(true, false));
    assert_eq!(delivery.push('f', later), pushed(false, false));
    assert_eq!(numbers(&send(delivery.next(later))), [3, 4, 5]);
    assert!(matches!(delivery.next(later), Next::At(due, 0) if due == later + 100 * MS));
}

#[test]
fn the_oldest_go_first_and_the_next_batch_says_how_many() {
    let now = Instant::now();
    let mut delivery = Delivery::new(BOUNDS);
    let dropped = (0..8).filter(|event| delivery.push(*event, now).has_dropped);
    assert_eq!(dropped.collect::<Vec<_>>(), [5, 6, 7]);
    let mut batch = send(delivery.next(now));
    assert_eq!((numbers(&batch), batch.dropped), (vec![4, 5, 6], 3));
    // What a batch says is said again if it is not delivered, and it is itself dropped then.
    let verdict = delivery.settle(&mut batch, Attempt::Refused, now, 0.0);
    assert_eq!(verdict, Verdict::Refused(3));
    let mut batch = send(delivery.next(now + 100 * MS));
    assert_eq!((numbers(&batch), batch.dropped), (vec![7, 8], 6));
    let verdict = delivery.settle(&mut batch, Attempt::Delivered, now, 0.0);
    assert_eq!(verdict, Verdict::Done);
    delivery.push(8, now);
    assert_eq!(send(delivery.next(now + 100 * MS)).dropped, 0);
}

#[test]
fn a_batch_is_sent_again_until_its_newest_event_is_too_old() {
    let start = Instant::now();
    let mut delivery = Delivery::new(BOUNDS);
    for event in 0..3 {
        delivery.push(event, start);
    }
    let mut batch = send(delivery.next(start));
    let mut settle = |asked: Option<u64>, now: Instant, chance| {
        let attempt = Attempt::Failed(asked.map(Duration::from_millis));
        delivery.settle(&mut batch, attempt, now, chance)
    };
    let cases = [
        (None, 0, 1.0, 200),
        (None, 0, 0.0, 100),
        (Some(500), 0, 0.0, 500),
        (Some(90_000), 0, 0.0, 1000),
        (None, 0, 1.0, 1000),
        // The last attempt is when time is up.
        (None, 9900, 1.0, 10_000),
    ];
    for (asked, now, chance, expected) in cases {
        let again = Verdict::Again(start + expected * MS);
        assert_eq!(settle(asked, start + now * MS, chance), again, "{now}");
    }
    let end = start + 10_000 * MS;
    assert_eq!(settle(None, end, 1.0), Verdict::Expired(3));
}

#[test]
fn what_became_too_old_while_it_waited_is_not_sent() {
    let start = Instant::now();
    let mut delivery = Delivery::new(BOUNDS);
    delivery.push('a', start);
    delivery.push('b', start + MS);
    let now = start + 10_001 * MS;
    let Next::Send(batch, 1) = delivery.next(now) else {
        panic!("the first only is too old");
    };
    assert_eq!((numbers(&batch), batch.dropped), (vec![2], 1));
    delivery.push('c', now);
    assert!(matches!(delivery.next(now + 10_001 * MS), Next::Nothing(1)));
    delivery.push('d', now + 10_001 * MS);
    assert_eq!(delivery.clear(), 1);
}

/// A few random bits from a seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % bound
    }
}

/// Events come, and batches are answered as chance has it.
struct Run {
    seed: u64,
    random: Random,
    bounds: Bounds,
    delivery: Delivery<u64>,
    on_its_way: Option<(Batch<u64>, Instant)>,
    /// What the receiver has, repeats included.
    arrived: Vec<u64>,
    pushed: u64,
    delivered: u64,
    lost: u64,
    told: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut small = |bound| 1 + usize::try_from(random.below(bound)).expect("small");
        let bounds = Bounds {
            max_queue: small(50),
            max_batch: small(10),
            max_age: Duration::from_millis(500 + random.below(5000)),
            ..BOUNDS
        };
        Self {
            seed,
            random,
            bounds,
            delivery: Delivery::new(bounds),
            on_its_way: None,
            arrived: Vec::new(),
            pushed: 0,
            delivered: 0,
            lost: 0,
            told: 0,
        }
    }

    fn push(&mut self, now: Instant) {
        for _ in 0..self.random.below(4) {
            self.pushed += 1;
            let pushed = self.delivery.push(self.pushed, now);
            self.lost += u64::from(pushed.has_dropped);
            let length = self.delivery.queue.len();
            assert!(length <= self.bounds.max_queue, "seed {}", self.seed);
        }
    }

    /// Does what is to be done; false if that is nothing.
    fn step(&mut self, now: Instant) -> bool {
        match self.on_its_way.take() {
            None => self.begin(now),
            Some((batch, at)) if now < at => {
                self.on_its_way = Some((batch, at));
                true
            }
            Some((batch, _)) => {
                self.attempt(batch, now);
                true
            }
        }
    }

    fn begin(&mut self, now: Instant) -> bool {
        let seed = self.seed;
        let next = self.delivery.next(now);
        let (Next::Send(_, expired) | Next::At(_, expired) | Next::Nothing(expired)) = next;
        self.lost += expired as u64;
        match next {
            Next::Send(batch, _) => {
                assert!(batch.events.len() <= self.bounds.max_batch, "seed {seed}");
                let is_its_own = |event: &Numbered<u64>| event.number == event.event;
                assert!(batch.events.iter().all(is_its_own), "seed {seed}");
                self.on_its_way = Some((batch, now));
                true
            }
            Next::At(due, _) => {
                assert!(due > now, "seed {seed}");
                true
            }
            Next::Nothing(_) => false,
        }
    }

    fn attempt(&mut self, mut batch: Batch<u64>, now: Instant) {
        let attempt = match self.random.below(10) {
            0..=5 => Attempt::Failed((self.random.below(2) == 0).then_some(300 * MS)),
            6 => Attempt::Refused,
            _ => Attempt::Delivered,
        };
        // A receiver may have it although its answer is lost, and then has it again.
        if attempt == Attempt::Delivered || self.random.below(3) == 0 {
            let events = batch.events.iter().map(|event| event.event);
            self.arrived.extend(events);
        }
        match self.delivery.settle(&mut batch, attempt, now, 0.5) {
            Verdict::Done => {
                self.delivered += batch.events.len() as u64;
                self.told += batch.dropped;
            }
            Verdict::Again(at) => {
                assert!(at > now, "seed {}", self.seed);
                self.on_its_way = Some((batch, at));
            }
            Verdict::Expired(count) | Verdict::Refused(count) => self.lost += count as u64,
        }
    }
}

#[test]
fn whatever_receivers_do_order_is_kept_and_what_is_lost_is_told() {
    for seed in 0..500 {
        let mut run = Run::new(seed);
        let mut now = Instant::now();
        let mut rounds = 0;
        loop {
            now += Duration::from_millis(run.random.below(60));
            if rounds < 300 {
                rounds += 1;
                run.push(now);
            }
            if !run.step(now) && rounds == 300 {
                break;
            }
        }
        assert_eq!(run.delivered + run.lost, run.pushed, "seed {seed}");
        assert_eq!(run.told + run.delivery.dropped, run.lost, "seed {seed}");
        let mut known = std::collections::HashSet::new();
        run.arrived.retain(|number| known.insert(*number));
        assert!(run.arrived.is_sorted(), "seed {seed}");
        assert!(run.arrived.len() as u64 >= run.delivered, "seed {seed}");
    }
}
