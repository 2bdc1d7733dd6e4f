//! Tables of values that have the right type but make no sense.

use crate::config::keys::{self, Kind};
use crate::config::{Config, Sources};

/// Loads with `--set` arguments, and gives what is wrong with them.
fn problems(arguments: &[&str]) -> String {
    let sources = Sources {
        set: arguments.iter().map(|&text| text.to_owned()).collect(),
        ..Sources::default()
    };
    match Config::load(&sources, []) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

/// Arguments of `--set`, and how the refusal goes on after the key.
const WITHOUT_SENSE: &[(&str, &str)] = &[
    ("bayeux.path=cometd", "\"cometd\": must start with '/'"),
    ("bayeux.path=/", "\"/\": must name a path below '/'"),
    ("bayeux.path=/a/", "\"/a/\": must not end with '/'"),
    ("bayeux.path=/a?b", "\"/a?b\": must be a path alone"),
    (
        "bayeux.path=/a//b",
        "\"/a//b\": must not hold empty segments",
    ),
    ("bayeux.transports=[]", "[]: name at least one transport"),
    (
        "rates.messages_per_session=1000001",
        "1000001: must be 1 to 1000000",
    ),
    (
        "rates.handshakes_per_address_burst=5",
        "5: does nothing without rates.handshakes_per_address",
    ),
    (
        "rates.max_addresses=20000000",
        "20000000: must be 1 to 16777216",
    ),
    (
        "bayeux.transports=long-polling,long-polling",
        "[\"long-polling\",\"long-polling\"]: name each transport only once",
    ),
    (
        "bayeux.duplicate_meta_connect_status=200",
        "200: must be an HTTP error status, 400 to 599",
    ),
    ("bayeux.duplicate_meta_connect_status=600", "600: must be"),
    ("bayeux.timeout=0s", "\"0s\": must be above zero"),
    ("bayeux.max_interval=0s", "\"0s\": must be above zero"),
    ("resources.timeout=0s", "\"0s\": must be above zero"),
    ("resources.path=/", "\"/\": must name a path below '/'"),
    (
        "resources.path=/cometd/resources",
        "\"/cometd/resources\": must not be bayeux.path",
    ),
    (
        "resources.path=/events",
        "\"/events\": must not be bayeux.path or eventsource.path",
    ),
    (
        "history.path=history",
        "\"history\": must start with '/', such as \"/history\"",
    ),
    (
        "history.path=/",
        "\"/\": must name a path below '/', such as \"/history\"",
    ),
    (
        "history.path=/resources/old",
        "\"/resources/old\": must not be bayeux.path",
    ),
    ("resources.max_bytes=65535", "65535: must be 65536 or more"),
    ("http.header_timeout=0s", "\"0s\": must be above zero"),
    ("http.body_timeout=0s", "\"0s\": must be above zero"),
    ("http.keep_alive_timeout=0s", "\"0s\": must be above zero"),
    ("http.write_timeout=0s", "\"0s\": must be above zero"),
    ("http.max_unsent=1KiB", "\"1.0 KiB\": must be 4KiB"),
    ("http.max_unsent=2GiB", "\"2.0 GiB\": must be 4KiB"),
    ("http.shutdown_timeout=0s", "\"0s\": must be above zero"),
    ("bayeux.browser_cookie_name=a b", "\"a b\": must be letters"),
    ("bayeux.browser_cookie_name=", "\"\": must be letters"),
    (
        "bayeux.browser_cookie_domain=a;b",
        "\"a;b\": must be a host name",
    ),
    (
        "bayeux.browser_cookie_path=/a;b",
        "\"/a;b\": must start with '/'",
    ),
    (
        "bayeux.browser_cookie_max_age=500ms",
        "\"500ms\": must be \"1s\"",
    ),
    (
        "bayeux.browser_cookie_same_site=none",
        "\"none\": browsers accept it only with bayeux.browser_cookie_secure = true",
    ),
    (
        "bayeux.browser_cookie_partitioned=true",
        "true: browsers accept it only with bayeux.browser_cookie_secure = true",
    ),
    (
        "http.max_header_size=8191",
        "8191: must be 8192 or more bytes",
    ),
    (
        "bayeux.max_message_size=1023",
        "1023: must be 1024 or more bytes",
    ),
    (
        "bayeux.max_response_size=1000",
        "1000: must be 1024 or more bytes",
    ),
    ("bayeux.max_queue_bytes=0", "0: must be 1 or more bytes"),
    (
        "history.directory=var/lib",
        "\"var/lib\": must be an absolute path",
    ),
    ("history.sync_interval=0s", "\"0s\": must be above zero"),
    ("history.max_bytes=65535", "65535: must be 65536 or more"),
    ("history.max_pending=0", "0: must be 1 or more"),
    ("http.listen=[]", "[]: name at least one address"),
    (
        "http.trusted_proxies=::1,home",
        "\"home\": must be an address or a network",
    ),
    (
        "http.trusted_proxies=10.0.0.1/8",
        "\"10.0.0.1/8\": has more than the first 8 bits",
    ),
    (
        "http.proxy_protocol=true",
        "true: name the proxies in http.trusted_proxies",
    ),
    ("http.forwarded_header=x-real-ip", "\"x-real-ip\": expected"),
    ("log.level=inof", "\"inof\": expected off, error"),
    ("log.level=", "\"\": expected off, error"),
    (
        "log.level=mirant=loud",
        "\"mirant=loud\": expected off, error",
    ),
];

#[test]
fn values_without_sense_name_key_value_and_fix() {
    for (argument, expected) in WITHOUT_SENSE {
        let key = argument.split('=').next().unwrap();
        let expected = format!("--set {argument}: {key} = {expected}");
        let found = problems(&[argument]);
        assert!(found.starts_with(&expected), "{found}\nexpected {expected}");
        assert!(!found.contains('\n'), "{found}");
    }
}

#[test]
fn values_at_the_bounds_are_fine() {
    let cases: &[&[&str]] = &[
        &["bayeux.path=/a/b.c~d"],
        &["bayeux.duplicate_meta_connect_status=400"],
        &["bayeux.duplicate_meta_connect_status=599"],
        &["bayeux.interval=0s", "bayeux.max_lazy_timeout=0s"],
        &[
            "bayeux.max_sessions_per_browser=0",
            "bayeux.multi_session_interval=0s",
        ],
        &["bayeux.max_sessions_per_browser=-1"],
        &["bayeux.timeout=366days"],
        &[
            "rates.messages_per_session=1000000",
            "rates.messages_per_session_burst=1",
            "rates.max_addresses=1",
        ],
        &["http.max_header_size=8KiB", "bayeux.max_message_size=1KiB"],
        &[
            "bayeux.browser_cookie_same_site=none",
            "bayeux.browser_cookie_secure=true",
        ],
        &[
            "bayeux.browser_cookie_partitioned=true",
            "bayeux.browser_cookie_secure=true",
        ],
        &["bayeux.browser_cookie_domain=example.com"],
        &["log.level=OFF"],
        &["log.level=info,mirant::session=debug"],
        &["log.level=warn,[connection{remote=1}]=trace"],
    ];
    for arguments in cases {
        assert_eq!(problems(arguments), "", "{arguments:?}");
    }
}

#[test]
fn origins_are_what_browsers_send() {
    let fine = [
        "*",
        "https://example.com",
        "http://localhost:3000",
        "https://[::1]:8443",
        "http://127.0.0.1",
        "capacitor://localhost",
        "http://a.example:443",
        "https://*.example.com",
        "http://*.intern:8080",
    ];
    for origin in fine {
        assert_eq!(problems(&[&format!("http.allowed_origins={origin}")]), "");
    }
    let refused = [
        ("null", "sandboxed frames"),
        ("example.com", "write scheme://host[:port]"),
        ("https://", "write scheme://host[:port]"),
        ("https://a b", "write scheme://host[:port]"),
        ("https://user@a", "write scheme://host[:port]"),
        ("https://bücher.example", "write scheme://host[:port]"),
        ("https://example.com/", "must end after host and port"),
        ("https://example.com/chat", "must end after host and port"),
        ("https://Example.com", "write it in lower case"),
        ("https://*", "write \"*.\" once"),
        ("https://*example.com", "write \"*.\" once"),
        ("https://www.*.com", "write \"*.\" once"),
        ("https://*.*.com", "write \"*.\" once"),
        ("https://*.", "write scheme://host[:port]"),
        ("https://*.example.com/", "must end after host and port"),
        ("*.example.com", "write scheme://host[:port]"),
        ("https://a:", "the port must be"),
        ("https://a:0", "the port must be"),
        ("https://a:70000", "the port must be"),
        ("https://a:443", "leave the scheme's own port out"),
        ("http://a:80", "leave the scheme's own port out"),
    ];
    for (origin, fix) in refused {
        let argument = format!("http.allowed_origins={origin}");
        let expected = format!("--set {argument}: http.allowed_origins = \"{origin}\": {fix}");
        let found = problems(&[&argument]);
        assert!(found.starts_with(&expected), "{found}\nexpected {expected}");
    }
}

#[test]
fn patterns_name_broadcast_channels() {
    for pattern in [
        "/a",
        "/*",
        "/**",
        "/a/b/*",
        "/a/**",
        "/metal",
        "/services/a",
    ] {
        assert_eq!(
            problems(&[&format!("channel=[{{ pattern = '{pattern}' }}]")]),
            ""
        );
    }
    let refused = [
        ("", "must start with '/'"),
        ("a/b", "must start with '/'"),
        ("/", "must not hold empty segments"),
        ("/a/", "must not hold empty segments"),
        ("/a//b", "must not hold empty segments"),
        ("/*/b", "'*' or '**' must be the whole last segment"),
        ("/a/b*", "'*' or '**' must be the whole last segment"),
        ("/a/***", "'*' or '**' must be the whole last segment"),
        ("/meta/connect", "options do not apply"),
        ("/meta/**", "options do not apply"),
        ("/service/a", "options do not apply"),
    ];
    for (pattern, fix) in refused {
        let argument = format!("channel=[{{ pattern = '{pattern}' }}]");
        let expected = format!("--set {argument}: channel[0].pattern = \"{pattern}\": {fix}");
        let found = problems(&[&argument]);
        assert!(found.starts_with(&expected), "{found}\nexpected {expected}");
    }
    let found = problems(&["channel=[{ pattern = '/a' }, { pattern = '/a', lazy = true }]"]);
    let expected = "channel[1].pattern = \"/a\": an earlier [[channel]] has the same pattern";
    assert!(found.contains(expected), "{found}");
    let found = problems(&["channel=[{ pattern = '/a', max_queue = 0 }]"]);
    let expected = "channel[0].max_queue = 0: must be 1 or more";
    assert!(found.contains(expected), "{found}");
    let found = problems(&["channel=[{ pattern = '/a', lazy_timeout = '400days' }]"]);
    assert!(found.contains("channel[0].lazy_timeout = "), "{found}");
}

#[test]
fn history_has_bounds_and_its_options_need_one() {
    let fine = [
        "pattern = '/a', history = { messages = 1 }",
        "pattern = '/a', history = { age = '36600days' }, replay_id = 'none'",
        "pattern = '/a', history = { bytes = '1MiB', messages = 5 }, replay_default = 'last'",
        "pattern = '/a/*', history = { messages = 1 } }, { pattern = '/a/b', replay_expired = 'fail'",
    ];
    for entries in fine {
        let argument = format!("channel=[{{ {entries} }}]");
        assert_eq!(problems(&[&argument]), "");
    }
    let refused = [
        ("history = {}", "history = {}: ", "must have a bound"),
        (
            "history = { messages = 0 }",
            "history = {\"messages\":0}: ",
            "must be above zero",
        ),
        (
            "history = { messages = 9, age = '0s' }",
            "history = {",
            "must be above zero",
        ),
        (
            "history = { bytes = 0 }",
            "history = {",
            "must be above zero",
        ),
        (
            "history = { age = '36601days' }",
            "history = {",
            "must be at most",
        ),
        (
            "replay_id = 'data'",
            "replay_id = \"data\": ",
            "does nothing without a history",
        ),
        (
            "replay_default = 'all'",
            "replay_default = \"all\": ",
            "does nothing without a history",
        ),
        (
            "replay_expired = 'fail'",
            "replay_expired = \"fail\": ",
            "does nothing without a history",
        ),
    ];
    for (option, shown, fix) in refused {
        let argument = format!(
            "channel=[{{ pattern = '/b', {option} }}, {{ pattern = '/a', history = {{ messages = 1 }} }}]"
        );
        let found = problems(&[&argument]);
        assert!(found.contains(&format!("channel[0].{shown}")), "{found}");
        assert!(found.contains(fix), "{found}\nexpected {fix}");
    }
    let service = problems(&["channel=[{ pattern = '/service/a', history = { messages = 1 } }]"]);
    assert!(
        service.contains("do not apply to meta and service channels"),
        "{service}"
    );
}

#[test]
fn services_are_on_service_channels() {
    let fine = [
        "/service/echo",
        "/service/*",
        "/service/a/**",
        "/service/**",
    ];
    for pattern in fine {
        assert_eq!(problems(&[&format!("services.echo={pattern}")]), "");
    }
    let refused = [
        ("/echo", "must name service channels"),
        ("/service", "must name service channels"),
        ("/meta/connect", "must name service channels"),
        ("service/echo", "must start with '/'"),
        ("/service/", "must not hold empty segments"),
        ("/service/e*", "'*' or '**' must be the whole last segment"),
    ];
    for (pattern, fix) in refused {
        for key in ["services.echo", "services.direct", "services.broadcast"] {
            let found = problems(&[&format!("{key}={pattern}")]);
            assert!(found.contains(fix) && found.contains(key), "{found}");
        }
    }
}

#[test]
fn a_channel_s_policy_needs_a_bound_that_it_can_be_of() {
    // Whether the policy of the first pattern can be of the bound of the second.
    let cases = [
        ("/a", "/a", true),
        ("/a/*", "/a/b", true),
        ("/a/b", "/a/*", true),
        ("/a/b/c", "/a/**", true),
        ("/a/*", "/a/**", true),
        ("/**", "/a", true),
        ("/a", "/b", false),
        ("/a", "/a/**", false),
        ("/a/*", "/a/b/c", false),
        ("/a/*", "/a/b/**", false),
        ("/a/**", "/ab/c", false),
    ];
    for (policy, bound, is_fine) in cases {
        for (one, other) in [(policy, bound), (bound, policy)] {
            let conflate = format!("pattern = '{one}', max_queue_policy = 'conflate'");
            let argument = if one == other {
                format!("channel=[{{ {conflate}, max_queue = 1 }}]")
            } else {
                format!("channel=[{{ {conflate} }}, {{ pattern = '{other}', max_queue = 1 }}]")
            };
            let found = problems(&[&argument]);
            let expected = "channel[0].max_queue_policy = \"conflate\": does nothing without a";
            assert_eq!(found.is_empty(), is_fine, "{argument}: {found}");
            assert_eq!(found.contains(expected), !is_fine, "{argument}: {found}");
        }
    }
}

/// Keeps a new count or duration from going unchecked.
#[test]
fn no_count_and_no_duration_is_forgotten() {
    for key in keys::known() {
        let argument = match Kind::of(&key) {
            // From no size on: never.
            Kind::Size if key == "http.gzip_threshold" => continue,
            Kind::Whole { signed: false, .. } | Kind::Size => format!("{key}=0"),
            Kind::Duration if key != "bayeux.browser_cookie_max_age" => format!("{key}=400days"),
            _ => continue,
        };
        assert!(!problems(&[&argument]).is_empty(), "{argument}");
    }
}

#[test]
fn where_the_api_is_nothing_else_can_be() {
    let path = "eventsource.path=/api/v1/events";
    assert_eq!(problems(&[path]), "");
    let problems = problems(&[path, "api.public=true"]);
    assert!(problems.contains("eventsource.path"), "{problems}");
    assert!(
        problems.contains("must not be at or below /api/v1"),
        "{problems}"
    );
}

#[test]
fn cookie_attributes_hold_no_control_characters() {
    let mut config = Config::default();
    let cookie = &mut config.bayeux.transports.browser_cookie;
    cookie.path = "/a\r\nSet-Cookie: b=c".to_owned();
    cookie.domain = Some("a\nb".to_owned());
    let keys: Vec<String> = config.validate().into_iter().map(|p| p.key).collect();
    assert_eq!(
        keys,
        ["bayeux.browser_cookie_domain", "bayeux.browser_cookie_path"]
    );
}
