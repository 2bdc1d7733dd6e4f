//! What the log says: why clients are refused, not too often, and no secrets.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde_json::json;

use crate::support::program::ConfigFile;
use crate::support::{Client, Events, Http, Request, Streamed, WebSocket, free_port};

/// How many lines of a kind may be written in ten seconds.
const MAX_LINES: u64 = 5;

/// A running program, whose log is kept.
struct Logged {
    child: Child,
    address: SocketAddr,
    file: PathBuf,
    /// Where it may go on to write.
    _stdout: BufReader<ChildStdout>,
}

impl Logged {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let name = format!("mirant-it-{}-{name}.log", std::process::id());
        let file = std::env::temp_dir().join(name);
        let mut child = Command::new(env!("CARGO_BIN_EXE_mirant"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(File::create(&file).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on http://").unwrap();
        let address = url.strip_suffix("/cometd").unwrap().parse().unwrap();
        Self {
            child,
            address,
            file,
            _stdout: stdout,
        }
    }

    /// Ends the program; what it has logged.
    fn log(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::read_to_string(&self.file).unwrap()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}

async fn client(server: &Logged) -> Client {
    let mut client = Client::new(server.address);
    client.handshake().await;
    client.connect().await;
    client
}

#[tokio::test]
async fn no_client_id_stands_whole_in_the_log() {
    let arguments = [
        "--log-level=trace",
        "--set=bayeux.max_queue=1",
        "--set=bayeux.max_queue_policy=drop_oldest",
        "--set=services.echo=/service/echo",
    ];
    let server = Logged::start("secrets", &arguments);
    let mut ids = Vec::new();
    let mut cookies = Vec::new();

    let mut polling = client(&server).await;
    polling.subscribe("/a").await;
    polling.poll().await;
    polling.poll().await;
    polling.publish("/service/echo", 1).await;
    let mut slow = client(&server).await;
    slow.subscribe("/a").await;
    for number in 0..3 {
        polling.publish("/a", number).await;
    }
    slow.unsubscribe("/a").await;
    // With its id in the path, and with another's cookie.
    let path = format!("/cometd/{}", slow.id);
    let faye = Request::new("GET", &path).header("Accept", "text/event-stream");
    Http::open(server.address)
        .await
        .exchange(slow.with_cookie(faye))
        .await;
    let thief = Request::new("GET", &format!("{path}/x"));
    Http::open(server.address)
        .await
        .exchange(polling.with_cookie(thief))
        .await;
    let mut unknown = slow.tab();
    unknown.id = "7n42DGM5Tflk9n8mt7Fhc7".to_owned();
    unknown.publish("/a", 1).await;

    let connect = json!([slow.message(json!({
        "channel": "/meta/connect", "connectionType": "xhr-streaming",
    }))]);
    let stream = Streamed::open(server.address, slow.request(connect.to_string())).await;
    let mut socket = WebSocket::client(server.address).await;
    socket.subscribe("/a").await;
    polling.publish("/a", 4).await;
    socket.message().await;
    socket.text("[{]").await;
    socket.closed().await;
    // Encoded twice, which is no message.
    let twice = json!([slow
        .message(json!({"channel": "/a", "data": 1}))
        .to_string()]);
    let refused = slow.post(twice.to_string()).await;
    assert!(!refused.text().contains(&slow.id), "{}", refused.text());
    let (_events, block) = Events::open(server.address, "/events?channel=/a").await;
    drop(stream);
    polling.disconnect().await;

    for client in [&polling, &slow, &unknown] {
        ids.push(client.id.clone());
        cookies.extend(client.cookie.clone());
    }
    ids.push(socket.id.clone());
    ids.push(block.id.unwrap().split_once('-').unwrap().0.to_owned());
    let log = server.log();
    for id in &ids {
        assert_eq!(id.len(), 22);
        assert!(!log.contains(id.as_str()), "{id} in\n{log}");
        let is_shown = *id == unknown.id || log.contains(&format!("{}...", &id[..6]));
        assert!(is_shown, "{id} begins nowhere in\n{log}");
    }
    for cookie in cookies {
        assert!(!log.contains(&cookie), "{cookie} in\n{log}");
    }
    assert!(log.contains("the queue is full"), "{log}");
}

/// What is sent, well formed or not, by every way in; of the keys, those that are right and wrong.
#[tokio::test]
async fn no_payload_and_no_key_stands_in_the_log() {
    const KEY: &str = "planted-key-of-more-than-thirty-two-bytes";
    let (file, api) = (ConfigFile::new("key", KEY), free_port());
    let keys = format!(
        "--set=api.key=[{{ name = 'app', secret = {{ file = '{}' }}, allow = ['publish'] }}]",
        file.path()
    );
    let listen = format!("--set=api.listen=['127.0.0.1:{api}']");
    let resources =
        "--set=channel=[{ pattern = '/kept/**', resource = true, history = { messages = 9 } }]";
    let set = [
        "--log-level=debug",
        "--set=log.access=stderr",
        &keys,
        &listen,
        resources,
    ];
    let server = Logged::start("payloads", &set);
    let mut client = client(&server).await;
    client.subscribe("/kept/**").await;
    let fields = json!({"channel": "/kept/a", "data": "planted-data", "ext": {"x": "planted-ext"}});
    client.send([fields]).await;
    client.post(r#"[{"planted-name": 1}]"#).await;
    for malformed in [r#"["planted-text"#, "planted=1", "message=planted-%"] {
        client.post(malformed).await;
        let mut socket = WebSocket::open(server.address).await;
        socket.text(malformed).await;
        socket.closed().await;
    }
    for target in [
        "/cometd?jsonp=planted&message=planted",
        "/resources/kept/a?planted=1",
    ] {
        for method in ["GET", "PUT", "DELETE", "POST"] {
            let request = Request::new(method, target).header("If-Match", "planted-tag");
            let mut http = Http::open(server.address).await;
            http.exchange(request.header("Cookie", "planted=planted"))
                .await;
        }
    }
    let api = SocketAddr::from(([127, 0, 0, 1], api));
    for key in [KEY, "planted-key-that-is-nobody's-and-wrong"] {
        for body in [r#"{"planted": 1}"#, r#"{"planted"#] {
            let request = Request::new("POST", "/api/v1/publish/kept/a").body(body);
            let request = request.header("Content-Type", "application/json");
            let request = request.header("Idempotency-Key", "planted-name");
            let mut http = Http::open(api).await;
            http.exchange(request.header("Authorization", &format!("Bearer {key}")))
                .await;
        }
    }
    let log = server.log();
    assert!(log.contains("DEBUG"), "{log}");
    assert!(log.contains("\"GET /resources/kept/a HTTP/1.1\""), "{log}");
    assert!(!log.contains("planted"), "{log}");
}

/// The lines of a log with a text in them.
fn lines<'l>(log: &'l str, text: &str) -> Vec<&'l str> {
    log.lines().filter(|line| line.contains(text)).collect()
}

#[tokio::test]
async fn what_clients_cause_is_logged_seldom() {
    let begun = Instant::now();
    let server = Logged::start("floods", &["--set=bayeux.max_sessions=1"]);
    client(&server).await;
    let handshake = r#"[{"channel":"/meta/handshake","version":"1.0"}]"#;
    let floods = [
        (Request::post(handshake), "bayeux.max_sessions"),
        (Request::post("{"), "status=400"),
        (
            Request::post("[]").header("Origin", "http://evil.example"),
            "http.allowed_origins",
        ),
        (Request::new("GET", "/nothing"), "status=404"),
    ];
    for (request, _) in &floods {
        let mut http = Http::open(server.address).await;
        http.send(request.bytes().repeat(100)).await;
        for _ in 0..100 {
            http.response().await;
        }
    }
    for _ in 0..50 {
        let mut socket = WebSocket::open(server.address).await;
        socket.text("[{]").await;
        socket.closed().await;
    }
    let log = server.log();
    let periods = begun.elapsed().as_secs() / 10 + 1;
    let texts = floods.iter().map(|(_, text)| *text);
    for text in texts.chain(["a WebSocket was closed"]) {
        let lines = lines(&log, text).len() as u64;
        let bound = MAX_LINES * periods;
        assert!((1..=bound).contains(&lines), "{text}: {lines} in\n{log}");
    }
}

#[tokio::test]
async fn refusals_are_logged_with_who_was_refused_and_what_to_change() {
    let server = Logged::start("refusals", &["--set=bayeux.max_message_size=2000"]);
    let mut http = Http::open(server.address).await;
    let evil = Request::post("[]").header("Origin", "http://evil.example");
    http.exchange(evil).await;
    let own = http.local_address();
    let script = Request::jsonp("f", "[]").header("Referer", "");
    Http::open(server.address).await.exchange(script).await;
    let large = Request::post("x".repeat(4000));
    Http::open(server.address).await.exchange(large).await;
    let mut socket = WebSocket::open(server.address).await;
    socket.text(&"x".repeat(4000)).await;
    socket.closed().await;
    let log = server.log();
    for (text, key) in [
        (
            "status=403",
            "pages of http://evil.example are refused: add that origin to http.allowed_origins",
        ),
        ("status=403", "bayeux.callback_without_origin"),
        ("status=413", "bayeux.max_message_size"),
        ("a WebSocket was closed", "bayeux.max_message_size"),
    ] {
        let lines = lines(&log, key);
        let is_told = |line: &&str| {
            line.contains(" INFO ") && line.contains(text) && line.contains("remote=127.0.0.1:")
        };
        assert!(lines.iter().any(is_told), "{text}, {key} in\n{log}");
    }
    assert!(log.contains(&format!("remote={own}")), "{own} in\n{log}");
}
