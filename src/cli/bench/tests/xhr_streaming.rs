//! Runs the scenarios over xhr-streaming, where they differ from those over long-polling.

use super::stub::{Mischief, Stub};
use super::{TRANSPORTS, args, count, fails};
use crate::cli::bench::report::Value;
use crate::cli::bench::{Phase, execute};

const XHR_STREAMING: &str = TRANSPORTS[3];

#[tokio::test]
async fn one_connect_carries_all_events() {
    let stub = Stub::start(Mischief::None).await;
    let words = format!("fan-out --clients 5 --messages 40 {XHR_STREAMING}");
    let report = execute(&args(&stub.url, &words)).await.unwrap();
    assert_eq!(count(&report, "deliveries"), 200);
    assert_eq!(stub.connects(), 10);
    assert_eq!(stub.complaint(), None);
    let transport = Value::Text("xhr-streaming".to_owned());
    assert_eq!(report.value("transport"), Some(&transport));
}

#[tokio::test]
async fn nothing_is_lost_from_one_stream_to_the_next() {
    let stub = Stub::start(Mischief::ShortHold).await;
    let words = format!("storm --clients 3 --messages 5000 --batch 2 --pipeline 1 {XHR_STREAMING}");
    let report = execute(&args(&stub.url, &words)).await.unwrap();
    assert_eq!(count(&report, "deliveries"), 15_000);
    assert_eq!(report.flaws, None);
    assert!(stub.connects() > 6);
    assert_eq!(stub.complaint(), None);
}

#[tokio::test]
async fn heartbeats_are_no_batches() {
    let stub = Stub::start(Mischief::Ping).await;
    let words = format!("fan-out --clients 3 --messages 10 {XHR_STREAMING}");
    let report = execute(&args(&stub.url, &words)).await.unwrap();
    assert_eq!(count(&report, "deliveries"), 30);
    assert_eq!(report.flaws, None);
}

#[tokio::test]
async fn a_failure_is_shown_with_client_and_phase() {
    // (mischief, phase, part of the answer)
    let cases = [
        (
            Mischief::Status("/meta/connect"),
            Phase::Connecting,
            "status 503: busy",
        ),
        (Mischief::NoReply, Phase::Parked, "without a reply"),
        (
            Mischief::Refuse("/bench/"),
            Phase::Publishing,
            "402::session_unknown",
        ),
    ];
    for (mischief, phase, part) in cases {
        fails(mischief, XHR_STREAMING, phase, part).await;
    }
}
