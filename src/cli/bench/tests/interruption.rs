//! Ends runs before their time.

use super::stub::{Mischief, Stub};
use super::{args, count};
use crate::cli::bench::interruption::Interruption;
use crate::cli::bench::report::{Report, Value};
use crate::cli::bench::{Error, execute_until};

/// Runs a scenario until something was published, or all clients have come if nothing will be.
async fn interrupted(words: &str, clients: usize) -> Result<Report, Error> {
    let stub = Stub::start(Mischief::None).await;
    let interruption = Interruption::default();
    let args = args(&stub.url, words);
    let is_idle = words.starts_with("idle");
    let ended = execute_until(&args, interruption.clone());
    let interrupt = async {
        while match is_idle {
            true => stub.connects() < 2 * clients,
            false => stub.published() == 0,
        } {
            tokio::task::yield_now().await;
        }
        interruption.come();
    };
    tokio::join!(ended, interrupt).0
}

#[tokio::test]
async fn what_was_measured_so_far_is_told() {
    // (how it is run, how many messages it publishes at once)
    let cases = [
        ("fan-out --rate 0.001", 1),
        ("storm --rate 0.001", 1),
        ("rooms --rooms 3 --rate 0.001", 1),
        ("pairs --rate 0.001", 1),
        ("reconnect --rate 0.001 --away 10ms", 1),
    ];
    for (words, published) in cases {
        let words = format!("{words} --clients 6 --messages 9");
        let report = interrupted(&words, 6).await.unwrap();
        assert!(report.is_interrupted, "{words}");
        assert_eq!(report.flaws, None, "{words}");
        let stopped = Value::Text("interrupted".to_owned());
        assert_eq!(report.value("stopped"), Some(&stopped), "{words}");
        // Of a pair the partner may have answered.
        let messages = count(&report, "messages");
        assert!((published..=2 * published).contains(&messages), "{words}");
    }
}

#[tokio::test]
async fn a_run_that_idles_is_told_too() {
    let ended = interrupted("idle --clients 6 --idle 1h", 6).await;
    match ended {
        Ok(report) => assert!(report.is_interrupted),
        // The last connect came a moment before the client knew.
        Err(error) => assert!(matches!(error, Error::Interrupted), "{error}"),
    }
}

#[tokio::test]
async fn before_all_clients_have_come_there_is_nothing_to_tell() {
    let stub = Stub::start(Mischief::Silent("/meta/subscribe")).await;
    let interruption = Interruption::default();
    interruption.come();
    let ended = execute_until(&args(&stub.url, "idle --clients 6"), interruption).await;
    assert!(matches!(ended, Err(Error::Interrupted)), "{ended:?}");
}
