//! The `[[hook]]` entries.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::backoff::Backoff;
use super::delivery::Bounds;
use crate::authentication::{Problem, Secret};
use crate::lifecycle::Kind;
use crate::outbound::{self, Destinations};

/// How many hooks there may be.
pub const MAX_HOOKS: usize = 100;

/// Longer than anything meant in earnest.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// One `[[hook]]` entry: an application that is called by HTTP.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hook {
    /// Where it is.
    pub url: String,
    /// What requests are signed with, each of them.
    pub secrets: Vec<Secret>,
    /// The service channels whose calls it answers, or patterns of them.
    pub calls: Vec<String>,
    /// The events that it is told.
    pub events: Vec<Kind>,
    /// The channels, or patterns of them, of whose events it is told.
    pub channels: Vec<String>,
    /// Whether it may be at an address that is not public.
    pub allow_private: bool,
    /// How long an answer is waited for; that to a call from when the call came.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How many calls are under way at once.
    pub max_concurrent: usize,
    /// How many wait to be; what is above it is refused at once.
    pub max_waiting: usize,
    /// How many calls of one session are under way or wait.
    pub max_calls_per_session: usize,
    /// The size of an answer.
    pub max_answer_size: ByteSize,
    /// How many messages an answer may have published.
    pub max_publishes: usize,
    /// How many events wait to be sent.
    pub max_queue: usize,
    /// How many are sent together.
    pub max_batch: usize,
    /// How long an event waits for others to go with.
    #[serde(with = "humantime_serde")]
    pub batch_wait: Duration,
    /// How long it is waited at least until something is sent again.
    #[serde(with = "humantime_serde")]
    pub min_backoff: Duration,
    /// How long it is waited at most.
    #[serde(with = "humantime_serde")]
    pub max_backoff: Duration,
    /// How old an event may be.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            url: String::new(),
            secrets: Vec::new(),
            calls: Vec::new(),
            events: Vec::new(),
            channels: vec!["/**".to_owned()],
            allow_private: false,
            timeout: Duration::from_secs(10),
            max_concurrent: 64,
            max_waiting: 1000,
            max_calls_per_session: 100,
            max_answer_size: ByteSize::kib(64),
            max_publishes: 100,
            max_queue: 10_000,
            max_batch: 100,
            batch_wait: Duration::from_millis(100),
            min_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(60),
            max_age: Duration::from_secs(60 * 60),
        }
    }
}

impl Hook {
    /// Where its requests may go.
    #[must_use]
    pub fn destinations(&self) -> Destinations {
        if self.allow_private {
            Destinations::Any
        } else {
            Destinations::Public
        }
    }

    pub(super) fn backoff(&self) -> Backoff {
        Backoff {
            min: self.min_backoff,
            max: self.max_backoff,
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            max_queue: self.max_queue,
            max_batch: self.max_batch,
            batch_wait: self.batch_wait,
            max_age: self.max_age,
            backoff: self.backoff(),
        }
    }

    /// Finds what is wrong with where it is.
    fn url_fix(&self) -> Option<&'static str> {
        match outbound::url(&self.url) {
            Err(fix) => Some(fix),
            Ok(url) if !self.destinations().allow(&url) => Some(
                "is at a private address; set allow_private = true in this [[hook]] if that is meant",
            ),
            Ok(_) => None,
        }
    }

    /// Lists what is wrong, secrets and channels apart, as names of keys, values and fixes.
    fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut problems = Vec::new();
        if let Some(fix) = self.url_fix() {
            // It may hold a password, or a secret in its path.
            problems.push(("url", "\"…\"".to_owned(), fix));
        }
        if self.secrets.is_empty() {
            let fix =
                "name a secret that requests are signed with, such as [{ env = \"HOOK_SECRET\" }]";
            problems.push(("secrets", "[]".to_owned(), fix));
        }
        if self.calls.is_empty() && self.events.is_empty() {
            let fix = "name the events that it is told, such as [\"subscribed\"], or the calls that it answers";
            problems.push(("events", "[]".to_owned(), fix));
        }
        let counts = [
            ("max_concurrent", self.max_concurrent),
            ("max_waiting", self.max_waiting),
            ("max_calls_per_session", self.max_calls_per_session),
            ("max_queue", self.max_queue),
            ("max_batch", self.max_batch),
        ];
        for (name, count) in counts {
            if count == 0 {
                problems.push((name, count.to_string(), "must be 1 or more"));
            }
        }
        if self.max_answer_size.as_u64() == 0 {
            problems.push(("max_answer_size", "0".to_owned(), "must be 1 or more bytes"));
        }
        let shown = |time: Duration| format!("\"{}\"", humantime::format_duration(time));
        let times = [
            ("timeout", self.timeout, true),
            ("batch_wait", self.batch_wait, false),
            ("min_backoff", self.min_backoff, true),
            ("max_backoff", self.max_backoff, true),
            ("max_age", self.max_age, true),
        ];
        for (name, time, is_above_zero) in times {
            if is_above_zero && time < Duration::from_millis(1) {
                problems.push((name, shown(time), "must be \"1ms\" or more"));
            } else if time > MAX_DURATION {
                problems.push((name, shown(time), "must be at most \"366days\""));
            }
        }
        if self.max_backoff < self.min_backoff {
            let fix = "must not be below min_backoff";
            problems.push(("max_backoff", shown(self.max_backoff), fix));
        }
        problems
    }
}

/// Lists what is wrong with the entries, secrets and channels apart.
#[must_use]
pub fn problems(hooks: &[Hook]) -> Vec<Problem> {
    let each = hooks.iter().enumerate().flat_map(|(index, hook)| {
        let problems = hook.problems().into_iter();
        problems.map(move |(name, value, fix)| {
            Problem::new(format!("hook[{index}].{name}"), value, fix)
        })
    });
    let mut problems: Vec<Problem> = each.collect();
    if hooks.len() > MAX_HOOKS {
        let fix = format!("there may be at most {MAX_HOOKS}");
        problems.push(Problem::new("hook", "[…]", fix));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Hook {
        Hook {
            url: "https://app.example.com/hook?x=y".to_owned(),
            secrets: vec![Secret::Env("S".to_owned())],
            events: vec![Kind::Subscribed],
            ..Hook::default()
        }
    }

    /// Lists the keys that are wrong.
    fn wrong(hook: &Hook) -> Vec<String> {
        let problems = problems(std::slice::from_ref(hook));
        assert!(!format!("{problems:?}").contains("hunter2"));
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn it_is_at_a_public_address_unless_another_is_meant() {
        let cases = [
            ("https://app.example.com/", true, true),
            ("", false, false),
            ("app.example.com", false, false),
            ("https://u:hunter2@app.example.com/", false, false),
            ("http://127.0.0.1:9000/hunter2", false, true),
            ("http://localhost/", false, true),
            ("https://[::ffff:10.0.0.1]/", false, true),
        ];
        for (url, is_public, is_url) in cases {
            for (allow_private, is_good) in [(false, is_public), (true, is_url)] {
                let url = url.to_owned();
                let hook = Hook {
                    url,
                    allow_private,
                    ..good()
                };
                let expected: &[&str] = if is_good { &[] } else { &["hook[0].url"] };
                assert_eq!(wrong(&hook), expected, "{hook:?}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_key() {
        type Change = fn(&mut Hook);
        let cases: [(Change, &str); 16] = [
            (|_| {}, ""),
            (|hook| hook.secrets.clear(), "secrets"),
            (|hook| hook.events.clear(), "events"),
            (
                |hook| {
                    hook.events.clear();
                    hook.calls.push("/service/a".to_owned());
                },
                "",
            ),
            (|hook| hook.max_concurrent = 0, "max_concurrent"),
            (|hook| hook.max_waiting = 0, "max_waiting"),
            (
                |hook| hook.max_calls_per_session = 0,
                "max_calls_per_session",
            ),
            (|hook| hook.max_queue = 0, "max_queue"),
            (|hook| hook.max_batch = 0, "max_batch"),
            (|hook| hook.max_publishes = 0, ""),
            (|hook| hook.max_answer_size = ByteSize(0), "max_answer_size"),
            (|hook| hook.timeout = Duration::ZERO, "timeout"),
            (|hook| hook.batch_wait = Duration::ZERO, ""),
            (|hook| hook.batch_wait = 2 * MAX_DURATION, "batch_wait"),
            (|hook| hook.max_age = Duration::ZERO, "max_age"),
            (
                |hook| hook.max_backoff = Duration::from_millis(9),
                "max_backoff",
            ),
        ];
        for (change, name) in cases {
            let mut hook = good();
            change(&mut hook);
            let expected = Some(name).filter(|name| !name.is_empty());
            let expected: Vec<String> = expected
                .iter()
                .map(|name| format!("hook[0].{name}"))
                .collect();
            assert_eq!(wrong(&hook), expected, "{hook:?}");
        }
        let many = vec![good(); MAX_HOOKS + 1];
        assert_eq!(problems(&many)[0].key, "hook");
    }
}
