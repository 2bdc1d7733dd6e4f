//! Runs the scenarios over WebSocket, where they differ from those over long-polling.

use super::stub::{Mischief, Stub};
use super::{TRANSPORTS, args, count, fails};
use crate::cli::bench::report::Value;
use crate::cli::bench::{Phase, execute};

const WEBSOCKET: &str = TRANSPORTS[1];

#[tokio::test]
async fn events_take_no_connects() {
    let stub = Stub::start(Mischief::None).await;
    let words = format!("storm --clients 5 --messages 40 {WEBSOCKET}");
    let report = execute(&args(&stub.url, &words)).await.unwrap();
    assert_eq!(count(&report, "deliveries"), 200);
    assert_eq!(stub.connects(), 10);
    assert_eq!(stub.complaint(), None);
    let transport = Value::Text("websocket".to_owned());
    assert_eq!(report.value("transport"), Some(&transport));
}

#[tokio::test]
async fn events_come_before_and_after_the_replies_to_connects() {
    let stub = Stub::start(Mischief::ShortHold).await;
    let words = format!("storm --clients 3 --messages 5000 --batch 2 --pipeline 1 {WEBSOCKET}");
    let report = execute(&args(&stub.url, &words)).await.unwrap();
    assert_eq!(count(&report, "deliveries"), 15_000);
    assert_eq!(report.flaws, None);
    assert!(stub.connects() > 6);
    assert_eq!(stub.complaint(), None);
}

#[tokio::test]
async fn pings_are_answered() {
    let stub = Stub::start(Mischief::Ping).await;
    let words = format!("fan-out --clients 3 --messages 10 {WEBSOCKET}");
    let report = execute(&args(&stub.url, &words)).await.unwrap();
    assert_eq!(count(&report, "deliveries"), 30);
    // Those of handshakes, first connects and subscriptions, of events, and the publisher's.
    assert_eq!(stub.pings_and_pongs(), (9 + 30 + 11, 9 + 30 + 11));
}

#[tokio::test]
async fn a_failure_is_shown_with_client_and_phase() {
    // (mischief, phase, part of the answer)
    let cases = [
        (Mischief::NoUpgrade, Phase::Upgrading, "status 400: no"),
        (Mischief::WrongKey, Phase::Upgrading, "Sec-WebSocket-Accept"),
        (
            Mischief::Refuse("/meta/handshake"),
            Phase::Handshaking,
            "402::session_unknown",
        ),
        (
            Mischief::Refuse("/meta/connect"),
            Phase::Connecting,
            "402::session_unknown",
        ),
        (
            Mischief::Refuse("/meta/subscribe"),
            Phase::Subscribing,
            "402::session_unknown",
        ),
        (
            Mischief::Refuse("/bench/"),
            Phase::Publishing,
            "402::session_unknown",
        ),
        (Mischief::Binary, Phase::Handshaking, "a binary message"),
        (
            Mischief::Silent("/meta/subscribe"),
            Phase::Subscribing,
            "no answer within 300ms; so far: nothing",
        ),
        (
            Mischief::Hangup("/meta/subscribe"),
            Phase::Subscribing,
            "closed the connection",
        ),
        (
            Mischief::CloseFrame("/bench/"),
            Phase::Publishing,
            "closed the WebSocket with code 1011: no more",
        ),
    ];
    for (mischief, phase, part) in cases {
        fails(mischief, WEBSOCKET, phase, part).await;
    }
}
