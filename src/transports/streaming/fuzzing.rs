//! What fuzzers do to the ids of events that clients say they have received.

use super::event_id::{EventId, since};
use crate::fuzzing::target::Target;

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "event_id",
        check: event_id,
        seeds: &[
            b"0000000000000000000001-5",
            b"7N42dgm5tFLK9N8MT7fHC7-18446744073709551615~42.epoch_1",
        ],
    },
    Target {
        name: "since",
        check: since_text,
        seeds: &[b"all", b"last", b"new", b"42", b"epoch-1:42"],
    },
];

/// What was read is written, and read as the same.
fn event_id(bytes: &[u8]) -> bool {
    let Some(id) = EventId::read(bytes) else {
        return false;
    };
    let past = id.past.as_ref().map(ToString::to_string);
    let text = format!("{}-{}{}", id.session, id.number, past.unwrap_or_default());
    assert_eq!(EventId::read(text.as_bytes()), Some(id));
    true
}

/// Only digits are a number.
fn since_text(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let found = since(text);
    let number = text.rsplit(':').next().unwrap_or_default();
    let is_word = matches!(text, "all" | "last" | "new");
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    assert!(found.is_none() || is_word || is_number);
    found.is_some()
}
