//! `mirant publish` against real servers: what is accepted, in which order, and what is said of the rest.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;

use serde_json::{Value, json};

use crate::http_api::{HASH, KEY};
use crate::support::program::{
    ConfigFile, Running, Serving, end_of, mirant, run, run_with, stderr,
};
use crate::support::{TestServer, relay_that_cuts, until};

const TRANSPORTS: [&str; 2] = ["websocket", "long-polling"];

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Starts a subscriber of `/a` that ends after so many messages.
fn subscriber(address: SocketAddr, count: usize) -> Running {
    let (url, count) = (url(address), count.to_string());
    let mut running = Running::start(&mut mirant(&["subscribe", &url, "/a", "--count", &count]));
    running.says("subscribed to");
    running
}

fn data_of(lines: &[String]) -> Vec<Value> {
    let data = |line: &String| serde_json::from_str::<Value>(line).unwrap()["data"].clone();
    lines.iter().map(data).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_not_touched() {
    let server = TestServer::start(&[]);
    for transport in TRANSPORTS {
        for data in ["{ \"a\": 1.10 }", "\"ü\"", "null", "-5"] {
            let mut subscriber = subscriber(server.address, 1);
            let arguments = [
                "publish",
                &url(server.address),
                "/a",
                data,
                "--transport",
                transport,
            ];
            let output = run(&arguments);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert_eq!((&*output.stdout, &*stderr(&output)), (&b""[..], ""));
            let expected = format!(r#"{{"channel":"/a","data":{data}}}"#);
            assert_eq!(subscriber.end().stdout, [expected]);
        }
    }
    until(|| server.metrics().sessions.value() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_lines_come_in_their_order() {
    let server = TestServer::start(&["bayeux.max_queue=20000"]);
    let lines: String = (0..10_000).map(|n| format!("{n}\n")).collect();
    for transport in TRANSPORTS {
        let mut subscriber = subscriber(server.address, 10_000);
        let url = url(server.address);
        let output = run_with(
            &["publish", &url, "/a", "-", "--transport", transport],
            &lines,
        );
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let numbers: Vec<Value> = (0..10_000).map(|n| json!(n)).collect();
        assert!(data_of(&subscriber.end().stdout) == numbers, "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_published_before_the_next_is_written() {
    let server = TestServer::start(&[]);
    let mut subscriber = subscriber(server.address, 3);
    let mut publisher = publisher(server.address, "/a");
    let mut stdin = publisher.child.stdin.take().unwrap();
    for n in 0..3 {
        writeln!(stdin, "{n}").unwrap();
        assert_eq!(data_of(&[subscriber.line()]), [json!(n)]);
    }
    drop(stdin);
    assert_eq!(publisher.end().code, Some(0));
}

/// Starts to publish lines.
fn publisher(address: SocketAddr, channel: &str) -> Running {
    let url = url(address);
    Running::start(mirant(&["publish", &url, channel]).stdin(Stdio::piped()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_refused_hides_no_other() {
    let server = TestServer::start(&[]);
    let mut subscriber = subscriber(server.address, 3);
    let long = format!("\"{}\"", "x".repeat(1024 * 1024));
    let input = format!("1\nhello\n\n{{\"a\":\n{long}\n2\n3");
    let output = run_with(&["publish", &url(server.address), "/a"], &input);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        data_of(&subscriber.end().stdout),
        [json!(1), json!(2), json!(3)]
    );
    let said = stderr(&output);
    for part in [
        "line 2 is not JSON (expected value at line 1 column 1); a string is quoted: '\"hello\"'",
        "line 4 is not JSON",
        "line 5 is longer than 1048576 bytes",
        "3 of 6 messages are published",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_what_went_wrong() {
    let access =
        "access=[{ allow = ['handshake', 'subscribe'], channels = ['/**'], who = 'anyone' }]";
    let server = TestServer::start(&[access]);
    let url = url(server.address);
    let large = format!("\"{}\"", "x".repeat(70_000));
    // (arguments, exit code, what is said)
    let cases = [
        (vec![&*url, "/a", "1"], 1, "refused: 403:/a:publish_denied"),
        (vec![&*url, "/a", "hello"], 2, "DATA is not JSON"),
        (vec![&*url, "a", "1"], 2, "a channel begins with a slash"),
        (
            vec![&*url, "/a", &*large],
            1,
            "refused: the server closed the WebSocket with code 1009",
        ),
        (
            vec!["http://127.0.0.1:1", "/a", "1"],
            4,
            "nothing answers at",
        ),
        (
            vec!["http://127.0.0.1:1", "/a", "1", "--key", "k"],
            4,
            "nothing answers at",
        ),
        (vec![&*url, "/a", "1", "--key", "k"], 1, "answered 404"),
        (
            vec![&*url, "/a", "1", "--key", "k\n"],
            2,
            "--key holds what no key does",
        ),
        (
            vec![&*url, "/a", "1", "--key", "@/nowhere"],
            2,
            "cannot be read",
        ),
    ];
    for (arguments, code, part) in cases {
        let mut command = mirant(&["publish"]);
        let output = end_of(command.args(&arguments));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_too_fast_goes_slower_and_keeps_the_order() {
    let rates = [
        "rates.messages_per_session=5",
        "rates.messages_per_session_burst=20",
    ];
    let server = TestServer::start(&rates);
    let mut subscriber = subscriber(server.address, 26);
    let lines: String = (0..26).map(|n| format!("{n}\n")).collect();
    let output = run_with(&["publish", &url(server.address), "/a"], &lines);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let numbers: Vec<Value> = (0..26).map(|n| json!(n)).collect();
    assert_eq!(data_of(&subscriber.end().stdout), numbers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_again_gets_the_next_line() {
    let serve = |address: &str| {
        let mut command = mirant(&["serve", "--listen", address]);
        Serving::of(command.stderr(Stdio::null()))
    };
    let server = serve("127.0.0.1:0");
    let address = server.address();
    let mut first = subscriber(address, 1);
    let mut publisher = publisher(address, "/a");
    let mut stdin = publisher.child.stdin.take().unwrap();
    writeln!(stdin, "1").unwrap();
    assert_eq!(first.end().code, Some(0));
    drop(server);
    let _server = serve(&address.to_string());
    let mut second = subscriber(address, 1);
    writeln!(stdin, "2").unwrap();
    assert_eq!(data_of(&second.end().stdout), [json!(2)]);
    drop(stdin);
    assert_eq!(publisher.end().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_hides_nothing_else() {
    let server = TestServer::start(&["bayeux.max_message_size=2KiB"]);
    let large = format!("\"{}\"", "x".repeat(3000));
    let small = "\"y\"".to_owned();
    let medium = format!("\"{}\"", "z".repeat(1500));
    let lines = [&small, &medium, &medium, &large, &small].map(|line| format!("{line}\n"));
    for transport in TRANSPORTS {
        let mut subscriber = subscriber(server.address, 4);
        let arguments = [
            "publish",
            &url(server.address),
            "/a",
            "--transport",
            transport,
        ];
        let output = run_with(&arguments, &lines.concat());
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.contains("line 4: refused: "), "{said}");
        assert!(said.contains("4 of 5 messages are published"), "{said}");
        let published = [&small, &medium, &medium, &small];
        let published = published.map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert_eq!(data_of(&subscriber.end().stdout), published);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_when_the_connection_broke_is_said() {
    let server = TestServer::start(&[]);
    for (transport, cut) in [("websocket", 600), ("long-polling", 900)] {
        let relay = relay_that_cuts(server.address, &[cut]);
        let lines: String = (0..1000).map(|n| format!("{n}\n")).collect();
        let arguments = ["publish", &url(relay), "/a", "--transport", transport];
        let output = run_with(&arguments, &lines);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(
            said.contains("no answer came: it may be published or not"),
            "{said}"
        );
        assert!(said.contains(" messages are published"), "{said}");
    }
}

/// A request that has come to a server of the HTTP API.
#[derive(Debug)]
struct Asked {
    line: String,
    idempotency_key: String,
    authorization: String,
    body: Value,
}

/// A server of the HTTP API that gives these answers, one to each request; an empty one cuts the connection.
fn api(answers: Vec<String>) -> (SocketAddr, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (give, asked) = channel();
    spawn(move || {
        let mut connection = None;
        for answer in answers {
            let stream: TcpStream = connection
                .take()
                .unwrap_or_else(|| listener.accept().unwrap().0);
            let mut reader = BufReader::new(stream);
            let Some(request) = read_request(&mut reader) else {
                return;
            };
            give.send(request).unwrap();
            let mut stream = reader.into_inner();
            if !answer.is_empty() {
                stream.write_all(answer.as_bytes()).unwrap();
                connection = Some(stream);
            }
        }
    });
    (address, asked)
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let header = |name: &str| {
        let found = headers.iter().find(|(found, _)| found == name);
        found.map_or_else(String::new, |(_, value)| value.clone())
    };
    let mut body = vec![0; header("content-length").parse().unwrap()];
    std::io::Read::read_exact(reader, &mut body).unwrap();
    Some(Asked {
        line: line.trim_end().to_owned(),
        idempotency_key: header("idempotency-key"),
        authorization: header("authorization"),
        body: serde_json::from_slice(&body).unwrap(),
    })
}

fn answer(status: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nRetry-After: 0\r\n\r\n{body}")
}

fn publish_by_api(address: SocketAddr, path: &str, input: &str) -> (Option<i32>, String) {
    let key = ConfigFile::new("cli-key", &format!("{KEY}\n"));
    let url = format!("http://{address}{path}");
    let output = run_with(
        &["publish", &url, "/a", "--key", &format!("@{}", key.path())],
        input,
    );
    (output.status.code(), stderr(&output))
}

#[test]
fn by_the_api_an_attempt_that_failed_is_repeated_under_its_key() {
    let busy = json!({"status": 503, "title": "busy"});
    let accepted = json!({"receipts": [{"accepted": true}, {"accepted": true}]});
    let answers = vec![
        String::new(),
        answer("503 Service Unavailable", &busy),
        answer("200 OK", &accepted),
    ];
    for path in ["", "/push/"] {
        let (address, asked) = api(answers.clone());
        let (code, said) = publish_by_api(address, path, "1.5\n\"x\"\n");
        assert_eq!((code, &*said), (Some(0), ""));
        let asked: Vec<Asked> = asked.iter().collect();
        assert_eq!(asked.len(), 3);
        for request in &asked {
            let path = path.trim_end_matches('/');
            assert_eq!(request.line, format!("POST {path}/api/v1/publish HTTP/1.1"));
            assert_eq!(request.authorization, format!("Bearer {KEY}"));
            assert_eq!(request.idempotency_key, asked[0].idempotency_key);
            assert_eq!(request.idempotency_key.len(), 32);
            let expected = json!([{"channel": "/a", "data": 1.5}, {"channel": "/a", "data": "x"}]);
            assert_eq!(request.body, expected);
        }
    }
}

#[test]
fn by_the_api_each_batch_has_a_key_of_its_own() {
    let receipts = |count| json!({"receipts": vec![json!({"accepted": true}); count]});
    let (address, asked) = api(vec![
        answer("200 OK", &receipts(100)),
        answer("200 OK", &receipts(50)),
    ]);
    let (code, said) = publish_by_api(address, "", &"1\n".repeat(150));
    assert_eq!((code, &*said), (Some(0), ""));
    let keys: Vec<String> = asked.iter().map(|asked| asked.idempotency_key).collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn by_the_api_what_is_refused_is_said_and_not_repeated() {
    let receipts = json!({"receipts": [
        {"accepted": true},
        {"accepted": false, "error": {"status": 403, "title": "not allowed", "detail": "key \"k\""}},
    ]});
    let problem = json!({"status": 401, "title": "unknown key", "detail": "make one"});
    // (the answer, what is said)
    let cases = [
        (
            answer("200 OK", &receipts),
            "line 2: refused: 403 not allowed: key \"k\"",
        ),
        (
            answer("401 Unauthorized", &problem),
            "answered 401 unknown key: make one",
        ),
        (
            answer("404 Not Found", &json!("x")),
            "URL is to be that of the API",
        ),
        (
            answer("200 OK", &json!({"receipts": []})),
            "answered without receipts",
        ),
    ];
    for (answer, part) in cases {
        let (address, asked) = api(vec![answer.clone()]);
        let (code, said) = publish_by_api(address, "", "1\n2\n");
        assert_eq!(code, Some(1), "{answer}: {said}");
        assert!(said.contains(part), "{answer}: {said}");
        assert!(!said.contains(KEY), "{said}");
        assert_eq!(asked.iter().count(), 1, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_of_a_server_is_found_however_much_of_it_is_named() {
    let entry = format!(
        "api.key=[{{ name = 'app', hash = '{HASH}', allow = ['publish'], channels = ['/a'] }}]"
    );
    let server = TestServer::start(&["api.listen=127.0.0.1:0", &entry]);
    let api = url(server.api.expect("the API's address"));
    for path in ["", "/", "/api/v1", "/api/v1/publish"] {
        let mut subscriber = subscriber(server.address, 1);
        let output = run(&[
            "publish",
            "--key",
            KEY,
            &format!("{api}{path}"),
            "/a",
            "[1.0]",
        ]);
        assert_eq!(output.status.code(), Some(0), "{path}: {}", stderr(&output));
        assert_eq!(
            subscriber.end().stdout,
            [r#"{"channel":"/a","data":[1.0]}"#]
        );
    }
    let refused = run(&["publish", "--key", KEY, &api, "/b", "1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("403"), "{}", stderr(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_api_nothing_is_published_twice_however_often_the_answer_is_cut() {
    let entry = format!("api.key=[{{ name = 'app', hash = '{HASH}', allow = ['publish'] }}]");
    let server = TestServer::start(&["api.listen=127.0.0.1:0", &entry]);
    let address = server.api.expect("the API's address");
    // Before the answer, in its head, in its body; and all but its last byte.
    for cuts in [&[0][..], &[30], &[150, 0], &[0, 200, 30, 0]] {
        let mut subscriber = subscriber(server.address, 4);
        let relay = relay_that_cuts(address, cuts);
        let (code, said) = publish_by_api(relay, "", "1\n2\n3\n");
        assert_eq!((code, &*said), (Some(0), ""), "{cuts:?}");
        let last = run(&["publish", &url(server.address), "/a", "4"]);
        assert_eq!(last.status.code(), Some(0));
        assert_eq!(data_of(&subscriber.end().stdout), [1, 2, 3, 4], "{cuts:?}");
    }
    let figures = server.metrics().render();
    let repeated = "mirant_api_messages_total{outcome=\"repeated\"} ";
    let repeated = figures.lines().find_map(|line| line.strip_prefix(repeated));
    assert!(repeated.is_some_and(|count| count != "0"), "{figures}");
}
