//! `mirant bench` against a server: what it prints, and where.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::TestServer;
use crate::support::program::run;

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

/// Clients of one channel that are with different servers: each takes a share, and hears what its own is told.
#[tokio::test(flavor = "multi_thread")]
async fn clients_are_spread_over_several_servers() {
    let servers = [(); 3].map(|()| TestServer::start(&[]));
    let urls: Vec<_> = servers
        .iter()
        .map(|server| format!("http://{}/cometd", server.address))
        .collect();
    let words = format!(
        "bench idle --clients 7 --idle 10ms --json --url {}",
        urls.join(" --url ")
    );
    let output = tokio::task::spawn_blocking(move || {
        let words: Vec<_> = words.split_whitespace().collect();
        run(&words)
    });
    let output = output.await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["url"], urls.join(" "));
    let handshakes = servers.map(|server| server.metrics().handshakes.value());
    assert_eq!(handshakes, [3, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_has_a_histogram() {
    let server = TestServer::start(&[]);
    let output = bench(&server, "storm --clients 3 --messages 20").await;
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.starts_with("scenario "), "{table}");
    for part in ["latency p99.9 µs", "up to ", "  #"] {
        assert!(table.contains(part), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_publishes_seldom_keeps_the_session() {
    let server = TestServer::start(&["bayeux.max_interval=4s"]);
    // Over event streams the publisher speaks long-polling.
    let both = |transport| {
        let server = &server;
        let words = format!("--clients 2 --rate 0.2 --messages 2 --json --transport {transport}");
        async move {
            let fan_out = format!("fan-out {words}");
            let pairs = format!("pairs {words}");
            let (fan_out, pairs) = tokio::join!(bench(server, &fan_out), bench(server, &pairs));
            for output in [fan_out, pairs] {
                let errors = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{words}: {errors}");
            }
        }
    };
    tokio::join!(
        both("long-polling"),
        both("websocket"),
        both("xhr-streaming")
    );
}

/// Starts the program with its outputs in pipes.
fn begin(server: &TestServer, words: &str) -> Child {
    let url = format!("http://{}/cometd", server.address);
    let mut command = Command::new(env!("CARGO_BIN_EXE_mirant"));
    command
        .arg("bench")
        .args(words.split_whitespace())
        .args(["--url", &url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_prints_what_was_measured_so_far() {
    let server = TestServer::start(&[]);
    let words = "fan-out --clients 20 --messages 2 --rate 0.001 --progress --json";
    let mut bench = begin(&server, words);
    let ended = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(bench.stderr.take().unwrap()).lines();
        lines
            .find(|line| {
                let line = line.as_ref().unwrap();
                line.starts_with("deliveries: 20 of 40 (50 %)")
            })
            .unwrap()
            .unwrap();
        let id = bench.id().to_string();
        let killed = Command::new("kill").args(["-s", "INT", &id]).status();
        assert!(killed.unwrap().success());
        let rest = lines.map(Result::unwrap).last().unwrap();
        assert_eq!(rest, "mirant: interrupted");
        bench.wait_with_output().unwrap()
    });
    let output = ended.await.unwrap();
    assert_eq!(output.status.code(), Some(130));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["deliveries"], 20);
    assert_eq!(result["messages"], 1);
    assert_eq!(result["lost"], 0);
    assert_eq!(result["stopped"], "interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_how_far_the_run_is_unless_they_ask() {
    let server = TestServer::start(&[]);
    let output = bench(&server, "idle --clients 3 --idle 2500ms").await;
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_misuse_from_failure() {
    let server = TestServer::start(&[]);
    // (words, exit code, part of the error)
    let cases = [
        ("idle --rate 5", 2, "--rate has no effect here: idle"),
        (
            "idle --url ftp://a/b",
            2,
            "expected http://host:port/path, or the same with https",
        ),
        ("idle --url http://127.0.0.1:1/b", 1, "nothing answers at"),
        ("idle --clients 1", 0, ""),
    ];
    for (words, code, part) in cases {
        let words = match words.contains("--url") {
            true => words.to_owned(),
            false => format!("{words} --url http://{}/cometd", server.address),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_mirant"));
        command.arg("bench").args(words.split_whitespace());
        if code == 0 {
            command.args(["--idle", "10ms"]);
        }
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}: {errors}");
        assert!(errors.contains(part), "{words}: {errors}");
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
        "--rate <PER_SECOND>",
        "  pairs ",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
}
