//! timesync: a client learns how far its clock is from the server's, as from NTP (CometD's
//! `timesync` extension).
//!
//! The client sends `tc`, its time, and what it believes of the lag `l` and the offset `o`. The reply
//! says when the message came in, `ts`, how long the server had it, `p`, and how wrong the client is,
//! `a`; all in milliseconds. A client that is right to within [`ACCURACY`] is told nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;

use super::{Extension, MessageInfo};
use crate::bayeux::{Message, Reply, fields, number};

const NAME: &str = "timesync";
/// How wrong a client may be, in milliseconds.
const ACCURACY: f64 = 25.0;

/// The extension.
#[derive(Debug)]
pub(super) struct Timesync;

impl Timesync {
    pub(super) fn boxed(is_on: bool) -> Option<Box<dyn Extension>> {
        is_on.then(|| Box::new(Self) as Box<dyn Extension>)
    }
}

impl Extension for Timesync {
    fn reply(&self, reply: &mut Reply<'_>, to: &Message<'_>, info: &MessageInfo) {
        let sent = to.extension(NAME);
        if let Some(json) = sent.and_then(|sent| answer(sent, info.received())) {
            reply.extend(NAME, json);
        }
    }
}

fn answer(sent: &RawValue, (received, ago): (SystemTime, Duration)) -> Option<String> {
    let [tc, lag, offset] = fields(sent, ["tc", "l", "o"])?;
    let tc = tc?;
    let told = number(tc)?;
    let (lag, offset) = (number_or_none(lag)?, number_or_none(offset)?);
    let received = milliseconds(received);
    let held = ago.as_millis();
    let answer = format!(r#"{{"tc":{tc},"ts":{received},"p":{held}"#, tc = tc.get());
    let Some(lag) = lag else {
        return Some(answer + "}");
    };
    #[allow(
        clippy::cast_precision_loss,
        reason = "milliseconds fit for 285,000 years"
    )]
    let wrong = (told + offset.unwrap_or(0.0) + lag - received as f64).round();
    let is_told = lag == 0.0 || wrong.abs() >= ACCURACY;
    (is_told && wrong.abs() < 1e15).then(|| format!(r#"{answer},"a":{wrong:.0}}}"#))
}

/// Returns a number that may be missing, or nothing if it is something else.
fn number_or_none(sent: Option<&RawValue>) -> Option<Option<f64>> {
    match sent.filter(|sent| sent.get() != "null") {
        Some(sent) => number(sent).map(Some),
        None => Some(None),
    }
}

fn milliseconds(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_says_when_how_long_and_how_wrong() {
        let received = UNIX_EPOCH + Duration::from_millis(1_000_000);
        let info = (received, Duration::from_millis(70));
        let cases = [
            // dojox 1.1 knows no more than this.
            (
                r#"{"tc":999000}"#,
                Some(r#"{"tc":999000,"ts":1000000,"p":70}"#),
            ),
            (
                r#"{"tc":999000,"l":0,"o":0}"#,
                Some(r#"{"tc":999000,"ts":1000000,"p":70,"a":-1000}"#),
            ),
            (
                r#"{"tc":1000500,"l":10.5,"o":-300}"#,
                Some(r#"{"tc":1000500,"ts":1000000,"p":70,"a":211}"#),
            ),
            // A client that is right is told so once.
            (
                r#"{"tc":1000000,"l":0,"o":0}"#,
                Some(r#"{"tc":1000000,"ts":1000000,"p":70,"a":0}"#),
            ),
            (r#"{"tc":1000000,"l":24,"o":0}"#, None),
            (r#"{"tc":1000000,"l":-24,"o":0}"#, None),
            (
                r#"{"tc":1000000,"l":25,"o":0}"#,
                Some(r#"{"tc":1000000,"ts":1000000,"p":70,"a":25}"#),
            ),
            (
                r#"{"tc":9.99E5,"l":0.0,"o":0e0}"#,
                Some(r#"{"tc":9.99E5,"ts":1000000,"p":70,"a":-1000}"#),
            ),
            (
                r#"{"tc":999000.0}"#,
                Some(r#"{"tc":999000.0,"ts":1000000,"p":70}"#),
            ),
            (r#"{"tc":1e400}"#, None),
            (r#"{"tc":1e300,"l":0}"#, None),
            (r#"{"tc":"999000"}"#, None),
            (r#"{"tc":{}}"#, None),
            (r#"{"l":0,"o":0}"#, None),
            (r#"{"tc":1,"l":"0"}"#, None),
            (
                r#"{"\ud83d":0,"tc":999000}"#,
                Some(r#"{"tc":999000,"ts":1000000,"p":70}"#),
            ),
            ("[1,0,0]", None),
            ("true", None),
        ];
        for (sent, expected) in cases {
            let raw: &RawValue = serde_json::from_str(sent).expect("JSON");
            assert_eq!(answer(raw, info).as_deref(), expected, "{sent}");
        }
    }
}
