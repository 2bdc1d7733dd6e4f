//! Tables of what each source accepts and refuses, who wins, and that no key is forgotten.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use toml::Value;

use super::keys::{self, Kind};
use super::*;

mod reference;
mod refusals;

/// A file of its own for each test, removed with it.
struct TempFile(PathBuf);

impl TempFile {
    fn new(text: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mirant-config-{}-{count}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn load(file: &str, variables: &[(&str, &str)], set: &[&str]) -> Result<Loaded, String> {
    let file = TempFile::new(file);
    let sources = Sources {
        file: Some(file.0.clone()),
        set: set.iter().map(|&argument| argument.to_owned()).collect(),
        ..Sources::default()
    };
    load_sources(&sources, variables)
        .map_err(|error| error.replace(&file.0.display().to_string(), "mirant.toml"))
}

fn load_sources(sources: &Sources, variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let environment = variables
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Config::load(sources, environment).map_err(|error| error.to_string())
}

fn set(argument: &str) -> Result<Config, String> {
    load("", &[], &[argument]).map(|loaded| loaded.config)
}

fn file(text: &str) -> Result<Config, String> {
    load(text, &[], &[]).map(|loaded| loaded.config)
}

fn json(config: &Config) -> serde_json::Value {
    serde_json::to_value(config).unwrap()
}

/// Compares the lines of a refusal with expected ones.
fn assert_refused(result: Result<Config, String>, expected: &str) {
    match result {
        Ok(_) => panic!("was accepted; expected: {expected}"),
        Err(error) => assert_eq!(error, expected),
    }
}

mod default_text {
    use super::*;

    /// Uncomments the lines that give a key an example.
    fn with_examples() -> String {
        let uncomment = |line: &str| {
            let rest = line.strip_prefix("# ").unwrap_or(line);
            let name = rest.split(" = ").next().unwrap_or_default();
            let is_name = rest.contains(" = ")
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if is_name || rest.starts_with("[[") {
                rest.to_owned()
            } else {
                line.to_owned()
            }
        };
        DEFAULT_TEXT
            .lines()
            .map(uncomment)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn is_exactly_the_defaults() {
        let config = file(DEFAULT_TEXT).unwrap();
        assert_eq!(json(&config), json(&Config::default()));
        // JSON rounds sizes, and this does not.
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
        assert_eq!(Config::default().validate(), []);
    }

    #[test]
    fn names_every_key_and_no_other() {
        let table: toml::Table = with_examples().parse().unwrap();
        let mut named = BTreeSet::new();
        for (section, value) in &table {
            match value {
                Value::Table(entries) => {
                    named.extend(entries.keys().map(|name| format!("{section}.{name}")));
                }
                _ => drop(named.insert(section.clone())),
            }
        }
        assert_eq!(named, BTreeSet::from_iter(keys::known()));

        for list in &keys::LISTS {
            let list_in = |value, name| Value::get(value, name).unwrap();
            let whole = Value::Table(table.clone());
            let entries = list.key.split('.').fold(&whole, list_in);
            let entry = entries[0].as_table().unwrap();
            let named: Vec<&String> = entry.keys().collect();
            let mut known = keys::known_of(list);
            known.sort();
            assert_eq!(named, known.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn examples_are_valid() {
        // A key excludes the others.
        let others = ["public_key", "private_key", "jwks", "hash", "directory"];
        let others = others.map(|key| format!("{key} = "));
        let text = with_examples().replace("browser_cookie_secure = false", "");
        let lines = text.lines();
        let fitting = lines.filter(|line| !others.iter().any(|other| line.starts_with(other)));
        let config = file(&fitting.collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(config.http.max_connections, Some(50_000));
        assert_eq!(config.channel.len(), 1);
        assert_eq!(config.access.len(), 1);
        assert_eq!(config.user.len(), 1);
        assert_eq!(config.issuer.len(), 1);
        assert_eq!(config.api.key.len(), 1);
        assert_eq!(config.hook.len(), 1);
        assert_eq!(config.tls.sni.len(), 1);
    }
}

mod known_keys {
    use super::*;

    /// Reads field names out of a struct's source, which no serde attribute can hide.
    fn fields(source: &str, name: &str) -> Vec<String> {
        let start = format!("pub struct {name} {{\n");
        let body = source.split_once(&start).unwrap().1;
        let body = body.split_once("\n}").unwrap().0;
        let mut names = Vec::new();
        let mut attribute = "";
        for line in body.lines().map(str::trim) {
            if line.starts_with("#[serde(") {
                attribute = line;
            } else if let Some(field) = line.strip_prefix("pub ") {
                let field = field.split(':').next().unwrap();
                let renamed = attribute
                    .split_once("rename = \"")
                    .and_then(|(_, rest)| rest.split('"').next());
                if !attribute.contains("flatten") && !attribute.contains("(skip)") {
                    names.push(renamed.unwrap_or(field).to_owned());
                }
                attribute = "";
            }
        }
        names
    }

    #[test]
    fn are_the_fields_of_the_structs() {
        let bayeux = [
            include_str!("../bayeux/limits.rs").replace("struct Limits", "struct Settings"),
            include_str!("../session/settings.rs").to_owned(),
            include_str!("../router/settings.rs").to_owned(),
            include_str!("../transports/settings.rs").to_owned(),
            include_str!("../web/cookies.rs").to_owned(),
        ];
        let http = include_str!("../listener/settings.rs");
        let here = include_str!("mod.rs");
        let lists = ["channel", "access", "user", "issuer", "hook"];
        let mut expected = BTreeSet::from(lists.map(str::to_owned));
        let mut add = |section: &str, names: Vec<String>| {
            assert!(!names.is_empty(), "{section}");
            for name in names {
                let key = format!("{section}.{name}");
                assert!(expected.insert(key.clone()), "{key} stands twice");
            }
        };
        for source in &bayeux {
            add("bayeux", fields(source, "Settings"));
        }
        add("http", fields(http, "Settings"));
        let tls = include_str!("../listener/tls/settings.rs");
        add("tls", fields(tls, "Settings"));
        let transports = &bayeux[3];
        add("websocket", fields(transports, "WebSocketSettings"));
        add("eventsource", fields(transports, "EventSourceSettings"));
        add("streaming", fields(transports, "StreamingSettings"));
        add("resources", fields(transports, "ResourceSettings"));
        let kept = include_str!("../resources/settings.rs");
        add("resources", fields(kept, "Settings"));
        let history = include_str!("../history/settings.rs");
        add("history", fields(history, "Settings"));
        let cluster = include_str!("../cluster/settings.rs");
        add("cluster", fields(cluster, "Settings"));
        let extensions = include_str!("../extensions/settings.rs");
        add("extensions", fields(extensions, "Settings"));
        add("extensions", fields(extensions, "WaitBounds"));
        let services = include_str!("../services/settings.rs");
        add("services", fields(services, "Settings"));
        let backends = include_str!("../services/connected/settings.rs");
        add("backends", fields(backends, "Settings"));
        let passwords = include_str!("../authentication/passwords/settings.rs");
        add("authentication", fields(passwords, "Settings"));
        let tokens = include_str!("../authentication/token/settings.rs");
        add("authentication", fields(tokens, "Settings"));
        let sources = include_str!("../authentication/settings.rs");
        add("authentication", fields(sources, "Sources"));
        let rates = include_str!("../rates/settings.rs");
        add("rates", fields(rates, "Settings"));
        let memory = include_str!("../memory/settings.rs");
        add("memory", fields(memory, "Settings"));
        let webhook = include_str!("../authentication/webhook/settings.rs");
        add("webhook", fields(webhook, "Settings"));
        add("log", fields(here, "Log"));
        let access_log = include_str!("../access_log/settings.rs");
        add("log", fields(access_log, "Settings"));
        let traces = include_str!("../traces/settings.rs");
        add("traces", fields(traces, "Settings"));
        let http_api = include_str!("../http_api/settings.rs");
        add("admin", fields(here, "Admin"));
        add("admin", fields(http_api, "LoginSettings"));
        add("api", fields(here, "Api"));
        add("api", fields(http_api, "Settings"));
        assert_eq!(BTreeSet::from_iter(keys::known()), expected);
    }

    #[test]
    fn of_lists_are_the_fields_of_their_entries() {
        let here = include_str!("mod.rs");
        let channels = include_str!("../router/settings.rs");
        let access = include_str!("../access/settings.rs");
        let passwords = include_str!("../authentication/passwords/settings.rs");
        let tokens = include_str!("../authentication/token/settings.rs");
        let api_keys = include_str!("../authentication/api_keys/settings.rs");
        let entries = [
            fields(channels, "ChannelOptions"),
            fields(access, "Rule"),
            fields(passwords, "User"),
            fields(tokens, "Issuer"),
            fields(api_keys, "Key"),
            fields(
                include_str!("../authentication/operators/settings.rs"),
                "User",
            ),
            fields(include_str!("../hooks/settings.rs"), "Hook"),
            fields(include_str!("../listener/tls/settings.rs"), "Pair"),
        ];
        for (list, fields) in keys::LISTS.iter().zip(entries) {
            let known = BTreeSet::from_iter(keys::known_of(list));
            assert_eq!(known, BTreeSet::from_iter(fields), "{}", list.key);
        }
        let sections = fields(here, "Config");
        let lists = keys::LISTS.iter().map(|list| list.key);
        let lists = lists.filter(|key| !key.contains('.'));
        let known: Vec<&str> = keys::SECTIONS.into_iter().chain(lists).collect();
        assert_eq!(BTreeSet::from_iter(known.iter().copied()), {
            sections.iter().map(String::as_str).collect()
        });
    }

    #[test]
    fn kinds_are_found_by_trying() {
        let whole = |signed, short| Kind::Whole { signed, short };
        let cases = [
            ("bayeux.trust_client_session", Kind::Flag),
            ("bayeux.path", Kind::Text),
            ("bayeux.browser_cookie_domain", Kind::Text),
            ("bayeux.timeout", Kind::Duration),
            ("bayeux.browser_cookie_max_age", Kind::Duration),
            ("channel.lazy_timeout", Kind::Duration),
            ("channel.lazy", Kind::Flag),
            ("channel.history", Kind::Retention),
            (
                "channel.replay_id",
                Kind::Choice("one of `ext`, `data`, `none`".to_owned()),
            ),
            ("history.directory", Kind::Text),
            ("bayeux.max_queue_bytes", Kind::Size),
            ("memory.budget", Kind::Amount),
            ("http.gzip_threshold", Kind::Size),
            ("bayeux.max_queue", whole(false, false)),
            ("bayeux.max_sessions_per_browser", whole(true, false)),
            ("bayeux.duplicate_meta_connect_status", whole(false, true)),
            ("http.allowed_origins", Kind::Texts),
            ("http.hosts", Kind::Texts),
            ("admin.hosts", Kind::Texts),
            ("http.listen", Kind::Addresses),
            ("http.unix_mode", Kind::Mode),
            ("api.key.name", Kind::Text),
            ("api.key.channels", Kind::Texts),
            ("api.key.expires", Kind::Time),
            (
                "api.key.allow",
                Kind::Choices("one of `publish`, `read`, `sessions`, `admin`, `calls`".to_owned()),
            ),
            ("log.format", Kind::Choice("`text` or `json`".to_owned())),
            (
                "bayeux.transports",
                Kind::Choices(
                    "one of `websocket`, `eventsource`, `long-polling`, `callback-polling`, \
                     `xhr-streaming`, `multipart`, `message-http`, `iframe`, `mime-message-block`"
                        .to_owned(),
                ),
            ),
        ];
        for (key, expected) in cases {
            assert_eq!(Kind::of(key), expected, "{key}");
        }
    }
}

mod precedence {
    use super::*;

    #[test]
    fn later_sources_win() {
        let text = "[bayeux]\ntimeout = \"1s\"";
        let variable = [("MIRANT_BAYEUX__TIMEOUT", "2s")];
        let timeout = |text, variables: &[_], set: &[_]| {
            let loaded = load(text, variables, set).unwrap();
            let is_set = loaded.is_set("bayeux.timeout");
            (loaded.config.bayeux.session.timeout.as_secs(), is_set)
        };
        assert_eq!(timeout("", &[], &[]), (30, false));
        assert_eq!(timeout(text, &[], &[]), (1, true));
        assert_eq!(timeout(text, &variable, &[]), (2, true));
        assert_eq!(timeout(text, &variable, &["bayeux.timeout=3s"]), (3, true));
        let twice = ["bayeux.timeout=3s", "bayeux.timeout = \"4s\""];
        assert_eq!(timeout(text, &variable, &twice), (4, true));
    }

    #[test]
    fn flags_win_over_everything() {
        let set = ["http.listen=127.0.0.1:1", "log.level=warn"];
        let sources = Sources {
            set: set.map(str::to_owned).to_vec(),
            listen: vec!["127.0.0.1:2".parse().unwrap()],
            log_level: Some("debug".to_owned()),
            log_format: Some(LogFormat::Json),
            ..Sources::default()
        };
        let variables = [("MIRANT_LOG__FORMAT", "text"), ("MIRANT_LOG", "trace")];
        let config = load_sources(&sources, &variables).unwrap().config;
        assert_eq!(config.http.listen, sources.listen);
        assert_eq!(config.log.level, "debug");
        assert_eq!(config.log.format, LogFormat::Json);

        let sources = Sources {
            log_level: Some("loud".to_owned()),
            ..Sources::default()
        };
        let error = load_sources(&sources, &[]).unwrap_err();
        assert!(
            error.starts_with("--log-level (or MIRANT_LOG): log.level = \"loud\": expected off,"),
            "{error}"
        );
    }

    #[test]
    fn empty_sections_and_foreign_variables_do_no_harm() {
        let variables = [("PATH", "/bin"), ("MIRANT_CONFIG", "a.toml")];
        let config = load("[http]\n[log]\n", &variables, &[]).unwrap().config;
        assert_eq!(json(&config), json(&Config::default()));
    }
}

/// Variables with our prefix that are not configuration, and what was probably meant by them.
#[test]
fn variables_with_one_underscore_are_passed_over() {
    let cases = [
        ("MIRANT_BAYEUX_TIMEOUT", Some("MIRANT_BAYEUX__TIMEOUT")),
        ("MIRANT_HTTP_LISTEN", Some("MIRANT_HTTP__LISTEN")),
        ("MIRANT_TIMEOUT", Some("MIRANT_BAYEUX__TIMEOUT")),
        ("MIRANT_CONFG", Some("MIRANT_CONFIG")),
        ("MIRANT_PORT", None),
        ("MIRANT_SERVICE_HOST", None),
        ("MIRANT_SERVICE_PORT_HTTP", None),
        ("MIRANT_PORT_8080_TCP_ADDR", None),
        ("MIRANT_LOG_PORT", None),
        ("MIRANT_HTTP_PORT", None),
        ("MIRANT_STREAMING_SERVICE_HOST", None),
        ("MIRANT_ADMIN_SERVICE_PORT", None),
        ("MIRANT__X_SERVICE_HOST", None),
        ("MIRANT_", None),
    ];
    for (name, meant) in cases {
        let loaded = load("", &[(name, "5s")], &[]).unwrap();
        let expected = PassedOver {
            name: name.to_owned(),
            meant: meant.map(str::to_owned),
        };
        assert_eq!(loaded.passed_over, [expected]);
        assert_eq!(json(&loaded.config), json(&Config::default()), "{name}");
    }
}

#[test]
fn variables_that_hold_a_secret_are_not_passed_over() {
    let file = "[cluster]
        redis = 'redis://10.0.0.5'
        listen = '10.0.0.1:7070'
        secret = { env = 'MIRANT_CLUSTER_SECRET' }
        [[issuer]]
        secret = { env = 'MIRANT_TOKEN_SECRET' }";
    let names = [
        "MIRANT_CLUSTER_SECRET",
        "MIRANT_TOKEN_SECRET",
        "MIRANT_CLUSTER_LISTEN",
    ];
    let loaded = load(file, &names.map(|name| (name, "s")), &[]).unwrap();
    let passed_over: Vec<_> = loaded
        .passed_over
        .iter()
        .map(|variable| &variable.name)
        .collect();
    assert_eq!(passed_over, ["MIRANT_CLUSTER_LISTEN"]);
}

mod texts {
    use super::*;

    /// Values of `--set` and of the environment, and what they become in JSON.
    #[test]
    fn are_read_as_the_key_needs() {
        let cases = [
            ("bayeux.timeout", "30s", "\"30s\""),
            ("bayeux.timeout", "\"500ms\"", "\"500ms\""),
            ("bayeux.max_queue", "123", "123"),
            ("bayeux.max_queue", "1_000", "1000"),
            ("bayeux.max_sessions_per_browser", "-1", "-1"),
            ("bayeux.trust_client_session", "true", "true"),
            ("bayeux.max_message_size", "2048", "\"2.0 KiB\""),
            ("bayeux.max_message_size", "2KiB", "\"2.0 KiB\""),
            ("bayeux.max_queue_policy", "drop_oldest", "\"drop_oldest\""),
            ("bayeux.browser_cookie_name", "123", "\"123\""),
            ("bayeux.browser_cookie_name", "'true'", "\"true\""),
            ("bayeux.browser_cookie_same_site", "lax", "\"lax\""),
            ("bayeux.browser_cookie_max_age", "1h", "\"1h\""),
            ("bayeux.transports", "long-polling", "[\"long-polling\"]"),
            ("http.listen", "127.0.0.1:0", "[\"127.0.0.1:0\"]"),
            ("http.listen", "[::1]:0", "[\"[::1]:0\"]"),
            ("http.listen", "localhost:80", "[\"localhost:80\"]"),
            ("http.listen", "unix:/a.sock", "[\"unix:/a.sock\"]"),
            ("http.unix_mode", "0600", "\"0600\""),
            ("http.unix_mode", "666", "\"0666\""),
            ("http.unix_mode", "\"0666\"", "\"0666\""),
            (
                "admin.listen",
                "metrics-1.example:80",
                "[\"metrics-1.example:80\"]",
            ),
            ("http.listen", "[\"[::1]:0\"]", "[\"[::1]:0\"]"),
            (
                "http.listen",
                "127.0.0.1:0, [::1]:0",
                "[\"127.0.0.1:0\",\"[::1]:0\"]",
            ),
            ("http.allowed_origins", "*", "[\"*\"]"),
            (
                "http.allowed_origins",
                "\"https://a.example\"",
                "[\"https://a.example\"]",
            ),
            ("http.max_connections", "5", "5"),
            ("admin.listen", "", "[]"),
            ("log.level", "info,mirant=debug", "\"info,mirant=debug\""),
        ];
        for (key, text, expected) in cases {
            let pointer = format!("/{}", key.replace('.', "/"));
            let variable = format!("MIRANT_{}", key.to_uppercase().replace('.', "__"));
            let by_set = load("", &[], &[&format!("{key}={text}")]);
            let by_variable = load("", &[(&variable, text)], &[]);
            for result in [by_set, by_variable] {
                let config = result.unwrap().config;
                let value = json(&config).pointer(&pointer).unwrap().to_string();
                assert_eq!(value, expected, "{key}={text}");
            }
        }
    }

    #[test]
    fn the_channel_list_is_an_array_of_tables() {
        let config =
            set("channel=[{ pattern = '/a/**', lazy = true, lazy_timeout = '2s' }]").unwrap();
        assert_eq!(config.channel[0].pattern, "/a/**");
        assert_eq!(config.channel[0].lazy, Some(true));
        assert_eq!(config.channel[0].lazy_timeout, Some(Duration::from_secs(2)));
        let text = "[[channel]]\npattern = '/a'\n[[channel]]\npattern = '/b'";
        assert_eq!(file(text).unwrap().channel.len(), 2);
        let loaded = load(text, &[], &["channel=[]"]).unwrap();
        assert!(loaded.config.channel.is_empty());
    }

    #[test]
    fn a_list_may_be_inside_a_section() {
        let hash = "0".repeat(64);
        let entry = format!("{{ name = 'a', hash = 'sha256:{hash}', allow = ['read'] }}");
        let text = format!(
            "[api]\n[[api.key]]\nname = 'a'\nhash = 'sha256:{hash}'\nallow = ['publish']\n\
             expires = 2027-01-31T00:00:00Z"
        );
        let key = file(&text).unwrap().api.key.remove(0);
        assert_eq!((&*key.name, &*key.channels), ("a", &["/**".to_owned()][..]));
        assert!(key.expires.is_some());
        let names = |config: Config| config.api.key.iter().map(|key| key.name.clone()).collect();
        let by_set: Vec<String> = names(set(&format!("api.key=[{entry}]")).unwrap());
        assert_eq!(by_set, ["a"]);
        let variable = [("MIRANT_API__KEY", &*format!("[{entry}]"))];
        let by_variable: Vec<String> = names(load("", &variable, &[]).unwrap().config);
        assert_eq!(by_variable, ["a"]);
    }
}
