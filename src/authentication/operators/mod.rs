//! Who may log in to the operator's page with a password, and what they may do then. Wrong passwords are slowed down as
//! those of clients are, but counted apart: who guesses at clients keeps no operator waiting.

pub mod settings;

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::Arc;

use super::api_keys::settings::{name_fix, rights_problems};
use super::api_keys::{Digest, Permission, Rights};
use super::passwords::{self, Passwords};
use super::{Check, Problem};
use crate::access::Identity;
use crate::bayeux::Limits;
use crate::metrics::Metrics;
pub use settings::User;

/// What the configuration calls the list.
const LIST: &str = "admin.user";

/// Who may log in.
#[derive(Debug)]
pub struct Operators {
    passwords: Passwords,
    by_name: HashMap<String, Operator>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Operator {
    /// What it may do.
    pub rights: Arc<Rights>,
    /// Which password it has: another one has another.
    pub password: Digest,
}

impl Operators {
    /// Takes the users.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(
        users: &[User],
        settings: &passwords::Settings,
        limits: &Limits,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Vec<Problem>> {
        let problems = problems(users, settings, limits);
        if !problems.is_empty() {
            return Err(problems);
        }
        let operators = users.iter().map(|user| {
            let mut rights = Rights::new(LIST, &user.name, &user.allow, &user.channels, limits);
            rights.identity = Arc::new(Identity {
                user: user.name.clone(),
                ..Identity::default()
            });
            let operator = Operator {
                rights: Arc::new(rights),
                password: Digest::of(user.password_hash.as_bytes()),
            };
            (user.name.clone(), operator)
        });
        Ok(Self {
            passwords: Passwords::new(&with_passwords(users), settings, metrics)?,
            by_name: operators.collect(),
        })
    }

    /// Returns them with what others have of wrong passwords, if that is bounded alike; to be called before any is checked.
    #[must_use]
    pub fn going_on_from(mut self, before: &Self) -> Self {
        self.passwords.go_on_from(&before.passwords);
        self
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Checks a password, to be awaited within a Tokio runtime.
    #[must_use]
    pub fn check(&self, user: &str, password: &str, address: Option<IpAddr>) -> Check {
        self.passwords.check(user, password, address)
    }

    /// Finds one by name.
    #[must_use]
    pub fn find(&self, user: &str) -> Option<&Operator> {
        self.by_name.get(user)
    }
}

/// Lists what is wrong with users.
#[must_use]
pub fn problems(users: &[User], settings: &passwords::Settings, limits: &Limits) -> Vec<Problem> {
    let of_passwords = Passwords::problems(&with_passwords(users), settings);
    let mut problems: Vec<Problem> = of_passwords.into_iter().map(of_list).collect();
    for (index, user) in users.iter().enumerate().take(passwords::MAX_USERS) {
        let mut refuse = |name: &str, value: String, fix: &str| {
            problems.push(Problem::new(format!("{LIST}[{index}].{name}"), value, fix));
        };
        // That it is missing is said already.
        if let Some(fix) = name_fix(&user.name).filter(|_| !user.name.is_empty()) {
            let value = serde_json::Value::from(&*user.name).to_string();
            refuse("name", value, &fix);
        }
        for (name, value, fix) in rights_problems(&user.allow, &user.channels, limits) {
            refuse(name, value, fix);
        }
        if user.allow.contains(&Permission::Calls) {
            let fix = "calls are taken by application servers, with an [[api.key]]";
            refuse("allow", "\"calls\"".to_owned(), fix);
        }
    }
    problems
}

/// Returns what there is to check of them.
fn with_passwords(users: &[User]) -> Vec<passwords::User> {
    let users = users.iter().map(|user| passwords::User {
        name: user.name.clone(),
        password_hash: user.password_hash.clone(),
        ..passwords::User::default()
    });
    users.collect()
}

/// Names an entry by the list in which it stands.
fn of_list(problem: Problem) -> Problem {
    Problem {
        key: format!("admin.{}", problem.key),
        ..problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_that_cannot_be_used_are_told_what_to_do() {
        let hash =
            "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$IDCc8b1lFtJSm8e5FmcQyPDVKJ1ZECzHkxyJ5TRXdFo";
        let good = format!("name = 'a'\npassword_hash = '{hash}'\nallow = ['admin']");
        let cases: [(&str, &[&str]); 5] = [
            (&good, &[]),
            (
                "",
                &[
                    "admin.user[0].name = \"\": must not be empty",
                    "admin.user[0].password_hash = \"\": is no hash of Argon2",
                    "admin.user[0].allow = []: name at least one of",
                ],
            ),
            (
                &good.replace("'a'", "\"a\\n\""),
                &["admin.user[0].name = \"a\\n\": must not hold control"],
            ),
            (
                &good.replace("'admin'", "'read', 'calls'"),
                &["admin.user[0].allow = \"calls\": calls are taken by application servers"],
            ),
            (
                &format!("{good}\nchannels = ['chat', '/meta/*']"),
                &[
                    "admin.user[0].channels = \"chat\": must be a channel",
                    "admin.user[0].channels = \"/meta/*\": ",
                ],
            ),
        ];
        for (entry, expected) in cases {
            let user: User = toml::from_str(entry).expect(entry);
            assert!(!format!("{user:?}").contains("argon2"), "{user:?}");
            let problems = problems(&[user], &passwords::Settings::default(), &Limits::default());
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(problems.len(), expected.len(), "{entry}: {problems:?}");
            for (problem, expected) in problems.iter().zip(expected) {
                assert!(problem.starts_with(expected), "{problem}");
            }
        }
    }
}
