//! The PROXY protocol: whose connection it is, however its header comes, and what becomes of those without.

use std::net::SocketAddr;
use std::process::Stdio;

use mirant::bayeux::{Message, Reply};
use mirant::extensions::{Extension, MessageInfo};
use mirant::metrics::Limit;
use mirant::run::Additions;
use serde_json::json;
use tokio::sync::mpsc;

use crate::support::program::Serving;
use crate::support::{Http, Request, TestServer, proxy_v1, proxy_v2, until, within};

const ON: [&str; 3] = [
    "http.trusted_proxies=127.0.0.1,10.0.0.0/8",
    "http.proxy_protocol=true",
    "bayeux.publish_without_session=true",
];

/// Tells of the address of each message.
#[derive(Debug)]
struct Teller(mpsc::UnboundedSender<String>);

impl Extension for Teller {
    fn reply(&self, _: &mut Reply<'_>, _: &Message<'_>, info: &MessageInfo) {
        let address = info.address.map(|address| address.to_string());
        self.0.send(address.unwrap_or_default()).unwrap();
    }
}

fn server(set: &[&str]) -> (TestServer, mpsc::UnboundedReceiver<String>) {
    let (sender, addresses) = mpsc::unbounded_channel();
    let additions = Additions {
        extensions: vec![Box::new(Teller(sender))],
        handlers: Vec::new(),
    };
    (TestServer::start_with(set, additions), addresses)
}

fn publish() -> Request {
    Request::post(json!([{"channel": "/a", "data": 1}]).to_string())
}

/// What a connection that begins so is of.
async fn address_of(
    address: SocketAddr,
    pieces: &[&[u8]],
    heard: &mut mpsc::UnboundedReceiver<String>,
) -> String {
    let mut http = Http::open(address).await;
    for piece in pieces {
        http.send(piece).await;
        http.apart().await;
    }
    http.response().await.messages();
    let found = within(heard.recv()).await.unwrap();
    // What comes next on the same connection is of the same client.
    http.exchange(publish()).await.messages();
    assert_eq!(within(heard.recv()).await.unwrap(), found);
    found
}

#[tokio::test]
async fn a_header_is_read_however_it_comes_and_nothing_behind_it_is_lost() {
    let (server, mut heard) = server(&ON);
    let request = publish().bytes();
    let local = [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(),
        [
            b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8".as_slice(),
            &[b'/'; 216],
        ]
        .concat(),
    ];
    let v6 = "2001:db8::7";
    let mut cases = vec![
        (proxy_v1("203.0.113.7"), "203.0.113.7"),
        (proxy_v2("203.0.113.7"), "203.0.113.7"),
        (proxy_v1(v6), v6),
        (proxy_v2(v6), v6),
        (proxy_v2("::ffff:203.0.113.7"), "203.0.113.7"),
    ];
    cases.extend(local.map(|header| (header, "127.0.0.1")));
    for (header, expected) in cases {
        let whole = [&header[..], &request].concat();
        let bytes: Vec<&[u8]> = header.chunks(1).chain([&request[..]]).collect();
        let middle = whole.split_at(header.len() + 20);
        let ways = [
            vec![&whole[..]],
            vec![&header, &request],
            bytes,
            vec![middle.0, middle.1],
        ];
        for pieces in ways {
            let found = address_of(server.address, &pieces, &mut heard).await;
            assert_eq!(found, expected, "{}", header.escape_ascii());
        }
    }
}

#[tokio::test]
async fn what_a_named_client_says_of_itself_means_nothing_unless_it_is_a_proxy_too() {
    let (server, mut heard) = server(&ON);
    let forged = publish().header("X-Forwarded-For", "192.0.2.66").bytes();
    let unknown = b"PROXY UNKNOWN\r\n".to_vec();
    for (header, expected) in [
        (proxy_v1("203.0.113.7"), "203.0.113.7"),
        (unknown, "127.0.0.1"),
        (proxy_v2("10.0.0.1"), "192.0.2.66"),
    ] {
        let mut http = server.open().await;
        http.send([header, forged.clone()].concat()).await;
        http.response().await.messages();
        assert_eq!(within(heard.recv()).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_connection_without_a_header_is_closed() {
    let server = TestServer::start(&ON);
    let request = publish().bytes();
    let v2 = proxy_v2("203.0.113.7");
    let malformed: [&[u8]; 5] = [
        &request,
        b"PROXY TCP4 nowhere 192.0.2.1 1 2\r\nGET / HTTP/1.1\r\n\r\n",
        b"PROXY NOTHING 1 2 3 4\r\n",
        b"\x16\x03\x01\x02\0",
        &v2[..20],
    ];
    for (at, bytes) in malformed.into_iter().enumerate() {
        let mut http = server.open().await;
        http.send(bytes).await;
        http.half_close().await;
        assert_eq!(http.rest().await, b"");
        let refused = u64::try_from(at).unwrap() + 1;
        until(|| server.metrics().refused_proxy_headers.value() == refused).await;
    }
    // One that says nothing, as of a check whether the port is open.
    server.open().await.half_close().await;
    until(|| server.metrics().connections.value() == 0).await;
    assert_eq!(server.metrics().refused_proxy_headers.value(), 5);
}

#[tokio::test]
async fn a_header_has_as_long_and_as_much_as_a_head() {
    let set = ["http.header_timeout=100ms", "http.max_header_size=8KiB"];
    let server = TestServer::start(&[&ON[..], &set].concat());
    let large = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\0\xff\xff".as_slice(),
        &[0; 16 * 1024],
    ]
    .concat();
    for (bytes, limit) in [
        (b"PROXY TCP4 203.0".as_slice(), Limit::HeaderTimeout),
        (b"", Limit::HeaderTimeout),
        (&large, Limit::MaxHeaderSize),
    ] {
        let before = server.metrics().limit_count(limit);
        let mut http = server.open().await;
        // The server may close the connection before it has all.
        http.try_send(bytes).await;
        http.rest().await;
        until(|| server.metrics().limit_count(limit) == before + 1).await;
    }
    assert_eq!(server.metrics().refused_proxy_headers.value(), 3);
}

#[tokio::test]
async fn others_are_served_without_a_header_and_refused_with_one() {
    let on = "http.trusted_proxies=10.0.0.0/8";
    for set in [&[on, "http.proxy_protocol=true"][..], &[on], &[]] {
        let (server, mut heard) = server(&[set, &[ON[2]]].concat());
        server
            .post(r#"{"channel": "/a", "data": 1}"#)
            .await
            .messages();
        assert_eq!(within(heard.recv()).await.unwrap(), "127.0.0.1");
        for header in [proxy_v1("203.0.113.7"), proxy_v2("203.0.113.7")] {
            let mut http = server.open().await;
            http.send([header, publish().bytes()].concat()).await;
            let response = http.response().await;
            assert_eq!(response.status, 400);
            assert!(
                response.reason().contains("http.proxy_protocol"),
                "{response:?}"
            );
            http.ended().await;
        }
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_headers() {
    let mut server = TestServer::start(&ON);
    let mut http = server.open().await;
    http.send(b"PROXY ").await;
    until(|| server.metrics().connections.value() == 1).await;
    server.stop();
    assert_eq!(http.rest().await, b"");
    server.stopped().await;
}

#[tokio::test]
async fn the_log_says_which_proxy_sends_no_header_but_not_too_often() {
    let set: Vec<&str> = ON.iter().flat_map(|set| ["--set", set]).collect();
    let serving = Serving::start_with(&set, Stdio::piped());
    for _ in 0..20 {
        let mut http = Http::open(serving.address()).await;
        http.send(publish().bytes()).await;
        http.rest().await;
    }
    let log = within(tokio::task::spawn_blocking(|| serving.log()))
        .await
        .unwrap();
    let lines = log.matches("a connection of a proxy was closed: it does not begin with a header");
    assert_eq!(lines.count(), 5, "{log}");
    assert!(log.contains("remote=127.0.0.1:"), "{log}");
}
