//! The configuration read anew while the server runs: what changes for who is connected, and what does not.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{ChildStderr, Output, Stdio};

use serde_json::{Value, json};

use crate::http_api::{HASH, KEY, OTHER, OTHER_HASH};
use crate::support::program::{ConfigFile, Serving, run};
use crate::support::{Client, Events, Http, Request, only, within};

/// A running program with its file, its operator's address, and what it logs.
pub(crate) struct Rig {
    file: ConfigFile,
    serving: Serving,
    address: SocketAddr,
    pub(crate) admin: SocketAddr,
    log: BufReader<ChildStderr>,
}

fn operator(more: &str) -> String {
    let own = format!("[[api.key]]\nname = \"operator\"\nhash = \"{HASH}\"\nallow = [\"admin\"]\n");
    format!("{more}\n{own}")
}

impl Rig {
    /// Starts a program with a file to which the operator's key is added.
    pub(crate) fn start(name: &str, text: &str) -> Self {
        let file = ConfigFile::new(name, &operator(text));
        let arguments = [
            "--config",
            file.path(),
            "--set",
            "admin.listen=[\"127.0.0.1:0\"]",
        ];
        let mut serving = Serving::start_with(&arguments, Stdio::piped());
        let address = serving.address();
        serving.line();
        let line = serving.line();
        let admin = line.strip_prefix("admin on http://").unwrap();
        let admin = admin.strip_suffix("/metrics\n").unwrap().parse().unwrap();
        let log = BufReader::new(serving.child.stderr.take().unwrap());
        Self {
            file,
            serving,
            address,
            admin,
            log,
        }
    }

    fn write(&self, text: &str) {
        fs::write(self.file.path(), operator(text)).unwrap();
    }

    /// Has it reloaded by the command.
    fn reload(&self) -> Output {
        run(&["reload", &format!("http://{}", self.admin), "--key", KEY])
    }

    /// Writes the file anew, and has it reloaded; returns what the command says.
    pub(crate) fn change(&self, text: &str) -> String {
        self.write(text);
        let output = self.reload();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{said}{:?}",
            String::from_utf8(output.stderr)
        );
        said
    }

    /// Waits for a line of the log.
    fn line(&mut self, text: &str) -> String {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "no {text}");
        }
        line
    }
}

/// Asks over a connection that stays.
async fn status(http: &mut Http, request: Request) -> u16 {
    http.exchange(request).await.status
}

const RULES: &str = r#"
[[access]]
allow = ["handshake", "subscribe", "publish"]
channels = ["/a", "/b"]
who = "anyone"
"#;

#[tokio::test]
async fn access_rules_count_for_who_is_connected() {
    let rig = Rig::start("rules", RULES);
    let mut client = Client::new(rig.address);
    client.handshake().await;
    client.subscribe(json!(["/a", "/b"])).await;
    client.connect().await;
    client.poll().await;
    let said = rig.change(
        r#"
        [[access]]
        allow = ["handshake", "subscribe"]
        channels = ["/a"]
        who = "anyone"
        "#,
    );
    assert_eq!(said, "changed: access\n");
    // The held connect brings what it has lost.
    let messages = client.polled().await;
    let lost: Vec<&Value> = messages
        .iter()
        .filter(|message| message["channel"] == "/meta/subscribe")
        .collect();
    assert_eq!(lost.len(), 1, "{messages:?}");
    assert_eq!(lost[0]["subscription"], "/b");
    assert_eq!(lost[0]["error"], "403:/b:subscribe_denied");
    let refused = only(client.publish("/a", 1).await);
    assert_eq!(refused["error"], "403:/a:publish_denied");
    // Of the rest nothing was lost: the same session hears what is published.
    rig.change(RULES);
    client.poll().await;
    let mut publisher = Client::new(rig.address);
    publisher.handshake().await;
    publisher.publish("/a", 2).await;
    let events = client.polled().await;
    assert!(events.iter().any(|event| event["data"] == 2), "{events:?}");
}

#[tokio::test]
async fn who_may_not_have_a_session_any_more_is_sent_away() {
    let rig = Rig::start("sent-away", "");
    let mut client = Client::new(rig.address);
    client.handshake().await;
    client.connect().await;
    client.poll().await;
    let (mut stream, _) = Events::open(rig.address, "/events?channel=/a").await;
    rig.change("[[access]]\ndeny = [\"handshake\"]\nwho = \"anyone\"\nreason = \"closed\"\n");
    let reply = only(client.polled().await);
    assert_eq!(reply["successful"], false, "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "handshake", "{reply}");
    assert_eq!(
        client.handshake().await["error"],
        "403:closed:handshake_denied"
    );
    stream.ended().await;
}

#[tokio::test]
async fn origins_hosts_and_limits_count_for_the_next_request_of_a_connection() {
    let rig = Rig::start("origins", "");
    let mut http = Http::open(rig.address).await;
    let handshake = json!([{"channel": "/meta/handshake", "version": "1.0"}]).to_string();
    let of_page = || Request::post(handshake.clone()).header("Origin", "https://example.com");
    // The same head is known from the third time on.
    for _ in 0..3 {
        assert_eq!(status(&mut http, of_page()).await, 403);
    }
    rig.change("[http]\nallowed_origins = [\"https://example.com\"]\n");
    for _ in 0..4 {
        assert_eq!(status(&mut http, of_page()).await, 200);
    }
    rig.change("[http]\nhosts = [\"push.example.com\"]\n");
    assert_eq!(status(&mut http, of_page()).await, 421);
    let two = json!([{"channel": "/meta/handshake"}, {"channel": "/meta/handshake"}]).to_string();
    rig.change("[bayeux]\nmax_batch = 1\n");
    assert_eq!(status(&mut http, Request::post(two.clone())).await, 400);
    rig.change("[bayeux]\nmax_message_size = \"1KiB\"\nmax_batch = 2\n[resources]\nmax_bytes = \"64KiB\"\n");
    assert_eq!(status(&mut http, Request::post(two)).await, 200);
    let large = format!(
        "[{{\"channel\":\"/meta/handshake\",\"ext\":\"{}\"}}]",
        "x".repeat(1024)
    );
    assert_eq!(status(&mut http, Request::post(large)).await, 413);
}

#[tokio::test]
async fn rates_queues_and_times_of_sessions_change() {
    let rig = Rig::start("rates", "[[channel]]\npattern = \"/c\"\nmax_queue = 9\n");
    let mut client = Client::new(rig.address);
    client.handshake().await;
    client.connect().await;
    client.subscribe("/c").await;
    let said = rig.change(
        r#"
        [rates]
        messages_per_session = 1
        messages_per_session_burst = 3
        [bayeux]
        timeout = "50ms"
        [[channel]]
        pattern = "/c"
        max_queue = 1
        max_queue_policy = "drop_oldest"
        "#,
    );
    let keys =
        "bayeux.timeout, channel, rates.messages_per_session, rates.messages_per_session_burst";
    assert_eq!(said, format!("changed: {keys}\n"));
    let mut publisher = Client::new(rig.address);
    publisher.handshake().await;
    let mut refused = Vec::new();
    for data in 0..5 {
        let reply = only(publisher.publish("/c", data).await);
        refused.extend(reply["error"].as_str().map(str::to_owned));
    }
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].ends_with(":too_many_messages"), "{refused:?}");
    // Of what was published the last is queued; and then a connect is held for a short time only.
    let events = client.connect().await;
    let data: Vec<&Value> = events.iter().map(|event| &event["data"]).collect();
    assert_eq!(data[..1], [&json!(2)], "{events:?}");
    assert_eq!(within(client.connect()).await.len(), 1);
}

#[tokio::test]
async fn keys_of_application_servers_come_and_go() {
    let rig = Rig::start("keys", "");
    let mut http = Http::open(rig.admin).await;
    let own = |key: &str| {
        let bearer = format!("Bearer {key}");
        Request::new("GET", "/api/v1/key").header("Authorization", &bearer)
    };
    assert_eq!(status(&mut http, own(OTHER)).await, 401);
    let key =
        format!("[[api.key]]\nname = \"shop\"\nhash = \"{OTHER_HASH}\"\nallow = [\"read\"]\n");
    assert_eq!(rig.change(&key), "changed: api.key\n");
    assert_eq!(status(&mut http, own(OTHER)).await, 200);
    assert_eq!(status(&mut http, own(KEY)).await, 200);
    rig.change("");
    assert_eq!(status(&mut http, own(OTHER)).await, 401);
}

#[tokio::test]
async fn what_counts_with_the_next_start_is_named_and_stays() {
    let mut rig = Rig::start("restart", "");
    let new = "[http]\nlisten = [\"127.0.0.1:1\"]\nhosts = [\"localhost\"]\n[memory]\nbudget = \"64MiB\"\n";
    assert_eq!(
        rig.change(new),
        "changed: http.hosts\nneeds a restart: memory.budget\n",
        "--listen goes before the file"
    );
    assert!(rig.line("next start").contains("memory.budget"));
    // It is named until it is started again.
    assert_eq!(
        rig.change(new),
        "nothing has changed\nneeds a restart: memory.budget\n"
    );
    let mut http = Http::open(rig.admin).await;
    let bearer = format!("Bearer {KEY}");
    let request = Request::new("GET", "/api/v1/configuration").header("Authorization", &bearer);
    let response = http.exchange(request).await;
    let all: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(all["http"]["hosts"], json!(["localhost"]));
    assert_eq!(all["memory"]["budget"], "60%");
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_it_is_said_what_is_wrong() {
    let mut rig = Rig::start("wrong", "[http]\nhosts = [\"localhost\"]\n");
    let path = rig.file.path().to_owned();
    let missing = "/nowhere/secret";
    let cases = [
        "[http]\nhosts = []\ntimout = 1\n".to_owned(),
        "[http\n".to_owned(),
        "[http]\nhosts = []\n[bayeux]\nmax_batch = 0\n".to_owned(),
        format!("[http]\nhosts = []\n[[issuer]]\nsecret = {{ file = \"{missing}\" }}\n"),
        "[http]\nhosts = []\n[tls]\ncertificate = \"/nowhere/cert.pem\"\n".to_owned(),
        format!(
            "[http]\nhosts = []\n[[hook]]\nurl = \"https://example.com/\"\nsecrets = [{{ file = \"{missing}\" }}]\n\
             calls = [\"/service/a\"]\n"
        ),
    ];
    let mut http = Http::open(rig.address).await;
    let elsewhere = || Request::post("[]").header("Host", "example.com");
    for text in cases {
        rig.write(&text);
        let reloaded = rig.reload();
        let checked = run(&["check-config", &path]);
        let said = String::from_utf8(reloaded.stderr).unwrap();
        let expected = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(said, format!("mirant: {expected}"), "{text}");
        assert_eq!(
            (reloaded.status.code(), checked.status.code()),
            (Some(1), Some(2))
        );
        assert!(
            rig.line("stays as it was").contains(expected.trim_end()),
            "{text}"
        );
        let request = elsewhere();
        assert_eq!(http.exchange(request).await.status, 421, "{text}");
    }
}

#[tokio::test]
async fn sighup_reloads_too_and_the_log_has_another_level() {
    let mut rig = Rig::start("hup", "");
    let mut client = Client::new(rig.address);
    client.handshake().await;
    client.connect().await;
    client.poll().await;
    rig.write("[log]\nlevel = \"info,mirant::operations=debug\"\n");
    rig.serving.signal("HUP");
    assert!(rig.line("read anew").contains("log.level"));
    Client::new(rig.address).handshake().await;
    rig.line("session begins");
    rig.write("[log]\nlevel = \"trce\"\n");
    rig.serving.signal("HUP");
    assert!(rig.line("stays as it was").contains("log.level"));
    // Nobody was sent away for it.
    client.publish("/nobody", 1).await;
    assert!(client.poll_connection().await.is_silent().await);
}

#[tokio::test]
async fn without_a_key_that_is_for_it_nothing_is_reloaded() {
    let key =
        format!("[[api.key]]\nname = \"shop\"\nhash = \"{OTHER_HASH}\"\nallow = [\"read\"]\n");
    let rig = Rig::start("no-key", &key);
    let url = format!("http://{}", rig.admin);
    let output = run(&["reload", &url, "--key", OTHER]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("admin"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    let output = run(&["reload", "http://127.0.0.1:1", "--key", KEY]);
    assert_eq!(output.status.code(), Some(4));
}
