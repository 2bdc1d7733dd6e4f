//! Access rules hold whatever way an operation comes in, and clients are told.

use std::sync::Arc;

use mirant::access::Identity;
use mirant::bayeux::{ChannelPattern, Limits, Message, text};
use mirant::extensions::{Begun, Extension};
use mirant::run::Additions;
use mirant::services::{Call, Handler};
use serde_json::{Value, json};

use crate::logins::hash_of;
use crate::one_door::{Attempt, Kind, Ready, WAYS, Way, state};
use crate::support::program::{ConfigFile, Serving, mirant};
use crate::support::{Client, Events, Request, TestServer, WebSocket, only};

const RESOURCES: &str = "channel=[{ pattern = '/**', resource = true }]";
const REST: &str =
    "{ allow = ['handshake', 'subscribe', 'publish'], channels = ['/**'], who = 'anyone' }";

/// Whom a rule is about, and whether that is a client without an identity at 127.0.0.1.
const WHO: [(&str, bool); 8] = [
    ("'anyone'", true),
    ("'anonymous'", true),
    ("{ address = '127.0.0.0/8' }", true),
    (
        "['authenticated', { address = ['::1', '127.0.0.1'] }]",
        true,
    ),
    ("'authenticated'", false),
    ("{ user = '' }", false),
    ("{ role = 'r', address = '127.0.0.1' }", false),
    ("{ address = '192.0.2.0/24' }", false),
];

fn action(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Handshake => Some("handshake"),
        Kind::Subscribe => Some("subscribe"),
        Kind::Publish => Some("publish"),
        Kind::Connect => None,
    }
}

/// A server with rules in TOML's form of a line.
fn server(rules: &[&str]) -> TestServer {
    let access = format!("access=[{}]", rules.join(", "));
    let direct = "bayeux.publish_without_session=true";
    TestServer::start(&[RESOURCES, direct, &access])
}

/// How a client is told that it may not.
fn refusal(way: Way, kind: Kind) -> String {
    let (name, error) = match kind {
        Kind::Handshake => ("handshake_denied", "403::handshake_denied"),
        Kind::Subscribe => ("subscribe_denied", "403:/r/a:subscribe_denied"),
        _ => ("publish_denied", "403:/r/a:publish_denied"),
    };
    match way {
        // A response to HEAD has no reason.
        Way::Head => "403 not_here".to_owned(),
        Way::EventStream
        | Way::Get
        | Way::Wait
        | Way::Watch
        | Way::Put
        | Way::Post
        | Way::Patch
        | Way::Delete
        | Way::EmbeddedResource => format!("403 {name}"),
        _ => error.to_owned(),
    }
}

/// Says what is wrong with a way in, if something is.
pub(crate) async fn wrong(
    server: &TestServer,
    way: Way,
    kind: Kind,
    is_allowed: bool,
) -> Option<String> {
    // Something to be read and changed, unless that is what is refused.
    let put = Request::new("PUT", "/resources/r/a").body("\"old\"");
    server.open().await.exchange(put).await;
    let mut ready = if kind == Kind::Handshake {
        Ready::without_session(server, way).await
    } else {
        Ready::of(server, way).await
    };
    let before = state(server).await;
    let attempt: Attempt = ready.attempt(server, way, kind).await;
    match attempt {
        Ok(()) if is_allowed => None,
        Err(reason) if !is_allowed && reason == refusal(way, kind) => {
            (state(server).await != before).then(|| "it is refused, but does something".to_owned())
        }
        other => Some(format!("{other:?}")),
    }
}

#[tokio::test]
async fn rules_hold_for_every_way_in() {
    let mut problems = Vec::new();
    let mut attempts = 0;
    for action_kind in [Kind::Handshake, Kind::Subscribe, Kind::Publish] {
        let action = action(action_kind).unwrap();
        let channels = match action_kind {
            Kind::Handshake => "",
            _ => "channels = ['/r/*'], ",
        };
        let others = ["handshake", "subscribe", "publish"].map(|other| {
            let rest = other != action;
            rest.then(|| match other {
                "handshake" => "{ allow = ['handshake'], who = 'anyone' }".to_owned(),
                _ => format!("{{ allow = ['{other}'], channels = ['/**'], who = 'anyone' }}"),
            })
        });
        let others: Vec<String> = others.into_iter().flatten().collect();
        for (who, is_about) in WHO {
            let deny = format!("{{ deny = ['{action}'], {channels}who = {who} }}");
            let allow = format!("{{ allow = ['{action}'], {channels}who = {who} }}");
            let denying = server(&[&deny, REST]);
            let allowing = server(&[&allow, &others[0], &others[1]]);
            for (server, is_allowed) in [(denying, !is_about), (allowing, is_about)] {
                for (way, kinds) in WAYS {
                    if !kinds.contains(&action_kind) || way == Way::ResumedStream {
                        continue;
                    }
                    attempts += 1;
                    let problem = wrong(&server, way, action_kind, is_allowed).await;
                    problems.extend(problem.map(|problem| {
                        format!("{way:?}, {action}, {who}, allowed: {is_allowed}: {problem}")
                    }));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(attempts > 400, "{attempts}");
}

#[tokio::test]
async fn a_refused_handshake_is_not_tried_again_and_the_reason_is_told() {
    let deny = "{ deny = ['handshake'], who = 'anyone', reason = 'closed, come back later' }";
    let server = server(&[deny, REST]);
    let reply = Client::new(server.address).handshake().await;
    assert_eq!(reply["successful"], false);
    assert_eq!(
        reply["error"],
        "403:closed, come back later:handshake_denied"
    );
    assert_eq!(reply["advice"]["reconnect"], "none");
    assert_eq!(reply.get("clientId"), None);
    assert_eq!(server.metrics().sessions.value(), 0);
    let figures = server.metrics().render();
    assert!(
        figures.contains("mirant_forbidden_total{action=\"handshake\"} 1"),
        "{figures}"
    );
    assert!(
        figures.contains("mirant_forbidden_total{action=\"publish\"} 0"),
        "{figures}"
    );
}

#[tokio::test]
async fn a_subscribe_is_refused_whole_and_the_session_goes_on() {
    let deny =
        "{ deny = ['subscribe'], channels = ['/staff/**'], who = 'anyone', reason = 'staff' }";
    let server = server(&[deny, REST]);
    let mut client = server.client().await;
    let subscribe = async |client: &mut Client, channels: Value| {
        let reply = client
            .call(json!({"channel": "/meta/subscribe", "subscription": channels}))
            .await;
        (reply["successful"] == true, reply["error"].clone())
    };
    let refused = |channel: &str| json!(format!("403:{channel},staff:subscribe_denied"));
    for (channels, expected) in [
        (json!("/a"), Value::Null),
        (json!("/staff"), Value::Null),
        (json!("/a/**"), Value::Null),
        (json!("/staff/b"), refused("/staff/b")),
        (json!(["/b", "/staff/b", "/staff/c"]), refused("/staff/b")),
        (json!("/staff/*"), refused("/staff/*")),
        (json!("/**"), refused("/**")),
        (
            json!("/meta/x"),
            json!("403:denied_by_security_policy:create_denied"),
        ),
    ] {
        let (is_subscribed, error) = subscribe(&mut client, channels.clone()).await;
        assert_eq!(error, expected, "{channels}");
        assert_eq!(is_subscribed, expected.is_null(), "{channels}");
    }
    let mut other = server.client().await;
    for channel in ["/b", "/staff/b", "/a"] {
        other.publish(channel, 1).await;
    }
    let messages = client.connect().await;
    assert_eq!(
        messages[0]["channel"], "/a",
        "and nothing else: {messages:?}"
    );
    assert_eq!(messages.len(), 2, "{messages:?}");
}

/// A name in `ext.user` is believed.
#[derive(Debug)]
struct Believing;

impl Extension for Believing {
    fn begin(&self, handshake: &Message<'_>, begun: &mut Begun) {
        let user = handshake.extension("user").and_then(text);
        begun.identity = user.map(|user| {
            Arc::new(Identity {
                user: user.into_owned(),
                roles: vec!["editor".to_owned()],
                ..Identity::default()
            })
        });
    }
}

/// Publishes what it is called with.
#[derive(Debug)]
struct Publishing;

impl Handler for Publishing {
    fn handle(&self, call: Call) -> Result<(), Call> {
        let closed = mirant::bayeux::ChannelName::parse("/closed", &Limits::default()).unwrap();
        call.publish(&closed, &call.data);
        Ok(())
    }
}

#[tokio::test]
async fn a_session_may_do_what_its_user_may() {
    let pattern = ChannelPattern::parse("/service/**", &Limits::default()).unwrap();
    let additions = Additions {
        extensions: vec![Box::new(Believing)],
        handlers: vec![(pattern, Arc::new(Publishing))],
    };
    let rules = "access=[
        { allow = ['handshake', 'subscribe'], channels = ['/**'], who = 'anyone' },
        { allow = ['publish'], channels = ['/room/{user}/**', '/service/{user}'], who = { role = 'editor' } },
    ]"
    .replace('\n', " ");
    let server = TestServer::start_with(&[&rules], additions);
    let mut named = Client::new(server.address);
    named.handshake_with(json!({"ext": {"user": "u1"}})).await;
    let mut nobody = server.handshaken().await;
    let mut socket = WebSocket::open(server.address).await;
    let shaken = json!({
        "channel": "/meta/handshake", "version": "1.0", "clientId": null,
        "supportedConnectionTypes": ["websocket"], "ext": {"user": "u2"},
    });
    socket.id = socket.call(shaken).await["clientId"]
        .as_str()
        .unwrap()
        .to_owned();
    let (mut stream, _) = Events::open(server.address, "/events?channel=/closed").await;
    for (channel, of_named, of_socket) in [
        ("/room/u1/a", true, false),
        ("/room/u2/a", false, true),
        ("/room/u1", false, false),
        ("/closed", false, false),
        ("/service/u1", true, false),
        ("/service/other", false, false),
    ] {
        let publish = json!({"channel": channel, "data": channel});
        let error = |is_allowed: bool| match is_allowed {
            true => Value::Null,
            false => json!(format!("403:{channel}:publish_denied")),
        };
        assert_eq!(
            named.call(publish.clone()).await["error"],
            error(of_named),
            "{channel}"
        );
        assert_eq!(
            nobody.call(publish.clone()).await["error"],
            error(false),
            "{channel}"
        );
        assert_eq!(
            socket.call(publish).await["error"],
            error(of_socket),
            "{channel}"
        );
    }
    // What the server publishes is its own affair; and only one call has come so far as to a handler.
    assert_eq!(stream.next().await.json()["data"], "/service/u1");
    named
        .call(json!({"channel": "/service/u1", "data": 2}))
        .await;
    assert_eq!(stream.next().await.json()["data"], 2);
}

#[tokio::test]
async fn a_stream_is_not_resumed_for_more_than_its_client_may() {
    let server = server(&[
        "{ deny = ['subscribe'], channels = ['/b'], who = 'anyone' }",
        REST,
    ]);
    let (_stream, block) = Events::open(server.address, "/events?channel=/a").await;
    let request = Request::new("GET", "/events?channel=/b");
    let request = request.header("Last-Event-ID", &block.id.unwrap());
    let response = server.open().await.exchange(request).await;
    assert_eq!(
        (response.status, &*response.reason()),
        (403, "subscribe_denied")
    );
}

#[tokio::test]
async fn without_a_session_the_request_s_address_counts() {
    let here = "{ allow = ['publish'], channels = ['/in'], who = { address = '127.0.0.1' } }";
    let elsewhere = "{ allow = ['publish'], channels = ['/out'], who = { address = '::1' } }";
    let server = server(&[here, elsewhere]);
    for (channel, error) in [
        ("/in", Value::Null),
        ("/out", json!("403:/out:publish_denied")),
    ] {
        let text = json!([{"channel": channel, "data": 1}]).to_string();
        let reply = only(server.post(text).await.messages());
        assert_eq!(reply["error"], error);
    }
    assert_eq!(server.metrics().published.value(), 1);
}

#[tokio::test]
async fn the_log_names_the_rule_and_warns_of_an_open_server() {
    use std::process::Stdio;

    let rules = "access=[{ allow = ['handshake'], who = 'anyone' }, \
                 { deny = ['publish'], channels = ['/a'], who = 'anyone' }]";
    let log = async |listen: &str, set: &[&str]| {
        let arguments = [&["serve", "--listen", listen, "--log-level", "debug"], set].concat();
        let serving = Serving::of(mirant(&arguments).stderr(Stdio::piped()));
        let address = ([127, 0, 0, 1], serving.address().port()).into();
        let mut client = Client::new(address);
        client.handshake().await;
        for channel in ["/a", "/b"] {
            client.call(json!({"channel": channel, "data": 1})).await;
        }
        serving.log()
    };
    let ruled = log("0.0.0.0:0", &["--set", rules]).await;
    let refused: Vec<&str> = ruled
        .lines()
        .filter(|line| line.contains("refused"))
        .collect();
    assert_eq!(refused.len(), 2, "{ruled}");
    assert!(
        refused[0].contains("publish was refused") && refused[0].contains("access[1]"),
        "{ruled}"
    );
    assert!(
        refused[1].contains("none allows it") && refused[1].contains("/b"),
        "{ruled}"
    );
    assert!(!ruled.contains("WARN"), "{ruled}");
    let open = log("0.0.0.0:0", &[]).await;
    let warnings: Vec<&str> = open.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{open}");
    assert!(warnings[0].contains("[[access]]"), "{open}");
    let local = log("127.0.0.1:0", &[]).await;
    assert!(!local.contains("WARN"), "{local}");
}

#[test]
fn the_log_warns_if_it_does_not_matter_who_clients_are() {
    use std::process::Stdio;

    let secret = ConfigFile::new("no-rules-secret", "a secret that is long enough to be one");
    let file = format!("{{ file = '{}' }}", secret.path());
    let hash = hash_of("sesame");
    let issuer = format!("issuer=[{{ secret = {file} }}]");
    let user = format!("user=[{{ name = 'u1', password_hash = '{hash}' }}]");
    let webhook = [
        "webhook.url=http://127.0.0.1:9/".to_owned(),
        format!("webhook.secret={file}"),
    ];
    let decides = |actions: &str| [&webhook[..], &[format!("webhook.decides={actions}")]].concat();
    let rule = "access=[{ allow = ['handshake'], who = 'authenticated' }]";
    let cases = [
        (vec![issuer.clone()], Some("[[issuer]]")),
        (vec![user], Some("[[user]]")),
        (webhook.to_vec(), Some("webhook.decides")),
        (decides("handshake,publish"), Some("webhook.decides")),
        (decides("publish"), None),
        (vec![issuer, rule.to_owned()], None),
    ];
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        for (set, named) in &cases {
            if named.is_none() && listen == "0.0.0.0:0" {
                continue;
            }
            let mut command = mirant(&["serve", "--listen", listen]);
            for setting in set {
                command.args(["--set", setting]);
            }
            let log = Serving::of(command.stderr(Stdio::piped())).log();
            let warnings = log.lines().filter(|line| line.contains("WARN"));
            let warnings: Vec<&str> = warnings.collect();
            assert_eq!(warnings.len(), usize::from(named.is_some()), "{log}");
            for warning in warnings {
                let key = named.unwrap();
                assert!(warning.contains(&format!("{key} says who")), "{log}");
                assert!(warning.contains("[[access]]"), "{log}");
            }
        }
    }
}
