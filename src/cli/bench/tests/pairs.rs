//! Runs the pairs scenario, honest and not.

use super::stub::Mischief;
use super::{TRANSPORTS, bench, count, fails_with, flaws, measure};
use crate::cli::bench::{Phase, Who};

#[tokio::test]
async fn every_question_is_answered() {
    for transport in TRANSPORTS {
        // (clients, questions and answers)
        for (clients, deliveries) in [(8, 80), (9, 80), (1, 20)] {
            let words = format!("pairs --clients {clients} --messages 10{transport}");
            let report = bench(Mischief::None, &words).await.unwrap();
            assert_eq!(count(&report, "pairs"), deliveries / 20);
            assert_eq!(count(&report, "clients"), deliveries / 10);
            assert_eq!(count(&report, "messages"), deliveries, "{words}");
            assert_eq!(count(&report, "deliveries"), deliveries, "{words}");
            assert!(measure(&report, "round_trip_p50_us") > 0.0);
            assert_eq!(report.flaws, None, "{words}");
        }
    }
}

#[tokio::test]
async fn flaws_are_found() {
    for transport in TRANSPORTS {
        // (mischief with the question of that number, or the answer; lost, repeated)
        let cases = [
            (Mischief::Lose(4), 1, 0),
            (Mischief::Lose(5), 1, 0),
            (Mischief::Repeat(4), 0, 1),
            (Mischief::Repeat(5), 0, 1),
        ];
        for (mischief, lost, repeated) in cases {
            let words = format!("pairs --clients 2 --messages 5 --timeout 300ms{transport}");
            let report = bench(mischief, &words).await.unwrap();
            assert_eq!(
                report.flaws,
                flaws(lost, repeated, 0),
                "{mischief:?} {words}"
            );
        }
    }
}

#[tokio::test]
async fn a_refused_question_ends_the_run() {
    // The reply on a WebSocket comes among what is received.
    let cases = [
        (TRANSPORTS[0], Phase::Publishing),
        (TRANSPORTS[1], Phase::Parked),
        (TRANSPORTS[2], Phase::Publishing),
        (TRANSPORTS[3], Phase::Publishing),
    ];
    for (transport, phase) in cases {
        let words = format!("pairs --clients 2{transport}");
        let mischief = Mischief::Refuse("/bench/");
        fails_with(
            mischief,
            &words,
            Who::Client(0),
            phase,
            "402::session_unknown",
        )
        .await;
    }
}
