//! `mirant subscribe` against real servers: what it prints, what it survives, and how it ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread::spawn;

use serde_json::{Value, json};

use crate::logins::hash_of;
use crate::support::program::{ConfigFile, Running, Serving, end_of, mirant, stderr};
use crate::support::{Client, TestServer, relay_that_cuts, relay_tls, until};

const TRANSPORTS: [&str; 2] = ["websocket", "long-polling"];

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn subscribe(address: SocketAddr, words: &str) -> Command {
    let mut command = mirant(&["subscribe", &url(address)]);
    command.args(words.split_whitespace()).stdin(Stdio::null());
    command
}

/// Starts to subscribe, and waits until that stands.
fn subscribed(address: SocketAddr, words: &str) -> Running {
    let mut running = Running::start(&mut subscribe(address, words));
    running.says("subscribed to");
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_printed_as_they_came_a_line_each() {
    let server = TestServer::start(&[]);
    let mut publisher = server.client().await;
    for transport in TRANSPORTS {
        let words = format!("/a /b/** --count 4 --transport {transport}");
        let mut running = subscribed(server.address, &words);
        for (channel, data) in [
            ("/a", "1.10"),
            ("/none", "0"),
            (
                "/b/c",
                "{ \"z\" : [ 1e400,\r\n\"\u{9b}\\n\" ], \"a\":null }",
            ),
            ("/a", "null"),
            ("/b/c/d", "\"\""),
        ] {
            let id = &publisher.id;
            let body =
                format!("[{{\"channel\":\"{channel}\",\"clientId\":\"{id}\",\"data\":{data}}}]");
            publisher.post(body).await;
        }
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let expected = [
            r#"{"channel":"/a","data":1.10}"#.to_owned(),
            "{\"channel\":\"/b/c\",\"data\":{ \"z\" : [ 1e400,  \"\u{9b}\\n\" ], \"a\":null }}"
                .to_owned(),
            r#"{"channel":"/a","data":null}"#.to_owned(),
            r#"{"channel":"/b/c/d","data":""}"#.to_owned(),
        ];
        assert_eq!(ended.stdout, expected, "{transport}");
        assert_eq!(ended.stderr, "");
        until(|| server.metrics().sessions.value() == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_there_as_soon_as_its_message_is() {
    let server = TestServer::start(&[]);
    let mut publisher = server.client().await;
    let mut running = subscribed(server.address, "/a");
    for n in 0..3 {
        publisher.publish("/a", n).await;
        assert_eq!(running.line(), format!(r#"{{"channel":"/a","data":{n}}}"#));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pretty_messages_take_several_lines_and_a_pipe_gets_no_colours() {
    let server = TestServer::start(&[]);
    let mut running = subscribed(server.address, "/a --pretty --count 1");
    server.client().await.publish("/a", json!({"x": 1})).await;
    let ended = running.end();
    let expected = [
        "{",
        "  \"channel\": \"/a\",",
        "  \"data\": {",
        "    \"x\": 1",
        "  }",
        "}",
    ];
    assert_eq!(ended.stdout, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_websocket_is_refused_long_polling_takes_its_place() {
    let server = TestServer::start(&["bayeux.transports=[\"long-polling\"]"]);
    let mut running = Running::start(&mut subscribe(server.address, "/a --count 1"));
    running.says("no WebSocket: the server answered status");
    running.says("by long-polling");
    running.says("subscribed to /a");
    server.client().await.publish("/a", 1).await;
    assert_eq!(running.end().code, Some(0));

    let mut only = subscribe(server.address, "/a --transport websocket");
    let output = end_of(&mut only);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_why() {
    let user = format!(
        "user=[{{ name = 'u1', password_hash = '{}' }}]",
        hash_of("sesame")
    );
    let access = "access=[{ allow = ['handshake'], who = 'authenticated' }, \
        { allow = ['subscribe'], channels = ['/user/{user}'], who = 'authenticated' }]";
    let server = TestServer::start(&[&*user, access]);
    let right = ConfigFile::new("cli-password", "sesame\n");
    let password_file = format!("--user u1 --password-file {}", right.path());
    let token_file = format!("--token @{}", right.path());
    // (options, variable, exit code, part of what is said)
    let cases = [
        ("", ("", ""), 1, "403::handshake_denied"),
        ("--token a.b.c", ("", ""), 1, "401::token_issuer_unknown"),
        (
            "",
            ("MIRANT_TOKEN", "a.b.c"),
            1,
            "401::token_issuer_unknown",
        ),
        (&*token_file, ("", ""), 1, "401::"),
        ("--token @/nowhere", ("", ""), 2, "cannot be read"),
        (
            "--user u1",
            ("MIRANT_PASSWORD", "open"),
            1,
            "401::password_invalid",
        ),
        (
            "--user u1",
            ("MIRANT_PASSWORD", "sesame"),
            3,
            "subscribed to /user/u1",
        ),
        (
            &*password_file,
            ("MIRANT_PASSWORD", "open"),
            3,
            "subscribed to /user/u1",
        ),
    ];
    for transport in TRANSPORTS {
        for (options, (name, value), code, part) in cases {
            let words = format!("/user/u1 --timeout 500ms --transport {transport} {options}");
            let mut command = subscribe(server.address, &words);
            if !name.is_empty() {
                command.env(name, value);
            }
            let output = end_of(&mut command);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(code), "{words}: {said}");
            assert!(said.contains(part), "{words}: {said}");
            assert!(!said.contains("sesame"), "{said}");
        }
    }
    let mut others = subscribe(server.address, "/user/u2 --user u1");
    let output = end_of(others.env("MIRANT_PASSWORD", "sesame"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("403:/user/u2:subscribe_denied"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_misuse_from_what_cannot_be_reached() {
    let cases = [
        (
            vec!["http://127.0.0.1:1", "/a"],
            4,
            "nothing answers at 127.0.0.1:1",
        ),
        (vec!["http://127.0.0.1:1"], 2, "<CHANNEL>"),
        (
            vec!["http://127.0.0.1:1", "a"],
            2,
            "a channel begins with a slash",
        ),
        (
            vec!["127.0.0.1:1", "/a"],
            2,
            "expected http://host:port/path",
        ),
        (
            vec!["http://127.0.0.1:1", "/a", "--count", "0"],
            2,
            "--count",
        ),
        (
            vec!["http://127.0.0.1:1", "/a", "--password-file", "x"],
            2,
            "--user",
        ),
    ];
    for (arguments, code, part) in cases {
        let mut command = mirant(&["subscribe"]);
        let output = end_of(command.args(&arguments));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_interrupts_it_or_runs_out_of_time_leaves_no_session_behind() {
    let server = TestServer::start(&[]);
    for transport in TRANSPORTS {
        for signal in ["INT", "TERM"] {
            let words = format!("/a --transport {transport}");
            let mut running = subscribed(server.address, &words);
            server.holds(1).await;
            running.signal(signal);
            let ended = running.end();
            assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{words}");
            until(|| server.metrics().sessions.value() == 0).await;
        }
        let words = format!("/a --timeout 300ms --quiet --transport {transport}");
        let output = end_of(&mut subscribe(server.address, &words));
        assert_eq!((output.status.code(), &*stderr(&output)), (Some(3), ""));
        until(|| server.metrics().sessions.value() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_ends_it_without_a_word() {
    let server = TestServer::start(&[]);
    let mut running = Running::start_unread(&mut subscribe(server.address, "/a"));
    running.says("subscribed to");
    drop(running.child.stdout.take());
    server.client().await.publish("/a", 1).await;
    let ended = running.end();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}

/// Ctrl-C works even if nobody reads what is printed.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_nobody_reads_does_not_keep_it_from_ending() {
    let server = TestServer::start(&[]);
    let mut running = Running::start_unread(&mut subscribe(server.address, "/a"));
    running.says("subscribed to");
    let mut publisher = server.client().await;
    let long = "x".repeat(30_000);
    let delivered = || server.metrics().delivered.value();
    for _ in 0..10 {
        publisher.publish("/a", &*long).await;
    }
    until(|| delivered() >= 4).await;
    running.signal("INT");
    assert_eq!(running.end().code, Some(0));
}

fn serve(address: &str) -> Serving {
    let mut command = mirant(&["serve", "--listen", address]);
    Serving::of(command.stderr(Stdio::null()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_again_is_subscribed_to_again() {
    for transport in TRANSPORTS {
        let server = serve("127.0.0.1:0");
        let address = server.address();
        let words = format!("/a --count 2 --transport {transport}");
        let mut running = subscribed(address, &words);
        published(address, 1).await;
        assert_eq!(running.line(), r#"{"channel":"/a","data":1}"#);
        drop(server);
        running.says("the connection is lost");
        let _server = serve(&address.to_string());
        running.says("the session is gone (402::session_unknown)");
        running.says("subscribed to /a");
        published(address, 2).await;
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.stdout, [r#"{"channel":"/a","data":2}"#]);
    }
}

async fn published(address: SocketAddr, data: i32) {
    let mut client = Client::new(address);
    client.handshake().await;
    client.publish("/a", data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_anywhere_lose_and_repeat_nothing() {
    let server = TestServer::start(&["bayeux.max_interval=1m"]);
    for transport in TRANSPORTS {
        // In the middle of replies, and of events.
        let cuts = [
            1200, 1500, 700, 1100, 2000, 333, 900, 650, 1023, 3000, 1111, 850,
        ];
        let relay = relay_that_cuts(server.address, &cuts);
        let words = format!("/a --count 200 --transport {transport}");
        let mut running = subscribed(relay, &words);
        let mut publisher = server.client().await;
        let mut numbers = Vec::new();
        for n in 0..200 {
            let data = json!({"n": n, "more": "x".repeat(20)});
            publisher.publish("/a", data).await;
            // A backlog would not fit between two cuts.
            if n % 5 == 4 {
                numbers.extend((0..5).map(|_| number(&running.line())));
            }
        }
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(numbers, (0..200).collect::<Vec<_>>(), "{}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{ended:?}");
        let resumed = ended.stderr.matches("the session goes on").count();
        assert!(resumed > 3, "{}", ended.stderr);
    }
}

fn number(line: &str) -> u64 {
    let message: Value = serde_json::from_str(line).unwrap();
    message["data"]["n"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_spoken_to_who_is_trusted() {
    let server = TestServer::start(&[]);
    let relay = relay_tls(server.address);
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/tls-ca.pem");
    for transport in TRANSPORTS {
        let url = format!("https://localhost:{}", relay.port());
        let arguments = [
            "subscribe",
            &url,
            "/a",
            "--count",
            "1",
            "--transport",
            transport,
        ];
        let mut trusting = mirant(&arguments);
        let mut running = Running::start(trusting.env("SSL_CERT_FILE", keys));
        running.says("subscribed to");
        server.client().await.publish("/a", 1).await;
        assert_eq!(running.end().stdout, [r#"{"channel":"/a","data":1}"#]);

        let mut wary = mirant(&arguments);
        let others = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/tls-localhost.pem");
        let output = end_of(wary.env("SSL_CERT_FILE", others));
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        assert!(stderr(&output).contains("no TLS"), "{}", stderr(&output));
    }
}

/// A server that answers every request with the same bytes, whatever it is.
fn server_that_answers(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, bytes) = (stream.unwrap(), bytes.clone());
            spawn(move || {
                let mut request = [0; 4096];
                while matches!(stream.read(&mut request), Ok(1..)) {
                    if stream.write_all(&bytes).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A server that answers one request after the other with these batches; what it was asked.
fn server_that_follows(script: Vec<String>) -> (SocketAddr, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, questions) = std::sync::mpsc::channel();
    spawn(move || {
        let mut script = script.into_iter();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut request) {
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                let Some(body) = script.next() else { return };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                if stream.write_all((head + &body).as_bytes()).is_err() || asked.send(text).is_err()
                {
                    return;
                }
            }
        }
    });
    (address, questions)
}

#[test]
fn a_subscription_that_the_server_takes_back_is_asked_for_again() {
    let said = |text: &str| text.to_owned();
    let (address, questions) = server_that_follows(vec![
        said(r#"[{"channel":"/meta/handshake","successful":true,"clientId":"c"}]"#),
        said(
            r#"[{"channel":"/meta/subscribe","successful":true,"ext":{"replay":{"/a":{"recovered":true,"after":5,"epoch":"e"}}}}]"#,
        ),
        said(
            r#"[{"channel":"/a","data":1,"ext":{"replay":7}},
            {"channel":"/meta/subscribe","successful":false,"subscription":"/a","error":"400:/a,7:replay_expired"},
            {"channel":"/meta/connect","successful":true,"advice":{"interval":0}}]"#,
        ),
        said(
            r#"[{"channel":"/meta/subscribe","successful":false,"error":"400:/a,7:replay_expired"}]"#,
        ),
    ]);
    let words = "/a --since 5 --transport long-polling";
    let output = end_of(&mut subscribe(address, words));
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let taken_back = "the server has taken a subscription back (400:/a,7:replay_expired)";
    assert!(said.contains(taken_back), "{said}");
    assert!(
        said.ends_with("the server refuses: 400:/a,7:replay_expired\n"),
        "{said}"
    );
    let questions: Vec<String> = questions.try_iter().collect();
    assert!(questions[1].contains(r#""replay":5"#), "{questions:?}");
    assert!(
        questions[3].contains(r#""replay":{"epoch":"e","id":7}"#),
        "{questions:?}"
    );
}

#[test]
fn it_says_where_messages_may_be_missing() {
    let (address, _questions) = server_that_follows(vec![
        r#"[{"channel":"/meta/handshake","successful":true,"clientId":"c"}]"#.to_owned(),
        r#"[{"channel":"/meta/subscribe","successful":true}]"#.to_owned(),
        r#"[{"channel":"/meta/connect","successful":true,"ext":{"gap":["/a","/b"]}}]"#.to_owned(),
        r#"[{"channel":"/a","data":1},{"channel":"/meta/connect","successful":true}]"#.to_owned(),
    ]);
    let words = "/a /b --count 1 --transport long-polling";
    let output = end_of(&mut subscribe(address, words));
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("messages of /a, /b may be missing here"),
        "{said}"
    );
}

#[test]
fn a_server_that_makes_no_sense_is_not_believed() {
    let ok = |body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    };
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(20_000));
    let deep = format!("[{}", "[".repeat(100_000));
    // (what it answers, what is said)
    let cases = [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
            "Content-Length: 99999999999, where at most 67108864 is read",
        ),
        (endless.into_bytes(), "not a response"),
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), "not a response"),
        (ok("hello"), "the server answered: hello"),
        (ok("[]"), "the server answered: []"),
        (ok(&deep), "the server answered: [["),
        (ok(r#"[{"channel":5}]"#), "the server answered: [{"),
        (
            ok(r#"[{"channel":"/meta/handshake","successful":true}]"#),
            "a handshake without a client id",
        ),
    ];
    for (bytes, part) in cases {
        let output = end_of(&mut subscribe(server_that_answers(bytes), "/a"));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(part), "{part}: {said}");
        assert!(said.len() < 1000, "{said}");
    }
}
