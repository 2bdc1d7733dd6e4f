//! The sessions of each user, as far as it is known who their clients are.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use dashmap::{DashMap, Entry};

use super::IdHasher;
use crate::bayeux::ClientId;
use crate::memory::{Budget, Kind, sizes};

/// A user's place, and what its name takes beside its bytes.
const USER: usize = 80;
/// A session's place among those of a user who has several.
const SESSION: usize = 32;

/// The users with at least one session.
#[derive(Debug, Default)]
pub(super) struct Users(DashMap<Box<str>, Ids>);

/// A user's sessions: mostly one, and of those of a program or a group account any number.
#[derive(Debug)]
enum Ids {
    One(ClientId),
    Many(HashSet<ClientId, BuildHasherDefault<IdHasher>>),
}

impl Users {
    /// Notes a session of a user.
    pub(super) fn add(&self, user: &str, id: ClientId, memory: &Budget) {
        let size = match self.0.entry(user.into()) {
            Entry::Vacant(entry) => {
                entry.insert(Ids::One(id));
                size(user)
            }
            Entry::Occupied(mut entry) => {
                entry.get_mut().insert(id);
                SESSION
            }
        };
        memory.add(Kind::Sessions, size);
    }

    /// Forgets a session of a user, and the user with the last; does nothing if it is not noted.
    pub(super) fn remove(&self, user: &str, id: ClientId, memory: &Budget) {
        let Entry::Occupied(mut entry) = self.0.entry(user.into()) else {
            return;
        };
        let ids = entry.get_mut();
        if !ids.contains(id) {
            return;
        }
        let size = if ids.len() == 1 {
            entry.remove();
            size(user)
        } else {
            ids.remove(id);
            SESSION
        };
        memory.sub(Kind::Sessions, size);
    }

    /// Returns the sessions of a user, in no order.
    pub(super) fn of(&self, user: &str) -> Vec<ClientId> {
        let ids = self.0.get(user);
        ids.map_or_else(Vec::new, |ids| ids.to_vec())
    }
}

impl Ids {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(ids) => ids.len(),
        }
    }

    fn contains(&self, id: ClientId) -> bool {
        match self {
            Self::One(only) => *only == id,
            Self::Many(ids) => ids.contains(&id),
        }
    }

    fn insert(&mut self, id: ClientId) {
        match self {
            Self::One(first) => {
                let both = [*first, id].into_iter().collect();
                *self = Self::Many(both);
            }
            Self::Many(ids) => {
                ids.insert(id);
            }
        }
    }

    /// Removes one of several.
    fn remove(&mut self, id: ClientId) {
        if let Self::Many(ids) = self {
            ids.remove(&id);
        }
    }

    fn to_vec(&self) -> Vec<ClientId> {
        match self {
            Self::One(id) => vec![*id],
            Self::Many(ids) => ids.iter().copied().collect(),
        }
    }
}

fn size(user: &str) -> usize {
    USER + sizes::block(user.len())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::bayeux::RandomId;

    fn id(number: u8) -> ClientId {
        ClientId(RandomId::from_random([number; 16]))
    }

    #[test]
    fn one_session_takes_no_more_room_for_the_sake_of_many() {
        assert_eq!(size_of::<(Box<str>, Ids)>(), 48);
    }

    proptest! {
        /// Sessions that begin and end in any order, one twice, one that is not there.
        #[test]
        fn it_has_those_that_have_not_ended(
            steps in prop::collection::vec((any::<bool>(), 0..3_usize, 0..6_u8), 0..200),
        ) {
            let (users, memory) = (Users::default(), Budget::default());
            let names = ["u1", "u2", ""];
            let mut model: BTreeMap<&str, BTreeSet<ClientId>> = BTreeMap::new();
            for (begins, user, number) in steps {
                let user = names[user];
                // A session is of one user.
                if model.iter().any(|(other, ids)| *other != user && ids.contains(&id(number))) {
                    continue;
                }
                let ids = model.entry(user).or_default();
                if begins && ids.insert(id(number)) {
                    users.add(user, id(number), &memory);
                } else if !begins {
                    ids.remove(&id(number));
                    users.remove(user, id(number), &memory);
                }
            }
            model.retain(|_, ids| !ids.is_empty());
            prop_assert_eq!(users.0.len(), model.len());
            for (user, ids) in &model {
                let found: BTreeSet<_> = users.of(user).into_iter().collect();
                prop_assert_eq!(&found, ids);
            }
            for (user, ids) in model {
                for id in ids {
                    users.remove(user, id, &memory);
                }
            }
            prop_assert!(users.0.is_empty(), "nothing is kept of who has no session");
            prop_assert_eq!(memory.of(Kind::Sessions), 0, "nor counted");
        }
    }
}
