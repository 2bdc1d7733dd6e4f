//! The `[[api.key]]` entries as an operator writes them, and what can be wrong with them.

use std::collections::HashSet;
use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::digest::Digest;
use crate::authentication::{Problem, Secret};
use crate::bayeux::{ChannelKind, ChannelPattern, Limits};

/// How many keys there may be: a request is compared with each of them.
const MAX_KEYS: usize = 1000;
/// The length of a key's name in bytes.
const MAX_NAME: usize = 100;
/// What the configuration calls the list.
pub const LIST: &str = "api.key";

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// To publish, and to send to sessions.
    Publish,
    /// To read which channels there are, and who is subscribed.
    Read,
    /// To look at sessions, and to end them.
    Sessions,
    /// All of it.
    Admin,
    /// To take calls of clients, connected as a Bayeux client itself.
    Calls,
}

impl Permission {
    /// Returns its name, as it stands in `allow`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Sessions => "sessions",
            Self::Admin => "admin",
            Self::Calls => "calls",
        }
    }
}

/// One `[[api.key]]` entry.
#[derive(Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Key {
    /// The name, by which logs and clients know whoever uses it; every entry has one.
    pub name: String,
    /// Where the key is.
    pub secret: Option<Secret>,
    /// What `mirant api-key` prints as the hash of the key; instead of the key itself.
    pub hash: Option<String>,
    /// What it may be used for.
    pub allow: Vec<Permission>,
    /// The channels for which it may be used so: channels and patterns.
    pub channels: Vec<String>,
    /// From when on it may not be used any more; nothing: never.
    #[serde(
        deserialize_with = "time",
        serialize_with = "humantime_serde::serialize"
    )]
    pub expires: Option<SystemTime>,
}

impl Default for Key {
    fn default() -> Self {
        Self {
            name: String::new(),
            secret: None,
            hash: None,
            allow: Vec::new(),
            channels: vec!["/**".to_owned()],
            expires: None,
        }
    }
}

/// Hashes are kept out of what is logged.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("allow", &self.allow)
            .field("channels", &self.channels)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Reads a time of day as RFC 3339 has it, in quotes or as TOML's own.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        toml::Value::Datetime(time) => time.to_string(),
        _ => return Err(de::Error::custom(NOT_A_TIME)),
    };
    let time = humantime::parse_rfc3339(&text).map_err(|_| de::Error::custom(NOT_A_TIME))?;
    Ok(Some(time))
}

/// What is told of a time that is none.
pub const NOT_A_TIME: &str = "expected a time in UTC such as \"2027-01-31T00:00:00Z\"";

/// Lists what is wrong with keys, as far as that can be told without reading their secrets.
#[must_use]
pub fn problems(keys: &[Key], limits: &Limits) -> Vec<Problem> {
    let mut problems = Vec::new();
    if keys.len() > MAX_KEYS {
        let fix = format!("there may be at most {MAX_KEYS} keys");
        problems.push(Problem::new(LIST, "…", fix));
    }
    let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
    for (index, key) in keys.iter().enumerate().take(MAX_KEYS) {
        let mut refuse = |name: &str, value: String, fix: &str| {
            problems.push(Problem::new(format!("{LIST}[{index}].{name}"), value, fix));
        };
        if let Some(fix) = name_fix(&key.name) {
            refuse("name", shown(&key.name), &fix);
        } else if !names.insert(&key.name) {
            refuse(
                "name",
                shown(&key.name),
                "an earlier [[api.key]] has the same name",
            );
        }
        match (&key.secret, &key.hash) {
            (None, None) => refuse(
                "hash",
                "nothing".to_owned(),
                "make a key with `mirant api-key` and put its hash here, or name where the key is: \
                 secret = { env = \"NAME\" }",
            ),
            (Some(_), Some(_)) => refuse("hash", "…".to_owned(), "set either hash or secret"),
            (None, Some(hash)) => match hash.parse::<Digest>() {
                Ok(digest) if hashes.insert(digest) => {}
                Ok(_) => refuse(
                    "hash",
                    "…".to_owned(),
                    "an earlier [[api.key]] has the same key",
                ),
                Err(fix) => refuse("hash", "…".to_owned(), fix),
            },
            (Some(_), None) => {}
        }
        for (name, value, fix) in rights_problems(&key.allow, &key.channels, limits) {
            refuse(name, value, fix);
        }
    }
    problems
}

/// Lists what is wrong with what an entry allows: keys of it, their values, and what to do.
pub(in crate::authentication) fn rights_problems(
    allow: &[Permission],
    channels: &[String],
    limits: &Limits,
) -> Vec<(&'static str, String, &'static str)> {
    let mut problems = Vec::new();
    if allow.is_empty() {
        problems.push((
            "allow",
            "[]".to_owned(),
            "name at least one of \"publish\", \"read\", \"sessions\", \"admin\" and \"calls\"",
        ));
    }
    if channels.is_empty() {
        let fix = "name at least one channel or pattern; leave it out for all: [\"/**\"]";
        problems.push(("channels", "[]".to_owned(), fix));
    }
    for channel in channels {
        let fix = match ChannelPattern::parse(channel, limits) {
            Err(_) => "must be a channel or a pattern, such as \"/chat/1\" or \"/chat/**\"",
            Ok(pattern) if pattern.kind() == ChannelKind::Meta => {
                "meta channels are the protocol's own; name others, such as \"/chat/**\""
            }
            Ok(_) => continue,
        };
        problems.push(("channels", shown(channel), fix));
    }
    problems
}

/// Tells what is wrong with a name.
pub(in crate::authentication) fn name_fix(name: &str) -> Option<String> {
    if name.is_empty() {
        Some("must not be empty".to_owned())
    } else if name.len() > MAX_NAME {
        Some(format!("must be at most {MAX_NAME} bytes"))
    } else if name.chars().any(char::is_control) {
        Some("must not hold control characters".to_owned())
    } else {
        None
    }
}

fn shown(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(entry: &str) -> Key {
        toml::from_str(entry).expect("a key")
    }

    #[test]
    fn keys_that_cannot_be_used_are_told_what_to_do() {
        let cases: [(&str, &[&str]); 8] = [
            ("name = 'a'\nhash = 'HASH'\nallow = ['publish']", &[]),
            (
                "name = 'a'\nsecret = { env = 'X' }\nallow = ['read', 'calls']\nchannels = ['/service/x', '/a/*']",
                &[],
            ),
            (
                "",
                &[
                    "api.key[0].name = \"\": must not be empty",
                    "api.key[0].hash = nothing: make a key with `mirant api-key`",
                    "api.key[0].allow = []: name at least one of \"publish\"",
                ],
            ),
            (
                "name = 'a\\n'\nhash = 'x'\nallow = ['read']",
                &["api.key[0].hash = …: must be \"sha256:\" and 64 hexadecimal digits"],
            ),
            (
                "name = \"a\\n\"\nhash = 'HASH'\nallow = ['read']",
                &["api.key[0].name = \"a\\n\": must not hold control"],
            ),
            (
                "name = 'a'\nhash = 'HASH'\nsecret = { env = 'X' }\nallow = ['read']",
                &["api.key[0].hash = …: set either hash or secret"],
            ),
            (
                "name = 'a'\nhash = 'HASH'\nallow = ['read']\nchannels = []",
                &["api.key[0].channels = []: name at least one channel"],
            ),
            (
                "name = 'a'\nhash = 'HASH'\nallow = ['read']\nchannels = ['chat', '/a/**/b', '/meta/*']",
                &[
                    "api.key[0].channels = \"chat\": must be a channel or a pattern",
                    "api.key[0].channels = \"/a/**/b\": must be a channel or a pattern",
                    "api.key[0].channels = \"/meta/*\": meta channels are the protocol's own",
                ],
            ),
        ];
        for (entry, expected) in cases {
            let entry = entry.replace("HASH", HASH);
            let problems = problems(&[read(&entry)], &Limits::default());
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(problems.len(), expected.len(), "{entry}: {problems:?}");
            for (problem, expected) in problems.iter().zip(expected) {
                assert!(problem.starts_with(expected), "{problem}");
            }
        }
    }

    #[test]
    fn names_and_keys_differ_and_are_bounded() {
        let key = read(&format!("name = 'a'\nhash = '{HASH}'\nallow = ['read']"));
        let both = problems(&[key.clone(), key.clone()], &Limits::default());
        let both: Vec<&str> = both.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(both, ["api.key[1].name", "api.key[1].hash"]);
        let many: Vec<Key> = (0..=MAX_KEYS)
            .map(|number| Key {
                name: number.to_string(),
                hash: Some(format!("sha256:{number:064x}")),
                ..key.clone()
            })
            .collect();
        assert!(problems(&many[..MAX_KEYS], &Limits::default()).is_empty());
        assert_eq!(problems(&many, &Limits::default())[0].key, "api.key");
    }

    #[test]
    fn times_are_rfc_3339() {
        let expires = |text: &str| {
            let key = toml::from_str::<Key>(&format!("expires = {text}"));
            key.map(|key| key.expires).ok()
        };
        let expected = humantime::parse_rfc3339("2027-01-31T00:00:00Z").ok();
        for text in ["2027-01-31T00:00:00Z", "'2027-01-31T00:00:00Z'"] {
            assert_eq!(expires(text), Some(expected), "{text}");
        }
        for text in ["'tomorrow'", "2027-01-31", "7", "2027-01-31T00:00:00+01:00"] {
            assert_eq!(expires(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_of_a_key_is_in_what_is_logged() {
        let key = read(&format!("name = 'a'\nhash = '{HASH}'\nallow = ['read']"));
        assert!(!format!("{key:?}").contains("abcdef"), "{key:?}");
    }
}
