//! Runs the reconnect scenario, honest and not.

use super::stub::{Mischief, Stub};
use super::{TRANSPORTS, args, bench, count, execute, fails_with, flaws, measure};
use crate::cli::bench::{Phase, Who};

#[tokio::test]
async fn all_come_back_and_nothing_is_lost() {
    for transport in TRANSPORTS {
        let stub = Stub::start(Mischief::None).await;
        let words = format!("reconnect --clients 10 --cuts 3 --away 30ms --messages 20{transport}");
        let report = execute(&args(&stub.url, &words)).await.unwrap();
        assert_eq!(count(&report, "cuts"), 3);
        assert_eq!(count(&report, "deliveries"), 200, "{words}");
        assert_eq!(report.flaws, None, "{words}");
        assert!(measure(&report, "all_back_ms") > 0.0);
        assert!(measure(&report, "return_p50_us") > 0.0);
        // The sessions are the same as before, and one is the publisher's.
        assert_eq!(stub.sessions(), 11, "{words}");
        assert_eq!(stub.complaint(), None, "{words}");
    }
}

#[tokio::test]
async fn what_was_lost_meanwhile_is_counted() {
    for transport in TRANSPORTS {
        // (mischief, lost, repeated)
        for (mischief, lost, repeated) in [(Mischief::Lose(0), 1, 0), (Mischief::Repeat(0), 0, 1)] {
            let words = "reconnect --clients 4 --cuts 1 --away 30ms --timeout 300ms";
            let report = bench(mischief, &(words.to_owned() + transport))
                .await
                .unwrap();
            assert_eq!(
                report.flaws,
                flaws(lost, repeated, 0),
                "{mischief:?} {transport}"
            );
        }
    }
}

#[tokio::test]
async fn who_cannot_come_back_ends_the_run() {
    for transport in TRANSPORTS {
        let words = format!("reconnect --clients 1 --away 10ms{transport}");
        let part = match transport {
            _ if transport == TRANSPORTS[2] => "status 503: busy",
            _ => "402::session_unknown",
        };
        fails_with(
            Mischief::Forget,
            &words,
            Who::Client(0),
            Phase::Returning,
            part,
        )
        .await;
    }
}
