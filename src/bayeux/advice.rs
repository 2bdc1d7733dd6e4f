//! Advice: what the server tells a client to do next, and what a client asks (section 3.5).

use std::io::Write;
use std::time::Duration;

use serde_json::value::RawValue;

use super::{fields, number};

/// What a client shall do when its connection is lost or its connect is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Connect again.
    Retry,
    /// Handshake again; never sent with a successful reply, which CometD's JavaScript client
    /// throws on.
    Handshake,
    /// Stop.
    None,
}

/// Advice from the server; clients replace what they had by it, so it is always complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What to do next.
    pub reconnect: Reconnect,
    /// How long to wait before that; absent with [`Reconnect::None`].
    pub interval: Option<Duration>,
    /// How long the server holds a connect.
    pub timeout: Option<Duration>,
    /// Whether another session of the same browser has the held connect.
    pub multiple_clients: bool,
}

impl Advice {
    /// Advises to connect again after `interval`, to be held for `timeout`.
    #[must_use]
    pub fn retry(interval: Duration, timeout: Duration) -> Self {
        Self {
            reconnect: Reconnect::Retry,
            interval: Some(interval),
            timeout: Some(timeout),
            multiple_clients: false,
        }
    }

    /// Advises to handshake again after `interval`; a connect is then held for `timeout`.
    #[must_use]
    pub fn handshake(interval: Duration, timeout: Duration) -> Self {
        Self {
            reconnect: Reconnect::Handshake,
            interval: Some(interval),
            timeout: Some(timeout),
            multiple_clients: false,
        }
    }

    /// Advises to stop.
    #[must_use]
    pub fn none() -> Self {
        Self {
            reconnect: Reconnect::None,
            interval: None,
            timeout: None,
            multiple_clients: false,
        }
    }

    /// Marks that another session of the same browser has the held connect.
    #[must_use]
    pub fn with_multiple_clients(mut self) -> Self {
        self.multiple_clients = true;
        self
    }

    /// Appends the advice as a JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        let reconnect = match self.reconnect {
            Reconnect::Retry => "retry",
            Reconnect::Handshake => "handshake",
            Reconnect::None => "none",
        };
        out.extend_from_slice(b"{\"reconnect\":\"");
        out.extend_from_slice(reconnect.as_bytes());
        out.push(b'"');
        for (name, value) in [("interval", self.interval), ("timeout", self.timeout)] {
            if let Some(value) = value {
                write!(out, ",\"{name}\":{}", value.as_millis()).expect("a Vec takes every write");
            }
        }
        if self.multiple_clients {
            out.extend_from_slice(b",\"multiple-clients\":true");
        }
        out.push(b'}');
    }
}

/// What a client asks in the `advice` of its connect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientAdvice {
    /// How long this connect may be held.
    pub timeout: Option<Duration>,
    /// How long the client wants to wait before its next connect.
    pub interval: Option<Duration>,
}

impl ClientAdvice {
    /// Reads an `advice` field; what is not an object is none, and a value that is no number of
    /// milliseconds, zero or more, is not there.
    #[must_use]
    pub fn parse(raw: &RawValue) -> Option<Self> {
        let [timeout, interval] = fields(raw, ["timeout", "interval"])?;
        Some(Self {
            timeout: timeout.and_then(milliseconds),
            interval: interval.and_then(milliseconds),
        })
    }
}

fn milliseconds(raw: &RawValue) -> Option<Duration> {
    Duration::try_from_secs_f64(number(raw)? / 1000.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_s_advice_is_read_as_far_as_it_makes_sense() {
        let ms = |value| Some(Duration::from_millis(value));
        let cases = [
            (r#"{"timeout":0}"#, Some((ms(0), None))),
            (
                r#"{"timeout":1000,"interval":3000}"#,
                Some((ms(1000), ms(3000))),
            ),
            (
                r#"{"timeout":1000.0,"interval":3.00E+3}"#,
                Some((ms(1000), ms(3000))),
            ),
            (r#"{"timeout":0e0,"interval":-0.0}"#, Some((ms(0), ms(0)))),
            (r#"{"timeout":-5}"#, Some((None, None))),
            (r#"{"timeout":"0","interval":null}"#, Some((None, None))),
            (r#"{"timeout":1e300}"#, Some((None, None))),
            (r#"{"timeout":1e400}"#, Some((None, None))),
            (r#"{"reconnect":"none"}"#, Some((None, None))),
            (r#"{"timeout":1,"timeout":2}"#, Some((ms(2), None))),
            (r#"{"\ud83d":1,"timeout":2}"#, Some((ms(2), None))),
            (r#""x""#, None),
            ("5", None),
            ("null", None),
            ("[]", None),
            ("[0,0]", None),
        ];
        for (text, expected) in cases {
            let raw: &RawValue = serde_json::from_str(text).expect("valid JSON");
            let parsed = ClientAdvice::parse(raw).map(|advice| (advice.timeout, advice.interval));
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn advice_is_written_complete() {
        let cases = [
            (
                Advice::retry(Duration::ZERO, Duration::from_secs(30)),
                r#"{"reconnect":"retry","interval":0,"timeout":30000}"#,
            ),
            (
                Advice::handshake(Duration::ZERO, Duration::from_secs(30)),
                r#"{"reconnect":"handshake","interval":0,"timeout":30000}"#,
            ),
            (Advice::none(), r#"{"reconnect":"none"}"#),
            (
                Advice::none().with_multiple_clients(),
                r#"{"reconnect":"none","multiple-clients":true}"#,
            ),
        ];
        for (advice, expected) in cases {
            let mut out = Vec::new();
            advice.write(&mut out);
            assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
        }
    }
}
