//! Whose address counts: of clients behind proxies that are trusted to name them, and of no others.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use mirant::bayeux::Message;
use mirant::extensions::{Extension, MessageInfo, Refusal};
use mirant::run::{Additions, ListenAddress};
use serde_json::json;

use crate::access::wrong;
use crate::one_door::{Kind, WAYS, Way};
use crate::support::program::Serving;
use crate::support::{
    Client, Embedded, Folder, Http, Request, Says, TestServer, proxy_to, proxy_v1, proxy_v2, within,
};

const RESOURCES: &str = "channel=[{ pattern = '/**', resource = true }]";
const DIRECT: &str = "bayeux.publish_without_session=true";
const TRUSTED: &str = "http.trusted_proxies=127.0.0.1,10.0.0.0/8";
const REST: &str =
    "{ allow = ['handshake', 'subscribe', 'publish'], channels = ['/**'], who = 'anyone' }";

/// Writes down which addresses messages come from.
#[derive(Debug, Clone, Default)]
struct Witness(Arc<Mutex<BTreeSet<String>>>);

impl Extension for Witness {
    fn incoming(&self, _: &mut Message<'_>, info: &MessageInfo) -> Result<(), Refusal> {
        self.0.lock().unwrap().insert(shown(info.address));
        Ok(())
    }

    fn reply(&self, _: &mut mirant::bayeux::Reply<'_>, _: &Message<'_>, info: &MessageInfo) {
        self.0.lock().unwrap().insert(shown(info.address));
    }
}

fn shown(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "none".to_owned(), |address| address.to_string())
}

impl Witness {
    fn server(&self, set: &[&str]) -> TestServer {
        TestServer::start_with(set, self.additions())
    }

    fn additions(&self) -> Additions {
        Additions {
            extensions: vec![Box::new(self.clone())],
            handlers: Vec::new(),
        }
    }

    /// The addresses since this was asked last.
    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
            .into_iter()
            .collect()
    }
}

/// How a trusted proxy names a client in requests, and what the server has to be told of that.
fn forms(client: &str) -> [(Says, &'static str); 3] {
    let forged = "192.0.2.66";
    [
        (
            Says::InHeads(format!(
                "X-Forwarded-For: {forged}\r\nForwarded: for={forged}\r\nX-Forwarded-For: {client}, 10.0.0.1\r\n"
            )),
            "http.forwarded_header=x-forwarded-for",
        ),
        (
            Says::InHeads(format!(
                "Forwarded: for={forged}, for={client};proto=https\r\nX-Forwarded-For: {forged}\r\n"
            )),
            "http.forwarded_header=forwarded",
        ),
        (
            Says::InHeads(format!("X-Forwarded-For: {client}:4711\r\n")),
            "http.forwarded_header=x-forwarded-for",
        ),
    ]
}

/// The same, or at the beginning of a connection.
fn all_forms(client: &str) -> Vec<(Says, &'static str)> {
    let on = "http.proxy_protocol=true";
    let mut forms = forms(client).to_vec();
    forms.push((Says::First(proxy_v1(client)), on));
    forms.push((Says::First(proxy_v2(client)), on));
    forms
}

/// Tries all ways in for a client; says what is wrong with some.
async fn problems(server: &TestServer, action: Kind, is_allowed: bool, what: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (way, kinds) in WAYS {
        if kinds.contains(&action) && way != Way::ResumedStream {
            let problem = wrong(server, way, action, is_allowed).await;
            problems.extend(problem.map(|problem| format!("{what}, {way:?}: {problem}")));
        }
    }
    problems
}

#[tokio::test]
async fn whatever_way_a_request_comes_a_trusted_proxy_says_whose_it_is() {
    let mut found = Vec::new();
    for (kind, action) in [
        (Kind::Handshake, "handshake"),
        (Kind::Subscribe, "subscribe"),
        (Kind::Publish, "publish"),
    ] {
        let channels = match kind {
            Kind::Handshake => "",
            _ => "channels = ['/r/*'], ",
        };
        let deny =
            format!("{{ deny = ['{action}'], {channels}who = {{ address = '203.0.113.0/24' }} }}");
        let access = format!("access=[{deny}, {REST}]");
        let (refused, allowed) = (all_forms("203.0.113.7"), all_forms("198.51.100.7"));
        for (clients, is_allowed) in [(refused, false), (allowed, true)] {
            for (says, form) in clients {
                let witness = Witness::default();
                let mut server = witness.server(&[RESOURCES, DIRECT, TRUSTED, &access, form]);
                server.address = proxy_to(server.address, says.clone());
                let what = format!("{action}, {says:?}");
                found.extend(problems(&server, kind, is_allowed, &what).await);
                let expected = if is_allowed {
                    "198.51.100.7"
                } else {
                    "203.0.113.7"
                };
                assert_eq!(witness.seen(), [expected], "{what}");
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn what_anyone_else_says_of_addresses_means_nothing() {
    let witness = Witness::default();
    for set in [
        "http.trusted_proxies=[]",
        "http.trusted_proxies=10.0.0.0/8,unix",
    ] {
        let mut server = witness.server(&[RESOURCES, DIRECT, set]);
        for (says, form) in forms("203.0.113.7") {
            let origin = server.address;
            server.address = proxy_to(origin, says);
            let found = problems(&server, Kind::Publish, true, form).await;
            assert!(found.is_empty(), "{found:#?}");
            assert_eq!(witness.seen(), ["127.0.0.1"], "{set}");
            server.address = origin;
        }
    }
}

/// A message of a client, as a proxy hands it on.
fn of(client: &str) -> Request {
    let publish = json!([{"channel": "/r/a", "data": 1}]).to_string();
    Request::post(publish).header("X-Forwarded-For", client)
}

#[tokio::test]
async fn one_connection_has_the_requests_of_many_clients() {
    let witness = Witness::default();
    let server = witness.server(&[DIRECT, TRUSTED]);
    let mut http = server.open().await;
    let (a, b) = ("203.0.113.1", "203.0.113.2");
    // The first is cached; others come in between, one without an address, and one in pieces.
    let clients = [a, a, a, b, a, b, b, b, a, "", a, "unknown", a, "", "", ""];
    for (at, client) in clients.into_iter().enumerate() {
        let proxy = client.is_empty() || client == "unknown";
        let expected = if proxy { "127.0.0.1" } else { client };
        if at % 2 == 0 {
            http.exchange(of(client)).await.messages();
        } else {
            let bytes = of(client).bytes();
            let (begin, end) = bytes.split_at(bytes.len() - 5);
            http.send(begin).await;
            http.apart().await;
            http.send(end).await;
            http.response().await.messages();
        }
        assert_eq!(witness.seen(), [expected], "{at}");
    }
}

#[tokio::test]
async fn of_requests_in_a_request_the_address_is_that_of_the_outer_one() {
    let witness = Witness::default();
    let server = witness.server(&[DIRECT, TRUSTED]);
    let outer = crate::support::two_way()
        .header("Transfer-Encoding", "chunked")
        .header("X-Forwarded-For", "203.0.113.1");
    let mut stream = Embedded::open(server.address, outer).await;
    for client in ["203.0.113.2", ""] {
        stream.exchange(of(client)).await.messages();
        assert_eq!(witness.seen(), ["203.0.113.1"]);
    }
}

#[tokio::test]
async fn who_connects_to_a_unix_socket_is_trusted_only_if_named() {
    let cases = [
        ("http.trusted_proxies=unix", "203.0.113.1"),
        ("http.trusted_proxies=127.0.0.1,0.0.0.0/0", "none"),
    ];
    for (set, expected) in cases {
        let folder = Folder::new(&format!("addresses-{expected}"));
        let listen = ListenAddress::Unix(folder.file("http"));
        let witness = Witness::default();
        let server = TestServer::start_at_with(listen, &[DIRECT, set], witness.additions());
        server
            .open()
            .await
            .exchange(of("203.0.113.1"))
            .await
            .messages();
        assert_eq!(witness.seen(), [expected]);
        server.open().await.exchange(of("")).await.messages();
        assert_eq!(witness.seen(), ["none"]);
    }
}

#[tokio::test]
async fn the_log_names_the_client_behind_a_proxy() {
    let serving = Serving::start_with(
        &["--set", "http.trusted_proxies=127.0.0.1"],
        std::process::Stdio::piped(),
    );
    let mut http = Http::open(serving.address()).await;
    for client in ["203.0.113.1", ""] {
        let request = Request::new("GET", "/nowhere").header("X-Forwarded-For", client);
        assert_eq!(http.exchange(request).await.status, 404);
    }
    // A page's that may not use the server, by a WebSocket; and what is malformed is of nobody known.
    http.send("GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.2\r\nHost: h\r\nHost: h\r\n\r\n")
        .await;
    assert_eq!(http.response().await.status, 400);
    let mut next = Http::open(serving.address()).await;
    next.send("GET / HTTP/9\r\nX-Forwarded-For: 203.0.113.3\r\n\r\n")
        .await;
    assert_eq!(next.response().await.status, 400);
    drop(next);
    let local = http.local_address().to_string();
    let log = within(tokio::task::spawn_blocking(|| serving.log()))
        .await
        .unwrap();
    let remotes: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once("remote=")?.1.split(' ').next())
        .collect();
    assert_eq!(
        remotes[..3],
        ["203.0.113.1", &local, "203.0.113.2"],
        "{log}"
    );
    assert!(remotes[3].starts_with("127.0.0.1:"), "{log}");
}

#[tokio::test]
async fn sessions_of_clients_behind_a_proxy_are_told_apart() {
    let deny = "{ deny = ['publish'], channels = ['/r/*'], who = { address = '203.0.113.1' } }";
    let access = format!("access=[{deny}, {REST}]");
    let server = TestServer::start(&[TRUSTED, &access]);
    for (client, error) in [
        ("203.0.113.1", Some("403:/r/a:publish_denied")),
        ("203.0.113.2", None),
    ] {
        let says = Says::InHeads(format!("X-Forwarded-For: {client}\r\n"));
        let mut client = Client::new(proxy_to(server.address, says));
        client.handshake().await;
        let reply = client.publish("/r/a", 1).await;
        assert_eq!(reply[0]["error"].as_str(), error);
    }
}
