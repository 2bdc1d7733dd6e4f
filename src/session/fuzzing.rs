//! What fuzzers do to sessions as one process leaves them to the next.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{EventRecord, Record, Session, Settings, Shared};
use crate::extensions::settings::Settings as Extensions;
use crate::fuzzing::target::Target;

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "record",
    check: record,
    seeds: &[
        br#"{"version":1,"aliases":"000000000000000000000A","id":"000000000000000000000B","browser":"000000000000000000000C","begun":{"secs_since_epoch":1790000000,"nanos_since_epoch":5},"address":"192.0.2.1","transport":"websocket","heard":{"secs":61,"nanos":0},"marks":5,"identity":{"user":"u","roles":["r"],"claims":[["c","v"]],"grants":[[["subscribe","publish"],["/a/*"]]],"expires":{"secs_since_epoch":1790009999,"nanos_since_epoch":0}},"extensions":{},"state":{"is_connected":true,"queue":{"events":[{"json":{"channel":"/a","data":{"b" : 1.10}}},{"json":{"channel":"/b","data":2},"id":3,"is_bounded":true}],"is_urgent":true,"lazy_left":{"secs":1,"nanos":5},"is_at_bound":true,"was_at_channel_bound":true},"stream":{"left":9,"kept":[{"json":{"channel":"/a","data":"kept"}}]},"acks":{"last":12,"sent":[[11,{"json":{"channel":"/a","data":"sent"}}]]},"cuts":3,"timeout":{"secs":11,"nanos":0},"interval":{"secs":1,"nanos":0},"max_interval":{"secs":21,"nanos":0},"client_interval":{"secs":2,"nanos":0},"polling_interval":{"secs":4,"nanos":0},"delivers_on_connect_only":true,"is_bound":true,"has_had_stream":true,"subscriptions":["/a","/b/**"],"replaying":[{"wants":[["/b/**",5]],"live":["/b/c"],"last_of_each":null,"position":6,"live_from":[7,6],"passed":9,"told":3,"fails":true,"is_done":false}]}}"#,
        br#"{"version":1,"aliases":"000000000000000000000A","id":"000000000000000000000B","browser":"000000000000000000000C","begun":{"secs_since_epoch":0,"nanos_since_epoch":0},"address":null,"transport":null,"heard":{"secs":0,"nanos":0},"marks":0,"identity":null,"extensions":{},"state":{"is_connected":false,"queue":{"events":[],"is_urgent":false,"lazy_left":null,"is_at_bound":false,"was_at_channel_bound":false},"stream":{"left":0,"kept":null},"acks":null,"cuts":0,"timeout":null,"interval":null,"max_interval":null,"client_interval":null,"polling_interval":{"secs":0,"nanos":0},"delivers_on_connect_only":false,"is_bound":false,"has_had_stream":false,"subscriptions":[]}}"#,
    ],
}];

/// What is read is written as it was read; the session goes on, or its record is refused.
fn record(bytes: &[u8]) -> bool {
    let Ok(record) = Record::decode(bytes) else {
        return false;
    };
    let written = record.encode().expect("it can be written");
    let again = Record::decode(&written).expect("what was written");
    assert_eq!(again.encode().expect("it can be written"), written);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_500);
    let clocks = (Instant::now(), now);
    let shared = Shared::of(Settings::default(), Extensions::default().build(Vec::new()));
    let browser = record.browser;
    let mut revive = |event: EventRecord| event.event().map(|(event, _)| Arc::new(event));
    let count = || (shared.browsers.add_session(browser), None);
    let Ok(session) = Session::of_record(record, &shared, &mut revive, clocks, count) else {
        return false;
    };
    let written = session.record(clocks).expect("it can be written");
    let written = written.expect("it has not ended").encode();
    assert!(Record::decode(&written.expect("it can be written")).is_ok());
    true
}
