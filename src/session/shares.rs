//! How many sessions each user and each address has, as far as that is limited.

use core::net::IpAddr;
use std::hash::Hash;

use dashmap::{DashMap, Entry};

use super::Settings;
use crate::access::Subject;
use crate::metrics::Limit;
use crate::network::block;

/// The users and the addresses with at least one session. There are no more of them than sessions.
#[derive(Debug, Default)]
pub struct Shares {
    users: Counts<Box<str>>,
    addresses: Counts<IpAddr>,
}

/// As whose a session counts; nothing of it if that is not limited.
#[derive(Debug, PartialEq, Eq)]
pub struct Share {
    user: Option<Box<str>>,
    address: Option<IpAddr>,
}

impl Shares {
    /// Counts one more session of somebody; nothing if neither is limited, or neither is known.
    ///
    /// # Errors
    /// The user, or the address, has as many as it may.
    pub fn add(&self, subject: &Subject, settings: &Settings) -> Result<Option<Box<Share>>, Limit> {
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
        if !self.users.add(user.as_ref(), of_user) {
            return Err(Limit::MaxSessionsPerUser);
        }
        if !self.addresses.add(address.as_ref(), of_address) {
            self.users.remove(user.as_ref());
            return Err(Limit::MaxSessionsPerAddress);
        }
        Ok(Some(Box::new(Share { user, address })))
    }

    /// Counts one session less.
    pub fn remove(&self, share: &Share) {
        self.users.remove(share.user.as_ref());
        self.addresses.remove(share.address.as_ref());
    }
}

#[derive(Debug)]
struct Counts<K: Eq + Hash>(DashMap<K, usize>);

impl<K: Clone + Eq + Hash> Counts<K> {
    /// Counts one more, unless there are `max`.
    fn add(&self, key: Option<&K>, max: Option<usize>) -> bool {
        let Some((key, max)) = key.zip(max) else {
            return true;
        };
        let mut count = self.0.entry(key.clone()).or_insert(0);
        let has_room = *count < max;
        if has_room {
            *count += 1;
        }
        has_room
    }

    /// Counts one less, and forgets who has none.
    fn remove(&self, key: Option<&K>) {
        let Some(key) = key else { return };
        if let Entry::Occupied(mut entry) = self.0.entry(key.clone()) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
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
}
