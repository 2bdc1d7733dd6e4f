//! What fuzzers do to what nodes ask each other.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::calls::{GiveAnswer, GiveCall, TakeAnswer, TakeCall, decode, encode};
use crate::fuzzing::target::Target;

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "cluster_call",
    check: call,
    seeds: &[
        br#"{"have":{"id":"0000000000000000000001","attempt":3,"ready":["/a/*","/b"]}}"#,
        br#"{"may":{"id":"0000000000000000000001","asker":{"cookies":["x"],"opened":5}}}"#,
        br#"{"given":{"record":{"version":1},"generation":4,"at":9}}"#,
        br#"{"sessions":[{"record":{ },"generation":4,"at":9}]}"#,
        br#"{"taken":["0000000000000000000001"]}"#,
    ],
}];

/// What is asked, or answered, is written as it was read.
fn call(bytes: &[u8]) -> bool {
    let is_one = [
        is_read::<TakeCall>(bytes),
        is_read::<TakeAnswer>(bytes),
        is_read::<GiveCall>(bytes),
        is_read::<GiveAnswer>(bytes),
    ];
    is_one.contains(&true)
}

fn is_read<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    let Ok(read) = decode::<T>(bytes) else {
        return false;
    };
    let written = encode(&read);
    let again: T = decode(&written).expect("what was written");
    assert_eq!(encode(&again), written);
    true
}
