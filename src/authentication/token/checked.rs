//! Tokens whose signature has been checked: what a bearer sends with each request is checked once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

use crate::access::Identity;

/// A token's name: two tokens that differ do not have the same.
type Name = [u8; 32];

/// Who showed a token, and what made it genuine.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Who it is.
    pub(super) identity: Arc<Identity>,
    /// The number of its issuer.
    pub(super) issuer: usize,
    /// Which keys the issuer had.
    pub(super) generation: u64,
}

/// The last tokens that were used, at most so many. They are kept by halves: once the young one is full,
/// it becomes the old one, and what was not used since is forgotten.
pub(super) struct Checked {
    half: usize,
    halves: Mutex<Halves>,
}

#[derive(Default)]
struct Halves {
    young: HashMap<Name, Entry>,
    old: HashMap<Name, Entry>,
}

impl Checked {
    pub(super) fn new(max: usize) -> Self {
        Self {
            half: max.div_ceil(2),
            halves: Mutex::default(),
        }
    }

    /// Finds a token.
    pub(super) fn find(&self, token: &str) -> Option<Entry> {
        let name = name(token);
        let mut halves = self.lock();
        if let Some(entry) = halves.young.get(&name) {
            return Some(entry.clone());
        }
        let entry = halves.old.remove(&name)?;
        halves.insert(name, entry.clone(), self.half);
        Some(entry)
    }

    /// Keeps a token.
    pub(super) fn insert(&self, token: &str, entry: Entry) {
        self.lock().insert(name(token), entry, self.half);
    }

    /// Forgets a token.
    pub(super) fn remove(&self, token: &str) {
        let name = name(token);
        let mut halves = self.lock();
        halves.young.remove(&name);
        halves.old.remove(&name);
    }

    fn lock(&self) -> MutexGuard<'_, Halves> {
        // Entries are whole whatever happened to who put them there.
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Halves {
    fn insert(&mut self, name: Name, entry: Entry, half: usize) {
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, entry);
    }
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked").finish_non_exhaustive()
    }
}

fn name(token: &str) -> Name {
    let mut name = Name::default();
    name.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            identity: Arc::default(),
            issuer: 0,
            generation: 0,
        }
    }

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let checked = Checked::new(10);
        checked.insert("used", entry());
        for index in 0..100 {
            checked.insert(&index.to_string(), entry());
            assert!(checked.find("used").is_some(), "{index}");
            let halves = checked.lock();
            assert!(halves.young.len() + halves.old.len() <= 10);
        }
        assert!(checked.find("0").is_none());
        assert!(checked.find("99").is_some());
        checked.remove("99");
        assert!(checked.find("99").is_none());
    }
}
