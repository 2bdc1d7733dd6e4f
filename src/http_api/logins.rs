//! Who has logged in to the operator's page, by the token in the browser's cookie. It is kept in memory, and of the token
//! only its hash.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::LoginSettings;
use crate::authentication::api_keys::{self, Digest};
use crate::authentication::operators::{Operator, Operators};

/// How many passwords may wait for their check.
const MAX_CHECKS: usize = 64;

/// Those who have logged in.
#[derive(Debug)]
pub(super) struct Logins {
    by_token: Mutex<HashMap<Digest, Arc<Login>>>,
    checks: Semaphore,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Login {
    /// The user's name.
    pub(super) user: String,
    /// The password that was right.
    password: Digest,
    begun: Instant,
    until: Instant,
    has_ended: AtomicBool,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            by_token: Mutex::default(),
            checks: Semaphore::new(MAX_CHECKS),
        }
    }
}

impl Logins {
    /// Asks whether one more password may wait for its check.
    pub(super) fn may_check(&self) -> Option<SemaphorePermit<'_>> {
        self.checks.try_acquire().ok()
    }

    /// Begins one, and returns its token, and whether the oldest has ended for it.
    pub(super) fn begin(
        &self,
        user: String,
        operator: &Operator,
        settings: &LoginSettings,
        now: Instant,
    ) -> (String, bool) {
        let token = api_keys::make();
        let login = Arc::new(Login {
            user,
            password: operator.password,
            begun: now,
            until: now + settings.login_lifetime,
            has_ended: AtomicBool::new(false),
        });
        let mut logins = self.lock();
        logins.retain(|_, login| login.until > now);
        let mut is_full = false;
        while logins.len() >= settings.max_logins.max(1) {
            let oldest = logins.iter().min_by_key(|(_, login)| login.begun);
            let Some(oldest) = oldest.map(|(token, _)| *token) else {
                break;
            };
            let ended = logins.remove(&oldest);
            ended.inspect(|login| login.has_ended.store(true, Relaxed));
            is_full = true;
        }
        logins.insert(Digest::of(token.as_bytes()), login);
        (token, is_full)
    }

    /// Finds that of a token.
    pub(super) fn find(&self, token: &str) -> Option<Arc<Login>> {
        self.lock().get(&Digest::of(token.as_bytes())).cloned()
    }

    /// Ends that of a token.
    pub(super) fn end(&self, token: &str) -> Option<Arc<Login>> {
        let ended = self.lock().remove(&Digest::of(token.as_bytes()));
        ended.inspect(|login| login.has_ended.store(true, Relaxed))
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Login>>> {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Login {
    /// Returns who it is, if it counts: its user is there and has the same password, it is not too old, and was not ended.
    pub(super) fn operator<'o>(
        &self,
        operators: &'o Operators,
        now: Instant,
    ) -> Option<&'o Operator> {
        let operator = operators.find(&self.user)?;
        let counts = !self.has_ended.load(Relaxed)
            && now < self.until
            && operator.password.is(&self.password);
        counts.then_some(operator)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::authentication::operators::User;
    use crate::authentication::passwords;
    use crate::bayeux::Limits;

    const HASH: &str =
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$IDCc8b1lFtJSm8e5FmcQyPDVKJ1ZECzHkxyJ5TRXdFo";

    fn operators(hash: &str) -> Operators {
        let user = User {
            name: "ada".to_owned(),
            password_hash: hash.to_owned(),
            allow: vec![api_keys::Permission::Admin],
            ..User::default()
        };
        let settings = passwords::Settings::default();
        Operators::new(&[user], &settings, &Limits::default(), Arc::default()).expect("operators")
    }

    fn begin(logins: &Logins, operators: &Operators, now: Instant) -> (String, bool) {
        let settings = LoginSettings {
            login_lifetime: Duration::from_secs(10),
            max_logins: 2,
        };
        let operator = operators.find("ada").expect("ada");
        logins.begin("ada".to_owned(), operator, &settings, now)
    }

    #[test]
    fn a_login_counts_for_its_time_with_its_password_until_it_ends() {
        let (logins, now) = (Logins::default(), Instant::now());
        let ada = operators(HASH);
        let (token, _) = begin(&logins, &ada, now);
        let login = logins.find(&token).expect("the login");
        let counts = |operators: &Operators, seconds| {
            let then = now + Duration::from_secs(seconds);
            login.operator(operators, then).is_some()
        };
        assert!(counts(&ada, 9) && !counts(&ada, 10));
        let other = HASH.replace("c29tZXNhbHQ", "b3RoZXJzYWx0");
        assert!(!counts(&operators(&other), 0), "she has another password");
        let nobody = Operators::new(
            &[],
            &passwords::Settings::default(),
            &Limits::default(),
            Arc::default(),
        );
        assert!(!counts(&nobody.expect("nobody"), 0));
        assert!(logins.find("mirant_x").is_none() && logins.end("mirant_x").is_none());
        assert!(logins.end(&token).is_some() && logins.find(&token).is_none());
        assert!(!counts(&ada, 0), "who has found it before is told");
    }

    #[test]
    fn of_too_many_the_oldest_ends() {
        let (logins, now, ada) = (Logins::default(), Instant::now(), operators(HASH));
        let at = |seconds| begin(&logins, &ada, now + Duration::from_secs(seconds));
        let (first, second) = (at(0), at(1));
        assert!(!first.1 && !second.1);
        let third = at(2);
        assert!(third.1 && logins.find(&first.0).is_none());
        assert!(logins.find(&second.0).is_some() && logins.find(&third.0).is_some());
        // Those whose time is over make room by themselves.
        assert!(!at(12).1 && logins.find(&second.0).is_none());
    }
}
