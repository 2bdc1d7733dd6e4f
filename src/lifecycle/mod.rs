//! What begins and ends: sessions, their subscriptions, and channels that anybody is subscribed to. Application
//! servers may hear of it.
//!
//! Nothing of it is made unless somebody listens.

mod occupancy;
mod queue;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize, Serializer};

use crate::alias::Alias;
use crate::bayeux::ChannelPattern;
use crate::metrics::EndReason;
pub use occupancy::Occupancy;
pub use queue::{Queue, Taken};

/// What happened to a session or a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A session has begun.
    SessionBegun,
    /// A session has ended, and with it its subscriptions, of which nothing else is told.
    SessionEnded,
    /// A session is subscribed to a channel or pattern.
    Subscribed,
    /// A session is not subscribed to a channel or pattern any more, but lives.
    Unsubscribed,
    /// A channel or pattern has its first subscriber.
    Occupied,
    /// A channel or pattern has lost its last subscriber.
    Vacated,
}

/// One event in the life of a session or a channel. As JSON it is an object of those fields that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LifecycleEvent {
    /// What happened.
    #[serde(rename = "event")]
    pub kind: Kind,
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// The session that it happened to; none of a channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Alias>,
    /// The user whose session it is, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// The channel or pattern, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "pattern")]
    pub channel: Option<ChannelPattern>,
    /// Why a session ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "reason")]
    pub reason: Option<EndReason>,
}

fn rfc3339<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let at = (*at).max(SystemTime::UNIX_EPOCH);
    serializer.collect_str(&humantime::format_rfc3339_millis(at))
}

fn pattern<S: Serializer>(
    pattern: &Option<ChannelPattern>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = pattern.as_ref().map(ChannelPattern::as_str);
    text.serialize(serializer)
}

fn reason<S: Serializer>(reason: &Option<EndReason>, serializer: S) -> Result<S::Ok, S::Error> {
    reason.map(EndReason::label).serialize(serializer)
}

impl LifecycleEvent {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            at: SystemTime::now(),
            session: None,
            user: None,
            channel: None,
            reason: None,
        }
    }

    /// Makes one of a channel or pattern.
    #[must_use]
    pub fn of_channel(kind: Kind, channel: &ChannelPattern) -> Self {
        Self {
            channel: Some(channel.clone()),
            ..Self::new(kind)
        }
    }

    /// Makes one of a session.
    #[must_use]
    pub fn of_session(kind: Kind, session: Alias, user: Option<&str>) -> Self {
        Self {
            session: Some(session),
            user: user.map(Box::from),
            ..Self::new(kind)
        }
    }
}

/// Somebody who hears of all that happens.
pub trait Listener: fmt::Debug + Send + Sync {
    /// Takes notice of an event: of one session, and of one channel, in their order. Sessions and sets of
    /// subscribers are locked meanwhile, so it may do nothing but note it.
    fn note(&self, event: &Arc<LifecycleEvent>);
}

/// All who listen.
#[derive(Debug, Default)]
pub struct Lifecycle {
    listeners: Vec<Arc<dyn Listener>>,
    /// What is told of channels is first asked of all nodes.
    occupancy: Option<Occupancy>,
}

impl From<Vec<Arc<dyn Listener>>> for Lifecycle {
    fn from(listeners: Vec<Arc<dyn Listener>>) -> Self {
        Self {
            listeners,
            occupancy: None,
        }
    }
}

impl Lifecycle {
    /// Leaves it to somebody who asks all nodes of a cluster which channels have their first subscriber, or have lost
    /// their last.
    #[must_use]
    pub fn across_nodes(self) -> Self {
        Self {
            occupancy: self.is_heard().then(Occupancy::default),
            ..self
        }
    }

    /// Returns what is to be asked of all nodes, if there are several, and anybody listens.
    #[must_use]
    pub fn occupancy(&self) -> Option<&Occupancy> {
        self.occupancy.as_ref()
    }

    /// Notes that a channel or pattern has its first subscriber here; unless that is new, all have heard of it.
    pub fn note_occupied(&self, channel: &ChannelPattern, is_new: bool) {
        match &self.occupancy {
            Some(occupancy) => occupancy.occupied(channel),
            None if is_new => self.tell(|| LifecycleEvent::of_channel(Kind::Occupied, channel)),
            None => {}
        }
    }

    /// Notes that it has lost its last.
    pub fn note_vacated(&self, channel: &ChannelPattern) {
        match &self.occupancy {
            Some(occupancy) => occupancy.vacated(channel),
            None => self.tell(|| LifecycleEvent::of_channel(Kind::Vacated, channel)),
        }
    }

    /// Tells whether anybody listens.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Tells all who listen of an event, which is made only if there are any.
    pub fn tell(&self, event: impl FnOnce() -> LifecycleEvent) {
        if !self.is_heard() {
            return;
        }
        let event = Arc::new(event());
        for listener in &self.listeners {
            listener.note(&event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bayeux::Limits;

    #[test]
    fn an_event_is_an_object_of_the_fields_that_it_has() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_250);
        let alias: Alias = "0123456789ABCDEFGHIJKL".parse().expect("an alias");
        let pattern = ChannelPattern::parse("/chat/**", &Limits::default()).expect("a pattern");
        let cases = [
            (
                LifecycleEvent {
                    reason: Some(EndReason::Expired),
                    ..LifecycleEvent::of_session(Kind::SessionEnded, alias, None)
                },
                r#"{"event":"session_ended","at":"2026-09-21T14:13:20.250Z","session":"0123456789ABCDEFGHIJKL","reason":"expired"}"#,
            ),
            (
                LifecycleEvent {
                    channel: Some(pattern.clone()),
                    ..LifecycleEvent::of_session(Kind::Subscribed, alias, Some("u\"1"))
                },
                r#"{"event":"subscribed","at":"2026-09-21T14:13:20.250Z","session":"0123456789ABCDEFGHIJKL","user":"u\"1","channel":"/chat/**"}"#,
            ),
            (
                LifecycleEvent::of_channel(Kind::Vacated, &pattern),
                r#"{"event":"vacated","at":"2026-09-21T14:13:20.250Z","channel":"/chat/**"}"#,
            ),
        ];
        for (event, expected) in cases {
            let event = LifecycleEvent { at, ..event };
            let text = serde_json::to_string(&event).expect("JSON");
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn nothing_is_made_for_nobody() {
        Lifecycle::default().tell(|| panic!("nobody listens"));
    }
}
