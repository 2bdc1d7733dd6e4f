//! Which keys there are and what each accepts, derived from the settings structs themselves.
//!
//! There is no table to keep in step: names come from serialising the defaults, and the kind of a
//! value from trying what the struct accepts.

use serde::Deserialize;
use toml::{Table, Value};

use super::Config;
use crate::access::Rule;
use crate::authentication::api_keys::{self, settings::NOT_A_TIME};
use crate::authentication::operators;
use crate::authentication::passwords::User;
use crate::authentication::token::settings::Issuer;
use crate::history::Retention;
use crate::hooks::Hook;
use crate::listener::{ListenAddress, NotAMode, NotAnAddress, tls};
use crate::memory::settings::NotAnAmount;
use crate::router::settings::ChannelOptions;

/// A list of tables: a key that is not inside a section, or one that is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    /// The key.
    pub(super) key: &'static str,
    /// What every entry needs, if there is such a key, and what to write for that.
    pub(super) required: Option<(&'static str, &'static str)>,
    /// The keys whose values are not shown, because a secret may stand there by mistake.
    pub(super) secret: &'static [&'static str],
    /// What to write for the list.
    example: &'static str,
}

/// The lists, in the order of the file.
pub(super) const LISTS: [List; 8] = [
    List {
        key: "channel",
        required: Some((
            "pattern",
            "name its channels, such as pattern = \"/chat/**\"",
        )),
        secret: &[],
        example: r#"[{ pattern = "/chat/**", lazy = true }]"#,
    },
    List {
        key: "access",
        required: Some(("who", "say whom it is about, such as who = \"anyone\"")),
        secret: &[],
        example: r#"[{ allow = ["subscribe"], channels = ["/chat/**"], who = "anyone" }]"#,
    },
    List {
        key: "user",
        required: Some(("name", "name the user, such as name = \"u1\"")),
        secret: &["password_hash"],
        example: r#"[{ name = "u1", password_hash = "$argon2id$…" }]"#,
    },
    List {
        key: "issuer",
        required: None,
        secret: &["secret", "private_key", "public_key", "jwks"],
        example: r#"[{ iss = "https://id.example.com", secret = { env = "TOKEN_SECRET" } }]"#,
    },
    List {
        key: "api.key",
        required: Some(("name", "name whoever uses it, such as name = \"shop\"")),
        secret: &["secret", "hash"],
        example: r#"[{ name = "shop", hash = "sha256:…", allow = ["publish"] }]"#,
    },
    List {
        key: "admin.user",
        required: Some(("name", "name the user, such as name = \"ada\"")),
        secret: &["password_hash"],
        example: r#"[{ name = "ada", password_hash = "$argon2id$…", allow = ["admin"] }]"#,
    },
    List {
        key: "hook",
        required: Some((
            "url",
            "say where it is, such as url = \"https://app.example.com/hook\"",
        )),
        secret: &["secrets", "url"],
        example: r#"[{ url = "https://app.example.com/hook", secrets = [{ env = "HOOK_SECRET" }], events = ["subscribed"] }]"#,
    },
    List {
        key: "tls.sni",
        required: Some((
            "certificate",
            "name its file, such as certificate = \"/etc/mirant/example.org.pem\"",
        )),
        secret: &[],
        example: r#"[{ certificate = "/etc/mirant/example.org.pem", key = "/etc/mirant/example.org.key" }]"#,
    },
];

/// Finds the list of this key.
pub(super) fn list(key: &str) -> Option<&'static List> {
    LISTS.iter().find(|list| list.key == key)
}

/// Finds the list of whose entries this is a key, such as `channel.pattern`.
pub(super) fn list_above(key: &str) -> Option<(&'static List, &str)> {
    LISTS.iter().find_map(|list| {
        let name = key.strip_prefix(list.key)?.strip_prefix('.')?;
        Some((list, name))
    })
}

/// The sections, in the order of the file.
pub(super) const SECTIONS: [&str; 20] = [
    "http",
    "tls",
    "bayeux",
    "websocket",
    "eventsource",
    "streaming",
    "resources",
    "history",
    "cluster",
    "extensions",
    "services",
    "backends",
    "authentication",
    "rates",
    "memory",
    "webhook",
    "log",
    "traces",
    "admin",
    "api",
];

/// A likeness below this is no suggestion but a guess.
const LIKENESS: f64 = 0.6;
/// From this likeness on a name is more likely a mistake than somebody else's.
pub(super) const ALMOST_CERTAIN: f64 = 0.8;

/// Lists every key as `section.name`, and those of lists.
pub(super) fn known() -> Vec<String> {
    // JSON rather than TOML, because it writes absent options too.
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut keys: Vec<String> = LISTS.iter().map(|list| list.key.to_owned()).collect();
    for section in SECTIONS {
        keys.extend(
            names(&defaults[section])
                .into_iter()
                .map(|name| format!("{section}.{name}"))
                .filter(|key| list(key).is_none()),
        );
    }
    keys
}

/// Lists the keys of one entry of a list.
pub(super) fn known_of(list: &List) -> Vec<String> {
    let entry = match list.key {
        "access" => serde_json::to_value(Rule::default()),
        "user" => serde_json::to_value(User::default()),
        "issuer" => serde_json::to_value(Issuer::default()),
        "api.key" => serde_json::to_value(api_keys::Key::default()),
        "admin.user" => serde_json::to_value(operators::User::default()),
        "hook" => serde_json::to_value(Hook::default()),
        "tls.sni" => serde_json::to_value(tls::Pair::default()),
        _ => serde_json::to_value(ChannelOptions::default()),
    };
    names(&entry.unwrap_or_default())
}

fn names(object: &serde_json::Value) -> Vec<String> {
    object
        .as_object()
        .map(|fields| fields.keys().cloned().collect())
        .unwrap_or_default()
}

/// Finds the name an operator most likely meant.
///
/// The part after the last dot counts as much as the whole, so that a key in the wrong section
/// is found as well as a misspelt one.
pub(super) fn nearest<'a>(
    unknown: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    like(unknown, names, LIKENESS)
}

/// Finds the name that is most like another, and at least so much.
pub(super) fn like<'a>(
    unknown: &str,
    names: impl IntoIterator<Item = &'a str>,
    least: f64,
) -> Option<&'a str> {
    let last = |name: &'a str| name.rsplit('.').next().unwrap_or(name);
    let unknown_last = unknown.rsplit('.').next().unwrap_or(unknown);
    let likeness = strsim::normalized_damerau_levenshtein;
    names
        .into_iter()
        .map(|name| {
            let whole = likeness(unknown, name);
            let best = whole.max(likeness(unknown_last, last(name)));
            (best, whole, name)
        })
        .filter(|(best, _, _)| *best >= least)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)))
        .map(|(_, _, name)| name)
}

/// The kinds of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// Any text.
    Text,
    /// Text that `humantime` reads.
    Duration,
    /// A number of bytes, or text that `bytesize` reads.
    Size,
    /// The same, or a share in percent.
    Amount,
    /// A whole number and the bounds of its type, where an operator could meet them.
    Whole {
        /// Whether it may be below zero.
        signed: bool,
        /// Whether it ends at 65535.
        short: bool,
    },
    /// One of a few names, as serde lists them.
    Choice(String),
    /// The permissions of a file, in octal.
    Mode,
    /// A time of day, as RFC 3339 writes it.
    Time,
    /// A list of any texts.
    Texts,
    /// A list of addresses to listen on.
    Addresses,
    /// A list out of a few names, as serde lists them.
    Choices(String),
    /// A table that says how much is kept.
    Retention,
    /// A list of tables.
    Tables(&'static List),
}

impl Kind {
    /// Finds the kind of a known key by trying values on it.
    pub(super) fn of(key: &str) -> Self {
        if let Some(list) = list(key) {
            return Self::Tables(list);
        }
        let accepts = |value: Value| check(key, value).is_ok();
        let list = |text: &str| Value::Array(vec![text.into()]);
        let retention = Table::from_iter([("messages".to_owned(), Value::from(1))]);
        if accepts(true.into()) {
            Self::Flag
        } else if accepts("?".into()) {
            Self::Text
        } else if accepts("1s".into()) {
            Self::Duration
        } else if accepts("1%".into()) {
            Self::Amount
        } else if accepts("1KiB".into()) {
            Self::Size
        } else if accepts(1.into()) {
            Self::Whole {
                signed: accepts((-1).into()),
                short: !accepts(65_536.into()),
            }
        } else if accepts("0600".into()) {
            Self::Mode
        } else if accepts("2027-01-31T00:00:00Z".into()) {
            Self::Time
        } else if accepts(Value::Table(retention)) {
            Self::Retention
        } else if accepts(list("?")) {
            Self::Texts
        } else if accepts(list("127.0.0.1:0")) {
            Self::Addresses
        } else if accepts(Value::Array(Vec::new())) {
            Self::Choices(choices(check(key, list("?"))))
        } else {
            Self::Choice(choices(check(key, "?".into())))
        }
    }

    /// Reads a value that came as plain text: from the environment or from `--set`.
    pub(super) fn read(&self, text: &str) -> Value {
        let parsed = toml::de::ValueDeserializer::parse(text)
            .ok()
            .and_then(|value| Value::deserialize(value).ok());
        match (self, parsed) {
            // Here a bare `123` or `true` is a text like any other.
            (Self::Text | Self::Mode | Self::Time, Some(Value::String(text))) => text.into(),
            (Self::Text | Self::Mode | Self::Time, _) => text.into(),
            (Self::Texts | Self::Addresses | Self::Choices(_), Some(array @ Value::Array(_))) => {
                array
            }
            (Self::Texts | Self::Addresses | Self::Choices(_), Some(Value::String(text))) => {
                split(&text)
            }
            (Self::Texts | Self::Addresses | Self::Choices(_), _) => split(text),
            (_, Some(value)) => value,
            (_, None) => text.into(),
        }
    }

    /// Says why a value was refused, and what is accepted.
    pub(super) fn refusal(&self, value: &Value) -> String {
        match self {
            Self::Flag => "expected true or false".to_owned(),
            Self::Text => "expected a text in quotes".to_owned(),
            Self::Duration => refused_duration(value),
            Self::Size => {
                "expected a number of bytes such as 65536, or a size such as \"64KiB\"".to_owned()
            }
            Self::Amount => format!("{NotAnAmount}"),
            Self::Whole { short: true, .. } => "expected a whole number up to 65535".to_owned(),
            Self::Whole { signed: true, .. } => {
                format!("expected a whole number from {} to {}", i32::MIN, i32::MAX)
            }
            Self::Whole { .. } => "expected a whole number that is not negative".to_owned(),
            Self::Choice(names) => format!("expected {names}"),
            Self::Texts => "expected a list of texts such as [\"a\", \"b\"]".to_owned(),
            Self::Time => NOT_A_TIME.to_owned(),
            Self::Retention => refused_retention(value),
            Self::Mode => format!("{NotAMode}, such as \"0660\""),
            Self::Addresses => refused_addresses(value),
            Self::Choices(names) => format!("expected a list in which each item is {names}"),
            Self::Tables(List { key, example, .. }) => {
                format!("expected a list of tables such as {example}; in a file: [[{key}]]")
            }
        }
    }
}

/// Tries a value on the struct that owns the key; `channel.name` is a key of one entry of that list.
pub(super) fn check(key: &str, value: Value) -> Result<(), toml::de::Error> {
    let (place, name) = match list_above(key) {
        Some((list, name)) => (list.key, name),
        None => key.split_once('.').unwrap_or((key, "")),
    };
    let mut entry = Table::from_iter([(name.to_owned(), value)]);
    match place {
        "channel" => {
            entry
                .entry("pattern")
                .or_insert_with(|| Value::String("/".to_owned()));
            ChannelOptions::deserialize(Value::Table(entry)).map(drop)
        }
        "access" => Rule::deserialize(Value::Table(entry)).map(drop),
        "user" => User::deserialize(Value::Table(entry)).map(drop),
        "issuer" => Issuer::deserialize(Value::Table(entry)).map(drop),
        "api.key" => api_keys::Key::deserialize(Value::Table(entry)).map(drop),
        "admin.user" => operators::User::deserialize(Value::Table(entry)).map(drop),
        "hook" => Hook::deserialize(Value::Table(entry)).map(drop),
        "tls.sni" => tls::Pair::deserialize(Value::Table(entry)).map(drop),
        _ => {
            let config = Table::from_iter([(place.to_owned(), Value::Table(entry))]);
            Config::deserialize(Value::Table(config)).map(drop)
        }
    }
}

/// Takes the names out of serde's "unknown variant `?`, expected `a` or `b`".
fn choices(refusal: Result<(), toml::de::Error>) -> String {
    let message = refusal
        .err()
        .map(|error| error.message().to_owned())
        .unwrap_or_default();
    match message.split_once("expected ") {
        Some((_, names)) => names.to_owned(),
        None => message,
    }
}

fn split(text: &str) -> Value {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(Value::from)
        .collect::<Vec<_>>()
        .into()
}

/// Names what is wrong with a path, which is all that could be meant.
fn refused_addresses(value: &Value) -> String {
    let texts = value.as_array().into_iter().flatten();
    let mut errors = texts.filter_map(|text| text.as_str()?.parse::<ListenAddress>().err());
    match errors.find(|error| *error != NotAnAddress::Unknown) {
        Some(error) => error.to_string(),
        None => "expected a list of addresses with their ports, \
             such as [\"127.0.0.1:8080\", \"[::1]:8080\", \"localhost:8080\"]; \
             or of paths of Unix sockets, such as [\"unix:/run/mirant.sock\"]; \
             with tls: before one that speaks TLS"
            .to_owned(),
    }
}

/// Names what is wrong inside a table that says how much is kept.
fn refused_retention(value: &Value) -> String {
    let example = "such as { messages = 1000, age = \"24h\", bytes = \"1MiB\" }, or some of these";
    let accepts = |name: &str, value: &Value| {
        let table = Table::from_iter([(name.to_owned(), value.clone())]);
        Retention::deserialize(Value::Table(table)).is_ok()
    };
    let mut entries = value.as_table().into_iter().flatten();
    let wrong = entries.find(|(name, value)| !accepts(name, value));
    match wrong {
        Some((name, value)) => match name.as_str() {
            "messages" => "messages: expected a whole number".to_owned(),
            "age" => format!("age: {}", refused_duration(value)),
            "bytes" => format!("bytes: {}", Kind::Size.refusal(value)),
            unknown => match nearest(unknown, ["messages", "age", "bytes"]) {
                Some(near) => format!("there is no {unknown}; did you mean {near}?"),
                None => format!("there is no {unknown}; expected how much is kept, {example}"),
            },
        },
        None => format!("expected how much is kept, {example}"),
    }
}

fn refused_duration(value: &Value) -> String {
    let negative = match value {
        Value::Integer(number) if *number >= 0 => {
            return format!("a duration needs its unit; write \"{number}s\" or \"{number}ms\"");
        }
        Value::Integer(_) => true,
        Value::String(text) => text.trim_start().starts_with('-'),
        _ => false,
    };
    if negative {
        "a duration cannot be negative; write one such as \"30s\" or \"500ms\"".to_owned()
    } else {
        "expected a duration such as \"30s\", \"500ms\" or \"2m\"".to_owned()
    }
}
