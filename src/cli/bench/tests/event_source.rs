//! Runs the scenarios over event streams, where they differ from those over long-polling.

use super::stub::{Mischief, Stub};
use super::{TRANSPORTS, args, count, fails};
use crate::cli::bench::report::Value;
use crate::cli::bench::{Phase, execute};

const EVENT_SOURCE: &str = TRANSPORTS[2];

#[tokio::test]
async fn streams_take_no_connects_and_one_session_publishes() {
    let stub = Stub::start(Mischief::None).await;
    let words = format!("fan-out --clients 5 --messages 40 {EVENT_SOURCE}");
    let report = execute(&args(&stub.url, &words)).await.unwrap();
    assert_eq!(count(&report, "deliveries"), 200);
    assert_eq!((stub.connects(), stub.sessions()), (0, 6));
    assert_eq!(stub.complaint(), None);
    let transport = Value::Text("eventsource".to_owned());
    assert_eq!(report.value("transport"), Some(&transport));
}

#[tokio::test]
async fn each_stream_may_have_its_channel() {
    let stub = Stub::start(Mischief::None).await;
    let words = format!("idle --own-channels --clients 12 --idle 20ms {EVENT_SOURCE}");
    let report = execute(&args(&stub.url, &words)).await.unwrap();
    assert_eq!((stub.channels(), stub.sessions()), (12, 12));
    assert_eq!(count(&report, "idle_reconnects"), 0);
}

#[tokio::test]
async fn comments_are_no_events() {
    let stub = Stub::start(Mischief::Ping).await;
    let words = format!("storm --clients 3 --messages 100 {EVENT_SOURCE}");
    let report = execute(&args(&stub.url, &words)).await.unwrap();
    assert_eq!(count(&report, "deliveries"), 300);
    assert_eq!(report.flaws, None);
}

#[tokio::test]
async fn streams_may_be_elsewhere_than_usual() {
    let stub = Stub::start(Mischief::None).await;
    let words = format!("idle --clients 1 --timeout 300ms --events-path /other {EVENT_SOURCE}");
    execute(&args(&stub.url, &words)).await.unwrap_err();
    let complaint = stub.complaint().unwrap();
    assert!(
        complaint.starts_with("GET /other?channel=/bench/"),
        "{complaint}"
    );
}

#[tokio::test]
async fn a_failure_is_shown_with_client_and_phase() {
    // (mischief, phase, part of the answer)
    let cases = [
        (
            Mischief::Status("/events"),
            Phase::Opening,
            "status 503: busy",
        ),
        (
            Mischief::Chunked,
            Phase::Opening,
            "no text/event-stream, but chunks",
        ),
        (
            Mischief::NoStream,
            Phase::Opening,
            "no text/event-stream, but no",
        ),
        (
            Mischief::Silent("/events"),
            Phase::Opening,
            "no answer within 300ms; so far: nothing",
        ),
        (
            Mischief::Hangup("/events"),
            Phase::Opening,
            "closed the connection",
        ),
        (Mischief::Gap, Phase::Opening, "event: gap"),
        (
            Mischief::SkipId,
            Phase::Parked,
            "id is s0-3 where s0-2 was due",
        ),
        (
            Mischief::Refuse("/bench/"),
            Phase::Publishing,
            "402::session_unknown",
        ),
    ];
    for (mischief, phase, part) in cases {
        fails(mischief, EVENT_SOURCE, phase, part).await;
    }
}
