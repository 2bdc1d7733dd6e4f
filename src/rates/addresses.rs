//! The buckets of addresses: a table of a fixed size, with nothing to tidy.
//!
//! An address whose bucket is full is like one that is not there, so its place is free for another. Nobody
//! else's is: who finds no place shares one bucket with the others who find none. Addresses are known by a
//! keyed hash, so nobody can choose whose neighbour to be.

use core::net::IpAddr;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use super::bucket::Rate;
use crate::network::block;
use std::time::Duration;

/// How many addresses have their places together.
const NEIGHBOURS: usize = 8;

/// The buckets, all of the same rate.
#[derive(Debug)]
pub(super) struct Addresses {
    rate: Rate,
    groups: Box<[Mutex<Group>]>,
    hasher: RandomState,
}

#[derive(Debug, Default, Clone, Copy)]
struct Group {
    places: [Place; NEIGHBOURS],
    /// When the bucket is full that those share who find no place.
    shared: u64,
}

/// An address, as its hash, and when its bucket is full.
#[derive(Debug, Default, Clone, Copy)]
struct Place {
    hash: u64,
    full: u64,
}

/// There is no token left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Empty {
    /// How long it takes until there is one.
    pub(super) wait: Duration,
    /// The address shares its bucket with others, for want of places.
    pub(super) is_shared: bool,
}

impl Addresses {
    /// Makes the buckets of so many addresses, or a few more.
    pub(super) fn new(rate: Rate, max: usize) -> Self {
        let groups = max.div_ceil(NEIGHBOURS).max(1);
        Self {
            rate,
            groups: (0..groups).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Takes a token of an address.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn take(&self, address: IpAddr, now: u64) -> Result<(), Empty> {
        let hash = self.hasher.hash_one(block(address));
        let group = usize::try_from(hash % self.groups.len() as u64).unwrap_or_default();
        // It is whole between any two calls, so also after a panic elsewhere.
        let mut group = self.groups[group]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Group { places, shared } = &mut *group;
        let own = places.iter().position(|place| place.hash == hash);
        let own = own.or_else(|| places.iter().position(|place| place.full <= now));
        let (full, is_shared) = match own {
            Some(own) => {
                let place = &mut places[own];
                place.hash = hash;
                (&mut place.full, false)
            }
            None => (shared, true),
        };
        match self.rate.take(*full, now) {
            Ok(taken) => {
                *full = taken;
                Ok(())
            }
            Err(wait) => Err(Empty { wait, is_shared }),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    #[test]
    fn each_address_has_a_bucket_of_its_own() {
        let addresses = Addresses::new(Rate::new(1, 2), 1024);
        for (text, is_taken) in [
            ("192.0.2.1", true),
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8::1", true),
            ("2001:db8::ffff:2", true),
            ("2001:db8::3", false),
            ("2001:db8:0:1::3", true),
        ] {
            let taken = addresses.take(text.parse().expect(text), 0);
            assert_eq!(taken.is_ok(), is_taken, "{text}");
        }
        let empty = addresses.take(address(0xc000_0201), SECOND / 4);
        let wait = Duration::from_millis(750);
        assert_eq!(
            empty,
            Err(Empty {
                wait,
                is_shared: false
            })
        );
        assert_eq!(addresses.take(address(0xc000_0201), SECOND), Ok(()));
    }

    #[test]
    fn who_has_used_up_his_bucket_gets_no_other_by_coming_from_everywhere() {
        let addresses = Addresses::new(Rate::new(1, 10), 64);
        let poor = address(0);
        while addresses.take(poor, 0).is_ok() {}
        let others = (1..10_000).map(|number| addresses.take(address(number), 0));
        let (taken, refused): (Vec<_>, Vec<_>) = others.partition(Result::is_ok);
        assert!(
            refused
                .iter()
                .all(|empty| empty.is_err_and(|empty| empty.is_shared))
        );
        // A place each, and what those share who found none.
        let groups = 64 / NEIGHBOURS;
        assert!(
            (64..64 + 10 * groups).contains(&taken.len()),
            "{}",
            taken.len()
        );
        let refused = addresses
            .take(poor, 0)
            .expect_err("it is as empty as before");
        assert!(!refused.is_shared);
    }

    #[test]
    fn a_place_is_free_again_once_its_bucket_is_full() {
        let addresses = Addresses::new(Rate::new(1, 5), NEIGHBOURS);
        let size = u32::try_from(NEIGHBOURS).expect("small");
        for now in [0, SECOND, 2 * SECOND] {
            for number in 0..size {
                let number = number + size * u32::try_from(now / SECOND).expect("small");
                let taken = addresses.take(address(number), now);
                assert_eq!(taken, Ok(()));
            }
        }
        let now = 3 * SECOND;
        for number in 100..100 + size {
            for _ in 0..5 {
                assert_eq!(
                    addresses.take(address(number), now),
                    Ok(()),
                    "it is its own"
                );
            }
        }
        let shared = (0..7).map(|number| addresses.take(address(200 + number), now));
        assert_eq!(
            shared.filter(Result::is_ok).count(),
            5,
            "one bucket for all"
        );
    }
}
