//! What fuzzers do to the answers of applications that are called.

use http::Response;
use serde::de::IgnoredAny;

use super::answer::{Outcome, read};
use crate::bayeux::{ChannelKind, Limits};
use crate::fuzzing::target::Target;

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "hook_answer",
    check: answer,
    seeds: &[
        br#"{"reply":{"a":1.10},"publish":[{"channel":"/a","data":null},{"channel":"/b/c","data":[ ]}]}"#,
        br#"{"error":"no","publish":[]}"#,
    ],
}];

/// What is to be published is JSON for a broadcast channel, and not too much.
fn answer(bytes: &[u8]) -> bool {
    const MAX: usize = 3;
    let response = Response::new(bytes);
    let Ok(answer) = read(&response, MAX, &Limits::default()) else {
        return false;
    };
    assert!(answer.publishes.len() <= MAX);
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    for (channel, data) in &answer.publishes {
        assert_eq!(channel.kind(), ChannelKind::Broadcast);
        assert!(is_json(data.get()));
    }
    if let Outcome::Reply(data) = answer.outcome {
        assert!(is_json(data.get()));
    }
    true
}
