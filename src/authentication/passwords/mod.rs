//! Users that the configuration names, by their passwords.
//!
//! To check one takes time and memory on purpose, so it is done on threads for what blocks, a few at a time;
//! a user who does not exist costs as much as one who does. Who was wrong too often has to wait
//! (see `attempts.rs`), and what waits for its turn is asked again by then: of many guesses at once few get
//! further.

mod attempts;
mod hash;
mod pending;
pub mod settings;

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::{Check, Fault, Known, Problem};
use crate::access::Identity;
use crate::bayeux::BayeuxError;
use crate::metrics::{Metrics, Notice, PasswordOutcome};
use attempts::{Attempts, Bounds, Who};
use hash::Hash;
pub use hash::{Cost, CostError, MAX_LANES, MAX_PASSES, hash};
use pending::PendingChecks;
pub use settings::{Claim, Settings, User};

/// When to try again whose user has many checks waiting.
const RETRY: Duration = Duration::from_secs(1);

/// Far more than what is written by hand.
pub const MAX_USERS: usize = 10_000;

/// The users, and who guesses at their passwords.
#[derive(Debug)]
pub struct Passwords {
    inner: Arc<Inner>,
    /// A place for each check that goes on.
    places: Arc<Semaphore>,
    /// Those that wait for one too.
    pending: PendingChecks,
    max_length: usize,
}

#[derive(Debug)]
struct Inner {
    users: Vec<Entry>,
    by_name: HashMap<String, usize>,
    attempts: Arc<Attempts>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Entry {
    hash: Hash,
    known: Known,
}

impl Passwords {
    /// Takes the users.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(
        users: &[User],
        settings: &Settings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Vec<Problem>> {
        let entries = entries(users, settings)?;
        let names = users.iter().map(|user| user.name.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                by_name: names.zip(0..).collect(),
                users: entries,
                attempts: Arc::new(Attempts::new(Bounds {
                    free: settings.wrong_passwords,
                    max_delay: settings.max_password_delay,
                    max_kept: settings.max_wrong_passwords,
                })),
                metrics,
            }),
            pending: PendingChecks::default(),
            places: Arc::new(Semaphore::new(
                settings.max_password_checks.min(Semaphore::MAX_PERMITS),
            )),
            max_length: settings.max_password_length,
        })
    }

    /// Remembers what others have of wrong passwords, if that is bounded alike; to be called before any is checked.
    pub(super) fn go_on_from(&mut self, before: &Self) {
        if let Some(inner) = Arc::get_mut(&mut self.inner)
            && inner.attempts.are_like(&before.inner.attempts)
        {
            inner.attempts = Arc::clone(&before.inner.attempts);
        }
    }

    /// Lists what is wrong with users.
    #[must_use]
    pub fn problems(users: &[User], settings: &Settings) -> Vec<Problem> {
        entries(users, settings).err().unwrap_or_default()
    }

    /// Tells whether there are no users.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.users.is_empty()
    }

    /// Checks a password. Those that wait for their turn are bounded by whoever waits for them.
    ///
    /// To be awaited within a Tokio runtime.
    #[must_use]
    pub fn check(&self, user: &str, password: &str, address: Option<IpAddr>) -> Check {
        if self.is_empty() {
            return Fault::from(BayeuxError::PasswordInvalid).into();
        }
        if password.len() > self.max_length {
            let detail = "authentication.max_password_length".into();
            let fault = Fault::from(BayeuxError::CredentialsMalformed);
            return Fault { detail, ..fault }.into();
        }
        let who = self.inner.attempts.who(user, address);
        if let Err(fault) = self.inner.may_try(who) {
            return fault.into();
        }
        let Some(entered) = self.pending.enter(who.pair()) else {
            self.inner.metrics.password(PasswordOutcome::Delayed);
            return too_many(RETRY).into();
        };
        let (user, password) = (user.to_owned(), password.to_owned());
        let (inner, places) = (Arc::clone(&self.inner), Arc::clone(&self.places));
        Check::Pending(Box::pin(async move {
            let place = places.acquire_owned().await;
            // It goes on if the client goes away, and holds its place until it is over.
            let checked = tokio::task::spawn_blocking(move || {
                let (_place, _entered) = (place, entered);
                inner.check(&user, &password, who, address)
            });
            let failed = |_| Err(BayeuxError::ExtensionFailed.into());
            checked.await.unwrap_or_else(failed)
        }))
    }
}

impl Inner {
    /// Checks a password; takes long.
    fn check(
        &self,
        user: &str,
        password: &str,
        who: Who,
        address: Option<IpAddr>,
    ) -> Result<Known, Fault> {
        self.may_try(who)?;
        let entry = self.by_name.get(user).map(|index| &self.users[*index]);
        let is_right = match entry {
            Some(entry) => entry.hash.is_of(password),
            None => {
                // The same one each time, so that hashes of different costs tell nothing either.
                let number = self.attempts.number((3, user));
                let count = self.users.len() as u64;
                let index = usize::try_from(number % count).unwrap_or(0);
                self.users[index].hash.is_of(password);
                false
            }
        };
        self.attempts.note(who, is_right, Instant::now());
        match entry.filter(|_| is_right) {
            Some(entry) => {
                self.metrics.password(PasswordOutcome::Right);
                Ok(entry.known.clone())
            }
            None => {
                self.metrics.password(PasswordOutcome::Wrong);
                // A name that is nobody's may be a password in the wrong place.
                self.tell(entry.map(|_| user), address);
                Err(BayeuxError::PasswordInvalid.into())
            }
        }
    }

    fn may_try(&self, who: Who) -> Result<(), Fault> {
        match self.attempts.wait(who, Instant::now()) {
            None => Ok(()),
            Some(wait) => {
                self.metrics.password(PasswordOutcome::Delayed);
                Err(too_many(wait))
            }
        }
    }

    fn tell(&self, user: Option<&str>, address: Option<IpAddr>) {
        if let Some(permit) = self.metrics.may_log(Notice::Password) {
            tracing::info!(
                user,
                address = address.map(tracing::field::display),
                suppressed = permit.suppressed,
                "a password was wrong"
            );
        }
    }
}

/// Tells how long to wait, in whole milliseconds.
fn too_many(wait: Duration) -> Fault {
    let milliseconds = wait.as_nanos().div_ceil(1_000_000);
    let retry = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX));
    Fault {
        error: BayeuxError::TooManyAttempts,
        detail: milliseconds.to_string().into(),
        retry: Some(retry),
    }
}

fn entries(users: &[User], settings: &Settings) -> Result<Vec<Entry>, Vec<Problem>> {
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    if users.len() > MAX_USERS {
        let fix = format!("there may be at most {MAX_USERS} users; ask a webhook for more");
        problems.push(Problem::new("user", "[…]", fix));
    }
    let mut names = HashMap::new();
    for (index, user) in users.iter().enumerate().take(MAX_USERS) {
        let key = |name: &str| format!("user[{index}].{name}");
        let name = serde_json::Value::from(&*user.name).to_string();
        if user.name.is_empty() {
            problems.push(Problem::new(key("name"), &*name, "must not be empty"));
        } else if let Some(other) = names.insert(&user.name, index) {
            let fix = format!("user[{other}] has the same name");
            problems.push(Problem::new(key("name"), &*name, fix));
        }
        match Hash::parse(&user.password_hash, settings.max_password_memory) {
            Ok(hash) => entries.push(Entry {
                hash,
                known: identity(user).into(),
            }),
            Err(fix) => {
                let value = if user.password_hash.is_empty() {
                    "\"\""
                } else {
                    "\"…\""
                };
                problems.push(Problem::new(key("password_hash"), value, fix));
            }
        }
    }
    if problems.is_empty() {
        Ok(entries)
    } else {
        Err(problems)
    }
}

fn identity(user: &User) -> Identity {
    let claims = user.claims.iter().flat_map(|(name, claim)| {
        let values = claim.values().iter();
        values.map(|value| (name.clone(), value.clone()))
    });
    Identity {
        user: user.name.clone(),
        roles: user.roles.clone(),
        claims: claims.collect(),
        grants: Vec::new(),
        expires: None,
    }
}

#[cfg(test)]
mod tests;
