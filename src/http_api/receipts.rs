//! The receipts of what was sent under an idempotency key: whoever sends the same again gets them, and nothing
//! is sent twice.
//!
//! A request under a key has a receipt for each of its messages, a message with an id one of its own. Messages
//! that were not sent have none, and are sent when they come again. Keys and bodies are kept as digests. Time is
//! an argument.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::cluster::Once;
use crate::memory::{Budget, Kind, sizes};
use crate::metrics::{Limit, Metrics};

/// What a digest takes of its parts; each begins with its length, so that none runs into the next.
const LENGTH: usize = 32;

/// A digest of what makes requests, or messages, the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; LENGTH]);

impl Fingerprint {
    /// Makes that of some parts.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut bytes = [0; LENGTH];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

/// What is kept of a message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The sessions that it was queued for.
    pub receivers: u32,
    /// The sessions that it was dropped for.
    pub dropped: u32,
    /// The nodes that were to send it, too, and did not answer.
    pub missing: u16,
    /// Its number, if it is kept.
    pub id: Option<NonZeroU64>,
    /// Whether it is stored.
    pub is_persisted: bool,
    /// Whether it has reached only this node of a cluster.
    pub is_local: bool,
}

/// Which messages of a request were sent.
type Sent = Box<[Option<Kept>]>;

/// Why something may not be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Something else was sent under the key.
    Differs,
    /// The first is still under way.
    InProgress,
}

/// All receipts that are kept.
#[derive(Debug)]
pub struct Receipts {
    window: Duration,
    /// How many messages are remembered.
    max: usize,
    metrics: Arc<Metrics>,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<Fingerprint, Entry>,
    /// The keys in the order in which they came, each with the number of its entry: a key that was forgotten
    /// may have come again.
    ages: VecDeque<(u64, Fingerprint)>,
    next: u64,
    /// How many messages they are.
    messages: usize,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    body: Fingerprint,
    came: Instant,
    is_under_way: bool,
    kept: Sent,
}

/// A request, or a message, that is under way under its key; dropped, it is not any more.
#[derive(Debug)]
pub struct Claim<'r> {
    receipts: &'r Receipts,
    key: Fingerprint,
    body: Fingerprint,
    number: u64,
    /// What was sent before.
    before: Sent,
}

impl Claim<'_> {
    /// Returns what one of its messages is published only once under: the same on every node of a cluster.
    #[must_use]
    pub fn once(&self, index: usize) -> Once {
        Once {
            key: URL_SAFE_NO_PAD.encode(self.key.0),
            index,
            body: URL_SAFE_NO_PAD.encode(self.body.0),
            within: self.receipts.window,
        }
    }
}

impl Receipts {
    /// Makes room for receipts of so many messages, each for so long.
    #[must_use]
    pub fn new(window: Duration, max: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            window,
            max,
            metrics,
            entries: Mutex::default(),
        }
    }

    /// Begins to send so many messages under a key, unless they are under way already.
    ///
    /// # Errors
    /// They are, or something else was sent under the key.
    pub fn claim(
        &self,
        key: Fingerprint,
        body: Fingerprint,
        messages: usize,
        now: Instant,
    ) -> Result<Claim<'_>, Conflict> {
        let mut entries = self.lock();
        let bytes = entries.bytes();
        entries.expire(now, self.window);
        entries.forget_if_over(key, now, self.window);
        let claimed = entries.claim(key, body, messages, now);
        while claimed.is_ok() && entries.messages > self.max && entries.forget_oldest() {
            self.metrics.limited(Limit::MaxIdempotencyKeys);
        }
        self.account(bytes, entries.bytes());
        let (number, before) = claimed?;
        Ok(Claim {
            receipts: self,
            key,
            body,
            number,
            before,
        })
    }

    fn account(&self, before: usize, after: usize) {
        let memory: &Budget = &self.metrics.memory;
        if after > before {
            memory.add(Kind::Receipts, after - before);
        } else {
            memory.sub(Kind::Receipts, before - after);
        }
    }

    /// What a panic leaves behind is whole: entries change in one step.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn claim(
        &mut self,
        key: Fingerprint,
        body: Fingerprint,
        messages: usize,
        now: Instant,
    ) -> Result<(u64, Sent), Conflict> {
        if let Some(entry) = self.by_key.get_mut(&key) {
            if entry.body != body {
                return Err(Conflict::Differs);
            }
            let is_sent = entry.kept.iter().all(Option::is_some);
            if entry.is_under_way && !is_sent {
                return Err(Conflict::InProgress);
            }
            entry.is_under_way = true;
            return Ok((entry.number, entry.kept.clone()));
        }
        let number = self.next;
        self.next += 1;
        let kept: Sent = vec![None; messages].into();
        let entry = Entry {
            number,
            body,
            came: now,
            is_under_way: true,
            kept: kept.clone(),
        };
        self.by_key.insert(key, entry);
        self.ages.push_back((number, key));
        self.messages += messages.max(1);
        Ok((number, kept))
    }

    /// Forgets one whose time is over, which may not be the oldest yet.
    fn forget_if_over(&mut self, key: Fingerprint, now: Instant, window: Duration) {
        let is_over = |entry: &Entry| {
            !entry.is_under_way && now.saturating_duration_since(entry.came) >= window
        };
        if self.by_key.get(&key).is_some_and(is_over) {
            self.remove(key);
        }
    }

    /// Forgets those whose time is over, but for those that are under way.
    fn expire(&mut self, now: Instant, window: Duration) {
        while let Some((number, key)) = self.ages.front() {
            match self.by_key.get(key).filter(|entry| entry.number == *number) {
                Some(entry) if now.saturating_duration_since(entry.came) < window => return,
                // It is looked at again when it is the oldest once more.
                Some(entry) if entry.is_under_way => {
                    self.ages.rotate_left(1);
                    return;
                }
                Some(_) | None => drop(self.forget_oldest()),
            }
        }
    }

    /// Forgets the oldest, even if it is under way; false if there is none.
    fn forget_oldest(&mut self) -> bool {
        let Some((number, key)) = self.ages.pop_front() else {
            return false;
        };
        if self.entry(key, number).is_some() {
            self.remove(key);
        }
        true
    }

    fn entry(&mut self, key: Fingerprint, number: u64) -> Option<&mut Entry> {
        self.by_key
            .get_mut(&key)
            .filter(|entry| entry.number == number)
    }

    fn remove(&mut self, key: Fingerprint) {
        if let Some(entry) = self.by_key.remove(&key) {
            self.messages -= entry.kept.len().max(1);
        }
    }

    /// Returns about how many bytes they take.
    fn bytes(&self) -> usize {
        const ENTRY: usize = size_of::<(Fingerprint, Entry)>() + size_of::<(u64, Fingerprint)>();
        let kept = self.messages * size_of::<Option<Kept>>();
        self.by_key.len() * sizes::block(ENTRY) + kept
    }
}

impl Claim<'_> {
    /// Returns the receipt of a message that was sent before.
    #[must_use]
    pub fn before(&self, index: usize) -> Option<Kept> {
        self.before.get(index).copied().flatten()
    }

    /// Keeps the receipt of a message that has been sent.
    pub fn keep(&self, index: usize, kept: Kept) {
        self.set(index, Some(kept));
    }

    /// Forgets it, because that was not settled.
    pub fn forget(&self, index: usize) {
        self.set(index, None);
    }

    fn set(&self, index: usize, kept: Option<Kept>) {
        let mut entries = self.receipts.lock();
        let entry = entries.entry(self.key, self.number);
        if let Some(place) = entry.and_then(|entry| entry.kept.get_mut(index)) {
            *place = kept;
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut entries = self.receipts.lock();
        let bytes = entries.bytes();
        let Some(entry) = entries.entry(self.key, self.number) else {
            return;
        };
        entry.is_under_way = false;
        if entry.kept.iter().all(Option::is_none) {
            entries.remove(self.key);
        }
        self.receipts.account(bytes, entries.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn receipts(max: usize) -> Receipts {
        Receipts::new(WINDOW, max, Arc::default())
    }

    fn of(text: &str) -> Fingerprint {
        Fingerprint::of(&[text.as_bytes()])
    }

    fn kept(receivers: u32) -> Kept {
        Kept {
            missing: 0,
            receivers,
            dropped: 0,
            id: None,
            is_persisted: false,
            is_local: false,
        }
    }

    /// Sends something under a key, and returns what was sent before, or why not.
    fn send(receipts: &Receipts, key: &str, now: Instant) -> Result<Option<Kept>, Conflict> {
        let claim = receipts.claim(of(key), of("body"), 1, now)?;
        let before = claim.before(0);
        if before.is_none() {
            claim.keep(0, kept(1));
        }
        Ok(before)
    }

    #[test]
    fn what_comes_again_in_time_gets_the_first_receipt() {
        let receipts = receipts(10);
        let start = Instant::now();
        // (milliseconds, key, whether it was sent before)
        let cases = [
            (0, "a", false),
            (1, "b", false),
            (9_999, "a", true),
            (10_000, "a", false),
            (10_000, "b", true),
            (10_001, "b", false),
            (19_999, "a", true),
            (20_000, "a", false),
            (60_000, "a", false),
        ];
        for (at, key, is_known) in cases {
            let before = send(&receipts, key, start + Duration::from_millis(at));
            assert_eq!(before, Ok(is_known.then(|| kept(1))), "{key} at {at}");
        }
        assert_eq!(receipts.lock().by_key.len(), 1);
    }

    #[test]
    fn another_body_is_refused_and_so_is_what_is_under_way() {
        let receipts = receipts(10);
        let now = Instant::now();
        let first = receipts.claim(of("k"), of("a"), 1, now).expect("the first");
        let again = |body: &str| {
            receipts
                .claim(of("k"), of(body), 1, now)
                .map(|claim| claim.before(0))
        };
        assert_eq!(again("b"), Err(Conflict::Differs));
        assert_eq!(again("a"), Err(Conflict::InProgress));
        first.keep(0, kept(3));
        // It is sent, and only its receipt has yet to leave.
        assert_eq!(again("a"), Ok(Some(kept(3))));
        drop(first);
        assert_eq!(again("a"), Ok(Some(kept(3))));
        assert_eq!(again("b"), Err(Conflict::Differs));
        // It stays as long as it is under way.
        let late = receipts
            .claim(of("late"), of("a"), 1, now)
            .expect("a claim");
        let after = now + 2 * WINDOW;
        let conflict = receipts.claim(of("late"), of("a"), 1, after).map(drop);
        assert_eq!(conflict, Err(Conflict::InProgress));
        drop(late);
    }

    #[test]
    fn what_was_not_sent_may_be_sent_again() {
        let receipts = receipts(10);
        let now = Instant::now();
        let claim = |key: &str| {
            receipts
                .claim(of(key), of("body"), 3, now)
                .expect("a claim")
        };
        drop(claim("none"));
        assert_eq!(receipts.lock().by_key.len(), 0);
        let first = claim("some");
        first.keep(0, kept(1));
        first.keep(1, kept(2));
        first.keep(2, kept(3));
        first.forget(1);
        drop(first);
        let second = claim("some");
        let before = [0, 1, 2, 3].map(|index| second.before(index));
        assert_eq!(before, [Some(kept(1)), None, Some(kept(3)), None]);
    }

    #[test]
    fn the_oldest_messages_are_forgotten_above_the_bound() {
        let receipts = receipts(4);
        let now = Instant::now();
        let claim = |key: &str, messages| {
            let claim = receipts.claim(of(key), of("body"), messages, now);
            claim.map(|claim| (0..messages).for_each(|index| claim.keep(index, kept(1))))
        };
        for key in ["a", "b", "c", "d"] {
            assert_eq!(claim(key, 1), Ok(()));
        }
        assert_eq!(receipts.lock().messages, 4);
        assert_eq!(claim("e", 2), Ok(()));
        let known = |key: &str| receipts.lock().by_key.contains_key(&of(key));
        assert_eq!(
            ["a", "b", "c", "d", "e"].map(known),
            [false, false, true, true, true]
        );
        assert_eq!(claim("large", 9), Ok(()));
        assert_eq!(receipts.lock().messages, 0);
        assert_eq!(receipts.metrics.memory.of(Kind::Receipts), 0);
    }

    #[test]
    fn what_was_forgotten_under_way_does_not_touch_what_came_after_it() {
        let receipts = receipts(1);
        let now = Instant::now();
        let old = receipts
            .claim(of("a"), of("body"), 1, now)
            .expect("a claim");
        assert_eq!(send(&receipts, "b", now), Ok(None));
        assert_eq!(send(&receipts, "a", now), Ok(None));
        old.forget(0);
        drop(old);
        assert_eq!(send(&receipts, "a", now), Ok(Some(kept(1))));
        let memory = receipts.metrics.memory.of(Kind::Receipts);
        assert_eq!(memory, receipts.lock().bytes() as u64);
    }

    #[test]
    fn no_part_runs_into_the_next() {
        let of = |parts: &[&str]| {
            let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            Fingerprint::of(&parts)
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["", "a"]), of(&["a", ""]));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
    }
}
