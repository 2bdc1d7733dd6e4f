//! TLS on listeners: what holds without it holds with it; certificates, their change, and handshakes that do not end.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use mirant::bayeux::{Message, Reply};
use mirant::extensions::{Extension, MessageInfo};
use mirant::metrics::{Limit, TlsHandshake};
use mirant::run::{Additions, ListenAddress};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, version};

use crate::support::program::run;
use crate::support::{
    Folder, Http, Request, Stream, TestServer, key_file, note_tls, proxy_v1, proxy_v2, shake_hands,
    speak_tls, tls_client, tls_settings, until, within,
};
use crate::{
    event_source, lost_polls, message_http, shutdown, slow_readers, slow_streams, streamed,
    timeouts, websocket,
};

/// Runs tests of others with servers that speak TLS.
fn by_tls(tests: &[fn()]) {
    speak_tls();
    for test in tests {
        test();
    }
}

#[test]
fn by_every_transport_slow_clients_get_all_and_cost_no_more() {
    by_tls(&[
        slow_readers::a_session_does_not_expire_while_its_client_reads,
        slow_readers::a_client_that_goes_on_reading_may_take_long,
        slow_readers::after_a_reply_that_was_too_much_the_next_are_smaller,
    ]);
}

#[test]
fn who_does_not_read_is_bounded_as_without_it() {
    by_tls(&[
        slow_readers::what_the_kernel_has_taken_for_a_client_that_does_not_read_is_bounded_in_time,
        slow_readers::what_the_kernel_takes_for_a_client_that_does_not_read_is_bounded_in_size,
        slow_streams::a_write_timeout_ends_the_stream_and_the_next_has_the_rest,
        timeouts::a_reader_that_is_too_slow_is_cut_off_and_its_events_are_kept,
        websocket::a_client_that_does_not_read_is_given_up,
        event_source::a_slow_reader_is_bounded_and_misses_nothing_if_it_comes_back,
        message_http::bounds::a_client_that_does_not_read_is_not_read_and_then_given_up,
        message_http::bounds::events_that_a_slow_client_did_not_read_go_back,
    ]);
}

#[test]
fn a_client_that_leaves_is_noticed_and_loses_nothing() {
    by_tls(&[
        lost_polls::events_published_after_the_socket_died_are_not_lost,
        lost_polls::events_published_right_after_a_reset_are_not_lost,
        lost_polls::a_connect_whose_client_has_closed_already_takes_no_events,
        lost_polls::a_client_that_closed_only_its_side_is_answered_and_loses_nothing,
        streamed::a_stream_whose_client_left_loses_nothing,
        message_http::two_way::a_client_that_leaves_gets_its_events_later,
        message_http::two_way::a_client_that_has_sent_all_and_closes_its_side_is_answered,
    ]);
}

#[test]
fn requests_streams_and_sockets_are_the_same() {
    by_tls(&[
        timeouts::requests_in_slow_pieces_are_whole_in_the_end,
        timeouts::an_idle_connection_is_closed_without_a_word,
        timeouts::a_slow_body_gets_408,
        streamed::an_http_1_0_client_gets_the_bytes_and_the_end,
        websocket::one_socket_is_enough_for_everything,
        websocket::what_is_sent_right_behind_the_upgrade_is_read,
        websocket::a_slow_reader_loses_nothing_when_another_socket_takes_over,
        websocket::what_is_wrong_closes_with_the_code_that_says_what,
        shutdown::held_connects_are_answered_with_retry_and_the_server_ends,
        shutdown::idle_connections_do_not_delay_the_end,
    ]);
}

/// A server that speaks TLS, with more settings.
fn server(set: &[&str]) -> TestServer {
    let tls = tls_settings();
    let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
    at(&[&tls[..], set].concat())
}

/// A server that speaks TLS with these settings.
fn at(set: &[&str]) -> TestServer {
    TestServer::start_at(any_port(), set)
}

fn any_port() -> ListenAddress {
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    ListenAddress::Tls(Box::new(address.into()))
}

fn client() -> ClientConfig {
    tls_client(&[&version::TLS13, &version::TLS12])
}

/// Shakes hands with a server as a client that asks for a name.
async fn shaken(
    server: &TestServer,
    name: &str,
    client: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = within(TcpStream::connect(server.address)).await.unwrap();
    shake_hands(tcp, name, client).await
}

fn handshake() -> Request {
    Request::post(r#"[{"channel": "/meta/handshake", "version": "1.0"}]"#)
}

/// Begins a connection without TLS.
async fn raw(server: &TestServer, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    within(socket.connect(server.address)).await.unwrap()
}

async fn ends(stream: &mut TcpStream) {
    // A reset is an end, too.
    let _ = within(stream.read_to_end(&mut Vec::new())).await;
}

/// Waits until so many handshakes came out so.
async fn counted(server: &TestServer, outcome: TlsHandshake, count: u64) {
    until(|| server.metrics().tls.handshakes(outcome) == count).await;
}

#[tokio::test]
async fn both_versions_are_spoken_and_http_1_1_is_agreed_on() {
    let server = server(&["http.http2=false"]);
    let offers: [&[&str]; 3] = [&[], &["http/1.1"], &["h2", "http/1.1"]];
    for versions in [[&version::TLS12], [&version::TLS13]] {
        for offer in offers {
            let mut client = tls_client(&versions);
            client.alpn_protocols = offer.iter().map(|name| name.as_bytes().to_vec()).collect();
            let stream = shaken(&server, "localhost", client).await.unwrap();
            let agreed = stream.get_ref().1.alpn_protocol();
            assert_eq!(agreed.is_some(), !offer.is_empty());
            assert!(agreed.is_none_or(|agreed| agreed == b"http/1.1"));
            let mut http = Http::over(Stream::Tls(Box::new(stream)));
            assert_eq!(http.exchange(handshake()).await.status, 200);
        }
    }
    let mut other = client();
    other.alpn_protocols = vec![b"h3".to_vec()];
    assert!(shaken(&server, "localhost", other).await.is_err());
    counted(&server, TlsHandshake::Incompatible, 1).await;
    counted(&server, TlsHandshake::Full, 6).await;
}

#[tokio::test]
async fn a_client_that_comes_back_shakes_hands_in_the_short_form() {
    let server = server(&[]);
    for versions in [&version::TLS12, &version::TLS13] {
        let resumed = server.metrics().tls.handshakes(TlsHandshake::Resumed);
        let client = std::sync::Arc::new(tls_client(&[versions]));
        for _ in 0..2 {
            let tcp = within(TcpStream::connect(server.address)).await.unwrap();
            let stream = shake_hands(tcp, "localhost", client.clone()).await.unwrap();
            let mut http = Http::over(Stream::Tls(Box::new(stream)));
            assert_eq!(http.exchange(handshake()).await.status, 200);
        }
        counted(&server, TlsHandshake::Resumed, resumed + 1).await;
    }
}

#[tokio::test]
async fn some_addresses_may_speak_tls_and_others_not() {
    let server = server(&["admin.listen=127.0.0.1:0", "api.listen=tls:127.0.0.1:0"]);
    let mut http = server.open().await;
    assert_eq!(http.exchange(handshake()).await.status, 200);
    let mut api = Http::open(server.api.unwrap()).await;
    assert_eq!(
        api.exchange(Request::new("GET", "/api/v1/channels"))
            .await
            .status,
        401
    );
    let mut admin = Http::open(server.admin.unwrap()).await;
    let metrics = admin.exchange(Request::new("GET", "/metrics")).await;
    let line = "mirant_tls_handshakes_total{outcome=\"full\"} 2";
    assert!(metrics.text().contains(line), "{}", metrics.text());
    // The beginning of 2120.
    let line = "mirant_tls_certificate_expiry_seconds 4733510400";
    assert!(metrics.text().contains(line), "{}", metrics.text());
}

#[tokio::test]
async fn the_certificate_is_that_of_the_name_that_is_asked_for() {
    let more = format!(
        "tls.sni=[{{ certificate = {:?}, key = {:?} }}]",
        key_file("tls-other.pem"),
        key_file("tls-other.key")
    );
    let server = server(&[&more]);
    for (name, is_known) in [
        ("localhost", true),
        ("other.example", true),
        ("a.other.example", true),
        ("b.a.other.example", false),
        ("elsewhere.example", false),
        ("127.0.0.1", true),
    ] {
        let stream = shaken(&server, name, client()).await;
        assert_eq!(stream.is_ok(), is_known, "{name}");
    }
    counted(&server, TlsHandshake::Refused, 2).await;
}

/// Puts a certificate and its key into a folder, as those of the server.
fn put(folder: &Folder, certificate: &str, key: &str) {
    for (from, to) in [(certificate, "cert.pem"), (key, "key.pem")] {
        // As tools do: the new file takes the old one's place.
        fs::copy(key_file(from), folder.file("new")).unwrap();
        fs::rename(folder.file("new"), folder.file(to)).unwrap();
    }
}

#[tokio::test]
async fn files_that_change_are_taken_up_and_no_connection_is_dropped() {
    let folder = Folder::new("certificates");
    put(&folder, "tls-localhost.pem", "tls-localhost.key");
    let shown = |name: &str| folder.file(name).display().to_string();
    let server = at(&[
        &format!("tls.certificate={}", shown("cert.pem")),
        &format!("tls.key={}", shown("key.pem")),
        "tls.reload_interval=20ms",
    ]);
    let (mut client_before, mut publisher) = (server.client().await, server.client().await);
    client_before.subscribe("/a").await;
    client_before.poll().await;
    server.holds(1).await;
    let other = || shaken(&server, "other.example", client());
    assert!(other().await.is_err());
    let tls = &server.metrics().tls;

    put(&folder, "tls-other.pem", "tls-localhost.key");
    until(|| tls.failed_reloads.value() == 1).await;
    assert!(other().await.is_err());
    assert!(shaken(&server, "localhost", client()).await.is_ok());

    put(&folder, "tls-other.pem", "tls-other.key");
    until(|| tls.reloads.value() == 1).await;
    assert!(other().await.is_ok());
    assert!(shaken(&server, "localhost", client()).await.is_err());
    assert_eq!(tls.failed_reloads.value(), 1, "it is said once");

    // Who was there before is as he was.
    publisher.publish("/a", 1).await;
    let events = client_before.take_poll().response().await.messages();
    assert_eq!(events[0]["data"], 1);

    fs::remove_file(folder.file("key.pem")).unwrap();
    until(|| tls.failed_reloads.value() == 2).await;
    assert!(other().await.is_ok());
}

/// The beginning of what a client says first, which is longer.
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half";

#[tokio::test]
async fn a_handshake_has_its_time() {
    let server = server(&["tls.handshake_timeout=100ms"]);
    for (at, bytes) in [b"".as_slice(), HALF_A_HELLO].into_iter().enumerate() {
        let mut stream = raw(&server, Ipv4Addr::LOCALHOST).await;
        stream.write_all(bytes).await.unwrap();
        ends(&mut stream).await;
        let count = u64::try_from(at).unwrap() + 1;
        counted(&server, TlsHandshake::Timeout, count).await;
        assert_eq!(server.metrics().limit_count(Limit::HandshakeTimeout), count);
    }
    until(|| server.metrics().connections.value() == 0).await;
    // The time is the handshake's alone.
    let mut client = server.client().await;
    client.subscribe("/a").await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    client.subscribe("/b").await;
}

#[tokio::test]
async fn half_handshakes_of_one_address_keep_nobody_else_out() {
    let server = server(&[
        "http.max_connections=20",
        "http.max_connections_per_address=15",
    ]);
    let attacker = Ipv4Addr::new(127, 0, 0, 2);
    let mut half = Vec::new();
    for _ in 0..30 {
        let mut stream = raw(&server, attacker).await;
        // It may be refused already.
        let _ = stream.write_all(HALF_A_HELLO).await;
        half.push(stream);
    }
    until(|| {
        server
            .metrics()
            .limit_count(Limit::MaxConnectionsPerAddress)
            == 15
    })
    .await;
    assert_eq!(server.metrics().connections.value(), 15);
    let mut bystander = server.client().await;
    bystander.subscribe("/a").await;
    // Those that are refused hear no HTTP.
    let refused = half.last_mut().unwrap();
    let mut heard = Vec::new();
    let _ = within(refused.read_to_end(&mut heard)).await;
    assert_eq!(heard, b"");
    drop(half);
    counted(&server, TlsHandshake::Closed, 15).await;
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told_so_if_he_speaks_http() {
    let server = server(&[]);
    let mut http = Http::over(Stream::Plain(raw(&server, Ipv4Addr::LOCALHOST).await));
    http.send(handshake().bytes()).await;
    let response = http.response().await;
    assert_eq!(response.status, 400);
    assert!(response.reason().contains("https://"), "{response:?}");
    http.ended().await;
    let mut garbage = raw(&server, Ipv4Addr::LOCALHOST).await;
    garbage.write_all(b"\x80\x01\x02").await.unwrap();
    ends(&mut garbage).await;
    counted(&server, TlsHandshake::NotTls, 2).await;
    let mut malformed = raw(&server, Ipv4Addr::LOCALHOST).await;
    malformed
        .write_all(b"\x16\x03\x01\x00\x04\xff\xff\xff\xff")
        .await
        .unwrap();
    ends(&mut malformed).await;
    counted(&server, TlsHandshake::Malformed, 1).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_within_a_record_has_ended() {
    let server = server(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    client.poll().await;
    server.holds(1).await;
    let (Stream::Tls(stream), _) = client.take_poll().into_parts() else {
        panic!("it is by TLS");
    };
    let (mut tcp, _) = stream.into_inner();
    // The head of a record and some of it.
    tcp.write_all(b"\x17\x03\x03\x40\x00half").await.unwrap();
    tcp.shutdown().await.unwrap();
    server.holds(0).await;
    assert_eq!(server.metrics().lost_connects.value(), 1);
    ends(&mut tcp).await;
}

#[tokio::test]
async fn a_client_that_closes_by_tls_alone_has_closed() {
    let server = server(&[]);
    let mut client = server.client().await;
    client.poll().await;
    server.holds(1).await;
    let (Stream::Tls(mut stream), _) = client.take_poll().into_parts() else {
        panic!("it is by TLS");
    };
    let (tcp, session) = stream.get_mut();
    session.send_close_notify();
    let mut notify = Vec::new();
    session.write_tls(&mut notify).unwrap();
    tcp.write_all(&notify).await.unwrap();
    server.holds(0).await;
    assert_eq!(server.metrics().lost_connects.value(), 1);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let mut server = server(&[]);
    let mut stream = raw(&server, Ipv4Addr::LOCALHOST).await;
    stream.write_all(HALF_A_HELLO).await.unwrap();
    until(|| server.metrics().connections.value() == 1).await;
    server.stop();
    ends(&mut stream).await;
    server.stopped().await;
}

/// Tells of the address of each message.
#[derive(Debug)]
struct Teller(mpsc::UnboundedSender<String>);

impl Extension for Teller {
    fn reply(&self, _: &mut Reply<'_>, _: &Message<'_>, info: &MessageInfo) {
        let address = info.address.map(|address| address.to_string());
        self.0.send(address.unwrap_or_default()).unwrap();
    }
}

#[tokio::test]
async fn a_proxy_says_whose_connection_it_is_before_tls_begins() {
    let (sender, mut addresses) = mpsc::unbounded_channel();
    let additions = Additions {
        extensions: vec![Box::new(Teller(sender))],
        handlers: Vec::new(),
    };
    let tls = tls_settings();
    let server = TestServer::start_at_with(
        any_port(),
        &[
            &tls[0],
            &tls[1],
            "http.trusted_proxies=127.0.0.1",
            "http.proxy_protocol=true",
            "bayeux.publish_without_session=true",
        ],
        additions,
    );
    note_tls(server.address);
    for header in [proxy_v1("203.0.113.7"), proxy_v2("203.0.113.7")] {
        let mut tcp = raw(&server, Ipv4Addr::LOCALHOST).await;
        tcp.write_all(&header).await.unwrap();
        let stream = shake_hands(tcp, "localhost", client()).await.unwrap();
        let mut http = Http::over(Stream::Tls(Box::new(stream)));
        let publish = json!([{"channel": "/a", "data": 1}]).to_string();
        http.exchange(Request::post(publish)).await.messages();
        assert_eq!(within(addresses.recv()).await.unwrap(), "203.0.113.7");
    }
}

#[tokio::test]
async fn commands_trust_the_authorities_that_they_are_told() {
    let server = server(&["bayeux.publish_without_session=true", "api.public=true"]);
    let url = format!("https://localhost:{}", server.address.port());
    for (ca, is_trusted) in [("tls-ca.pem", true), ("tls-other-ca.pem", false)] {
        for key in [&[][..], &["--key", "none"]] {
            let ca = key_file(ca).display().to_string();
            let mut arguments = vec!["publish".to_owned(), "--ca".to_owned(), ca];
            arguments.extend(key.iter().map(|&argument| argument.to_owned()));
            arguments.extend(["--timeout", "5s", &url, "/a", "1"].map(str::to_owned));
            let publishing = tokio::task::spawn_blocking(move || {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                run(&arguments)
            });
            let output = within(publishing).await.unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            let expected = match (is_trusted, key.is_empty()) {
                (true, true) => 0,
                // It is the server that does not know the key.
                (true, false) => 1,
                (false, _) => 4,
            };
            assert_eq!(output.status.code(), Some(expected), "{key:?}: {error}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_used_stops_the_start() {
    let set = |key: &str, name: &str| format!("{key}={}", key_file(name).display());
    let run = |certificate: &str, key: &str| {
        let (certificate, key) = (set("tls.certificate", certificate), set("tls.key", key));
        let arguments = [
            "serve",
            "--listen",
            "tls:127.0.0.1:0",
            "--set",
            &certificate,
            "--set",
            &key,
        ];
        run(&arguments)
    };
    let output = run("tls-localhost.pem", "tls-encrypted.key");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("tls.key") && error.contains("is encrypted"),
        "{error}"
    );
}
