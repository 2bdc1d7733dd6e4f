//! The program itself: its commands, what it prints, and its exit codes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::program::{ConfigFile, Serving, end_of, mirant, run, run_with, stderr};
use crate::support::{Client, Http, Request, only, within};

#[test]
fn an_unknown_key_stops_the_start_with_file_key_and_nearest_name() {
    let file = ConfigFile::new("unknown", "[bayeux]\nmax_intervall = \"5s\"\n");
    for arguments in [["serve", "--config"].as_slice(), &["check-config"]] {
        let output = run(&[arguments, &[file.path()]].concat());
        assert_eq!(output.status.code(), Some(2));
        let error = stderr(&output);
        for part in [file.path(), "bayeux.max_intervall", "bayeux.max_interval?"] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}

#[test]
fn a_wrong_value_stops_the_start_with_its_source_and_key() {
    let file = ConfigFile::new("wrong", "[bayeux]\ntimeout = 30\n");
    let output = run(&["serve", "--config", file.path()]);
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(
        error.contains(file.path()) && error.contains("bayeux.timeout"),
        "{error}"
    );
    let output = run(&["serve", "--set", "bayeux.timeout=soon"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--set bayeux.timeout=soon"));
    let output = end_of(mirant(&["serve"]).env("MIRANT_BAYEUX__TIMEOUT", "soon"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("MIRANT_BAYEUX__TIMEOUT"));
}

/// What Kubernetes sets beside Services called `mirant` and `mirant-http`, and what was meant for us.
#[tokio::test]
async fn variables_of_others_are_passed_over_and_likely_mistakes_are_told() {
    let variables = [
        ("MIRANT_SERVICE_HOST", "10.96.0.7"),
        ("MIRANT_SERVICE_PORT", "8080"),
        ("MIRANT_SERVICE_PORT_HTTP", "8080"),
        ("MIRANT_PORT", "tcp://10.96.0.7:8080"),
        ("MIRANT_PORT_8080_TCP", "tcp://10.96.0.7:8080"),
        ("MIRANT_PORT_8080_TCP_PROTO", "tcp"),
        ("MIRANT_PORT_8080_TCP_PORT", "8080"),
        ("MIRANT_PORT_8080_TCP_ADDR", "10.96.0.7"),
        ("MIRANT_HTTP_SERVICE_PORT", "8080"),
        ("MIRANT_HTTP_PORT", "tcp://10.96.0.8:8080"),
        ("MIRANT_BAYEUX_TIMEOUT", "5s"),
    ];
    let mut command = mirant(&["serve", "--listen", "127.0.0.1:0", "--log-level", "debug"]);
    let serving = Serving::of(command.envs(variables).stderr(Stdio::piped()));
    Client::new(serving.address()).handshake().await;
    let log = serving.log();
    for (name, _) in variables {
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(&format!("{name} ")))
            .collect();
        assert_eq!(lines.len(), 1, "{name} in {log}");
        let is_mistake = name == "MIRANT_BAYEUX_TIMEOUT";
        assert_eq!(lines[0].contains("WARN"), is_mistake, "{lines:?}");
        assert_eq!(
            lines[0].contains("MIRANT_BAYEUX__TIMEOUT"),
            is_mistake,
            "{lines:?}"
        );
    }
}

#[test]
fn a_variable_with_two_underscores_is_configuration() {
    for name in ["MIRANT_BAYUX__TIMEOUT", "MIRANT__BAYEUX__TIMEOUT"] {
        // A port of its own, in case it starts.
        let mut command = mirant(&["serve", "--listen", "127.0.0.1:0"]);
        let output = end_of(command.env(name, "5s"));
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
    }
}

#[test]
fn check_config_accepts_a_good_file() {
    let text =
        "[http]\nlisten = [\"127.0.0.1:0\"]\n[[channel]]\npattern = \"/a/**\"\nlazy = true\n";
    let file = ConfigFile::new("good", text);
    let output = run(&["check-config", file.path()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn check_config_looks_whether_history_has_a_directory() {
    let in_the_way = ConfigFile::new("in-the-way", "");
    let directory = format!("history.directory={}", in_the_way.path());
    let file = ConfigFile::new("history", "");
    let output = run(&["check-config", file.path(), "--set", &directory]);
    assert_eq!(output.status.code(), Some(2));
    let expected = format!(
        "history.directory = \"{}\": is not a directory\n",
        in_the_way.path()
    );
    assert_eq!(stderr(&output), expected);
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let file = ConfigFile::new("syntax", "[bayeux\n");
    for (path, why) in [
        (file.path(), "]"),
        ("/nowhere/mirant.toml", "No such file"),
        ("/", "Is a directory"),
    ] {
        for command in [["check-config"].as_slice(), &["serve", "--config"]] {
            let output = run(&[command, &[path]].concat());
            assert_eq!(output.status.code(), Some(2));
            let error = stderr(&output);
            assert!(error.contains(path), "{error}");
            assert_eq!(error.matches(why).count(), 1, "said once: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}

#[test]
fn a_cluster_s_secret_is_one_that_cannot_be_guessed() {
    let cluster = "[cluster]\nredis = 'redis://127.0.0.1:1'\nlisten = '127.0.0.1:0'\n";
    for (secret, problem) in [
        ("", "is empty"),
        (
            "0123456789012345678901234567890",
            "must be at least 32 bytes",
        ),
        ("01234567890123456789012345678901", ""),
    ] {
        let secret = ConfigFile::new("guessed", secret);
        let named = format!("{cluster}secret = {{ file = '{}' }}\n", secret.path());
        let file = ConfigFile::new("node", &named);
        let output = run(&["check-config", file.path()]);
        let is_good = problem.is_empty();
        assert_eq!(output.status.success(), is_good, "{output:?}");
        if !is_good {
            let served = run(&["serve", "--config", file.path(), "--listen", "127.0.0.1:0"]);
            for refused in [output, served] {
                let error = stderr(&refused);
                assert!(error.contains("cluster.secret"), "{error}");
                assert!(error.contains(problem), "{error}");
            }
        }
    }
}

#[test]
fn what_cannot_be_said_twice_is_said_once() {
    let output = run(&[
        "serve",
        "--log-level",
        "mirant=[",
        "--listen",
        "127.0.0.1:0",
    ]);
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_configuration_is_read_from_standard_input() {
    for (text, code, said) in [
        ("[bayeux]\ntimeout = \"5s\"\n", 0, "standard input: ok"),
        (
            "[bayeux]\ntmeout = \"5s\"\n",
            2,
            "standard input: unknown key bayeux.tmeout; did you mean bayeux.timeout?",
        ),
        ("[bayeux\n", 2, "standard input:1:8"),
    ] {
        let output = run_with(&["check-config", "-"], text);
        let all = String::from_utf8(output.stdout.clone()).unwrap() + &stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{all}");
        assert!(all.contains(said), "{all}");
    }
    let output = run_with(&["serve", "--config", "-"], "[bayeux]\ntmeout = 1");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("standard input: unknown key"));
}

#[tokio::test]
async fn names_of_hosts_are_listened_on() {
    let file = ConfigFile::new(
        "names",
        "[http]\nlisten = [\"localhost:0\"]\n[admin]\nlisten = [\"localhost:0\"]\n",
    );
    let mut by_flag = mirant(&["serve", "--listen", "localhost:0"]);
    let mut by_file = mirant(&["serve", "--config", file.path()]);
    for command in [&mut by_flag, &mut by_file] {
        let serving = Serving::of(command.stderr(Stdio::null()));
        assert!(serving.address().ip().is_loopback());
        Client::new(serving.address()).handshake().await;
    }
}

#[test]
fn a_name_that_no_host_has_is_exit_code_2_and_named() {
    for arguments in [
        ["--listen", "nowhere.invalid:8080"].as_slice(),
        &["--set", "http.listen=nowhere.invalid:8080"],
        &[
            "--listen",
            "127.0.0.1:0",
            "--set",
            "admin.listen=nowhere.invalid:8080",
        ],
    ] {
        let mut command = mirant(&[["serve"].as_slice(), arguments].concat());
        // Where no name server answers, that is found out soon.
        let output = end_of(command.env("RES_OPTIONS", "timeout:1 attempts:1"));
        assert_eq!(output.status.code(), Some(2));
        let error = stderr(&output);
        assert!(
            error.contains("cannot resolve nowhere.invalid:8080"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn the_printed_defaults_are_a_file_that_changes_nothing() {
    let output = run(&["default-config"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let file = ConfigFile::new("defaults", &text);
    let checked = run(&["check-config", file.path()]);
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    let sources = mirant::config::Sources {
        file: Some(file.0.clone()),
        ..Default::default()
    };
    let loaded = mirant::config::Config::load(&sources, []).unwrap().config;
    let value = |config: &mirant::config::Config| serde_json::to_value(config).unwrap();
    assert_eq!(value(&loaded), value(&mirant::config::Config::default()));
}

#[test]
fn shells_complete_every_command() {
    for (shell, begin) in [
        ("bash", "_mirant() {"),
        ("zsh", "#compdef mirant"),
        ("fish", "complete -c mirant"),
    ] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains(begin), "{shell}: {script}");
        for word in ["check-config", "hash-password", "log-level"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let directory = std::env::temp_dir().join(format!("mirant-manual-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let output = run(&["manual", directory.to_str().unwrap()]);
    let page = |name: &str| std::fs::read_to_string(directory.join(name));
    let (whole, serve, check) = (
        page("mirant.1"),
        page("mirant-serve.1"),
        page("mirant-token-check.1"),
    );
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(whole.unwrap().contains("mirant\\-check\\-config(1)"));
    assert!(serve.unwrap().contains("Port 0 takes a free one"));
    assert!(check.is_ok());
    // The directory is gone.
    let output = run(&["manual", directory.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot write to"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn serve_prints_where_it_listens_and_sigterm_ends_it_with_0() {
    for signal in ["TERM", "INT"] {
        let mut serving = Serving::start(&[]);
        let mut client = Client::new(serving.address());
        client.handshake().await;
        client.connect().await;
        client.poll().await;
        assert!(client.poll_connection().await.is_silent().await);
        serving.signal(signal);
        let reply = only(client.polled().await);
        assert_eq!(reply["successful"], true);
        assert_eq!(reply["advice"]["reconnect"], "retry");
        assert_eq!(serving.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn an_address_in_use_is_exit_code_2_and_named() {
    let serving = Serving::start(&[]);
    let address = serving.address().to_string();
    let output = run(&["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(&address), "{}", stderr(&output));
}

#[tokio::test]
async fn later_sources_win() {
    let file = ConfigFile::new(
        "order",
        "[bayeux]\npath = \"/file\"\ntimeout = \"7s\"\ninterval = \"7s\"\n",
    );
    let mut child = mirant(&["serve", "--listen", "127.0.0.1:0", "--config", file.path()])
        .args(["--set", "bayeux.interval=9s"])
        .env("MIRANT_BAYEUX__TIMEOUT", "8s")
        .env("MIRANT_BAYEUX__INTERVAL", "8s")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let url = line.strip_prefix("listening on http://").unwrap();
    let address = url.strip_suffix("/file\n").unwrap().parse().unwrap();
    let request = Request::post(r#"{"channel":"/meta/handshake"}"#).to("/file");
    let reply = within(Http::open(address))
        .await
        .exchange(request)
        .await
        .messages()
        .remove(0);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(reply["advice"]["timeout"], 8000);
    assert_eq!(reply["advice"]["interval"], 9000);
}

#[tokio::test]
async fn the_demonstration_prints_its_page_and_serves_it() {
    let mut serving = Serving::start(&["--demo"]);
    let address = serving.address();
    let mut text = String::new();
    while !text.contains("curl") {
        assert!(serving.stdout.read_line(&mut text).unwrap() > 0);
    }
    assert!(text.contains(&format!("http://{address}/")));
    let response = Http::open(address)
        .await
        .exchange(Request::new("GET", "/"))
        .await;
    assert_eq!(response.status, 200);
    assert!(
        response
            .header("Content-Type")
            .unwrap()
            .starts_with("text/html")
    );
}

/// Runs a server, fills the queue of a client that is away, lets it poll, and fills it again;
/// returns the warnings.
async fn warnings_of_full_queues(options: &[&str]) -> (Vec<String>, String) {
    let set: Vec<&str> = options
        .iter()
        .flat_map(|option| ["--set", option])
        .collect();
    let serving = Serving::start_with(&set, Stdio::piped());
    let mut clients = [
        Client::new(serving.address()),
        Client::new(serving.address()),
    ];
    for client in &mut clients {
        client.handshake().await;
        client.connect().await;
    }
    let [subscriber, publisher] = &mut clients;
    subscriber.subscribe("/**").await;
    for _ in 0..2 {
        for n in 0..6 {
            publisher.publish("/a/b", n).await;
        }
        subscriber.queued().await;
    }
    let id = subscriber.id.clone();
    let log = serving.log();
    let warnings = log.lines().filter(|line| line.contains("WARN"));
    (warnings.map(str::to_owned).collect(), id)
}

#[tokio::test]
async fn a_full_queue_is_logged_once_until_it_was_empty_with_the_option_and_the_fix() {
    let options = ["bayeux.max_queue=2", "bayeux.max_queue_policy=conflate"];
    let (warnings, id) = warnings_of_full_queues(&options).await;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for part in [
        &format!("client_id={}...", &id[..6]),
        "bayeux.max_queue,",
        "keeping only the latest of every channel",
        "raise them, or choose another bayeux.max_queue_policy",
    ] {
        assert!(warnings[0].contains(part), "{part} in {warnings:?}");
    }
}

#[tokio::test]
async fn a_channel_s_bound_is_logged_once_a_session_with_the_channel() {
    let channel = r#"channel=[{pattern="/a/**", max_queue=1, max_queue_policy="drop_oldest"}]"#;
    let (warnings, id) = warnings_of_full_queues(&[channel]).await;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in [
        &format!("client_id={}...", &id[..6]),
        "/a/b",
        "max_queue of its [[channel]]",
        "dropping the oldest",
    ] {
        assert!(warnings[0].contains(part), "{part} in {warnings:?}");
    }
}

/// Rules, and what `mirant explain` says of them.
const RULES: &str = r#"
[[access]]
deny = ["handshake", "subscribe", "publish"]
channels = ["/**"]
who = { address = "203.0.113.0/24" }
reason = "blocked for spam"

[[access]]
deny = ["subscribe"]
channels = ["/staff/**"]
who = "anonymous"

[[access]]
allow = ["handshake", "subscribe"]
channels = ["/**"]
who = "anyone"

[[access]]
allow = ["publish"]
channels = ["/room/{user}/**", "/{claim.org}/news"]
who = { role = ["editor", "admin"] }

[[channel]]
pattern = "/room/**"
lazy = true
max_queue = 10

[[channel]]
pattern = "/room/u1/*"
lazy = false
"#;

#[test]
fn explain_says_which_rule_decides_and_why_the_others_do_not() {
    let file = ConfigFile::new("explain", RULES);
    let explain = |arguments: &[&str]| {
        let output = run(&[&["explain", "--config", file.path()], arguments].concat());
        let said = String::from_utf8(output.stdout.clone()).unwrap() + &stderr(&output);
        (output.status.code().unwrap(), said)
    };
    let (code, said) = explain(&["--user", "u1", "--role", "editor", "publish", "/room/u1/a"]);
    assert_eq!(code, 0, "{said}");
    let expected = r#"access[0] deny handshake, subscribe, publish on /** for { address = "203.0.113.0/24" }
    is about other clients
access[1] deny subscribe on /staff/** for "anonymous"
    is about other actions
access[2] allow handshake, subscribe on /** for "anyone"
    is about other actions
access[3] allow publish on /room/{user}/**, /{claim.org}/news for { role = ["editor", "admin"] }
    allows it

allowed by access[3]

options of /room/u1/a:
    lazy = false, by channel[1] /room/u1/*
    max_queue = 10, by channel[0] /room/**
"#;
    assert_eq!(said, expected);

    let user = ["--user", "u1", "--role", "editor", "--claim", "org=acme"];
    let cases: [(&[&str], &[&str], i32, &str); 12] = [
        (
            &user,
            &["publish", "/room/u2/a"],
            1,
            "    is about other channels\n\nrefused: no [[access]] allows it\n",
        ),
        (
            &user,
            &["publish", "/acme/news"],
            0,
            "allowed by access[3]\n",
        ),
        (
            &["--user", "u1"],
            &["publish", "/room/u1/a"],
            1,
            "    is about other clients\n\nrefused: no",
        ),
        (
            &["--anonymous"],
            &["subscribe", "/a"],
            0,
            "allowed by access[2]\n",
        ),
        (
            &["--anonymous"],
            &["subscribe", "/**"],
            1,
            "refused by access[1]\n",
        ),
        (
            &["--anonymous"],
            &["handshake"],
            0,
            "allowed by access[2]\n",
        ),
        (
            &["--anonymous", "--address", "203.0.113.9"],
            &["handshake"],
            1,
            "    refuses it\n\nrefused by access[0] (blocked for spam)\n",
        ),
        (&user, &["publish", "/meta/x"], 1, "refused: "),
        (
            &user,
            &["subscribe", "/room/**"],
            0,
            "lazy = true, by channel[0] /room/**",
        ),
        (&user, &["handshake", "/a"], 2, "a handshake has no channel"),
        (&user, &["publish", "/a/**"], 2, "CHANNEL must be a channel"),
        (&["--role", "editor"], &["handshake"], 2, "--user"),
    ];
    for (who, what, expected, part) in cases {
        let (code, said) = explain(&[who, what].concat());
        assert_eq!(code, expected, "{who:?} {what:?}: {said}");
        assert!(said.contains(part), "{who:?} {what:?}: {said}");
    }
    let open = run(&["explain", "--anonymous", "publish", "/a"]);
    assert_eq!(open.status.code(), Some(0));
    assert_eq!(
        open.stdout,
        b"allowed, as everything is: there is no [[access]]\n"
    );
    let wrong = run(&[
        "explain",
        "--set",
        "access=[{ who = 'all' }]",
        "--anonymous",
        "handshake",
    ]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("access[0].who = \"all\": expected \"anyone\""));
}

#[test]
fn a_key_is_made_with_its_hash_and_that_is_printed_of_others_too() {
    let output = run(&["api-key"]);
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let (key, hash) = printed.trim_end().split_once('\n').unwrap();
    let key = key.strip_prefix("key:  ").unwrap();
    let hash = hash.strip_prefix("hash: ").unwrap();
    assert!(key.starts_with("mirant_") && key.len() == 50, "{key}");
    for input in [format!("{key}\n"), key.to_owned()] {
        let output = run_with(&["api-key", "--hash"], &input);
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            format!("{hash}\n")
        );
    }
    let output = run_with(&["api-key", "--hash"], "hunter2\n");
    assert_eq!(output.status.code(), Some(2));
    let expected = "mirant: a key must be at least 32 bytes, such as `mirant api-key` makes\n";
    assert_eq!(stderr(&output), expected);
}

#[test]
fn the_address_of_the_api_is_printed() {
    let mut serving = Serving::start(&["--set", "api.listen=127.0.0.1:0"]);
    assert!(serving.line().starts_with("listening on http://"));
    let line = serving.line();
    let address = line.strip_prefix("api on http://127.0.0.1:").unwrap();
    assert!(address.ends_with("/api/v1\n"), "{line}");
}
