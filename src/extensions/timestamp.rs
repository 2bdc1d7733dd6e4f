//! timestamp: every message to a client carries the time (CometD's `timestamp` extension).
//!
//! An event carries the time at which it was published, the same for all its receivers.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Extension, MessageInfo};
use crate::bayeux::{Draft, Field, Message, Reply};

const NAME: &str = "timestamp";

/// The form of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Timestamp {
    /// None.
    Off,
    /// As CometD writes it: `Fri Nov 20 20:26:42 UTC 2026`.
    Cometd,
    /// As RFC 3339 has it: `2026-11-20T20:26:42.123Z`.
    Iso8601,
}

/// The extension.
#[derive(Debug)]
pub(super) struct Timestamps {
    write: fn(SystemTime) -> String,
}

impl Timestamps {
    pub(super) fn boxed(form: Timestamp) -> Option<Box<dyn Extension>> {
        let write = match form {
            Timestamp::Off => return None,
            Timestamp::Cometd => as_cometd,
            Timestamp::Iso8601 => as_iso_8601,
        };
        Some(Box::new(Self { write }))
    }

    fn json(&self, time: SystemTime) -> String {
        format!("\"{}\"", (self.write)(time))
    }
}

impl Extension for Timestamps {
    fn reply(&self, reply: &mut Reply<'_>, _: &Message<'_>, info: &MessageInfo) {
        reply.add(Field::Custom(NAME, self.json(info.now())));
    }

    fn publish(&self, event: &mut Draft<'_>, now: SystemTime) {
        event.set(NAME, &self.json(now));
    }
}

/// Writes a time as `Fri Nov 20 20:26:42 UTC 2026`.
fn as_cometd(time: SystemTime) -> String {
    // Which HTTP writes as `Fri, 20 Nov 2026 20:26:42 GMT`.
    let date = httpdate::fmt_http_date(time.max(UNIX_EPOCH));
    let parts: Vec<&str> = date
        .split([',', ' '])
        .filter(|part| !part.is_empty())
        .collect();
    match parts[..] {
        [weekday, day, month, year, hour, _] => {
            format!("{weekday} {month} {day} {hour} UTC {year}")
        }
        _ => date,
    }
}

fn as_iso_8601(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time.max(UNIX_EPOCH)).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn both_forms() {
        let time = UNIX_EPOCH + Duration::from_millis(1_795_206_402_007);
        assert_eq!(as_cometd(time), "Fri Nov 20 20:26:42 UTC 2026");
        assert_eq!(as_iso_8601(time), "2026-11-20T20:26:42.007Z");
    }
}
