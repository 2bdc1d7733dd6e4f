//! activity: a session ends whose client only connects (CometD's activity extension).
//!
//! It is looked at when the client connects, so an inactive session may live for one `timeout` more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Begun, Extension, MessageInfo, Refusal};
use crate::bayeux::{ClientId, Event, Message, meta};

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
        begun.extensions.push(Box::new(SessionActivity {
            counts_events: self.of == Activity::ClientServer,
            max_inactivity: self.max_inactivity,
            begun: begun.now,
            last: AtomicU64::new(0),
        }));
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
