//! What fuzzers do to the webhook's answers.

use std::time::{Duration, SystemTime};

use super::answer::{Decision, handshake, other};
use crate::bayeux::Limits;
use crate::fuzzing::target::Target;

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "webhook_answer",
    check: answer,
    seeds: &[
        br#"{"allow":true,"user":"u","roles":["r"],"claims":{"a":"b","c":["d"]},"grants":{"subscribe":["/a/*"],"publish":[]},"expires":60,"ext":{"x":{}}}"#,
        br#"{"allow":true,"user":"u","expires":"2036-01-31T12:00:00Z"}"#,
        br#"{"allow":false,"reason":"not: you"}"#,
    ],
}];

/// Nobody is let in whom the text does not allow; a reason is one that can stand in an error.
fn answer(bytes: &[u8]) -> bool {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let of_handshake = handshake(bytes, &Limits::default(), now);
    let allows = matches!(of_handshake, Ok(Decision::Allowed(_)))
        || matches!(other(bytes), Ok(Decision::Allowed(())));
    let value = serde_json::from_slice::<serde_json::Value>(bytes);
    assert!(!allows || value.is_ok_and(|value| value["allow"] == true));
    if let Ok(Decision::Denied(reason)) = &of_handshake {
        assert!(!reason.contains(|letter: char| letter == ':' || letter.is_control()));
    }
    of_handshake.is_ok()
}
