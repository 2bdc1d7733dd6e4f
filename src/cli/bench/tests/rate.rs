//! Runs scenarios at a rate: messages have their times, whatever became of those before.

use super::stub::Mischief;
use super::{TRANSPORTS, bench, count, measure};

#[tokio::test]
async fn all_scenarios_that_publish_take_a_rate() {
    for transport in TRANSPORTS {
        // (scenario, deliveries)
        let cases = [
            ("fan-out --clients 5", 100),
            ("storm --clients 5", 100),
            ("rooms --clients 6 --rooms 3", 40),
            ("pairs --clients 4", 80),
            ("reconnect --clients 5 --away 20ms", 100),
        ];
        for (scenario, deliveries) in cases {
            let words = format!("{scenario} --messages 20 --rate 400{transport}");
            let report = bench(Mischief::None, &words).await.unwrap();
            assert_eq!(count(&report, "deliveries"), deliveries, "{words}");
            assert_eq!(report.flaws, None, "{words}");
            assert!((measure(&report, "rate_per_s") - 400.0).abs() < 1e-9);
            // 20 messages take 19 intervals; of pairs, each of the two asks 20.
            let shortest = if scenario.starts_with("pairs") {
                39
            } else {
                19
            };
            let parts = if scenario.starts_with("reconnect") {
                6
            } else {
                1
            };
            let seconds = f64::from(shortest + 1 - parts) / 400.0;
            assert!(measure(&report, "elapsed_s") >= seconds - 0.001, "{words}");
        }
    }
}

#[tokio::test]
async fn a_pause_of_the_server_counts_for_every_message_that_was_due_in_it() {
    for scenario in ["fan-out", "storm", "storm --batch 1 --pipeline 1"] {
        let words = format!("{scenario} --clients 2 --messages 20 --rate 200");
        let report = bench(Mischief::Stall(300), &words).await.unwrap();
        // The last is due after 95 ms.
        assert!(measure(&report, "latency_p50_us") > 200_000.0, "{words}");
        assert_eq!(report.flaws, None);
    }
    // In lockstep nothing is due in it.
    let report = bench(Mischief::Stall(300), "fan-out --clients 2 --messages 20").await;
    assert!(measure(&report.unwrap(), "latency_p50_us") < 200_000.0);
}
