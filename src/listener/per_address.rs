//! How many connections each address has, so that no single one takes all the room.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::network::block;

/// The connections of each address that has any.
#[derive(Debug)]
pub(super) struct PerAddress {
    max: AtomicUsize,
    counts: DashMap<IpAddr, usize>,
}

/// One connection of an address, for as long as this is there.
#[derive(Debug)]
pub(super) struct Counted {
    all: Arc<PerAddress>,
    block: IpAddr,
}

impl PerAddress {
    /// So many connections each address may have.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max: AtomicUsize::new(max),
            counts: DashMap::new(),
        })
    }

    /// Returns how many an address may have.
    pub(super) fn max(&self) -> usize {
        self.max.load(Relaxed)
    }

    /// Says how many it may have from now on; those that it has stay.
    pub(super) fn set_max(&self, max: usize) {
        self.max.store(max, Relaxed);
    }

    /// Counts a connection of an address; nothing if it has as many as it may.
    pub(super) fn count(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let block = block(address);
        let mut count = self.counts.entry(block).or_insert(0);
        if *count >= self.max() {
            return None;
        }
        *count += 1;
        drop(count);
        Some(Counted {
            all: Arc::clone(self),
            block,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.all.counts.entry(self.block) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn an_address_has_so_many_and_nothing_is_left_of_one_that_has_none() {
        let all = PerAddress::new(2);
        for (one, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8:0:1::1"),
        ] {
            let first = all.count(ip(one)).expect("room");
            let second = all.count(ip(same)).expect("room");
            assert!(all.count(ip(one)).is_none() && all.count(ip(same)).is_none());
            let another = all.count(ip(other)).expect("room");
            assert_eq!(all.counts.len(), 2);
            drop(first);
            let third = all.count(ip(one)).expect("room again");
            drop((second, third, another));
            assert!(all.counts.is_empty());
        }
    }
}
