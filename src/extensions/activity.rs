//! activity: a session ends whose client only connects (CometD's activity extension).
//!
//! It is looked at when the client connects, so an inactive session may live for one `timeout` more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Begun, Extension, MessageInfo, Refusal};
use crate::bayeux::{ClientId, Event, Message, meta};

/// What it is called in what a session leaves to another process.
const NAME: &str = "activity";

/// Whose messages keep a session active, connects and their replies aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// No session is inactive.
    Off,
    /// Its client's.
    Client,
    /// Its client's, and events for it.
    ClientServer,
}

/// The extension, which gives every session one of its own.
#[derive(Debug)]
pub(super) struct Activities {
    of: Activity,
    max_inactivity: Duration,
}

impl Activities {
    pub(super) fn boxed(of: Activity, max_inactivity: Duration) -> Option<Box<dyn Extension>> {
        if of == Activity::Off {
            return None;
        }
        Some(Box::new(Self { of, max_inactivity }))
    }
}

impl Extension for Activities {
    fn begin(&self, _: &Message<'_>, begun: &mut Begun) {
        begun.extensions.push(self.since(begun.now));
    }

    fn resume(&self, saved: &BTreeMap<String, Box<RawValue>>, begun: &mut Begun) {
        let saved = saved.get(NAME);
        let inactive = saved.and_then(|saved| serde_json::from_str(saved.get()).ok());
        let inactive = Duration::from_millis(inactive.unwrap_or_default());
        // What the clock cannot say any more is too long in any case, or the bound is.
        let last = begun.now.checked_sub(inactive);
        begun.extensions.push(self.since(last.unwrap_or(begun.now)));
    }
}

impl Activities {
    /// Makes that of a session which was active last at this time.
    fn since(&self, active: Instant) -> Box<dyn Extension> {
        Box::new(SessionActivity {
            counts_events: self.of == Activity::ClientServer,
            max_inactivity: self.max_inactivity,
            begun: active,
            last: AtomicU64::new(0),
        })
    }
}

/// The activity of one session.
#[derive(Debug)]
struct SessionActivity {
    counts_events: bool,
    max_inactivity: Duration,
    begun: Instant,
    /// When it was active last, in milliseconds since it began.
    last: AtomicU64,
}

impl SessionActivity {
    fn since_begun(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }

    fn be_active(&self, now: Instant) {
        let now = u64::try_from(self.since_begun(now).as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(now, Relaxed);
    }
}

impl Extension for SessionActivity {
    fn save(&self, now: Instant) -> Option<(&'static str, Box<RawValue>)> {
        let last = Duration::from_millis(self.last.load(Relaxed));
        let inactive = self.since_begun(now).saturating_sub(last);
        let json = serde_json::value::to_raw_value(&inactive.as_millis());
        Some((NAME, json.expect("a number is JSON")))
    }

    fn incoming(&self, message: &mut Message<'_>, info: &MessageInfo) -> Result<(), Refusal> {
        if !message.is_on(meta::CONNECT) {
            self.be_active(info.at);
            return Ok(());
        }
        let last = Duration::from_millis(self.last.load(Relaxed));
        if self.since_begun(info.at).saturating_sub(last) > self.max_inactivity {
            return Err(Refusal::Disconnect);
        }
        Ok(())
    }

    fn sees_deliveries(&self) -> bool {
        self.counts_events
    }

    fn deliver(&self, event: Arc<Event>, _: ClientId, now: Instant) -> Option<Arc<Event>> {
        self.be_active(now);
        Some(event)
    }
}
