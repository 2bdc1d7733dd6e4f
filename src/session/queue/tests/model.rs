//! Random lives of a queue, beside a list that does the same by walking all of it.

use std::time::Duration;

use super::*;

const SEEDS: u64 = 4000;
const STEPS: usize = 120;

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    /// Returns a number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let end = u64::try_from(end).expect("small");
        usize::try_from((mixed ^ (mixed >> 31)) % end).expect("small")
    }

    fn policy(&mut self) -> MaxQueuePolicy {
        use MaxQueuePolicy::{Conflate, DropNewest, DropOldest, End};
        // A session that ends teaches least.
        let policies = [End, DropOldest, DropOldest, DropNewest, Conflate, Conflate];
        policies[self.below(policies.len())]
    }
}

/// Says which seed it was that failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}

/// An event of the list, and when it is due if it may wait.
type Listed = (Arc<Event>, Option<Instant>);

#[derive(Default)]
struct List {
    events: Vec<Listed>,
    is_at_bound: bool,
}

/// What a push has to say: refused, dropped, and events dropped at the channel's bound and at the
/// session's, with whether that was the first time.
type Said = (bool, bool, Option<usize>, Option<(usize, bool)>);

impl List {
    fn is_full_for(events: &[Listed], event: &Event, settings: &Settings) -> bool {
        let bytes: usize = events.iter().map(|(event, _)| event.json().len()).sum();
        let bytes = (bytes + event.json().len()) as u64;
        let is_full =
            events.len() >= settings.max_queue || bytes > settings.max_queue_bytes.as_u64();
        !events.is_empty() && is_full
    }

    fn push(&mut self, event: &Arc<Event>, due: Option<Instant>, settings: &Settings) -> Said {
        use MaxQueuePolicy::{Conflate, DropNewest, DropOldest, End};
        let is_of_channel = |(queued, _): &Listed| queued.channel() == event.channel();
        let mut left = self.events.clone();
        let mut at_channel_bound = None;
        if let Some(bound) = event.bound() {
            let queued = left.iter().filter(|queued| is_of_channel(queued)).count();
            if queued >= bound.max_queue {
                match bound.policy {
                    End => return (true, false, Some(0), None),
                    DropNewest => return (false, true, Some(1), None),
                    Conflate => left.retain(|queued| !is_of_channel(queued)),
                    DropOldest => {
                        for _ in 0..=queued - bound.max_queue {
                            let oldest = left.iter().position(is_of_channel).expect("counted");
                            left.remove(oldest);
                        }
                    }
                }
                at_channel_bound = Some(self.events.len() - left.len());
            }
        }
        let mut at_bound = None;
        if Self::is_full_for(&left, event, settings) {
            let before = left.len();
            let is_first = !std::mem::replace(&mut self.is_at_bound, true);
            match settings.max_queue_policy {
                End => return (true, false, at_channel_bound, Some((0, is_first))),
                DropNewest => return (false, true, None, Some((1, is_first))),
                DropOldest => {
                    while Self::is_full_for(&left, event, settings) {
                        left.remove(0);
                    }
                }
                Conflate => {
                    let all = left.clone();
                    let mut place = 0;
                    left.retain(|(queued, _)| {
                        place += 1;
                        let later = all[place..].iter().map(|(later, _)| later).chain([event]);
                        !later
                            .into_iter()
                            .any(|later| later.channel() == queued.channel())
                    });
                }
            }
            at_bound = Some((before - left.len(), is_first));
            if Self::is_full_for(&left, event, settings) {
                return (true, false, at_channel_bound, at_bound);
            }
        }
        self.events = left;
        self.events.push((Arc::clone(event), due));
        (false, false, at_channel_bound, at_bound)
    }

    fn take(&mut self, max_bytes: u64, max_events: usize) -> Vec<Arc<Event>> {
        let mut bytes = 0;
        let mut count = 0;
        for (event, _) in &self.events {
            bytes += event.json().len() as u64;
            if count >= max_events || (count > 0 && bytes > max_bytes) {
                break;
            }
            count += 1;
        }
        let taken = self.events.drain(..count).map(|(event, _)| event).collect();
        // What is left does not wait.
        for (_, due) in &mut self.events {
            *due = None;
        }
        self.is_at_bound &= !self.events.is_empty();
        taken
    }
}

/// Some events of some channels, half of which have bounds of their own.
fn events(random: &mut Random) -> Vec<Arc<Event>> {
    let channels = 1 + random.below(40);
    (0..channels)
        .flat_map(|channel| {
            let is_bounded = random.below(2) == 0;
            let bound = at_most(1 + random.below(5), random.policy()).filter(|_| is_bounded);
            let sizes = [random.below(9), random.below(9), random.below(30)];
            sizes.map(|size| event_of(&format!("/{channel}"), &"x".repeat(size), bound))
        })
        .collect()
}

fn assert_same<'a>(
    left: impl IntoIterator<Item = &'a Arc<Event>>,
    right: impl IntoIterator<Item = &'a Arc<Event>>,
) {
    let address = |event: &'a Arc<Event>| Arc::as_ptr(event);
    let left: Vec<_> = left.into_iter().map(address).collect();
    let right: Vec<_> = right.into_iter().map(address).collect();
    assert_eq!(left, right);
}

struct World {
    random: Random,
    settings: Settings,
    events: Vec<Arc<Event>>,
    start: Instant,
    queue: Queue,
    list: List,
    taken: Vec<Arc<Event>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let max_bytes = [200, 1000, 1_000_000][random.below(3)];
        let settings = Settings {
            max_queue: 1 + random.below(60),
            max_queue_bytes: bytesize::ByteSize(max_bytes),
            max_queue_policy: random.policy(),
            ..Settings::default()
        };
        Self {
            events: events(&mut random),
            random,
            settings,
            start: Instant::now(),
            queue: Queue::default(),
            list: List::default(),
            taken: Vec::new(),
        }
    }

    fn step(&mut self) {
        match self.random.below(50) {
            0 => {
                self.taken = self.queue.take(u64::MAX, usize::MAX);
                assert_same(&self.taken, &self.list.take(u64::MAX, usize::MAX));
            }
            1..4 => {
                let (bytes, count) = (self.random.below(400) as u64, self.random.below(30));
                self.taken = self.queue.take(bytes, count);
                assert_same(&self.taken, &self.list.take(bytes, count));
            }
            4..6 => {
                let back = std::mem::take(&mut self.taken);
                let listed = back.iter().map(|event| (Arc::clone(event), None));
                self.list.events.splice(..0, listed);
                self.queue.put_back(back);
            }
            _ => self.push(),
        }
        self.check();
    }

    fn push(&mut self) {
        let event = Arc::clone(&self.events[self.random.below(self.events.len())]);
        let seconds = self.random.below(20) as u64;
        let due = (seconds > 3).then(|| self.start + Duration::from_secs(seconds));
        let pushed = self.queue.push(&event, due, &self.settings);
        let said = (
            pushed.is_refused,
            pushed.is_dropped,
            pushed.at_channel_bound.map(|at| at.dropped),
            pushed.at_bound.map(|at| (at.dropped, at.is_first)),
        );
        assert_eq!(said, self.list.push(&event, due, &self.settings));
        if pushed.is_refused {
            self.queue = Queue::default();
            self.list = List::default();
        }
    }

    fn check(&self) {
        let listed = self.list.events.iter().map(|(event, _)| event);
        assert_same(self.queue.events.checked(), listed);
        if self.queue.is_urgent() {
            assert!(!self.list.events.is_empty(), "nothing is not urgent");
            return;
        }
        for (_, due) in &self.list.events {
            let due = due.expect("an event that does not wait is urgent");
            let deadline = self.queue.lazy_deadline().expect("it waits for something");
            assert!(deadline <= due, "no event waits longer than it may");
        }
    }
}

#[test]
fn a_queue_does_what_a_list_does() {
    let mut indexed = 0;
    for seed in 0..SEEDS {
        let _seed = Seed(seed);
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
            indexed += usize::from(world.queue.events.is_indexed());
        }
    }
    assert!(indexed > 1000, "an index was hardly ever there: {indexed}");
}
