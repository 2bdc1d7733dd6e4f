//! How far a client has come in the history of what it is subscribed to, and from where on it wants that.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Value, json};

/// From where on messages are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Since {
    /// New ones.
    New,
    /// All that are kept.
    All,
    /// Those after a number, of an epoch if that is known.
    After {
        /// The number.
        id: u64,
        /// The name of the numbers.
        epoch: Option<String>,
    },
}

/// A text says no position.
#[derive(Debug, thiserror::Error)]
#[error("expected all, new, the number of a message such as 42, or EPOCH:NUMBER")]
pub(crate) struct NotSince;

impl FromStr for Since {
    type Err = NotSince;

    fn from_str(text: &str) -> Result<Self, NotSince> {
        let (epoch, id) = match text.rsplit_once(':') {
            Some((epoch, id)) if !epoch.is_empty() => (Some(epoch.to_owned()), id),
            Some(_) => return Err(NotSince),
            None if text == "new" => return Ok(Self::New),
            None if text == "all" => return Ok(Self::All),
            None => (None, text),
        };
        // `parse` takes a plus, too.
        let is_number = id.bytes().all(|byte| byte.is_ascii_digit());
        let id = id.parse().ok().filter(|_| is_number).ok_or(NotSince)?;
        Ok(Self::After { id, epoch })
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::All => f.write_str("all"),
            Self::After { id, epoch: None } => write!(f, "{id}"),
            Self::After {
                id,
                epoch: Some(epoch),
            } => write!(f, "{epoch}:{id}"),
        }
    }
}

impl Since {
    /// What a subscribe says in `ext.replay`.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::New => json!(-1),
            Self::All => json!(-2),
            Self::After { id, epoch: None } => json!(id),
            Self::After {
                id,
                epoch: Some(epoch),
            } => json!({ "id": id, "epoch": epoch }),
        }
    }
}

/// What a server says of the past of one channel or pattern.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Recovery {
    /// Whether all comes that was missed.
    pub(crate) recovered: bool,
    /// Why not.
    pub(crate) reason: Option<String>,
    /// It goes on after this number.
    #[serde(default)]
    pub(crate) after: u64,
    /// The name of the numbers.
    epoch: Option<String>,
}

/// What a server says of the past, by channel or pattern.
pub(crate) type Recoveries = BTreeMap<String, Recovery>;

/// The reason of a server that keeps nothing of a channel.
const NO_HISTORY: &str = "no_history";

/// How an error ends that says that what came after a position is not kept any more.
const EXPIRED: &str = ":replay_expired";

/// Where a client is.
#[derive(Debug, Default)]
pub(super) struct Position {
    since: Option<Since>,
    /// Its user said where it begins.
    is_asked: bool,
}

impl Position {
    /// The beginning, as its user wants it.
    pub(super) fn new(since: Option<Since>) -> Self {
        Self {
            is_asked: since.is_some(),
            since,
        }
    }

    /// Gives a position up that the server refuses, unless the user wants what came after one; tells whether it did.
    pub(super) fn give_up(&mut self, error: &str) -> bool {
        let is_expired = error.ends_with(EXPIRED);
        let gives_up = is_expired && !self.is_asked && self.since.is_some();
        if gives_up {
            self.since = None;
        }
        gives_up
    }

    /// From where on it wants messages; nothing: as the server likes.
    pub(super) fn since(&self) -> Option<&Since> {
        self.since.as_ref()
    }

    /// Tells whether it is after some number, be that the first of all.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.since, Some(Since::After { .. }))
    }

    /// Goes where the reply to a subscribe says. Of several channels the smallest number counts: what comes
    /// has growing ones, on whatever channel.
    pub(super) fn subscribed(&mut self, recoveries: &Recoveries) {
        let with_history = recoveries.values();
        let with_history =
            with_history.filter(|recovery| recovery.reason.as_deref() != Some(NO_HISTORY));
        if let Some(first) = with_history.min_by_key(|recovery| recovery.after) {
            self.since = Some(Since::After {
                id: first.after,
                epoch: first.epoch.clone(),
            });
        }
    }

    /// Goes on to a message.
    pub(super) fn saw(&mut self, number: u64) {
        match &mut self.since {
            Some(Since::After { id, .. }) => *id = number.max(*id),
            since => {
                *since = Some(Since::After {
                    id: number,
                    epoch: None,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(id: u64, epoch: Option<&str>) -> Since {
        let epoch = epoch.map(str::to_owned);
        Since::After { id, epoch }
    }

    #[test]
    fn a_position_is_written_by_people_and_read_by_servers() {
        let cases = [
            ("new", Some((Since::New, "-1"))),
            ("all", Some((Since::All, "-2"))),
            ("0", Some((after(0, None), "0"))),
            ("42", Some((after(42, None), "42"))),
            (
                "e1:42",
                Some((after(42, Some("e1")), r#"{"epoch":"e1","id":42}"#)),
            ),
            (
                "a:b:7",
                Some((after(7, Some("a:b")), r#"{"epoch":"a:b","id":7}"#)),
            ),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            (":5", None),
            ("e1:", None),
            ("e1:all", None),
            ("All", None),
            ("18446744073709551616", None),
        ];
        for (text, expected) in cases {
            let found = text.parse::<Since>().ok();
            if let Some(since) = &found {
                assert_eq!(since.to_string(), text);
            }
            let found = found.map(|since| (since.json().to_string(), since));
            let expected = expected.map(|(since, json)| (json.to_owned(), since));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_client_goes_on_where_the_server_says_and_then_with_each_message() {
        let recoveries = |text: &str| serde_json::from_str::<Recoveries>(text).unwrap();
        // (where it is, the server's reply, where it goes on)
        let cases = [
            (
                Some(Since::New),
                r#"{"/a":{"recovered":true,"after":5,"first":null,"last":null,"epoch":"e"}}"#,
                Some(after(5, Some("e"))),
            ),
            (
                None,
                r#"{"/a":{"recovered":true,"after":7,"epoch":"e"},"/b":{"recovered":true,"after":6,"epoch":"e"}}"#,
                Some(after(6, Some("e"))),
            ),
            (
                Some(after(9, Some("d"))),
                r#"{"/a":{"recovered":false,"reason":"epoch_changed","after":3,"epoch":"e"}}"#,
                Some(after(3, Some("e"))),
            ),
            (
                Some(after(9, Some("d"))),
                r#"{"/a":{"recovered":false,"reason":"no_history"}}"#,
                Some(after(9, Some("d"))),
            ),
            (Some(after(9, None)), "{}", Some(after(9, None))),
            (None, "{}", None),
        ];
        for (since, reply, expected) in cases {
            let mut position = Position::new(since);
            position.subscribed(&recoveries(reply));
            assert_eq!(position.since(), expected.as_ref(), "{reply}");
        }
        for (since, error, gives_up) in [
            (None, "400:/a,5:replay_expired", true),
            (None, "403:/a:subscribe_denied", false),
            (Some(after(1, None)), "400:/a,5:replay_expired", false),
        ] {
            let mut position = Position::new(since);
            position.saw(5);
            assert_eq!(position.give_up(error), gives_up, "{error}");
            assert_eq!(position.since().is_none(), gives_up, "{error}");
            assert!(!position.give_up(error), "{error}");
        }
        let mut position = Position::default();
        for (number, expected) in [(5, 5), (4, 5), (8, 8)] {
            position.saw(number);
            assert_eq!(position.since(), Some(&after(expected, None)));
        }
    }
}
