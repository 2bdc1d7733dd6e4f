//! `mirant bench` against a server: what it prints, and where.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::TestServer;

/// Runs the program, which must not keep the server from running meanwhile.
async fn bench(server: &TestServer, words: &str) -> Output {
    let url = format!("http://{}/cometd", server.address);
    let words = format!("bench {words} --url {url} --pid {}", std::process::id());
    let mut command = Command::new(env!("CARGO_BIN_EXE_mirant"));
    command.args(words.split_whitespace()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_over_every_transport() {
    let server = TestServer::start(&[]);
    // (scenario, deliveries)
    let cases = [
        ("idle --idle 50ms", None),
        ("fan-out --messages 10", Some(200)),
        ("fan-out --messages 10 --rate 200", Some(200)),
        ("rooms --rooms 5 --messages 10", Some(40)),
        ("pairs --messages 10", Some(200)),
        ("pairs --messages 10 --rate 500", Some(200)),
        ("storm --messages 50", Some(1000)),
        ("reconnect --messages 30 --away 100ms", Some(600)),
    ];
    for transport in ["long-polling", "websocket", "eventsource", "xhr-streaming"] {
        for (scenario, deliveries) in cases {
            let words = format!("{scenario} --clients 20 --json --transport {transport}");
            let output = bench(&server, &words).await;
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{words}: {errors}");
            let result: Value = serde_json::from_slice(&output.stdout).unwrap();
            let name = scenario.split(' ').next().unwrap();
            assert_eq!(result["scenario"], name, "{words}");
            assert_eq!(result["transport"], transport, "{words}");
            assert_eq!(result["clients"], 20, "{words}");
            assert!(result["handshakes_per_s"].as_f64().unwrap() > 0.0);
            let Some(deliveries) = deliveries else {
                assert!(result["server_resident_parked_bytes"].is_u64());
                continue;
            };
            assert_eq!(result["deliveries"], deliveries, "{words}");
            assert_eq!(result["lost"], 0, "{words}");
            assert!(result["server_cpu_us_per_delivery"].is_f64());
            let counts = result["histogram"].as_array().unwrap().iter();
            let sum: u64 = counts.map(|bar| bar["count"].as_u64().unwrap()).sum();
            let expected = match name {
                "pairs" => deliveries / 2,
                "reconnect" => 3 * 20,
                _ => deliveries,
            };
            assert_eq!(sum, expected, "{words}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_has_a_histogram() {
    let server = TestServer::start(&[]);
    let output = bench(&server, "storm --clients 3 --messages 20").await;
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.starts_with("scenario "), "{table}");
    for part in ["latency p99 9 us", "up to ", "  #"] {
        assert!(table.contains(part), "{table}");
    }
}

#[test]
fn help_says_what_the_fields_are() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mirant"));
    let output = command.args(["bench", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for part in [
        "latency_p50_us: ",
        "  reconnect ",
        "--rate <RATE>",
        "  pairs ",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
}
