//! Somebody outside who decides: one POST for each question, signed, and an answer in JSON.
//!
//! What is no answer (too late, too large, another status, JSON that is not understood) refuses the client
//! and says when to try again; nothing is let in because nobody could be asked. How many questions are
//! under way, and how many wait to be, is bounded. Answers about subscribes and publishes hold for a short
//! time for questions that are the same to the byte.

mod answer;
mod call;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod request;
pub mod settings;

use core::net::IpAddr;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use aws_lc_rs::digest;
use bytes::Bytes;
use serde_json::value::RawValue;

use super::generations::Generations;
use super::{Check, Fault, Problem, Shown};
use crate::access::{Action, Identity};
use crate::bayeux::{BayeuxError, Limits, Message};
use crate::metrics::{Metrics, WebhookOutcome};
use crate::outbound::Signer;
use answer::Decision;
use call::Caller;
use request::Question;
pub use settings::Settings;

/// Whoever decides outside.
#[derive(Debug, Clone)]
pub struct Webhook(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    caller: Caller,
    limits: Limits,
    cache: Mutex<Cache>,
    metrics: Arc<Metrics>,
    settings: Settings,
}

/// What somebody asks to do who has a session, or needs none.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// A subscribe or a publish.
    pub action: Action,
    /// Where.
    pub channels: &'a [String],
    /// What is published, if it is known.
    pub data: Option<&'a RawValue>,
    /// The `ext` of the message.
    pub ext: Option<&'a RawValue>,
    /// Who asks.
    pub identity: Option<&'a Identity>,
    /// What the head of its request shows.
    pub shown: Option<&'a Shown>,
    /// The address of its client.
    pub address: Option<IpAddr>,
}

/// What became of a question.
pub enum Asked {
    /// The answer is known.
    Answered(Result<(), Fault>),
    /// It takes its time.
    Pending(Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>),
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(outcome) => f.debug_tuple("Answered").field(outcome).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}

impl Webhook {
    /// Makes what asks, if the settings say whom.
    ///
    /// # Errors
    /// What is wrong with them, or with the secret.
    pub fn new(
        settings: &Settings,
        limits: &Limits,
        metrics: Arc<Metrics>,
    ) -> Result<Option<Self>, Vec<Problem>> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let (Some(url), Some(secret)) = (&settings.url, &settings.secret) else {
            return Ok(None);
        };
        let refused = |fix: String| vec![Problem::new("webhook.secret", "{ … }", fix)];
        let secret = secret.read().map_err(refused)?;
        let signer = Signer::new(&[secret]).map_err(|(_, fix)| refused(fix.to_owned()))?;
        Ok(Some(Self(Arc::new(Inner {
            caller: Caller::new(url, signer, settings, Arc::clone(&metrics))?,
            limits: limits.clone(),
            cache: Mutex::new(Cache::new(settings)),
            metrics,
            settings: settings.clone(),
        }))))
    }

    /// Tells whether it decides about an action.
    #[must_use]
    pub fn decides(&self, action: Action) -> bool {
        self.0.settings.decides(action)
    }

    /// Returns the bounds of names that it is told.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Tells whether it is told what is published.
    #[must_use]
    pub fn sees_data(&self) -> bool {
        self.0.settings.send_data
    }

    /// Asks who a client is, and whether it may have a session.
    ///
    /// To be awaited within a Tokio runtime.
    #[must_use]
    pub fn handshake(
        &self,
        message: &Message<'_>,
        shown: Option<&Shown>,
        address: Option<IpAddr>,
    ) -> Check {
        let question = Question::handshake(message.ext.as_deref(), shown, address).text();
        let inner = Arc::clone(&self.0);
        Check::Pending(Box::pin(async move {
            let read = |text: &[u8]| answer::handshake(text, &inner.limits, SystemTime::now());
            match inner.caller.ask(question, read).await? {
                Decision::Allowed(known) => Ok(known),
                Decision::Denied(reason) => Err(Fault {
                    detail: reason.into(),
                    ..BayeuxError::HandshakeForbidden.into()
                }),
            }
        }))
    }

    /// Asks whether something may be done.
    ///
    /// To be called within a Tokio runtime.
    #[must_use]
    pub fn ask(&self, request: Request<'_>) -> Asked {
        let Request {
            action, channels, ..
        } = request;
        let question = Question {
            action,
            channels: Some(channels),
            data: request.data.filter(|_| self.sees_data()),
            ..Question::handshake(request.ext, request.shown, request.address)
        };
        let question = question.by(request.identity).text();
        let channel = match channels {
            [only] => only.clone(),
            _ => String::new(),
        };
        let key = key(&question);
        if let Some(decision) = self.0.cached(&key) {
            return Asked::Answered(outcome(decision, action, channel));
        }
        let inner = Arc::clone(&self.0);
        Asked::Pending(Box::pin(async move {
            let decision = inner.caller.ask(question, answer::other).await?;
            inner.keep(key, decision.clone());
            outcome(decision, action, channel)
        }))
    }
}

impl Inner {
    fn cached(&self, key: &Key) -> Option<Decision> {
        let decision = self.lock().find(key, Instant::now())?;
        self.metrics.webhook(WebhookOutcome::Cached);
        Some(decision)
    }

    fn keep(&self, key: Key, decision: Decision) {
        self.lock().put(key, decision, Instant::now());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outcome(decision: Decision, action: Action, channel: String) -> Result<(), Fault> {
    let Decision::Denied(reason) = decision else {
        return Ok(());
    };
    let error = match action {
        Action::Publish | Action::Forget => BayeuxError::PublishForbidden,
        Action::Subscribe | Action::Handshake => BayeuxError::SubscribeForbidden,
    };
    let detail = match (channel.is_empty(), reason.is_empty()) {
        (false, false) => format!("{channel},{reason}"),
        _ => channel + &reason,
    };
    Err(Fault {
        detail: detail.into(),
        ..error.into()
    })
}

/// What stands for a question.
type Key = [u8; digest::SHA256_OUTPUT_LEN];

fn key(question: &Bytes) -> Key {
    let hash = digest::digest(&digest::SHA256, question);
    let mut key = Key::default();
    key.copy_from_slice(hash.as_ref());
    key
}

/// The last answers.
#[derive(Debug)]
struct Cache {
    answers: Generations<Key, (Decision, Instant)>,
    holds: std::time::Duration,
}

impl Cache {
    fn new(settings: &Settings) -> Self {
        Self {
            answers: Generations::new(settings.max_cached),
            holds: settings.cache,
        }
    }

    fn find(&mut self, key: &Key, now: Instant) -> Option<Decision> {
        if self.holds.is_zero() {
            return None;
        }
        let (decision, until) = self.answers.find(key)?;
        (now < until).then_some(decision)
    }

    fn put(&mut self, key: Key, decision: Decision, now: Instant) {
        if !self.holds.is_zero() {
            self.answers.put(key, (decision, now + self.holds));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_holds_for_its_time_and_its_question_only() {
        let settings = Settings {
            cache: Duration::from_secs(5),
            max_cached: 4,
            ..Settings::default()
        };
        let mut cache = Cache::new(&settings);
        let key = |text: &'static str| key(&Bytes::from_static(text.as_bytes()));
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(cache.find(&key("a"), now), None);
        let no = Decision::Denied("no".to_owned());
        cache.put(key("a"), Decision::Allowed(()), now);
        cache.put(key("b"), no.clone(), after(1));
        assert_eq!(cache.find(&key("a"), after(4)), Some(Decision::Allowed(())));
        assert_eq!(cache.find(&key("b"), after(4)), Some(no));
        assert_eq!(cache.find(&key("c"), after(4)), None);
        assert_eq!(cache.find(&key("a"), after(5)), None);
        for text in ["c", "d", "e", "f", "g"] {
            cache.put(key(text), Decision::Allowed(()), now);
            assert!(cache.answers.len() <= 4);
        }
        let mut none = Cache::new(&Settings {
            cache: Duration::ZERO,
            ..settings
        });
        none.put(key("a"), Decision::Allowed(()), now);
        assert_eq!(none.find(&key("a"), now), None);
    }

    #[test]
    fn what_is_denied_names_its_channel_and_why() {
        let denied = |reason: &str, action, channel: &str| {
            let decision = Decision::Denied(reason.to_owned());
            outcome(decision, action, channel.to_owned()).map_err(|fault| fault.text())
        };
        let cases = [
            (denied("", Action::Publish, "/a"), "403:/a:publish_denied"),
            (
                denied("no", Action::Publish, "/a"),
                "403:/a,no:publish_denied",
            ),
            (
                denied("no", Action::Subscribe, "/a"),
                "403:/a,no:subscribe_denied",
            ),
            (
                denied("no", Action::Subscribe, ""),
                "403:no:subscribe_denied",
            ),
            (denied("", Action::Subscribe, ""), "403::subscribe_denied"),
        ];
        for (text, expected) in cases {
            assert_eq!(text, Err(expected.to_owned()));
        }
        assert_eq!(
            outcome(Decision::Allowed(()), Action::Publish, String::new()),
            Ok(())
        );
    }
}
