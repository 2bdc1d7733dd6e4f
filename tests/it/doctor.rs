//! `mirant doctor` on this machine: what it sees of addresses, files, Redis and whoever is outside.

use std::net::TcpListener;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::program::{ConfigFile, Serving, mirant, run, stderr};
use crate::support::{Request, TestRedis, TestServer};

/// The findings of a run with these arguments, and its exit code.
fn doctor(arguments: &[&str]) -> (Vec<Value>, Option<i32>) {
    let output: Output = run(&[&["doctor", "--json"], arguments].concat());
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    assert_eq!(stderr(&output), "");
    (lines.collect(), output.status.code())
}

/// The only finding of a check, as its state and its text.
fn only_of(findings: &[Value], check: &str) -> (String, String) {
    let found: Vec<_> = findings.iter().filter(|it| it["check"] == check).collect();
    let [finding] = found[..] else {
        panic!("{check} in {findings:?}");
    };
    let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    (text("state"), text("seen") + "; " + &text("fix"))
}

#[test]
fn a_configuration_that_is_wrong_is_a_usage_error() {
    let output = run(&["doctor", "--set", "bayeux.timeout=soon"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("bayeux.timeout"));
}

#[test]
fn an_address_is_free_or_a_mirant_s_or_somebody_else_s() {
    let (findings, code) = doctor(&["--set", "http.listen=[\"127.0.0.1:0\"]"]);
    let (state, seen) = only_of(&findings, "listen");
    assert!(state == "ok" && seen.contains("free"), "{seen}");
    assert_eq!(code, Some(0), "{findings:?}");

    let serving = Serving::of(&mut mirant(&["serve", "--listen", "127.0.0.1:0"]));
    let listen = format!("http.listen=[\"{}\"]", serving.address());
    let hosts = "http.hosts=[\"*.example.com\"]";
    for more in [[].as_slice(), &["--set", hosts]] {
        let (findings, code) = doctor(&[&["--set", &listen], more].concat());
        let (state, seen) = only_of(&findings, "listen");
        assert!(state == "ok" && seen.contains("a Mirant answers"), "{seen}");
        assert_eq!(code, Some(0));
    }

    // One that accepts and says nothing.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("http.listen=[\"{}\"]", other.local_addr().unwrap());
    let (findings, code) = doctor(&["--set", &listen]);
    let (state, seen) = only_of(&findings, "listen");
    assert_eq!(state, "wrong", "{seen}");
    assert!(
        seen.contains("ss -ltnp") && seen.contains("change http.listen"),
        "{seen}"
    );
    assert_eq!(code, Some(1));
}

#[test]
fn what_is_not_reached_or_read_is_wrong() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let somebody = TcpListener::bind("127.0.0.1:0").unwrap();
    let [gone, there] = [&nobody, &somebody].map(|it| it.local_addr().unwrap());
    drop(nobody);
    let secret = ConfigFile::new("doctor-secret", "0123456789abcdef0123456789abcdef");
    let text = format!(
        "[http]\nlisten = [\"127.0.0.1:0\"]\nmax_connections = 100000000\n\
         [cluster]\nredis = \"redis://{gone}\"\nlisten = \"127.0.0.1:0\"\nsecret = {{ file = \"{path}\" }}\n\
         [webhook]\nurl = \"http://{there}/hook?key=hidden\"\nsecret = {{ file = \"/nowhere\" }}\n\
         [[hook]]\nurl = \"http://{gone}/hook\"\nallow_private = true\nsecrets = [{{ file = \"{path}\" }}]\n\
         events = [\"session_begun\"]\n",
        path = secret.path(),
    );
    let file = ConfigFile::new("doctor", &text);
    let (findings, code) = doctor(&["--config", file.path()]);
    assert_eq!(code, Some(1));
    for (check, part) in [
        ("files", "LimitNOFILE=100000064"),
        ("secrets", "/nowhere"),
        ("redis", "cluster.redis"),
    ] {
        let (state, seen) = only_of(&findings, check);
        assert!(state == "wrong" && seen.contains(part), "{check}: {seen}");
    }
    let outside: Vec<_> = findings
        .iter()
        .filter(|it| it["check"] == "outside")
        .collect();
    let states: Vec<_> = outside
        .iter()
        .map(|it| it["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["ok", "wrong"], "{outside:?}");
    assert!(!format!("{findings:?}").contains("hidden"), "{findings:?}");
}

#[tokio::test]
async fn a_redis_is_asked_for_its_settings_and_its_time() {
    let redis = TestRedis::start_with(&["--appendonly", "no", "--maxmemory", "100mb"]).await;
    let evicting = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let evicting = TestRedis::start_with(&evicting).await;
    let secret = ConfigFile::new("doctor-cluster", "0123456789abcdef0123456789abcdef");
    // (the Redis, whether it loses something, what is said of that)
    for (redis, loses, said) in [
        (redis, false, "maxmemory-policy is noeviction"),
        (evicting, true, "maxmemory-policy noeviction in redis.conf"),
    ] {
        let settings = [
            "http.listen=[\"127.0.0.1:0\"]".to_owned(),
            format!("cluster.redis={}", redis.url()),
            "cluster.listen=127.0.0.1:0".to_owned(),
            format!("cluster.secret={{ file = \"{}\" }}", secret.path()),
        ];
        let arguments: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
        let (findings, code) = doctor(&arguments);
        assert_eq!(code, Some(i32::from(loses)), "{findings:?}");
        assert_eq!(only_of(&findings, "clock").0, "ok");
        let told = format!("{findings:?}");
        for said in [said, "appendonly yes"] {
            assert!(told.contains(said), "{told}");
        }
    }
}

#[test]
fn a_certificate_has_its_days_told() {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys");
    let certificate = format!("tls.certificate={keys}/tls-localhost.pem");
    let key = format!("tls.key={keys}/tls-localhost.key");
    let (findings, _) = doctor(&["--set", &certificate, "--set", &key]);
    let (state, seen) = only_of(&findings, "certificate");
    assert!(state == "ok" && seen.contains("more days"), "{seen}");
}

/// Whoever asks how its request has arrived is told whether that is as it says, and learns no other address.
#[tokio::test]
async fn a_request_is_told_how_it_has_arrived() {
    let direct = TestServer::start(&[]);
    let trusting = TestServer::start(&["http.trusted_proxies=127.0.0.1"]);
    let ask = async |server: &TestServer, host: &str, headers: &[(&str, &str)]| {
        let mut http = server.open().await;
        let target = format!("/cometd/doctor?host={host}&peer={}", http.local_address());
        let request = headers.iter().fold(
            Request::new("GET", &target).header("Host", "Push.example:80"),
            |request, (name, value)| request.header(name, value),
        );
        serde_json::from_slice::<Value>(&http.exchange(request).await.body).unwrap()
    };
    let telling = [("X-Forwarded-For", "192.0.2.7"), ("Via", "1.1 x")];
    for (server, host, headers, expected) in [
        (
            &direct,
            "push.example:80",
            &[][..],
            json!({"host": true, "connection": "client", "client": null, "headers": []}),
        ),
        (
            &direct,
            "push.example",
            &telling[..1],
            json!({"host": false, "connection": "client", "client": null, "headers": ["x-forwarded-for"]}),
        ),
        (
            &trusting,
            "push.example:80",
            &telling,
            json!({"host": true, "connection": "proxy", "client": "192.0.2.7",
                   "headers": ["x-forwarded-for", "via"]}),
        ),
        (
            &trusting,
            "push.example:80",
            &[],
            json!({"host": true, "connection": "proxy", "client": null, "headers": []}),
        ),
    ] {
        assert_eq!(ask(server, host, headers).await, expected);
    }
    // Somebody else's connection is not shown, whoever asks.
    for target in [
        "host=h&peer=192.0.2.1:1",
        "host=h",
        "host=h&peer=x",
        "peer=192.0.2.1:1",
    ] {
        let target = format!("/cometd/doctor?{target}");
        let response = direct
            .open()
            .await
            .exchange(Request::new("GET", &target))
            .await;
        let text = response.text();
        assert!(!text.contains("127.0.0.1"), "{text}");
        let is_whole = target.ends_with("192.0.2.1:1") && target.contains("host");
        assert_eq!(response.status, if is_whole { 200 } else { 400 }, "{text}");
        assert_eq!(text.contains("\"other\""), is_whole, "{text}");
    }
}
