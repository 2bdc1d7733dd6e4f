//! The cache of decided heads: a client that polls sends the same head each time, and it is read once.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// After so many requests in a row with other heads than the cached one, it is given up, and none is
/// looked for: it is a proxy's connection, which is of many clients.
const MAX_MISSES: u16 = 16;
/// After so many, one is looked for anew.
const PERIOD: u16 = 1000;
/// Longer heads are not cached: what is kept of one is no longer than itself.
const MAX_HEAD: usize = 4096;

/// The head that a connection brings again and again, if it does, and what was decided about it.
#[derive(Debug)]
pub(super) struct HeadCache<S> {
    /// The hash of the last head.
    last: u64,
    /// So many requests in a row had not the cached head.
    misses: u16,
    cached: Option<Box<Cached<S>>>,
}

#[derive(Debug)]
struct Cached<S> {
    /// The head's hash, which is keyed: no client can make another head that has it.
    hash: u64,
    /// Where the body is that follows.
    body: Range<usize>,
    decision: S,
}

impl<S> Default for HeadCache<S> {
    fn default() -> Self {
        Self {
            last: 0,
            misses: 0,
            cached: None,
        }
    }
}

impl<S> HeadCache<S> {
    /// Returns what was decided about the head that has arrived, if it is cached, and where its body is, if all of
    /// that has arrived too.
    pub(super) fn get(
        &mut self,
        arrived: &[u8],
        hashes: &RandomState,
    ) -> Option<(&S, Range<usize>)> {
        let cached = self.cached.as_deref()?;
        if arrived.len() < cached.body.end
            || hashes.hash_one(&arrived[..cached.body.start]) != cached.hash
        {
            return None;
        }
        self.last = cached.hash;
        self.misses = 0;
        Some((&cached.decision, cached.body.clone()))
    }

    /// Takes notice of a head that had to be read. If it was the last one too, it is cached from now on
    /// by the `decision` about it, if that can be kept.
    pub(super) fn observe(
        &mut self,
        head: &[u8],
        body: usize,
        hashes: &RandomState,
        decision: impl FnOnce() -> Option<S>,
    ) {
        self.misses = (self.misses + 1) % PERIOD;
        if self.misses > MAX_MISSES {
            self.cached = None;
            return;
        }
        let hash = hashes.hash_one(head);
        let is_repeated = std::mem::replace(&mut self.last, hash) == hash;
        if !is_repeated || head.len() > MAX_HEAD {
            return;
        }
        if let Some(decision) = decision() {
            let body = head.len()..head.len() + body;
            self.cached = Some(Box::new(Cached {
                hash,
                body,
                decision,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection, which knows heads by what was said of them.
    struct Connection {
        cache: HeadCache<String>,
        hashes: RandomState,
    }

    impl Connection {
        fn new() -> Self {
            Self {
                cache: HeadCache::default(),
                hashes: RandomState::new(),
            }
        }

        /// Has a request, a head and a body of one byte, arrive; tells whether its head was cached.
        fn knows(&mut self, head: &str) -> bool {
            let arrived = format!("{head}bGET");
            if let Some((decision, body)) = self.cache.get(arrived.as_bytes(), &self.hashes) {
                assert_eq!((decision.as_str(), &arrived[body]), (head, "b"));
                return true;
            }
            self.cache
                .observe(head.as_bytes(), 1, &self.hashes, || Some(head.to_owned()));
            false
        }
    }

    #[test]
    fn a_head_is_known_that_came_twice_in_a_row() {
        let mut connection = Connection::new();
        let cached: Vec<bool> = ["a", "b", "a", "a", "a", "b", "a", "b", "b", "a", "b"]
            .into_iter()
            .map(|head| connection.knows(head))
            .collect();
        let expected = [
            false, false, false, false, true, false, true, false, false, false, true,
        ];
        assert_eq!(cached, expected);
    }

    #[test]
    fn half_of_a_request_is_not_found() {
        let mut connection = Connection::new();
        connection.knows("ab");
        connection.knows("ab");
        let Connection { cache, hashes } = &mut connection;
        for arrived in ["", "a", "ab", "bab"] {
            assert!(cache.get(arrived.as_bytes(), hashes).is_none());
        }
        assert!(cache.get(b"abb", hashes).is_some());
    }

    #[test]
    fn a_connection_of_many_heads_is_left_alone_for_a_while() {
        let mut connection = Connection::new();
        assert!([false, false, true] == [(); 3].map(|()| connection.knows("a")));
        for number in 0..=MAX_MISSES {
            assert!(connection.cache.cached.is_some());
            connection.knows(&format!("{number}"));
        }
        assert!(connection.cache.cached.is_none());
        let needed = (0..PERIOD).position(|_| connection.knows("a"));
        assert_eq!(needed, Some(usize::from(PERIOD - MAX_MISSES)));
    }

    #[test]
    fn long_heads_and_what_cannot_be_kept_are_not_known() {
        let mut connection = Connection::new();
        let long = "a".repeat(MAX_HEAD + 1);
        assert!((0..4).all(|_| !connection.knows(&long)));
        let Connection { cache, hashes } = &mut connection;
        for _ in 0..4 {
            cache.observe(b"a", 1, hashes, || None);
            assert!(cache.get(b"ab", hashes).is_none());
        }
    }
}
