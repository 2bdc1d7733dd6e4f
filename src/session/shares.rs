//! How many sessions each user and each address has, as far as that is limited.

mod shared_counts;

use core::net::IpAddr;
use std::hash::Hash;

use dashmap::{DashMap, Entry};

pub use self::shared_counts::{SharedCounts, Sharer};
use super::Settings;
use crate::access::Subject;
use crate::metrics::Limit;
use crate::network::block;

/// The users and the addresses with at least one session. There are no more of them than sessions.
#[derive(Debug, Default)]
pub struct Shares {
    users: Counts<Box<str>>,
    addresses: Counts<IpAddr>,
    /// What the other nodes of a cluster are to hear.
    shared: Option<SharedCounts>,
}

/// As whose a session counts; nothing of it if that is not limited.
#[derive(Debug, PartialEq, Eq)]
pub struct Share {
    user: Option<Box<str>>,
    address: Option<IpAddr>,
}

impl Shares {
    /// Makes those of a node of a cluster, if anything is limited: what all nodes have counts.
    #[must_use]
    pub fn across_nodes(settings: &Settings) -> Self {
        let is_limited =
            settings.max_sessions_per_user.is_some() || settings.max_sessions_per_address.is_some();
        Self {
            shared: is_limited.then(SharedCounts::default),
            ..Self::default()
        }
    }

    /// Counts one more session of somebody; nothing if neither is limited, or neither is known.
    ///
    /// # Errors
    /// The user, or the address, has as many as it may.
    pub fn add(&self, subject: &Subject, settings: &Settings) -> Result<Option<Box<Share>>, Limit> {
        self.add_to(subject, settings, true)
    }

    /// Does so with a session that was there before, at whatever node: it counts there, too, until that lets it go.
    ///
    /// # Errors
    /// The user, or the address, has as many here as it may.
    pub fn add_again(
        &self,
        subject: &Subject,
        settings: &Settings,
    ) -> Result<Option<Box<Share>>, Limit> {
        self.add_to(subject, settings, false)
    }

    fn add_to(
        &self,
        subject: &Subject,
        settings: &Settings,
        of_all: bool,
    ) -> Result<Option<Box<Share>>, Limit> {
        let (of_user, of_address) = (
            settings.max_sessions_per_user,
            settings.max_sessions_per_address,
        );
        let identity = subject.identity.as_ref().filter(|_| of_user.is_some());
        // Who has no name is not known to be one and the same.
        let identity = identity.filter(|identity| !identity.user.is_empty());
        let user = identity.map(|identity| identity.user.as_str().into());
        let address = subject.address.filter(|_| of_address.is_some()).map(block);
        if user.is_none() && address.is_none() {
            return Ok(None);
        }
        let share = Share { user, address };
        let has_room = self.users.add(share.user.as_ref(), of_user, of_all);
        if !has_room {
            self.note(&share);
            return Err(Limit::MaxSessionsPerUser);
        }
        if !self
            .addresses
            .add(share.address.as_ref(), of_address, of_all)
        {
            self.users.remove(share.user.as_ref());
            self.note(&share);
            return Err(Limit::MaxSessionsPerAddress);
        }
        self.note(&share);
        Ok(Some(Box::new(share)))
    }

    /// Counts one session less.
    pub fn remove(&self, share: &Share) {
        self.users.remove(share.user.as_ref());
        self.addresses.remove(share.address.as_ref());
        self.note(share);
    }

    /// Has the others told what there is now, and asked what they have.
    fn note(&self, share: &Share) {
        if let Some(shared) = &self.shared {
            let user = share.user.clone().map(Sharer::User);
            let address = share.address.map(Sharer::Address);
            shared.note(user.into_iter().chain(address));
        }
    }

    /// Returns what the other nodes are to hear, if there are any and something is limited.
    #[must_use]
    pub fn shared(&self) -> Option<&SharedCounts> {
        self.shared.as_ref()
    }

    /// Returns how many sessions somebody has here.
    #[must_use]
    pub fn count(&self, sharer: &Sharer) -> usize {
        match sharer {
            Sharer::User(user) => self.users.here(user),
            Sharer::Address(address) => self.addresses.here(address),
        }
    }

    /// Notes how many sessions somebody has at other nodes, if there are any here.
    pub fn learn(&self, sharer: &Sharer, elsewhere: usize) {
        match sharer {
            Sharer::User(user) => self.users.learn(user, elsewhere),
            Sharer::Address(address) => self.addresses.learn(address, elsewhere),
        }
    }

    /// Has the others told again what there is.
    pub fn tell_again(&self) {
        if let Some(shared) = &self.shared {
            shared.note(self.users.keys().into_iter().map(Sharer::User));
            shared.note(self.addresses.keys().into_iter().map(Sharer::Address));
        }
    }
}

#[derive(Debug)]
struct Counts<K: Eq + Hash>(DashMap<K, Count>);

/// How many sessions somebody has, here, and as far as is known at other nodes.
#[derive(Debug, Default)]
struct Count {
    here: usize,
    elsewhere: usize,
}

impl<K: Clone + Eq + Hash> Counts<K> {
    /// Counts one more, unless there are `max`: of all nodes, or here.
    fn add(&self, key: Option<&K>, max: Option<usize>, of_all: bool) -> bool {
        let Some((key, max)) = key.zip(max) else {
            return true;
        };
        let mut count = self.0.entry(key.clone()).or_default();
        let elsewhere = if of_all { count.elsewhere } else { 0 };
        let has_room = count.here + elsewhere < max;
        if has_room {
            count.here += 1;
        }
        has_room
    }

    /// Counts one less, and forgets who has none.
    fn remove(&self, key: Option<&K>) {
        let Some(key) = key else { return };
        if let Entry::Occupied(mut entry) = self.0.entry(key.clone()) {
            entry.get_mut().here -= 1;
            if entry.get().here == 0 {
                entry.remove();
            }
        }
    }

    fn here(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, |count| count.here)
    }

    fn learn(&self, key: &K, elsewhere: usize) {
        if let Some(mut count) = self.0.get_mut(key) {
            count.elsewhere = elsewhere;
        }
    }

    fn keys(&self) -> Vec<K> {
        self.0.iter().map(|entry| entry.key().clone()).collect()
    }
}

impl<K: Eq + Hash> Default for Counts<K> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::access::Identity;

    fn subject(user: Option<&str>, address: Option<&str>) -> Subject {
        let identity = user.map(|user| {
            Arc::new(Identity {
                user: user.to_owned(),
                ..Identity::default()
            })
        });
        Subject {
            identity,
            address: address.map(|address| address.parse().expect(address)),
        }
    }

    fn settings(of_user: Option<usize>, of_address: Option<usize>) -> Settings {
        Settings {
            max_sessions_per_user: of_user,
            max_sessions_per_address: of_address,
            ..Settings::default()
        }
    }

    #[test]
    fn who_is_the_same_shares_a_number_of_sessions() {
        let (user, address) = (
            Some(Limit::MaxSessionsPerUser),
            Some(Limit::MaxSessionsPerAddress),
        );
        let (u, v) = (Some("u"), Some("v"));
        let (one, two) = (Some(1), Some(2));
        let cases = [
            ((one, None), (u, None), (u, None), user),
            ((one, None), (u, None), (v, None), None),
            ((one, None), (None, None), (None, None), None),
            ((one, None), (Some(""), None), (Some(""), None), None),
            ((two, None), (u, None), (u, None), None),
            ((None, None), (u, Some("::1")), (u, Some("::1")), None),
            (
                (None, one),
                (u, Some("192.0.2.1")),
                (v, Some("192.0.2.1")),
                address,
            ),
            (
                (None, one),
                (u, Some("192.0.2.1")),
                (u, Some("192.0.2.2")),
                None,
            ),
            (
                (None, one),
                (u, Some("192.0.2.1")),
                (u, Some("::ffff:192.0.2.1")),
                address,
            ),
            (
                (None, one),
                (u, Some("2001:db8::1")),
                (u, Some("2001:db8::f:1")),
                address,
            ),
            (
                (None, one),
                (u, Some("2001:db8::1")),
                (u, Some("2001:db8:0:1::1")),
                None,
            ),
            ((one, one), (u, Some("::1")), (u, Some("::1")), user),
            ((None, one), (u, None), (u, None), None),
        ];
        for ((of_user, of_address), first, second, expected) in cases {
            let (shares, settings) = (Shares::default(), settings(of_user, of_address));
            let add = |(user, address)| shares.add(&subject(user, address), &settings);
            let shown = format!("{of_user:?} {of_address:?} {first:?} {second:?}");
            let share = add(first).expect("there is room");
            assert_eq!(add(second).err(), expected, "{shown}");
            if let Some(share) = share.filter(|_| expected.is_some()) {
                shares.remove(&share);
                assert!(add(second).is_ok(), "{shown}: there is room again");
            }
        }
    }

    #[test]
    fn nothing_is_kept_of_who_has_no_session() {
        let (shares, settings) = (Shares::default(), settings(Some(2), Some(1)));
        let add = |user, address| shares.add(&subject(Some(user), Some(address)), &settings);
        let share = add("u", "192.0.2.1").expect("room").expect("it counts");
        assert_eq!(add("v", "192.0.2.1"), Err(Limit::MaxSessionsPerAddress));
        shares.remove(&share);
        assert!(shares.users.0.is_empty(), "also not of who was refused");
        assert!(shares.addresses.0.is_empty());
    }

    #[test]
    fn what_other_nodes_have_counts_as_far_as_it_is_known() {
        let settings = settings(Some(3), None);
        let shares = Shares::across_nodes(&settings);
        let shared = shares.shared().expect("it is limited");
        let add = || shares.add(&subject(Some("u"), None), &settings);
        let sharer = Sharer::User("u".into());
        let first = add().expect("room").expect("it counts");
        assert_eq!(shared.take(9), std::slice::from_ref(&sharer));
        assert_eq!(shares.count(&sharer), 1);
        shares.learn(&sharer, 2);
        assert_eq!(add(), Err(Limit::MaxSessionsPerUser));
        assert_eq!(shared.take(9), std::slice::from_ref(&sharer), "again");
        // One that moves here counts at its last node yet.
        let moved = shares.add_again(&subject(Some("u"), None), &settings);
        let moved = moved.expect("room").expect("it counts");
        shares.learn(&sharer, 0);
        add().expect("room");
        for share in [&first, &moved] {
            shares.remove(share);
        }
        assert_eq!(shares.count(&sharer), 1);
        assert_eq!(shared.take(9), [sharer]);
        assert_eq!(shared.take(9), []);
        assert!(
            Shares::across_nodes(&Settings::default())
                .shared()
                .is_none()
        );
    }
}
