//! What has come from Redis and was not taken yet: bounded, and in the order in which it came.
//!
//! The connection puts messages here itself, as its library would queue them without a bound. One that has brought
//! more than is taken in time is given up, as Redis does with one that is not read in time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::wire;
use crate::cluster::{Feed, Head, Interest};
use crate::memory::Kind;
use crate::metrics::{Limit, Metrics};

/// What a message takes beside its bytes.
const OVERHEAD: usize = 64;

/// What has come and was not taken yet.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Bytes that may wait.
    max: usize,
    metrics: Arc<Metrics>,
    /// It is told when changes of it are passed.
    interest: Arc<Interest>,
    state: Mutex<State>,
    more: Notify,
    ended: Notify,
}

#[derive(Debug)]
enum Item {
    Up(Head),
    Message(Vec<u8>),
    Mark(u64),
    /// So many changes of interest were done before.
    Settled(u64),
    Down,
}

#[derive(Debug, Default)]
struct State {
    /// The connection that is heard, of all there were.
    connection: u64,
    stage: Stage,
    items: VecDeque<Item>,
    /// What came on a connection that does not bring everything yet.
    held: VecDeque<Item>,
    bytes: usize,
    /// The number of the last message that was taken.
    last: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is none, or it has ended.
    #[default]
    Away,
    /// It does not bring everything yet.
    Beginning,
    Up,
    /// It has brought everything, and does not go on.
    Ended,
}

impl Inbox {
    pub(super) fn new(max: usize, metrics: Arc<Metrics>, interest: Arc<Interest>) -> Self {
        Self {
            max,
            metrics,
            interest,
            state: Mutex::default(),
            more: Notify::new(),
            ended: Notify::new(),
        }
    }

    /// Begins to hear a connection; returns its number.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.connection += 1;
        state.stage = Stage::Beginning;
        self.drop_held(&mut state);
        state.connection
    }

    /// Adds a message that has come on a connection.
    pub(super) fn message(&self, connection: u64, payload: Vec<u8>) {
        self.push(connection, Item::Message(payload));
    }

    /// Adds a mark.
    pub(super) fn mark(&self, connection: u64, mark: u64) {
        self.push(connection, Item::Mark(mark));
    }

    /// Notes that so many changes of interest are done: whatever comes behind it has come all the time since.
    pub(super) fn settled(&self, connection: u64, changes: u64) {
        self.push(connection, Item::Settled(changes));
    }

    fn push(&self, connection: u64, item: Item) {
        let mut state = self.lock();
        let size = item.size();
        if !state.hears(connection) {
            return;
        }
        if state.bytes + size > self.max {
            drop(state);
            self.metrics.limited(Limit::MaxInbox);
            tracing::warn!("messages of the cluster came faster than they were delivered");
            return self.end(connection);
        }
        state.bytes += size;
        self.metrics.memory.add(Kind::Requests, size);
        if state.stage == Stage::Up {
            state.items.push_back(item);
            drop(state);
            self.more.notify_one();
        } else {
            state.held.push_back(item);
        }
    }

    /// Notes that everything comes on a connection whose number is larger than the head's; false: it has ended.
    pub(super) fn up(&self, connection: u64, head: Head) -> bool {
        let mut state = self.lock();
        if !state.hears(connection) {
            return false;
        }
        state.stage = Stage::Up;
        let held = std::mem::take(&mut state.held);
        state.items.push_back(Item::Up(head));
        state.items.extend(held);
        drop(state);
        self.more.notify_one();
        true
    }

    /// Notes that a connection brings nothing more.
    pub(super) fn end(&self, connection: u64) {
        let mut state = self.lock();
        if !state.hears(connection) {
            return;
        }
        let was_up = state.stage == Stage::Up;
        state.stage = Stage::Ended;
        if was_up {
            state.items.push_back(Item::Down);
        } else {
            self.drop_held(&mut state);
        }
        drop(state);
        self.more.notify_one();
        self.ended.notify_one();
    }

    /// Waits until the connection that is heard brings nothing more.
    pub(super) async fn ended(&self) {
        while !matches!(self.lock().stage, Stage::Ended | Stage::Away) {
            self.ended.notified().await;
        }
    }

    /// Tells whether everything comes.
    pub(super) fn is_up(&self) -> bool {
        self.lock().stage == Stage::Up
    }

    /// Returns the next; of one caller.
    pub(super) async fn next(&self) -> Feed {
        loop {
            if let Some(feed) = self.take() {
                return feed;
            }
            self.more.notified().await;
        }
    }

    fn take(&self) -> Option<Feed> {
        loop {
            let (item, last) = {
                let mut state = self.lock();
                let item = state.items.pop_front()?;
                state.bytes -= item.size();
                self.metrics.memory.sub(Kind::Requests, item.size());
                if let Item::Up(head) = &item {
                    state.last = state.last.max(head.id);
                }
                (item, state.last)
            };
            match item {
                Item::Up(head) => return Some(Feed::Up(head)),
                Item::Down => return Some(Feed::Down),
                Item::Mark(mark) => return Some(Feed::Mark(mark)),
                Item::Settled(changes) => self.interest.note_passed(changes),
                Item::Message(payload) => match wire::read(payload) {
                    // It has come by two forms, or before everything came.
                    Some(message) if message.place.id <= last => {}
                    Some(message) => {
                        self.lock().last = message.place.id;
                        return Some(Feed::Message(Box::new(message)));
                    }
                    None => tracing::warn!("something in Redis is no message of this version"),
                },
            }
        }
    }

    fn drop_held(&self, state: &mut State) {
        let held = std::mem::take(&mut state.held);
        let bytes = held.iter().map(Item::size).sum();
        state.bytes -= bytes;
        self.metrics.memory.sub(Kind::Requests, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hears(&self, connection: u64) -> bool {
        self.connection == connection && matches!(self.stage, Stage::Beginning | Stage::Up)
    }
}

impl Item {
    fn size(&self) -> usize {
        match self {
            Self::Message(payload) => OVERHEAD + payload.len(),
            Self::Mark(_) | Self::Settled(_) => OVERHEAD,
            Self::Up(_) | Self::Down => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u64) -> Vec<u8> {
        format!("{id} 0 0 0 2 0 0 -\n/a1").into_bytes()
    }

    fn head(id: u64) -> Head {
        let epoch = "e".into();
        Head { id, epoch }
    }

    /// What is there, as text.
    fn all(inbox: &Inbox) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(feed) = inbox.take() {
            all.push(match feed {
                Feed::Up(head) => format!("up {}", head.id),
                Feed::Message(message) => message.place.id.to_string(),
                Feed::Mark(mark) => format!("mark {mark}"),
                Feed::Down => "down".to_owned(),
            });
        }
        all
    }

    #[test]
    fn nothing_comes_before_everything_does() {
        let inbox = Inbox::new(10_000, Arc::default(), Arc::default());
        let one = inbox.begin();
        inbox.message(one, message(5));
        inbox.message(one, message(7));
        assert_eq!(all(&inbox), [""; 0]);
        assert!(inbox.up(one, head(5)) && inbox.is_up());
        inbox.message(one, message(8));
        // By another form.
        inbox.message(one, message(8));
        inbox.mark(one, 3);
        inbox.message(one, b"rubbish".to_vec());
        inbox.message(one, message(9));
        assert_eq!(all(&inbox), ["up 5", "7", "8", "mark 3", "9"]);
        inbox.end(one);
        inbox.message(one, message(10));
        inbox.end(one);
        assert_eq!(all(&inbox), ["down"]);
        assert!(!inbox.is_up());
    }

    #[test]
    fn changes_of_interest_are_passed_behind_what_came_before() {
        let inbox = Inbox::new(10_000, Arc::default(), Arc::default());
        let limits = crate::bayeux::Limits::default();
        let pattern = crate::bayeux::ChannelPattern::parse("/a1", &limits).expect("a channel");
        let one = inbox.begin();
        assert!(inbox.up(one, head(0)));
        inbox.interest.add(&pattern);
        let (_, changes) = inbox.interest.take();
        inbox.message(one, message(1));
        inbox.settled(one, changes);
        inbox.message(one, message(2));
        let has_passed = || !inbox.interest.take_passed().patterns.is_empty();
        let passed = std::iter::from_fn(|| inbox.take().map(|_| has_passed()));
        assert_eq!(passed.collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn another_connection_goes_on() {
        let inbox = Inbox::new(10_000, Arc::default(), Arc::default());
        let one = inbox.begin();
        assert!(inbox.up(one, head(1)));
        inbox.message(one, message(2));
        inbox.end(one);
        let two = inbox.begin();
        inbox.message(two, message(3));
        inbox.message(one, message(4));
        inbox.end(two);
        assert!(!inbox.up(two, head(4)));
        let three = inbox.begin();
        inbox.message(three, message(6));
        inbox.message(two, message(7));
        assert!(inbox.up(three, head(5)));
        assert_eq!(all(&inbox), ["up 1", "2", "down", "up 5", "6"]);
        assert_eq!(inbox.lock().bytes, 0);
    }

    #[test]
    fn too_much_ends_a_connection() {
        let size = OVERHEAD + message(1).len();
        for is_up in [true, false] {
            let inbox = Inbox::new(3 * size, Arc::default(), Arc::default());
            let one = inbox.begin();
            if is_up {
                assert!(inbox.up(one, head(0)));
            }
            for id in 1..=3 {
                inbox.message(one, message(id));
            }
            assert!(inbox.lock().hears(one));
            inbox.message(one, message(4));
            assert!(!inbox.lock().hears(one));
            let expected: &[_] = if is_up {
                &["up 0", "1", "2", "3", "down"]
            } else {
                &[]
            };
            assert_eq!(all(&inbox), expected);
            assert_eq!(inbox.lock().bytes, 0);
            let metrics = &inbox.metrics;
            assert_eq!(metrics.memory.of(Kind::Requests), 0);
            assert_eq!(metrics.limit_count(Limit::MaxInbox), 1);
        }
    }
}
