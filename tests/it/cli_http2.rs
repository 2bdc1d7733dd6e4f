//! The commands that are clients, by HTTP/2: with prior knowledge, and as TLS agrees on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Output;

use mirant::run::ListenAddress;
use serde_json::Value;

use crate::support::program::{mirant, stderr};
use crate::support::{TestServer, key_file, tls_settings, until};

/// Runs the program, which must not keep the server from running meanwhile.
async fn run(words: &str) -> Output {
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut command = mirant(&words);
    command.env("SSL_CERT_FILE", key_file("tls-ca.pem"));
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.unwrap().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// With TLS and without: a server, and its URL.
fn servers() -> [(TestServer, String); 2] {
    let plain = TestServer::start(&[
        "http.http2_prior_knowledge=true",
        "services.echo=/service/echo",
    ]);
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let listen = ListenAddress::Tls(Box::new(address.into()));
    let tls = tls_settings();
    let secure = TestServer::start_at(listen, &[&tls[0], &tls[1], "services.echo=/service/echo"]);
    let urls = [
        format!("http://{}", plain.address),
        format!("https://localhost:{}", secure.address.port()),
    ];
    let [plain_url, secure_url] = urls;
    [(plain, plain_url), (secure, secure_url)]
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_subscribe_publish_and_call() {
    for (server, url) in servers() {
        let words = format!("subscribe --http2 --count 2 {url} /a");
        let subscribing = tokio::spawn(async move { run(&words).await });
        until(|| server.metrics().held_connects.value() == 1).await;
        assert_eq!(server.metrics().http2_streams.value(), 1);
        for data in ["1", "[2,3]"] {
            printed(&run(&format!("publish --http2 {url} /a {data}")).await);
        }
        let heard = printed(&subscribing.await.unwrap());
        let expected = "{\"channel\":\"/a\",\"data\":1}\n{\"channel\":\"/a\",\"data\":[2,3]}\n";
        assert_eq!(heard, expected);
        let answer = printed(&run(&format!("call --http2 {url} /service/echo 7")).await);
        assert_eq!(answer, "7\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_checks_what_its_clients_get() {
    for (_server, url) in servers() {
        // (scenario, deliveries)
        for (scenario, deliveries) in [
            ("fan-out --messages 10", 200),
            ("pairs --messages 5", 100),
            ("storm --pipeline 1 --messages 50", 1000),
        ] {
            let words = format!("bench {scenario} --clients 20 --json --http2 --url {url}/cometd");
            let result: Value = serde_json::from_str(&printed(&run(&words).await)).unwrap();
            assert_eq!(
                (&result["transport"], &result["http"]),
                (&"long-polling".into(), &"2".into())
            );
            assert_eq!(
                (&result["deliveries"], &result["lost"]),
                (&deliveries.into(), &0.into())
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_speak_it_is_told_of() {
    let plain = TestServer::start(&[]);
    let output = run(&format!("publish --http2 http://{} /a 1", plain.address)).await;
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("http.http2_prior_knowledge"),
        "{}",
        stderr(&output)
    );
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let listen = ListenAddress::Tls(Box::new(address.into()));
    let tls = tls_settings();
    let without = TestServer::start_at(listen, &[&tls[0], &tls[1], "http.http2=false"]);
    let url = format!("https://localhost:{}", without.address.port());
    let output = run(&format!("publish --http2 {url} /a 1")).await;
    assert!(
        stderr(&output).contains("does not agree to it by ALPN"),
        "{}",
        stderr(&output)
    );
    for words in ["--transport websocket", "storm", "fan-out --rate 9"] {
        let output = run(&format!("bench {words} --http2 --url {url}")).await;
        assert_eq!(
            output.status.code(),
            Some(2),
            "{words}: {}",
            stderr(&output)
        );
    }
}
