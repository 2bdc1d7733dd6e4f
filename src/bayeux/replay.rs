//! Where a subscribe goes on in the history of its channels, and what its reply says about that.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::BayeuxError;
use super::value::{entries, number, text, whole};

/// The entry of `ext` in which clients say where they are.
pub const REPLAY: &str = "replay";

/// The bytes of the name of a store's numbers, with room for other servers'.
const MAX_EPOCH_LENGTH: usize = 64;

/// From where on a subscriber wants the messages of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since<'a> {
    /// New ones only: -1.
    New,
    /// All that are kept: -2.
    All,
    /// Those that came after a message that it has had.
    After {
        /// The number of that message; 0 comes before all.
        id: u64,
        /// The name of the numbers, if it knows it.
        epoch: Option<Cow<'a, str>>,
    },
}

/// Where a client says it is, by what it subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Positions<'a> {
    /// The same everywhere.
    Everywhere(Since<'a>),
    /// By channel or pattern.
    Each(HashMap<Cow<'a, str>, Since<'a>>),
}

impl<'a> Positions<'a> {
    /// Reads the `replay` of a subscribe's `ext`: a number; an object with `id`, and `epoch` if it is known; or
    /// an object with one of these by channel or pattern, as it is subscribed to. Numbers may be texts, and
    /// what is `null` is not said.
    ///
    /// # Errors
    /// It is something else: [`BayeuxError::ReplayInvalid`].
    pub fn read(replay: &'a RawValue) -> Result<Self, BayeuxError> {
        Self::parsed(replay).ok_or(BayeuxError::ReplayInvalid)
    }

    fn parsed(replay: &'a RawValue) -> Option<Self> {
        if let Some(since) = Since::of_number(replay) {
            return Some(Self::Everywhere(since));
        }
        let entries = entries(replay)?;
        if entries
            .iter()
            .any(|(name, _)| text(name).as_deref() == Some("id"))
        {
            return Since::of_entries(&entries).map(Self::Everywhere);
        }
        let mut each = HashMap::with_capacity(entries.len());
        for (name, value) in entries {
            let name = text(name).filter(|name| name.starts_with('/'))?;
            if value.get() != "null" {
                each.insert(without_slash(name), Since::of(value)?);
            }
        }
        Some(Self::Each(each))
    }

    /// Returns from where on the messages of a channel or pattern are wanted, if the client says so.
    #[must_use]
    pub fn of(&self, pattern: &str) -> Option<&Since<'a>> {
        match self {
            Self::Everywhere(since) => Some(since),
            Self::Each(each) => each.get(pattern),
        }
    }
}

impl<'a> Since<'a> {
    fn of(value: &'a RawValue) -> Option<Self> {
        Self::of_number(value).or_else(|| Self::of_entries(&entries(value)?))
    }

    fn of_number(value: &RawValue) -> Option<Self> {
        match text(value) {
            Some(text) => Self::of_text(&text),
            None => match whole(value) {
                Some(id) => Some(Self::After { id, epoch: None }),
                None => Self::of_text(&number(value).filter(|n| *n < 0.0)?.to_string()),
            },
        }
    }

    /// Reads a number as people write it, without a sign but in front of 1 and 2.
    fn of_text(text: &str) -> Option<Self> {
        match text {
            "-1" => Some(Self::New),
            "-2" => Some(Self::All),
            // `parse` takes a plus, too.
            digits if digits.starts_with(|first: char| first.is_ascii_digit()) => {
                let id = digits.parse().ok()?;
                Some(Self::After { id, epoch: None })
            }
            _ => None,
        }
    }

    fn of_entries(entries: &[(&'a RawValue, &'a RawValue)]) -> Option<Self> {
        let last = |name: &str| {
            let named = |(own, _): &&(&RawValue, &RawValue)| text(own).as_deref() == Some(name);
            entries.iter().rev().find(named).map(|(_, value)| *value)
        };
        let since = Self::of_number(last("id")?)?;
        let epoch = match last("epoch").filter(|epoch| epoch.get() != "null") {
            Some(epoch) => Some(text(epoch).filter(|epoch| epoch.len() <= MAX_EPOCH_LENGTH)?),
            None => None,
        };
        Some(match since {
            Self::After { id, .. } => Self::After { id, epoch },
            other => other,
        })
    }
}

/// Names a channel as the server does.
fn without_slash(name: Cow<'_, str>) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.strip_suffix('/').unwrap_or(name)),
        Cow::Owned(mut name) => {
            if name.ends_with('/') {
                name.pop();
            }
            Cow::Owned(name)
        }
    }
}

/// Why a client does not get all that it missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotRecovered {
    /// Some of it is not kept any more.
    Expired,
    /// The numbers are not those that the client knows: some of it may be lost.
    EpochChanged,
    /// There is more than `history.max_replay_messages`.
    Limit,
    /// Nothing is kept of what it subscribes to.
    NoHistory,
    /// Some may be missing, which came while its node had no connection, or after that had died.
    Missed,
}

/// What becomes of the past of one channel or pattern that was subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// The channel or pattern.
    pub pattern: &'a str,
    /// Why it is not all that was missed; nothing: it is.
    pub failed: Option<NotRecovered>,
    /// The messages come that have larger numbers.
    pub after: u64,
    /// The number of the oldest message that is kept.
    pub first: Option<u64>,
    /// The number of the newest.
    pub last: Option<u64>,
    /// The name of the numbers.
    pub epoch: &'a str,
}

impl Outcome<'_> {
    /// Writes the `replay` of a reply's `ext`: an object by channel and pattern.
    #[must_use]
    pub fn json(outcomes: &[Self]) -> String {
        serde_json::to_string(&ByPattern(outcomes)).expect("texts and numbers are JSON")
    }
}

struct ByPattern<'a, 'b>(&'a [Outcome<'b>]);

impl Serialize for ByPattern<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.iter().map(|outcome| {
            let told = Told {
                recovered: outcome.failed.is_none(),
                reason: outcome.failed,
                after: outcome.after,
                first: outcome.first,
                last: outcome.last,
                epoch: outcome.epoch,
            };
            (outcome.pattern, told)
        });
        serializer.collect_map(entries)
    }
}

/// An outcome in its members' order.
#[derive(Serialize)]
struct Told<'a> {
    recovered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<NotRecovered>,
    after: u64,
    first: Option<u64>,
    last: Option<u64>,
    epoch: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("JSON")
    }

    fn after(id: u64) -> Since<'static> {
        Since::After { id, epoch: None }
    }

    fn within(id: u64, epoch: &str) -> Since<'_> {
        let epoch = Some(Cow::Borrowed(epoch));
        Since::After { id, epoch }
    }

    #[test]
    fn one_position_is_a_number_or_an_object() {
        let longest = "e".repeat(64);
        let with_longest = format!(r#"{{"id":5,"epoch":"{longest}"}}"#);
        let cases = [
            ("-1", Since::New),
            ("-2", Since::All),
            ("-2.0", Since::All),
            ("\"-1\"", Since::New),
            ("0", after(0)),
            ("5", after(5)),
            ("5.0", after(5)),
            ("\"5\"", after(5)),
            ("18446744073709551615", after(u64::MAX)),
            ("\"18446744073709551615\"", after(u64::MAX)),
            (r#"{"id":5}"#, after(5)),
            (r#"{"id":"5","epoch":null}"#, after(5)),
            (r#"{"epoch":"x1","id":5}"#, within(5, "x1")),
            (r#"{"\u0069d":5,"epoch":"\u0078"}"#, within(5, "x")),
            (r#"{"id":4,"id":5,"epoch":"","a":[{}]}"#, within(5, "")),
            (r#"{"id":-1,"epoch":"x"}"#, Since::New),
            (&with_longest, within(5, &longest)),
        ];
        for (text, expected) in cases {
            let found = Positions::read(raw(text));
            assert_eq!(found, Ok(Positions::Everywhere(expected.clone())), "{text}");
            let each = format!(r#"{{"/a":{text}}}"#);
            let found = Positions::read(raw(&each)).expect(text);
            assert_eq!(found.of("/a"), Some(&expected), "{text}");
            assert_eq!(found.of("/b"), None, "{text}");
        }
    }

    #[test]
    fn by_channel_the_last_one_counts_and_a_trailing_slash_does_not() {
        let text = r#"{"/a/":1,"\/b\/\u0063\/":-2,"/d/**":{"id":3},"/e":4,"/e":5,"/f":null,"/":6}"#;
        let found = Positions::read(raw(text)).expect("positions");
        let cases = [
            ("/a", Some(after(1))),
            ("/b/c", Some(Since::All)),
            ("/d/**", Some(after(3))),
            ("/d/x", None),
            ("/e", Some(after(5))),
            ("/f", None),
        ];
        for (pattern, expected) in cases {
            assert_eq!(found.of(pattern), expected.as_ref(), "{pattern}");
        }
        let nothing = Positions::read(raw("{}")).expect("positions");
        assert_eq!(nothing.of("/a"), None);
    }

    #[test]
    fn anything_else_is_refused() {
        let too_long = format!(r#"{{"id":5,"epoch":"{}"}}"#, "e".repeat(65));
        let nested = format!("{}1{}", "[".repeat(9000), "]".repeat(9000));
        let values = [
            "-3",
            "1.5",
            "1e19",
            "1e300",
            "-0.5",
            "18446744073709551616",
            "true",
            "false",
            "[]",
            "[1]",
            "\"\"",
            "\"+5\"",
            "\" 5\"",
            "\"5 \"",
            "\"-3\"",
            "\"0x5\"",
            "\"five\"",
            "\"\\ud800\"",
            "\"18446744073709551616\"",
            &nested,
            r#"{"id":null}"#,
            r#"{"id":[1]}"#,
            r#"{"id":{"id":1}}"#,
            r#"{"id":5,"epoch":5}"#,
            r#"{"id":5,"epoch":"\ud800"}"#,
            r#"{"epoch":"x"}"#,
            &too_long,
        ];
        for text in values {
            let found = Positions::read(raw(text));
            assert_eq!(found, Err(BayeuxError::ReplayInvalid), "{text}");
            let each = format!(r#"{{"/a":1,"/b":{text}}}"#);
            let found = Positions::read(raw(&each));
            assert_eq!(found, Err(BayeuxError::ReplayInvalid), "{text}");
        }
        for text in [
            "null",
            r#"{"a":1}"#,
            r#"{"/a":1,"b":2}"#,
            r#"{"/a":{"/b":1}}"#,
            r#"{"\ud800":1}"#,
        ] {
            let found = Positions::read(raw(text));
            assert_eq!(found, Err(BayeuxError::ReplayInvalid), "{text}");
        }
    }

    #[test]
    fn a_reply_says_of_each_what_becomes_of_it() {
        let fine = Outcome {
            pattern: "/a",
            failed: None,
            after: 5,
            first: Some(3),
            last: Some(9),
            epoch: "e1",
        };
        let empty = Outcome {
            pattern: "/b/**",
            failed: Some(NotRecovered::EpochChanged),
            first: None,
            last: None,
            ..fine.clone()
        };
        let first = r#""/a":{"recovered":true,"after":5,"first":3,"last":9,"epoch":"e1"}"#;
        let second = r#""/b/**":{"recovered":false,"reason":"epoch_changed","after":5,"first":null,"last":null,"epoch":"e1"}"#;
        assert_eq!(Outcome::json(&[]), "{}");
        assert_eq!(
            Outcome::json(std::slice::from_ref(&fine)),
            format!("{{{first}}}")
        );
        assert_eq!(
            Outcome::json(&[fine, empty]),
            format!("{{{first},{second}}}")
        );
    }
}
