//! How many connections there may be: of one address, and as file descriptors allow.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use mirant::metrics::Limit;
use mirant::run::ListenAddress;
use serde_json::json;
use tokio::net::TcpSocket;

use crate::support::program::{Serving, mirant};
use crate::support::{
    Client, Folder, Http, Request, Says, TestServer, only, proxy_to, proxy_v1, proxy_v2, until,
    within,
};

const TWO: &str = "http.max_connections_per_address=2";

/// A connection from an address of this machine.
async fn from(local: &str, server: &TestServer) -> Http {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{local}:0").parse().unwrap()).unwrap();
    Http::of(within(socket.connect(server.address)).await.unwrap()).await
}

/// Whether a connection is served; it is open afterwards if it is.
async fn is_served(http: &mut Http) -> bool {
    let request = Request::post(json!([{"channel": "/meta/none"}]).to_string());
    // What refuses it may have closed it already.
    http.try_send(&request.bytes()).await;
    let response = http.response().await;
    if response.status == 200 {
        return true;
    }
    assert_eq!(response.status, 429);
    assert_eq!(response.header("Connection"), Some("close"));
    assert_eq!(response.header("Retry-After"), Some("5"));
    assert!(
        response
            .reason()
            .contains("http.max_connections_per_address")
    );
    false
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_others_notice_nothing() {
    let server = TestServer::start(&[TWO]);
    let mut open = Vec::new();
    for expected in [true, true, false, false] {
        let mut http = from("127.0.0.2", &server).await;
        assert_eq!(is_served(&mut http).await, expected);
        open.extend(expected.then_some(http));
    }
    let mut other = from("127.0.0.3", &server).await;
    assert!(is_served(&mut other).await);
    assert_eq!(
        server
            .metrics()
            .limit_count(Limit::MaxConnectionsPerAddress),
        2
    );
    // One that leaves makes room, however it does.
    open.pop().unwrap().reset();
    until(|| server.metrics().connections.value() == 2).await;
    assert!(is_served(&mut from("127.0.0.2", &server).await).await);
}

#[tokio::test]
async fn many_that_come_and_go_leave_nothing_behind() {
    let server = TestServer::start(&[TWO]);
    for _ in 0..50 {
        let mut two = [
            from("127.0.0.2", &server).await,
            from("127.0.0.2", &server).await,
        ];
        for http in &mut two {
            assert!(is_served(http).await);
        }
        drop(two);
        until(|| server.metrics().connections.value() == 0).await;
    }
    assert_eq!(
        server
            .metrics()
            .limit_count(Limit::MaxConnectionsPerAddress),
        0
    );
}

#[tokio::test]
async fn clients_behind_the_proxy_protocol_are_counted_and_the_proxy_is_not() {
    let on = ["http.trusted_proxies=127.0.0.1", "http.proxy_protocol=true"];
    let server = TestServer::start(&[&on[..], &[TWO]].concat());
    let mut open = Vec::new();
    // The last two of each are refused; of IPv6 those count together that have the same 64 bits.
    let clients = [
        ("203.0.113.1", true),
        ("203.0.113.2", true),
        ("203.0.113.1", true),
        ("203.0.113.1", false),
        ("2001:db8::1", true),
        ("2001:db8::ffff:1", true),
        ("2001:db8::2", false),
        ("2001:db8:0:1::2", true),
    ];
    for (at, (client, expected)) in clients.into_iter().enumerate() {
        let header = if at % 2 == 0 {
            proxy_v1(client)
        } else {
            proxy_v2(client)
        };
        let mut http = server.open().await;
        http.send(header).await;
        assert_eq!(is_served(&mut http).await, expected, "{client}");
        open.extend(expected.then_some(http));
    }
    drop(open);
    until(|| server.metrics().connections.value() == 0).await;
    let mut http = server.open().await;
    http.send(proxy_v1("203.0.113.1")).await;
    assert!(is_served(&mut http).await, "nothing is left");
}

#[tokio::test]
async fn trusted_proxies_and_unix_sockets_are_not_counted() {
    let one = "http.max_connections_per_address=1";
    let tcp = TestServer::start(&[one, "http.trusted_proxies=127.0.0.1"]);
    let says = Says::InHeads("X-Forwarded-For: 203.0.113.1\r\n".to_owned());
    let behind = proxy_to(tcp.address, says);
    let folder = Folder::new("not-counted");
    let unix = TestServer::start_at(ListenAddress::Unix(folder.file("http")), &[one]);
    for address in [behind, unix.address] {
        let mut open = Vec::new();
        for _ in 0..5 {
            let mut http = Http::open(address).await;
            assert!(is_served(&mut http).await);
            open.push(http);
        }
    }
}

#[tokio::test]
async fn by_default_no_address_takes_all_the_room() {
    let server = TestServer::start(&["http.max_connections=20"]);
    let mut open = Vec::new();
    for at in 0..20 {
        let mut http = from("127.0.0.2", &server).await;
        assert_eq!(is_served(&mut http).await, at < 18, "{at}");
        open.push(http);
    }
    assert!(is_served(&mut from("127.0.0.3", &server).await).await);
}

/// Starts the program with a limit on file descriptors.
fn with_descriptors(limit: usize, arguments: &[&str]) -> Serving {
    let program = mirant(&[]);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -n {limit}; exec \"$@\""))
        .arg("sh")
        .arg(program.get_program())
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .stderr(Stdio::piped());
    Serving::of(&mut command)
}

/// What a connection gets: its status.
async fn status(http: &mut Http) -> u16 {
    http.try_send(&Request::new("GET", "/nowhere").bytes())
        .await;
    http.response().await.status
}

/// Opens connections until so many are refused; those that are not.
async fn fill(address: SocketAddr, mut refused: u64) -> Vec<Http> {
    let mut open = Vec::new();
    while refused > 0 {
        let mut http = Http::open(address).await;
        match status(&mut http).await {
            404 => open.push(http),
            503 => refused -= 1,
            status => panic!("{status}"),
        }
        assert!(open.len() < 90);
    }
    open
}

/// How often a file descriptor was lacking, as the operator sees.
async fn lacked(admin: &mut Http) -> u64 {
    let figures = admin.exchange(Request::new("GET", "/metrics")).await;
    let name = "mirant_limit_reached_total{limit=\"file_descriptors\"} ";
    let mut lines = figures.text().lines();
    let value = lines.find_map(|line| line.strip_prefix(name));
    value.unwrap().parse().unwrap()
}

#[tokio::test]
async fn without_a_file_descriptor_the_server_goes_on_and_says_why_it_refuses() {
    let sets = [
        "http.max_connections=1000",
        "http.max_connections_per_address=1000",
        "admin.listen=127.0.0.1:0",
    ];
    let mut serving = with_descriptors(90, &sets.map(|set| ["--set", set]).concat());
    let address = serving.address();
    serving.line();
    let line = serving.line();
    let admin = line.strip_prefix("admin on http://").unwrap();
    let admin = admin.strip_suffix("/metrics\n").unwrap().parse().unwrap();
    let mut admin = Http::open(admin).await;
    let mut client = Client::new(address);
    client.handshake().await;
    client.connect().await;
    client.poll().await;
    let mut open = fill(address, 20).await;
    assert!(open.len() > 50, "{}", open.len());
    assert_eq!(lacked(&mut admin).await, 20, "it does not spin");
    // Those who are there are served, a held poll among them.
    for http in &mut open {
        assert_eq!(status(http).await, 404);
    }
    client.subscribe("/a").await;
    assert_eq!(client.publish("/a", 7).await[0]["data"], 7);
    client.disconnect().await;
    assert_eq!(only(client.polled().await)["channel"], "/meta/connect");

    // It recovers as soon as some are free.
    open.truncate(open.len() - 10);
    within(async { while status(&mut Http::open(address).await).await != 404 {} }).await;
    let log = log_of(serving).await;
    let lines = log
        .lines()
        .filter(|line| line.contains("no file descriptor is left"));
    let lines: Vec<&str> = lines.collect();
    assert!((1..=5).contains(&lines.len()), "{log}");
    let parts = [
        "ERROR",
        "limit=90",
        "ulimit -n",
        "LimitNOFILE=",
        "http.max_connections",
    ];
    for part in parts {
        assert!(lines[0].contains(part), "{part}: {log}");
    }
}

/// Stops a server; what it has logged.
async fn log_of(serving: Serving) -> String {
    let log = tokio::task::spawn_blocking(|| serving.log());
    within(log).await.unwrap()
}

#[tokio::test]
async fn what_file_descriptors_allow_is_refused_with_that_reason() {
    let serving = with_descriptors(70, &["--set", "http.max_connections_per_address=100"]);
    let mut open = Vec::new();
    for at in 0..8 {
        let mut http = Http::open(serving.address()).await;
        let expected = if at < 6 { 404 } else { 503 };
        assert_eq!(status(&mut http).await, expected);
        open.push(http);
    }
    let log = within(tokio::task::spawn_blocking(|| serving.log()))
        .await
        .unwrap();
    let line = log
        .lines()
        .find(|line| line.contains("a connection was refused"));
    assert!(
        line.is_some_and(|line| line.contains("LimitNOFILE=")),
        "{log}"
    );
}
