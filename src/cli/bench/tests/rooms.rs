//! Runs the rooms scenario, honest and not.

use super::stub::{Mischief, Stub};
use super::{TRANSPORTS, args, bench, count, execute, flaws};
use crate::cli::bench::{Error, Phase};

#[tokio::test]
async fn each_message_goes_to_one_room() {
    // (clients, rooms, messages, deliveries)
    let cases = [
        (12, 4, 20, 60),
        (11, 4, 10, 28),
        (3, 5, 10, 6),
        (4, 1, 5, 20),
    ];
    for transport in TRANSPORTS {
        for (clients, rooms, messages, deliveries) in cases {
            let stub = Stub::start(Mischief::None).await;
            let words = format!(
                "rooms --clients {clients} --rooms {rooms} --messages {messages}{transport}"
            );
            let report = execute(&args(&stub.url, &words)).await.unwrap();
            assert_eq!(count(&report, "deliveries"), deliveries, "{words}");
            assert_eq!(count(&report, "channels"), rooms, "{words}");
            assert_eq!(stub.channels() as u64, rooms.min(clients), "{words}");
            assert_eq!(report.flaws, None, "{words}");
        }
    }
}

#[tokio::test]
async fn flaws_are_found_in_one_room() {
    // (mischief, how it is published, lost, repeated, reordered)
    let cases = [
        (Mischief::Lose(5), "", 1, 0, 0),
        (Mischief::Lose(5), " --rate 500", 1, 0, 0),
        (Mischief::Repeat(5), "", 0, 1, 0),
    ];
    for (mischief, rate, lost, repeated, reordered) in cases {
        let words = "rooms --clients 6 --rooms 3 --messages 9 --timeout 300ms".to_owned() + rate;
        let report = bench(mischief, &words).await.unwrap();
        assert_eq!(
            report.flaws,
            flaws(lost, repeated, reordered),
            "{mischief:?}"
        );
    }
}

#[tokio::test]
async fn a_message_in_the_wrong_room_ends_the_run() {
    let words = "rooms --clients 6 --rooms 3 --messages 9";
    let error = bench(Mischief::Stray(5), words).await.unwrap_err();
    let Error::Client { phase, source, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(phase, Phase::Parked);
    assert!(
        source.to_string().contains("message 5, which was never"),
        "{source}"
    );
}
