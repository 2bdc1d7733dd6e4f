//! `mirant subscribe` and history: it has what was before, and goes on where it was.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::publish;
use crate::support::program::{Running, Serving, end_of, mirant, output_of, stderr};
use crate::support::{Client, TestServer, until};

const KEPT: &str = "channel=[{pattern = '/s/**', history = {messages = 3}}, \
    {pattern = '/t', history = {messages = 1}, replay_expired = 'fail'}]";

fn server(set: &[&str]) -> TestServer {
    TestServer::start(&[&["bayeux.publish_without_session=true", KEPT], set].concat())
}

fn command(server: &TestServer, words: &str) -> std::process::Command {
    let mut command = mirant(&["subscribe", &format!("http://{}", server.address)]);
    command.args(words.split_whitespace()).stdin(Stdio::null());
    command
}

fn message(line: &str) -> (Value, u64) {
    let message: Value = serde_json::from_str(line).expect(line);
    let id = message["ext"]["replay"].as_u64();
    (message["data"].clone(), id.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_has_what_was_published_before_as_far_as_it_wants() {
    let server = server(&[]);
    for number in 1..=4 {
        publish(&server, "/s/a", json!(number)).await;
    }
    let mut all = Running::start(&mut command(&server, "/s/a --since all --count 3"));
    let lines: Vec<(Value, u64)> = all.end().stdout.iter().map(|line| message(line)).collect();
    assert_eq!(
        lines.iter().map(|line| line.0.clone()).collect::<Vec<_>>(),
        [2, 3, 4]
    );
    let second = lines[0].1;
    // (options, what is printed, what is said)
    let old = second - 2;
    let cases = [
        (
            format!("/s/a --since {second} --count 2"),
            vec![3, 4],
            "goes on from here",
        ),
        (
            format!("/s/a --since {old} --count 3"),
            vec![2, 3, 4],
            "not all that was missed on /s/a can be had (expired)",
        ),
        (
            format!("/s/a --since -x:{second} --count 2"),
            vec![3, 4],
            "(epoch_changed)",
        ),
        (
            "/s/a --since new --timeout 300ms".to_owned(),
            vec![],
            "subscribed to",
        ),
        ("/s/a --timeout 300ms".to_owned(), vec![], "subscribed to"),
        (
            "/other --since all --timeout 300ms".to_owned(),
            vec![],
            "(no_history)\n",
        ),
    ];
    for (words, expected, part) in cases {
        let output = end_of(&mut command(&server, &words));
        let (printed, said) = (
            String::from_utf8(output.stdout.clone()).unwrap(),
            stderr(&output),
        );
        let printed: Vec<Value> = printed.lines().map(|line| message(line).0).collect();
        assert_eq!(json!(printed), json!(expected), "{words}: {said}");
        assert!(said.contains(part), "{words}: {said}");
    }
    publish(&server, "/t", json!(1)).await;
    publish(&server, "/t", json!(2)).await;
    let output = end_of(&mut command(&server, "/t --since 5"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("400:/t,5:replay_expired"),
        "{}",
        stderr(&output)
    );
}

/// Where it says at its end that it goes on.
fn position(said: &str) -> &str {
    let told = said.lines().find_map(|line| {
        let (_, told) = line.split_once("--since ")?;
        told.strip_suffix(" goes on from here")
    });
    told.expect(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_where_what_it_has_printed_ends() {
    let server = server(&[]);
    for number in 1..=3 {
        publish(&server, "/s/a", json!(number)).await;
    }
    for transport in ["websocket", "long-polling"] {
        let words = format!("/s/a --transport {transport}");
        let first = end_of(&mut command(
            &server,
            &format!("{words} --since all --count 2"),
        ));
        let said = stderr(&first);
        let since = position(&said);
        let mut rest = command(&server, &format!("{words} --since {since} --count 1"));
        let rest = String::from_utf8(end_of(&mut rest).stdout).unwrap();
        assert_eq!(message(&rest).0, 3, "{words}: {said}");
    }
}

/// What became of what was written to a pipe is not known when nobody reads it any more.
#[tokio::test(flavor = "multi_thread")]
async fn it_ends_at_once_when_nobody_reads_what_it_prints() {
    let server = server(&[]);
    for number in 1..=3 {
        publish(&server, "/s/a", json!(number)).await;
    }
    for transport in ["websocket", "long-polling"] {
        let words = format!("/s/a --since all --transport {transport}");
        let mut command = command(&server, &words);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(message(&line).0, 1, "{words}");
        drop(out);
        let output = output_of(child);
        assert_eq!(output.status.code(), Some(0), "{words}");
        let said = stderr(&output);
        assert!(!said.contains("goes on from here"), "{words}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_where_it_was_when_its_session_is_gone() {
    // Sessions of who is silent are gone soon.
    let server = server(&[
        "bayeux.timeout=300ms",
        "bayeux.max_interval=300ms",
        "websocket.ping_interval=200ms",
    ]);
    for transport in ["websocket", "long-polling"] {
        for since in ["", "--since new"] {
            let words = format!("/s/a /s/b --count 4 {since} --transport {transport}");
            let mut running = Running::start(&mut command(&server, &words));
            running.says("subscribed to");
            publish(&server, "/s/a", json!(1)).await;
            assert_eq!(message(&running.line()).0, 1);
            running.signal("STOP");
            until(|| server.metrics().sessions.value() == 0).await;
            publish(&server, "/s/b", json!(2)).await;
            publish(&server, "/s/a", json!(3)).await;
            running.signal("CONT");
            let said = running.says("the session is gone");
            assert!(!said.contains("what was not received"), "{said}");
            running.says("subscribed to");
            publish(&server, "/s/a", json!(4)).await;
            let ended = running.end();
            let data: Vec<Value> = ended.stdout.iter().map(|line| message(line).0).collect();
            assert_eq!(json!(data), json!([2, 3, 4]), "{words}: {}", ended.stderr);
            assert!(!ended.stderr.contains("not all"), "{}", ended.stderr);
        }
    }
}

/// A server in memory forgets all when it ends.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_that_a_server_has_begun_anew() {
    let serve = |address: &str| {
        let arguments = ["serve", "--listen", address, "--set", KEPT];
        let mut command = mirant(&arguments);
        Serving::of(command.stderr(Stdio::null()))
    };
    // (what it is to do, what is said)
    let missed = "not all that was missed on /s/a can be had";
    for (words, parts) in [
        ("/s/a", [missed, "(expired)"]),
        ("/s/a --since new", [missed, "(epoch_changed)"]),
        ("/t", ["what was published meanwhile is lost", "(400:/t,"]),
    ] {
        let channel = words.split(' ').next().unwrap_or_default();
        let server = serve("127.0.0.1:0");
        let address = server.address();
        let mut subscribe = mirant(&["subscribe", &format!("http://{address}")]);
        subscribe.args(words.split_whitespace());
        let mut running = Running::start(subscribe.stdin(Stdio::null()));
        running.says("subscribed to");
        let mut client = Client::new(address);
        client.handshake().await;
        client.publish(channel, 1).await;
        assert_eq!(message(&running.line()).0, 1);
        drop(server);
        running.says("the connection is lost");
        let _server = serve(&address.to_string());
        let said = running.says(parts[0]);
        assert!(said.contains(parts[1]), "{said}");
    }
}
