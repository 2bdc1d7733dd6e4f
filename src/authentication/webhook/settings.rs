//! The `[webhook]` section.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::access::Action;
use crate::authentication::{Problem, Secret};
use crate::outbound;

/// Whom to ask about clients, about what, and how long to wait for an answer.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Where it is; nothing: nobody is asked.
    pub url: Option<String>,
    /// What requests are signed with.
    pub secret: Option<Secret>,
    /// What it decides about.
    pub decides: Vec<Action>,
    /// The headers of a client's request that it is told.
    pub headers: Vec<String>,
    /// The cookies of a client's request that it is told.
    pub cookies: Vec<String>,
    /// Whether it is told what is published, not only where.
    pub send_data: bool,
    /// How long an answer is waited for, the time before its request can be sent included.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How many requests are under way at once.
    pub max_concurrent: usize,
    /// How many wait to be; what is above it is refused at once.
    pub max_waiting: usize,
    /// The size of an answer.
    pub max_answer_size: ByteSize,
    /// How long an answer about a subscribe or a publish holds for what is the same in every respect.
    #[serde(with = "humantime_serde")]
    pub cache: Duration,
    /// How many answers are kept so.
    pub max_cached: usize,
    /// When clients are told to try again if there is no answer.
    #[serde(with = "humantime_serde")]
    pub retry: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: None,
            secret: None,
            decides: vec![Action::Handshake],
            headers: Vec::new(),
            cookies: Vec::new(),
            send_data: false,
            timeout: Duration::from_secs(3),
            max_concurrent: 64,
            max_waiting: 1000,
            max_answer_size: ByteSize::kib(16),
            cache: Duration::from_secs(5),
            max_cached: 10_000,
            retry: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// Tells whether it is asked about an action.
    #[must_use]
    pub fn decides(&self, action: Action) -> bool {
        self.url.is_some() && self.decides.contains(&action)
    }

    /// Lists what is wrong, the secret apart.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut refuse = |key: &str, value: String, fix: &str| {
            problems.push(Problem::new(format!("webhook.{key}"), value, fix));
        };
        let Some(url) = &self.url else {
            if self.secret.is_some() {
                let fix = "does nothing without webhook.url";
                refuse("secret", "{ … }".to_owned(), fix);
            }
            return problems;
        };
        if let Err(fix) = outbound::url(url) {
            // It may hold a password.
            refuse("url", "\"…\"".to_owned(), fix);
        }
        if self.secret.is_none() {
            let fix =
                "name a secret that requests are signed with, such as { env = \"WEBHOOK_SECRET\" }";
            refuse("secret", "none".to_owned(), fix);
        }
        if self.decides.is_empty() {
            let fix = "name what it decides about, such as [\"handshake\"]";
            refuse("decides", "[]".to_owned(), fix);
        }
        if self.decides.contains(&Action::Forget) {
            let fix = "\"forget\" is decided by [[access]] alone; leave it out";
            refuse("decides", "[\"forget\"]".to_owned(), fix);
        }
        for header in &self.headers {
            if http::HeaderName::try_from(header).is_err() {
                let shown = serde_json::Value::from(&**header).to_string();
                refuse("headers", shown, "is no name of a header");
            } else if header.eq_ignore_ascii_case("cookie") {
                let fix = "name the cookies that it is told in webhook.cookies";
                refuse("headers", "\"cookie\"".to_owned(), fix);
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_told_with_its_key() {
        let secret = || Some(Secret::Env("S".to_owned()));
        let with = |url: &str| Settings {
            url: Some(url.to_owned()),
            secret: secret(),
            ..Settings::default()
        };
        let good = with("https://app.example.com/mirant?x=y");
        let cases = [
            (Settings::default(), ""),
            (good.clone(), ""),
            (with("http://127.0.0.1:9000/"), ""),
            (
                Settings {
                    secret: secret(),
                    ..Settings::default()
                },
                "webhook.secret",
            ),
            (
                Settings {
                    secret: None,
                    ..good.clone()
                },
                "webhook.secret",
            ),
            (with("app.example.com/mirant"), "webhook.url"),
            (with("/mirant"), "webhook.url"),
            (with("ftp://app.example.com/"), "webhook.url"),
            (with("https://u:hunter2@app.example.com/"), "webhook.url"),
            (with("not a url"), "webhook.url"),
            (
                Settings {
                    decides: vec![],
                    ..good.clone()
                },
                "webhook.decides",
            ),
            (
                Settings {
                    headers: vec!["a b".to_owned()],
                    ..good.clone()
                },
                "webhook.headers",
            ),
            (
                Settings {
                    headers: vec!["Cookie".to_owned()],
                    ..good
                },
                "webhook.headers",
            ),
        ];
        for (settings, expected) in cases {
            let problems = settings.problems();
            let keys: Vec<&str> = problems.iter().map(|problem| &*problem.key).collect();
            assert_eq!(keys.join(" "), expected, "{settings:?}");
            assert!(!format!("{problems:?}").contains("hunter2"));
        }
    }
}
