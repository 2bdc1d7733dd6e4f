//! Every refusal of a key or a value, word for word.

use super::*;

#[test]
fn of_files() {
    let cases = [
        (
            "[bayeux]\ntime_out = '5s'",
            "mirant.toml: unknown key bayeux.time_out; did you mean bayeux.timeout?",
        ),
        (
            "timeout = '5s'",
            "mirant.toml: unknown key timeout; did you mean bayeux.timeout?",
        ),
        (
            "[htp]\nlisten = []",
            "mirant.toml: unknown key htp.listen; did you mean http.listen?",
        ),
        (
            "[log]\nzzzzzzzzzz = 1",
            "mirant.toml: unknown key log.zzzzzzzzzz; `mirant default-config` lists all keys",
        ),
        (
            "http = 1",
            "mirant.toml: http is a section, not a key; set one of the keys in it",
        ),
        (
            "[bayeux]\ntimeout = 30",
            "mirant.toml: bayeux.timeout = 30: \
             a duration needs its unit; write \"30s\" or \"30ms\"",
        ),
        (
            "[bayeux.timeout]\nsecs = 1",
            "mirant.toml: bayeux.timeout = { secs = 1 }: \
             expected a duration such as \"30s\", \"500ms\" or \"2m\"",
        ),
        (
            "[channel]\npattern = '/a'",
            "mirant.toml: channel = { pattern = \"/a\" }: expected a list of tables such as \
             [{ pattern = \"/chat/**\", lazy = true }]; in a file: [[channel]]",
        ),
        (
            "[[channel]]\npattern = '/a'\nlasy = true",
            "mirant.toml: unknown key channel[0].lasy; did you mean lazy?",
        ),
        (
            "[[channel]]\npattern = '/a'\nmax_queue_polcy = 'conflate'",
            "mirant.toml: unknown key channel[0].max_queue_polcy; did you mean max_queue_policy?",
        ),
        (
            "[[channel]]\npattern = '/a'\nmax_queue = 1\nmax_queue_policy = 'latest'",
            "mirant.toml: channel[0].max_queue_policy = \"latest\": \
             expected one of `end`, `drop_oldest`, `drop_newest`, `conflate`",
        ),
        (
            "[[channel]]\npattern = '/a'\nhistory = { mesages = 5 }",
            "mirant.toml: channel[0].history = { mesages = 5 }: there is no mesages; did you mean messages?",
        ),
        (
            "[[channel]]\npattern = '/a'\nhistory = { age = 5 }",
            "mirant.toml: channel[0].history = { age = 5 }: \
             age: a duration needs its unit; write \"5s\" or \"5ms\"",
        ),
        (
            "[[channel]]\npattern = '/a'\nhistory = { messages = -5 }",
            "mirant.toml: channel[0].history = { messages = -5 }: messages: expected a whole number",
        ),
        (
            "[[channel]]\npattern = '/a'\nhistory = 1000",
            "mirant.toml: channel[0].history = 1000: expected how much is kept, such as \
             { messages = 1000, age = \"24h\", bytes = \"1MiB\" }, or some of these",
        ),
        (
            "[[channel]]\npattern = '/a'\nhistory = { messages = 5 }\nreplay_default = 'latest'",
            "mirant.toml: channel[0].replay_default = \"latest\": expected one of `new`, `last`, `all`",
        ),
        (
            "[history]\nsync = 'allways'",
            "mirant.toml: history.sync = \"allways\": expected one of `always`, `interval`, `os`",
        ),
        (
            "[[channel]]\npattern = '/a'\nmax_queue = -1",
            "mirant.toml: channel[0].max_queue = -1: expected a whole number that is not negative",
        ),
        (
            "[[channel]]\npattern = '/a'\n[[channel]]\npattern = '/b'\nlazy_timeout = 3",
            "mirant.toml: channel[1].lazy_timeout = 3: \
             a duration needs its unit; write \"3s\" or \"3ms\"",
        ),
        (
            "[[access]]\nallow = ['publish']\nchannels = ['/a']",
            "mirant.toml: access[0] has no who; say whom it is about, such as who = \"anyone\"",
        ),
        (
            "[[access]]\nwho = 'anyone'\n[[access]]\nwho = 'all'",
            "mirant.toml: access[1].who = \"all\": expected \"anyone\", \"anonymous\", \
             \"authenticated\", a table with user, role or address such as { role = \"editor\" }, \
             or a list of these",
        ),
        (
            "[[access]]\nwho = []\n[[access]]\nwho = { group = 'a' }",
            "the configuration has 2 problems:\
             \n  mirant.toml: access[0].who = []: expected \"anyone\", \"anonymous\", \
             \"authenticated\", a table with user, role or address such as { role = \"editor\" }, \
             or a list of these\
             \n  mirant.toml: access[1].who = { group = \"a\" }: expected \"anyone\", \"anonymous\", \
             \"authenticated\", a table with user, role or address such as { role = \"editor\" }, \
             or a list of these",
        ),
        (
            "[[access]]\nwho = 'anyone'\nallow = ['read']",
            "mirant.toml: access[0].allow = [\"read\"]: expected a list in which each item is \
             one of `handshake`, `subscribe`, `publish`, `forget`",
        ),
        (
            "[[access]]\nwho = 'anyone'\nallows = ['publish']",
            "mirant.toml: unknown key access[0].allows; did you mean allow?",
        ),
        (
            "[access]\nwho = 'anyone'",
            "mirant.toml: access = { who = \"anyone\" }: expected a list of tables such as \
             [{ allow = [\"subscribe\"], channels = [\"/chat/**\"], who = \"anyone\" }]; \
             in a file: [[access]]",
        ),
        (
            "[[access]]\nwho = { address = 'home' }\nallow = ['handshake']",
            "mirant.toml: access[0].who = {\"address\":\"home\"}: address \"home\" must be an address \
             or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\"",
        ),
        (
            "[[channel]]\nlazy = true",
            "mirant.toml: channel[0] has no pattern; \
             name its channels, such as pattern = \"/chat/**\"",
        ),
        (
            "[[api.key]]\nallow = ['publish']",
            "mirant.toml: api.key[0] has no name; name whoever uses it, such as name = \"shop\"",
        ),
        (
            "[api.key]\nname = 'a'",
            "mirant.toml: api.key = { name = \"a\" }: expected a list of tables such as \
             [{ name = \"shop\", hash = \"sha256:…\", allow = [\"publish\"] }]; in a file: [[api.key]]",
        ),
        (
            "[[api.key]]\nname = 'a'\nhsh = 'hunter2'\nallow = ['write']",
            "the configuration has 2 problems:\
             \n  mirant.toml: api.key[0].allow = [\"write\"]: expected a list in which each item is \
             one of `publish`, `read`, `sessions`, `admin`, `calls`\
             \n  mirant.toml: unknown key api.key[0].hsh; did you mean hash?",
        ),
        (
            "[[api.key]]\nname = 'a'\nsecret = 'hunter2'\nexpires = 2027-01-31",
            "the configuration has 2 problems:\
             \n  mirant.toml: api.key[0].expires = 2027-01-31: expected a time in UTC such as \
             \"2027-01-31T00:00:00Z\"\
             \n  mirant.toml: api.key[0].secret: expected { env = \"NAME\" } or { file = \"/path\" }, \
             because it must not stand in the configuration itself",
        ),
        (
            "[[api.key]]\nname = 'a'\nhash = 'hunter2'\nallow = ['read']",
            "mirant.toml: api.key[0].hash = …: must be \"sha256:\" and 64 hexadecimal digits, \
             as `mirant api-key` prints it",
        ),
    ];
    for (text, expected) in cases {
        assert_refused(file(text), expected);
    }
}

#[test]
fn of_syntax_name_the_line() {
    for (text, start) in [
        ("[bayeux]\ntimeout = 5s\n", "mirant.toml:2:1"),
        ("[bayeux]\n\n  timeout 5", "mirant.toml:3:1"),
        ("[http]\n[http]", "mirant.toml:2:"),
    ] {
        let error = file(text).unwrap_err();
        assert!(error.starts_with(start), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let sources = Sources {
        file: Some(Path::new("/nonexistent/mirant.toml").to_owned()),
        ..Sources::default()
    };
    let error = load_sources(&sources, &[]).unwrap_err();
    assert_eq!(error, "cannot read /nonexistent/mirant.toml");
}

#[test]
fn of_variables() {
    let cases = [
        (
            ("MIRANT_BAYEUX__TIME_OUT", "5s"),
            "environment variable MIRANT_BAYEUX__TIME_OUT: unknown key bayeux.time_out; \
             did you mean bayeux.timeout (MIRANT_BAYEUX__TIMEOUT)?",
        ),
        (
            ("MIRANT_BAYEUX__MAX_QUEUE", "-5"),
            "environment variable MIRANT_BAYEUX__MAX_QUEUE: bayeux.max_queue = -5: \
             expected a whole number that is not negative",
        ),
        (
            ("MIRANT_BAYEUX__TIMEOUT", "-5s"),
            "environment variable MIRANT_BAYEUX__TIMEOUT: bayeux.timeout = \"-5s\": \
             a duration cannot be negative; write one such as \"30s\" or \"500ms\"",
        ),
        (
            ("MIRANT_HTTP__LISTEN", "localhost"),
            "environment variable MIRANT_HTTP__LISTEN: http.listen = [\"localhost\"]: \
             expected a list of addresses with their ports, \
             such as [\"127.0.0.1:8080\", \"[::1]:8080\", \"localhost:8080\"]; \
             or of paths of Unix sockets, such as [\"unix:/run/mirant.sock\"]; \
             with tls: before one that speaks TLS",
        ),
        (
            ("MIRANT_HTTP__LISTEN", "localhost:1,unix:run/mirant.sock"),
            "environment variable MIRANT_HTTP__LISTEN: \
             http.listen = [\"localhost:1\", \"unix:run/mirant.sock\"]: \
             the path of a Unix socket begins with one slash, as in unix:/run/mirant.sock",
        ),
        (
            ("MIRANT_HTTP__UNIX_MODE", "0888"),
            "environment variable MIRANT_HTTP__UNIX_MODE: http.unix_mode = \"0888\": \
             expected the permissions of a file in octal, from \"0000\" to \"0777\", \
             such as \"0660\"",
        ),
    ];
    for (variable, expected) in cases {
        assert_refused(load("", &[variable], &[]).map(|l| l.config), expected);
    }
}

/// Arguments of `--set`, and what follows them in the refusal.
#[test]
fn of_arguments() {
    let cases = [
        (
            "bayeux.timeout",
            "expected KEY=VALUE, such as --set bayeux.timeout=20s",
        ),
        (
            "bayeux.tmeout=5s",
            "unknown key bayeux.tmeout; did you mean bayeux.timeout?",
        ),
        (
            "bayeux=5",
            "bayeux is a section, not a key; set one of the keys in it",
        ),
        (
            "channel.lazy=true",
            "unknown key channel.lazy; channel: expected a list of tables such as \
             [{ pattern = \"/chat/**\", lazy = true }]; in a file: [[channel]]",
        ),
        (
            "api.key.name=a",
            "unknown key api.key.name; api.key: expected a list of tables such as \
             [{ name = \"shop\", hash = \"sha256:…\", allow = [\"publish\"] }]; in a file: [[api.key]]",
        ),
        (
            "bayeux.timeout=0",
            "bayeux.timeout = 0: a duration needs its unit; write \"0s\" or \"0ms\"",
        ),
        (
            "bayeux.timeout=soon",
            "bayeux.timeout = \"soon\": expected a duration such as \"30s\", \"500ms\" or \"2m\"",
        ),
        (
            "bayeux.timeout=-3",
            "bayeux.timeout = -3: a duration cannot be negative; \
             write one such as \"30s\" or \"500ms\"",
        ),
        (
            "bayeux.max_message_size=-1",
            "bayeux.max_message_size = -1: \
             expected a number of bytes such as 65536, or a size such as \"64KiB\"",
        ),
        (
            "bayeux.duplicate_meta_connect_status=70000",
            "bayeux.duplicate_meta_connect_status = 70000: expected a whole number up to 65535",
        ),
        (
            "bayeux.max_sessions_per_browser=many",
            "bayeux.max_sessions_per_browser = \"many\": \
             expected a whole number from -2147483648 to 2147483647",
        ),
        (
            "bayeux.trust_client_session=yes",
            "bayeux.trust_client_session = \"yes\": expected true or false",
        ),
        (
            "bayeux.max_queue_policy=drop",
            "bayeux.max_queue_policy = \"drop\": expected one of `end`, `drop_oldest`, `drop_newest`, `conflate`",
        ),
        (
            "bayeux.max_queue_policy=1",
            "bayeux.max_queue_policy = 1: expected one of `end`, `drop_oldest`, `drop_newest`, `conflate`",
        ),
        (
            "bayeux.transports=flash",
            "bayeux.transports = [\"flash\"]: expected a list in which each item is \
             one of `websocket`, `eventsource`, `long-polling`, `callback-polling`, \
             `xhr-streaming`, `multipart`, `message-http`, `iframe`, `mime-message-block`",
        ),
        (
            "http.allowed_origins=[1]",
            "http.allowed_origins = [1]: expected a list of texts such as [\"a\", \"b\"]",
        ),
    ];
    for (argument, expected) in cases {
        assert_refused(set(argument), &format!("--set {argument}: {expected}"));
    }
}

#[test]
fn are_reported_together() {
    let variable = ("MIRANT_HTTP__LISTENS", "127.0.0.1:0");
    let result = load("[bayeux]\npth = '/a'", &[variable], &["log.format=xml"]);
    assert_refused(
        result.map(|loaded| loaded.config),
        "the configuration has 3 problems:\
         \n  mirant.toml: unknown key bayeux.pth; did you mean bayeux.path?\
         \n  environment variable MIRANT_HTTP__LISTENS: unknown key http.listens; \
         did you mean http.listen (MIRANT_HTTP__LISTEN)?\
         \n  --set log.format=xml: log.format = \"xml\": expected `text` or `json`",
    );
}

/// A cluster's section.
const CLUSTER: &str =
    "redis = 'redis://10.0.0.5'\nlisten = '10.0.0.1:7070'\nsecret = { env = 'S' }\n";

#[test]
fn of_sessions_that_would_not_outlive_a_node() {
    let of = |rest: &str| file(&format!("[cluster]\n{CLUSTER}{rest}"));
    assert!(of("[bayeux]\nmax_interval = '7s'").is_ok());
    let fix = "must be at least 2s above cluster.node_timeout, \
               or sessions expire before it is known that a node is gone";
    let set = of("[bayeux]\nmax_interval = '6999ms'");
    let key = "mirant.toml: bayeux.max_interval";
    assert_refused(set, &format!("{key} = \"6s 999ms\": {fix}"));
    let usual = of("node_timeout = '9s'");
    assert_refused(usual, &format!("bayeux.max_interval = \"10s\": {fix}"));
}

#[test]
fn of_clusters() {
    let whole = CLUSTER;
    assert!(file(&format!("[cluster]\n{whole}")).is_ok());
    let cases = [
        (
            "listen = '10.0.0.1:7070'",
            "mirant.toml: cluster.listen = \"10.0.0.1:7070\": \
             does nothing without cluster.redis, such as \"redis://10.0.0.5\"",
        ),
        (
            "redis = '10.0.0.5'\nlisten = '10.0.0.1:7070'\nsecret = { env = 'S' }",
            "mirant.toml: cluster.redis = \"…\": must begin with redis://, rediss:// or \
             redis+sentinel://, such as \"redis://10.0.0.5\"",
        ),
        (
            "redis = 'redis://:pw@10.0.0.5'\nlisten = '10.0.0.1:7070'\nsecret = { env = 'S' }",
            "mirant.toml: cluster.redis = \"…\": must not hold a password; name it by \
             cluster.password, such as { env = \"REDIS_PASSWORD\" }",
        ),
        (
            "redis = 'redis://10.0.0.5'\nsecret = { env = 'S' }",
            "cluster.listen = null: say where other nodes reach this one, \
             such as \"10.0.0.1:7070\"",
        ),
        (
            "redis = 'redis://10.0.0.5'\nlisten = '10.0.0.1:7070'",
            "cluster.secret = null: name a secret that all nodes have, \
             such as { env = \"MIRANT_CLUSTER_SECRET\" }",
        ),
        (
            &format!("{whole}listen = '10.0.0.1'").replace("listen = '10.0.0.1:7070'\n", ""),
            "mirant.toml: cluster.listen = \"10.0.0.1\": \
             must be an address with a port, such as \"10.0.0.1:7070\"",
        ),
        (
            &whole.replace("10.0.0.1", "0.0.0.0"),
            "cluster.advertise = null: say by which address other nodes reach this one, \
             such as \"10.0.0.1:7070\"",
        ),
        (
            &format!("{whole}prefix = 'a b'"),
            "mirant.toml: cluster.prefix = \"a b\": \
             must be 1 to 64 letters, digits, '-', '_' and '.', such as \"mirant\"",
        ),
        (
            &format!("{whole}node_timeout = '500ms'"),
            "mirant.toml: cluster.node_timeout = \"500ms\": \
             must be 1s or more, as heartbeats come about that often",
        ),
        (
            &format!("{whole}node_timeout = '0s'"),
            "mirant.toml: cluster.node_timeout = \"0s\": \
             must be 1s or more, as heartbeats come about that often",
        ),
        (
            &format!("{whole}[history]\ndirectory = '/a'"),
            "mirant.toml: history.directory = \"/a\": \
             must not be set in a cluster, which keeps history in Redis (cluster.redis)",
        ),
    ];
    for (text, expected) in cases {
        assert_refused(file(&format!("[cluster]\n{text}")), expected);
    }
}
