//! `mirant call` against real servers: the answer, or why there is none.

use std::process::Command;
use std::sync::Arc;

use mirant::bayeux::{ChannelPattern, Limits};
use mirant::run::Additions;
use mirant::services::{Call, Handler};
use tokio::sync::mpsc;

use crate::support::program::{Running, end_of, mirant, stderr};
use crate::support::{TestServer, until, within};

const TRANSPORTS: [&str; 2] = ["websocket", "long-polling"];

fn call(server: &TestServer, channel: &str, data: &str, options: &[&str]) -> Command {
    let url = format!("http://{}", server.address);
    let mut command = mirant(&["call", &url, channel, data]);
    command.args(options);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_printed_as_it_came() {
    let server = TestServer::start(&["services.echo=/service/echo"]);
    for transport in TRANSPORTS {
        for data in ["{ \"a\": 1.10 }", "\"ü\\n\"", "null", "-5", "[]"] {
            let options = ["--transport", transport];
            let output = end_of(&mut call(&server, "/service/echo", data, &options));
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert_eq!(output.stdout, format!("{data}\n").as_bytes());
            assert_eq!(stderr(&output), "");
        }
    }
    until(|| server.metrics().sessions.value() == 0).await;
}

/// Hands its calls on.
#[derive(Debug)]
struct Later(mpsc::UnboundedSender<Call>);

impl Handler for Later {
    fn handle(&self, call: Call) -> Result<(), Call> {
        self.0.send(call).unwrap();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_later_is_waited_for() {
    let (send, mut calls) = mpsc::unbounded_channel();
    let pattern = ChannelPattern::parse("/service/later", &Limits::default()).unwrap();
    let additions = Additions {
        handlers: vec![(pattern, Arc::new(Later(send)))],
        ..Additions::default()
    };
    let server = TestServer::start_with(&["bayeux.timeout=200ms"], additions);
    for transport in TRANSPORTS {
        let options = ["--transport", transport];
        let mut running = Running::start(&mut call(&server, "/service/later", "7", &options));
        let call = within(calls.recv()).await.unwrap();
        // It has connected, and connects again.
        server.holds(1).await;
        server.holds(0).await;
        server.holds(1).await;
        assert!(call.reply(&call.data));
        let ended = running.end();
        assert_eq!((ended.code, ended.stdout), (Some(0), vec!["7".to_owned()]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_it_is_said_why() {
    let access = "access=[{ allow = ['handshake'], who = 'anyone' }, \
        { allow = ['publish'], channels = ['/service/direct', '/service/none'], who = 'anyone' }]";
    let server = TestServer::start(&["services.direct=/service/direct", access]);
    // (channel, data, exit code, what is said)
    let cases = [
        (
            "/service/direct",
            "{}",
            1,
            "the call failed: {\"error\":\"send {\\\"clientId\\\"",
        ),
        (
            "/service/other",
            "1",
            1,
            "the call failed: 403:/service/other:publish_denied",
        ),
        (
            "/service/none",
            "1",
            3,
            "no answer within 500ms (--timeout)",
        ),
        (
            "/service/none",
            "hello",
            2,
            "a string is quoted: '\"hello\"'",
        ),
        ("service/none", "1", 2, "a channel begins with a slash"),
    ];
    for transport in TRANSPORTS {
        for (channel, data, code, part) in cases {
            let options = ["--transport", transport, "--timeout", "500ms"];
            let output = end_of(&mut call(&server, channel, data, &options));
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(code), "{channel} {data}: {said}");
            assert!(said.contains(part), "{channel} {data}: {said}");
            assert!(output.stdout.is_empty());
        }
    }
    until(|| server.metrics().sessions.value() == 0).await;
    let output = end_of(&mut mirant(&[
        "call",
        "http://127.0.0.1:1",
        "/service/x",
        "1",
    ]));
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
}
