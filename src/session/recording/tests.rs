//! That nothing of a session is lost between two processes, and that records of before can be read.

use std::time::Duration;

use super::*;
use crate::access::{Access, Identity, Subject};
use crate::bayeux::{ClientId, RandomId};
use crate::extensions::settings::Settings as Extensions;
use crate::session::state::tests::event;
use crate::session::{Connect, Connected, EndReason, EventRecord, EventsBy, Settings};

/// A record with a value of its own in every place. What is added to it needs a default: as it stands here it can
/// be read for ever.
const EVERYTHING: &str = r#"{
"version":1,
"aliases":"000000000000000000000A",
"id":"000000000000000000000B",
"browser":"000000000000000000000C",
"begun":{"secs_since_epoch":1790000000,"nanos_since_epoch":5},
"address":"192.0.2.1",
"transport":"websocket",
"heard":{"secs":61,"nanos":0},
"marks":5,
"identity":{"user":"u","roles":["r"],"claims":[["c","v"]],"grants":[[["subscribe","publish"],["/a/*"]]],
    "expires":{"secs_since_epoch":1790009999,"nanos_since_epoch":0}},
"extensions":{"activity":7000},
"state":{
    "is_connected":true,
    "queue":{
        "events":[
            {"json":{"channel":"/a","data":{"b" : 1.10, "s":"\u00e9\ud83d"},"ext":{ }}},
            {"json":{"channel":"/b","data":2},"id":1790000000000001,"is_bounded":true}],
        "is_urgent":true,"lazy_left":{"secs":1,"nanos":5},"is_at_bound":true,"was_at_channel_bound":true},
    "stream":{"left":9,"kept":[{"json":{"channel":"/a","data":"kept"}}]},
    "acks":{"last":12,"sent":[[11,{"json":{"channel":"/a","data":"sent"}}]]},
    "cuts":3,
    "timeout":{"secs":11,"nanos":0},
    "interval":{"secs":1,"nanos":0},
    "max_interval":{"secs":21,"nanos":0},
    "client_interval":{"secs":2,"nanos":0},
    "polling_interval":{"secs":4,"nanos":0},
    "delivers_on_connect_only":true,
    "is_bound":true,
    "has_had_stream":true,
    "subscriptions":["/a","/b/**"],
    "replaying":[
        {"wants":[["/b/**",5]],"live":["/b/c"],"last_of_each":null,"position":6,"live_from":[7,6],"passed":9,"told":3,"fails":true,
            "is_done":false},
        {"wants":[["/a",0]],"live":[],"last_of_each":8,"position":7,"live_from":null,"passed":0,"told":0,"fails":false,"is_done":true}]}
}"#;

fn shared(settings: Settings) -> Arc<Shared> {
    let extensions = Extensions {
        activity: crate::extensions::Activity::ClientServer,
        ..Extensions::default()
    };
    Shared::of(settings, extensions.build(Vec::new()))
}

/// Takes a session up with all that is granted by its record.
fn take_up(record: Record, shared: &Arc<Shared>, clocks: (Instant, SystemTime)) -> Arc<Session> {
    shared.aliases.go_on(record.aliases);
    let browser = record.browser;
    let identity = record.identity.clone().map(Identity::from);
    let subject = Subject {
        identity: identity.map(Arc::new),
        address: record.address,
    };
    let bound = crate::bayeux::ChannelBound {
        max_queue: 7,
        policy: crate::session::MaxQueuePolicy::Conflate,
    };
    let mut revive = |event: EventRecord| {
        let (event, is_bounded) = event.event()?;
        Ok(Arc::new(event.bounded(is_bounded.then_some(bound))))
    };
    let count = || (shared.browsers.add_session(browser), None);
    let session = Session::of_record(record, shared, &mut revive, clocks, count);
    let session = session.expect("it can be read");
    session.grant(Arc::new(Access::default()).for_subject(subject));
    session
}

fn written(session: &Session, clocks: (Instant, SystemTime)) -> String {
    let record = session.record(clocks).expect("it can be written");
    let json = record.expect("it has not ended").encode();
    String::from_utf8(json.expect("JSON").to_vec()).expect("UTF-8")
}

fn clocks() -> (Instant, SystemTime) {
    let time_of_day = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_500);
    (Instant::now(), time_of_day)
}

/// As it is written: without the line ends and indents of this file.
fn everything() -> String {
    EVERYTHING.lines().map(str::trim_start).collect()
}

#[test]
fn what_is_written_is_read_and_written_again() {
    let clocks = clocks();
    let record = Record::decode(everything().as_bytes()).expect("a record");
    let session = take_up(record, &shared(Settings::default()), clocks);
    assert_eq!(written(&session, clocks), everything());
}

#[test]
fn a_session_of_which_nothing_was_set_is_written_and_read_too() {
    let (shared, clocks) = (shared(Settings::default()), clocks());
    let id = RandomId::from_random([1; 16]);
    let browser = shared.browsers.add_session(id);
    let session = Session::new(
        ClientId(id),
        browser,
        false,
        Arc::clone(&shared),
        Begun::new(clocks.0),
        None,
        Origin::default(),
    );
    let json = written(&session, clocks);
    let record = Record::decode(json.as_bytes()).expect("a record");
    // The extension is one of every session.
    let again = written(&take_up(record, &shared, clocks), clocks);
    assert_eq!(again.replace(r#"{"activity":0}"#, "{}"), json);
}

#[test]
fn times_that_are_left_go_on_and_the_time_to_come_back_begins_anew() {
    let settings = Settings {
        max_reconnect_spread: Duration::from_secs(30),
        callback_reconnect_interval: Duration::from_secs(3),
        ..Settings::default()
    };
    let (now, time_of_day) = clocks();
    let record = Record::decode(everything().as_bytes()).expect("a record");
    let session = take_up(record, &shared(settings), (now, time_of_day));
    let (later, time_later) = (now + Duration::from_secs(2), Duration::from_secs(2));
    let json = written(&session, (later, time_of_day + time_later));
    assert!(
        json.contains(r#""lazy_left":{"secs":0,"nanos":0}"#),
        "{json}"
    );
    assert!(json.contains(r#""activity":9000"#), "{json}");
    // The interval that its client asked for, its own longest, and what it may have been told.
    let expiry = now + Duration::from_secs(2 + 21 + 30 + 3);
    let mut due = Vec::new();
    let timers = &session.shared().timers;
    timers.take_due(expiry, &mut due);
    let tick = crate::session::Tick::at;
    let early = expiry - Duration::from_millis(1);
    assert_eq!(session.on_timer(due[0].0, tick(early)), None);
    due.clear();
    timers.take_due(expiry, &mut due);
    assert_eq!(
        session.on_timer(due[0].0, tick(expiry)),
        Some(EndReason::Expired)
    );
}

#[test]
fn what_was_not_acknowledged_comes_first_and_the_client_is_told_its_times() {
    let (now, time_of_day) = clocks();
    let record = Record::decode(everything().as_bytes()).expect("a record");
    let session = take_up(record, &shared(Settings::default()), (now, time_of_day));
    let connect = Connect {
        advice: None,
        may_be_held: true,
        lifetime: None,
        events_by: EventsBy::Replies,
        browser: None,
        by_http2: false,
        ack: Some(10),
    };
    let (connected, number) = session.connect(&connect, now);
    assert_eq!(connected, Connected::Answer { advise: true });
    let taken = session.take_events(crate::session::Carrier::Connect(number));
    let data = taken.events.iter().map(|event| event.json().len());
    assert_eq!((taken.resent, data.count(), taken.number), (1, 3, Some(13)));
}

#[test]
fn what_has_ended_is_not_written() {
    let clocks = clocks();
    let record = Record::decode(everything().as_bytes()).expect("a record");
    let session = take_up(record, &shared(Settings::default()), clocks);
    session.end(EndReason::Disconnect);
    assert!(session.record(clocks).expect("no error").is_none());
}

#[test]
fn what_is_on_its_way_comes_back_when_all_is_cut_and_none_leaves_after() {
    let (shared, (now, time_of_day)) = (shared(Settings::default()), clocks());
    let id = RandomId::from_random([1; 16]);
    let session = Session::new(
        ClientId(id),
        shared.browsers.add_session(id),
        false,
        Arc::clone(&shared),
        Begun::new(now),
        None,
        Origin::default(),
    );
    let mut stream = crate::session::Stream::default();
    stream.attach(&session, now);
    let delivered = session.deliver(&event("a"), None, || now);
    assert_eq!(delivered.end(), None);
    let noop = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(noop);
    let step = stream.poll(1000, &mut context);
    let std::task::Poll::Ready(crate::session::StreamStep::Events { events, .. }) = step else {
        panic!("{step:?}");
    };
    assert!(stream.poll_lost(&mut context).is_pending());
    session.cut();
    assert!(stream.poll_lost(&mut context).is_ready());
    stream.give_back(events);
    assert!(stream.poll(1000, &mut context).is_pending());
    let json = written(&session, (now, time_of_day));
    assert!(json.contains(r#""data":"a""#), "{json}");
}

#[test]
fn what_another_version_wrote_or_is_damaged_is_not_read() {
    let whole = everything();
    let cases = [
        (
            whole.replace(r#""version":1"#, r#""version":2"#),
            "it has version 2",
        ),
        (whole[..whole.len() / 2].to_owned(), "it is damaged"),
        (
            whole.replace("000000000000000000000B", "B"),
            "it is damaged",
        ),
        (
            whole.replace(r#""is_connected":true,"#, ""),
            "it is damaged",
        ),
        (String::new(), "it is damaged"),
        ("[]".to_owned(), "it is damaged"),
    ];
    for (json, expected) in cases {
        let error = Record::decode(json.as_bytes())
            .err()
            .map(|error| error.to_string());
        let error = error.unwrap_or_default();
        assert!(error.starts_with(expected), "{error} of {json}");
    }
    // What is unknown is left out: a later version may add it.
    let more = whole.replace(r#""marks":5"#, r#""marks":5,"more":{}"#);
    assert!(Record::decode(more.as_bytes()).is_ok());
}

#[test]
fn what_may_be_missing_is_told_by_replies_and_goes_with_the_session() {
    let clocks = clocks();
    let shared = shared(Settings::default());
    let id = RandomId::from_random([1; 16]);
    let session = Session::new(
        ClientId(id),
        shared.browsers.add_session(id),
        false,
        Arc::clone(&shared),
        Begun::new(clocks.0),
        None,
        Origin::default(),
    );
    let pattern = crate::bayeux::ChannelPattern::parse("/a", &crate::bayeux::Limits::default());
    session.note_gap(&[pattern.expect("a pattern")]);
    let json = written(&session, clocks);
    let record = Record::decode(json.as_bytes()).expect("a record");
    let again = take_up(record, &shared, clocks);
    for session in [session, again] {
        let mut told = Vec::new();
        // Whether the reply that tells it is written.
        for is_written in [false, true, true] {
            let connect = Connect {
                advice: None,
                may_be_held: false,
                lifetime: None,
                events_by: EventsBy::Replies,
                browser: None,
                by_http2: false,
                ack: None,
            };
            let (_, number) = session.connect(&connect, clocks.0);
            let taken = session.take_events(crate::session::Carrier::Connect(number));
            told.push(taken.gap);
            if let Some(in_flight) = taken.in_flight.filter(|_| !is_written) {
                in_flight.give_back(Vec::new());
            }
        }
        let gap = Some(r#"["/a"]"#.to_owned());
        assert_eq!(told, [gap.clone(), gap, None]);
    }
}
