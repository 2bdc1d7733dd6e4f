//! The first of many in the order of their keys, as a page of a list shows them, without sorting them all.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

/// The few with the smallest keys of all that were offered.
#[derive(Debug)]
pub struct Smallest<K, V> {
    /// The one that goes first is at the top.
    heap: BinaryHeap<Entry<K, V>>,
    limit: usize,
    is_more: bool,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Page<V> {
    /// In the order of their keys.
    pub items: Vec<V>,
    /// Whether others come after the last.
    pub is_more: bool,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
}

impl<K: Ord, V> Smallest<K, V> {
    /// Begins with none, to keep so many at most.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            heap: BinaryHeap::new(),
            limit,
            is_more: false,
        }
    }

    /// Offers one more, which is made only if it is kept.
    pub fn offer(&mut self, key: K, value: impl FnOnce() -> V) {
        if self.heap.len() < self.limit {
            self.heap.push(Entry {
                key,
                value: value(),
            });
            return;
        }
        self.is_more = true;
        if let Some(mut largest) = self.heap.peek_mut()
            && key < largest.key
        {
            *largest = Entry {
                key,
                value: value(),
            };
        }
    }

    /// Returns those that were kept.
    #[must_use]
    pub fn into_page(self) -> Page<V> {
        let sorted = self.heap.into_sorted_vec().into_iter();
        Page {
            items: sorted.map(|entry| entry.value).collect(),
            is_more: self.is_more,
        }
    }
}

impl<V> Page<V> {
    /// Makes other items of these.
    #[must_use]
    pub fn map<W>(self, change: impl FnMut(V) -> W) -> Page<W> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            is_more: self.is_more,
        }
    }
}

impl<K: Ord, V> PartialEq for Entry<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<K: Ord, V> Eq for Entry<K, V> {}

impl<K: Ord, V> PartialOrd for Entry<K, V> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, V> Ord for Entry<K, V> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_has_what_comes_first_in_order(
            keys in prop::collection::hash_set(any::<u16>(), 0..40),
            limit in 0..20_usize,
        ) {
            let mut smallest = Smallest::new(limit);
            for key in &keys {
                smallest.offer(*key, || key.to_string());
            }
            let mut sorted: Vec<u16> = keys.into_iter().collect();
            sorted.sort_unstable();
            let is_more = sorted.len() > limit;
            sorted.truncate(limit);
            let items = sorted.iter().map(u16::to_string).collect();
            prop_assert_eq!(smallest.into_page(), Page { items, is_more });
        }
    }
}
