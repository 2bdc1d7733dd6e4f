//! What fuzzers do to messages as they are in Redis.

use super::wire::{read, tail};
use crate::fuzzing::target::Target;

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "redis_message",
    check: message,
    seeds: &[
        b"7 3 0 0 2 9 0 -\n/a{\"b\":[]}\"data\"",
        b"1790000000000001 0 1790000000000000 0 4 0 7 0000000000000000000001\n/a/b\"x\":[1]null",
    ],
}];

/// A message is written, and read as the same.
fn message(bytes: &[u8]) -> bool {
    let Some(incoming) = read(bytes.to_vec()) else {
        return false;
    };
    let place = incoming.place;
    let mut again = format!("{} {} ", place.id, place.before).into_bytes();
    again.extend(tail(
        &incoming.entry,
        Some(incoming.entry.at),
        incoming.publisher,
    ));
    let again = read(again).expect("a message");
    assert_eq!((again.place, again.publisher), (place, incoming.publisher));
    assert_eq!(again.entry.channel, incoming.entry.channel);
    assert_eq!(again.entry.body, incoming.entry.body);
    assert_eq!(again.entry.at, incoming.entry.at);
    true
}
