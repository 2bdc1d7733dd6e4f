//! Runs the scenarios against a stub server that is honest, or not.

mod event_source;
mod interruption;
mod pairs;
mod rate;
mod reconnect;
mod rooms;
mod stub;
mod websocket;
mod xhr_streaming;

use std::time::{Duration, Instant};

use clap::Parser;

use self::stub::{Mischief, Stub};
use super::report::{Report, Value};
use super::{Args, Error, Fault, Flaws, Phase, Who, execute, fields, run};

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn args(url: &str, words: &str) -> Args {
    let words = words.split_whitespace();
    let line = ["bench"].into_iter().chain(words).chain(["--url", url]);
    Cli::try_parse_from(line).unwrap().args
}

/// The options that choose each transport.
const TRANSPORTS: [&str; 4] = [
    "",
    " --transport websocket",
    " --transport eventsource",
    " --transport xhr-streaming",
];

async fn bench(mischief: Mischief, words: &str) -> Result<Report, Error> {
    let stub = Stub::start(mischief).await;
    let result = execute(&args(&stub.url, words)).await;
    if let Some(complaint) = stub.complaint() {
        panic!("the stub did not like a request: {complaint}");
    }
    for name in result.iter().flat_map(Report::names) {
        assert!(fields::is_documented(name), "{name}");
    }
    result
}

fn count(report: &Report, name: &str) -> u64 {
    match report.value(name) {
        Some(Value::Count(count)) => *count,
        other => panic!("{name} is {other:?}"),
    }
}

fn measure(report: &Report, name: &str) -> f64 {
    match report.value(name) {
        Some(Value::Measure(measure)) => *measure,
        other => panic!("{name} is {other:?}"),
    }
}

fn flaws(lost: u64, repeated: u64, reordered: u64) -> Option<Flaws> {
    Some(Flaws {
        lost,
        repeated,
        reordered,
    })
}

#[tokio::test]
async fn idle_parks_all_clients() {
    for transport in TRANSPORTS {
        let words = "idle --clients 30 --concurrency 7 --idle 50ms".to_owned() + transport;
        let report = bench(Mischief::None, &words).await.unwrap();
        assert_eq!(count(&report, "clients"), 30);
        assert!(measure(&report, "handshakes_per_s") > 0.0);
        assert_eq!(report.value("server_resident_bytes_per_client"), None);
        assert_eq!(report.flaws, None);
    }
}

#[tokio::test]
async fn idle_gives_each_client_its_channel_and_reads_the_process() {
    let stub = Stub::start(Mischief::None).await;
    let pid = std::process::id();
    let words = format!("idle --own-channels --clients 12 --idle 20ms --pid {pid}");
    let report = execute(&args(&stub.url, &words)).await.unwrap();
    assert_eq!(stub.channels(), 12);
    assert!(measure(&report, "server_setup_cpu_us_per_client") >= 0.0);
    assert!(count(&report, "server_resident_parked_bytes") > 100_000);
}

#[tokio::test]
async fn fan_out_counts_every_delivery() {
    for transport in TRANSPORTS {
        let words = "fan-out --clients 20 --messages 15 --payload 300".to_owned() + transport;
        let report = bench(Mischief::None, &words).await.unwrap();
        assert_eq!(count(&report, "deliveries"), 300);
        assert_eq!(count(&report, "messages"), 15);
        assert!(measure(&report, "latency_p50_us") <= measure(&report, "latency_max_us"));
        assert!(measure(&report, "latency_max_us") > 0.0);
        assert_eq!(report.flaws, None);
        assert_eq!(report.value("stopped"), None);
    }
}

#[tokio::test]
async fn storm_counts_every_delivery() {
    for transport in TRANSPORTS {
        let words = "storm --messages 203 --batch 10 --pipeline 3".to_owned() + transport;
        let report = bench(Mischief::None, &words).await.unwrap();
        assert_eq!(count(&report, "clients"), 10);
        assert_eq!(count(&report, "deliveries"), 2030);
        assert_eq!(report.flaws, None);
    }
}

#[tokio::test]
async fn fan_out_is_the_default() {
    let report = bench(Mischief::None, "--clients 2 --messages 2")
        .await
        .unwrap();
    assert_eq!(
        report.value("scenario"),
        Some(&Value::Text("fan-out".to_owned()))
    );
}

#[tokio::test]
async fn responses_in_small_pieces_are_put_together() {
    for transport in TRANSPORTS {
        let words = "storm --clients 2 --messages 20 --payload 5000".to_owned() + transport;
        let report = bench(Mischief::Dribble, &words).await.unwrap();
        assert_eq!(count(&report, "deliveries"), 40);
        assert_eq!(report.flaws, None);
    }
}

#[tokio::test]
async fn streams_may_be_cut_anywhere() {
    for transport in [TRANSPORTS[2], TRANSPORTS[3]] {
        let words = "storm --clients 3 --messages 100".to_owned() + transport;
        let report = bench(Mischief::Recut, &words).await.unwrap();
        assert_eq!(count(&report, "deliveries"), 300);
        assert_eq!(report.flaws, None);
    }
}

#[tokio::test]
async fn connects_answered_with_nothing_are_sent_again() {
    // An event stream takes no connects.
    for transport in [TRANSPORTS[0], TRANSPORTS[1], TRANSPORTS[3]] {
        let words = "idle --clients 3 --idle 300ms".to_owned() + transport;
        let report = bench(Mischief::ShortHold, &words).await.unwrap();
        assert!(count(&report, "idle_reconnects") >= 3);
    }
}

#[tokio::test]
async fn a_lost_message_stops_the_lockstep() {
    for transport in TRANSPORTS {
        let words = "fan-out --clients 4 --messages 9 --timeout 300ms".to_owned() + transport;
        let report = bench(Mischief::Lose(5), &words).await.unwrap();
        assert_eq!(report.flaws, flaws(1, 0, 0));
        assert_eq!(count(&report, "messages"), 6);
        let Some(Value::Text(stopped)) = report.value("stopped") else {
            panic!("{report:?}");
        };
        assert!(stopped.contains("1 of 4: client "), "{stopped}");
        assert!(stopped.ends_with("misses message 5"), "{stopped}");
    }
}

#[tokio::test]
async fn a_lost_message_of_a_storm_is_counted() {
    for transport in TRANSPORTS {
        let words = "storm --clients 4 --messages 40 --timeout 300ms".to_owned() + transport;
        let report = bench(Mischief::Lose(5), &words).await.unwrap();
        assert_eq!(report.flaws, flaws(1, 0, 0));
        assert_eq!(count(&report, "deliveries"), 159);
    }
}

#[tokio::test]
async fn a_repeated_message_is_counted() {
    for transport in TRANSPORTS {
        for words in ["fan-out", "storm"] {
            let words = format!("{words} --clients 4 --messages 9{transport}");
            for number in [5, 8] {
                let report = bench(Mischief::Repeat(number), &words).await.unwrap();
                assert_eq!(report.flaws, flaws(0, 1, 0), "{words}");
                assert_eq!(count(&report, "deliveries"), 36, "{words}");
            }
        }
    }
}

#[tokio::test]
async fn a_reordered_message_is_counted() {
    for transport in TRANSPORTS {
        let words = "storm --clients 4 --messages 20".to_owned() + transport;
        let report = bench(Mischief::Reorder(5), &words).await.unwrap();
        assert_eq!(report.flaws, flaws(0, 0, 1));
        assert_eq!(count(&report, "deliveries"), 80);
    }
}

#[tokio::test]
async fn flaws_make_the_command_fail() {
    let stub = Stub::start(Mischief::Repeat(1)).await;
    let error = run(&args(&stub.url, "storm --json")).await.unwrap_err();
    assert!(matches!(error, Error::Flawed(found) if Some(found) == flaws(0, 1, 0)));
    assert!(
        error
            .to_string()
            .ends_with("0 lost, 1 repeated, 0 reordered")
    );
}

#[tokio::test]
async fn a_refusal_is_shown_with_client_and_phase() {
    // (mischief, phase, part of the answer)
    let cases = [
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
        (
            Mischief::Status("/meta/connect"),
            Phase::Connecting,
            "status 503: busy",
        ),
        (Mischief::Chunked, Phase::Handshaking, "chunked"),
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
    ];
    for (mischief, phase, part) in cases {
        fails(mischief, "", phase, part).await;
    }
}

/// Checks that a mischief makes the run fail, in which phase and with what in the answer.
async fn fails(mischief: Mischief, transport: &str, phase: Phase, part: &str) {
    let words = "fan-out --clients 3 --concurrency 1 --timeout 300ms --messages 2";
    let who = match phase {
        Phase::Publishing => Who::Publisher,
        _ => Who::Client(0),
    };
    fails_with(mischief, &(words.to_owned() + transport), who, phase, part).await;
}

/// Checks that a mischief makes a run fail, for whom, in which phase and with what in the answer.
async fn fails_with(mischief: Mischief, words: &str, who: Who, phase: Phase, part: &str) {
    let start = Instant::now();
    let error = bench(mischief, words).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5), "{mischief:?}");
    let Error::Client {
        who: found_who,
        phase: found_phase,
        source,
    } = error
    else {
        panic!("{mischief:?}: {error:?}");
    };
    assert_eq!(found_phase, phase, "{words} {mischief:?}: {source}");
    assert_eq!(found_who, who, "{words} {mischief:?}");
    assert!(source.to_string().contains(part), "{mischief:?}: {source}");
}

#[tokio::test]
async fn a_parked_client_that_is_dropped_ends_the_run() {
    for transport in TRANSPORTS {
        let words = "idle --clients 3".to_owned() + transport;
        let error = bench(Mischief::DropParked, &words).await.unwrap_err();
        assert!(
            matches!(
                &error,
                Error::Client {
                    phase: Phase::Parked,
                    source: Fault::Closed(_),
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_closed_port_is_named() {
    let words = "idle --clients 1";
    let error = execute(&args("http://127.0.0.1:1/cometd", words))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "client 0 failed while opening its TCP connection"
    );
}

#[tokio::test]
async fn the_address_that_does_not_answer_is_named() {
    let words = "idle --clients 1";
    let error = execute(&args("http://127.0.0.1:1/cometd", words)).await;
    let Err(Error::Client { source, .. }) = error else {
        panic!("{error:?}");
    };
    assert!(source.to_string().contains("answers at 127.0.0.1:1 ("));
}

#[tokio::test]
async fn options_without_effect_are_refused() {
    let cases = [
        ("idle --rate 5", "--rate"),
        ("idle --messages 5", "--messages"),
        ("idle --payload 5", "--payload"),
        ("fan-out --events-path /x", "--events-path"),
        ("--transport websocket --events-path /x", "--events-path"),
    ];
    for (words, expected) in cases {
        let error = execute(&args("http://127.0.0.1:1/cometd", words)).await;
        let Err(Error::Misuse { option, .. }) = error else {
            panic!("{words}: {error:?}");
        };
        assert_eq!(option, expected, "{words}");
    }
}

#[tokio::test]
async fn more_clients_than_descriptors_are_refused() {
    let words = "idle --clients 100000000";
    let error = execute(&args("http://127.0.0.1:1/cometd", words))
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Descriptors {
                clients: 100_000_000,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("ask for at most"), "{error}");
}
