//! The `id` of an event of a stream, which a client that lost the stream says to go on after it.
//!
//! `SESSION-NUMBER`, or with history `SESSION-NUMBER~ID.EPOCH`: the session of the stream, how many events have
//! left by its streams, and for when the session is gone the number of the last message that came from history,
//! with the name of these numbers. The sign behind the second number says what follows; a reader that does not
//! know it goes by what stands before.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::bayeux::ClientId;
use crate::session::From;

/// Longer than any that this server writes.
const MAX_LENGTH: usize = 200;
/// The bytes of the name of a store's numbers.
const MAX_EPOCH_LENGTH: usize = 64;

/// What stands before the position in history.
const PAST: char = '~';

/// What a client says it has received last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) session: ClientId,
    /// How many events had left by the session's streams.
    pub(super) number: u64,
    /// Where it is in history, if it was anywhere there.
    pub(super) past: Option<Past>,
}

impl EventId {
    /// Reads one; nothing if it is none of this server's.
    pub(super) fn read(id: &[u8]) -> Option<Self> {
        let id = str::from_utf8(id)
            .ok()
            .filter(|id| id.len() <= MAX_LENGTH)?;
        let (id, past) = match id.split_once(PAST) {
            Some((id, past)) => (id, past.parse().ok()),
            None => (id, None),
        };
        let (session, number) = id.split_once('-')?;
        Some(Self {
            session: session.parse().ok()?,
            number: whole(number)?,
            past,
        })
    }
}

/// A position in history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Past {
    /// The largest number that a message had.
    pub(super) id: u64,
    /// The name of the numbers.
    pub(super) epoch: Arc<str>,
}

impl Past {
    /// Goes on to a message, if it has a number.
    pub(super) fn saw(&mut self, id: u64) {
        self.id = self.id.max(id);
    }
}

impl fmt::Display for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PAST}{}.{}", self.id, self.epoch)
    }
}

/// It is no position.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAPosition;

impl FromStr for Past {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (id, epoch) = text.split_once('.').ok_or(NotAPosition)?;
        let id = whole(id).ok_or(NotAPosition)?;
        let epoch = is_epoch(epoch).then(|| epoch.into());
        let epoch = epoch.ok_or(NotAPosition)?;
        Ok(Self { id, epoch })
    }
}

/// Reads from where on a first connection wants the past: `all`, `last`, `new`, a number, or `EPOCH:NUMBER`.
pub(super) fn since(text: &str) -> Option<From> {
    match text {
        "all" => Some(From::All),
        "last" => Some(From::Last),
        "new" => Some(From::New),
        _ => match text.split_once(':') {
            Some((epoch, id)) if is_epoch(epoch) => {
                Some(From::After(whole(id)?, Some(epoch.into())))
            }
            Some(_) => None,
            None => Some(From::After(whole(text)?, None)),
        },
    }
}

fn is_epoch(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_EPOCH_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Reads digits alone; `parse` takes a plus, too.
fn whole(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "0000000000000000000001";

    fn past(id: u64, epoch: &str) -> Past {
        let epoch = epoch.into();
        Past { id, epoch }
    }

    #[test]
    fn an_id_is_read_as_far_as_it_can_be_ours() {
        let longest = "e".repeat(64);
        let too_long = "e".repeat(65);
        let (none, some) = (None::<(u64, Option<Past>)>, |number, past| {
            Some((number, past))
        });
        let cases = [
            (format!("{SESSION}-7"), some(7, None)),
            (
                format!("{SESSION}-18446744073709551615"),
                some(u64::MAX, None),
            ),
            (
                format!("{SESSION}-7~9.e-_1"),
                some(7, Some(past(9, "e-_1"))),
            ),
            (
                format!("{SESSION}-0~18446744073709551615.{longest}"),
                some(0, Some(past(u64::MAX, &longest))),
            ),
            // What follows is not understood.
            (format!("{SESSION}-7~"), some(7, None)),
            (format!("{SESSION}-7~9"), some(7, None)),
            (format!("{SESSION}-7~9."), some(7, None)),
            (format!("{SESSION}-7~+9.e"), some(7, None)),
            (format!("{SESSION}-7~.e"), some(7, None)),
            (format!("{SESSION}-7~9.e~f"), some(7, None)),
            (format!("{SESSION}-7~9.e.f"), some(7, None)),
            (format!("{SESSION}-7~9.\u{fc}"), some(7, None)),
            (format!("{SESSION}-7~18446744073709551616.e"), some(7, None)),
            (format!("{SESSION}-7~9.{too_long}"), some(7, None)),
            // Nothing is.
            (format!("{SESSION}-7~9.{}", "e".repeat(1000)), none.clone()),
            (format!("{SESSION}-{}", "0".repeat(1000)), none.clone()),
            (format!("{SESSION}-"), none.clone()),
            (format!("{SESSION}--1"), none.clone()),
            (format!("{SESSION}-+1"), none.clone()),
            (format!("{SESSION}-18446744073709551616"), none.clone()),
            ("~9.e".to_owned(), none.clone()),
            ("7".to_owned(), none.clone()),
            ("x-7".to_owned(), none.clone()),
            (String::new(), none),
        ];
        for (text, expected) in cases {
            let id = EventId::read(text.as_bytes());
            let found = id.map(|id| (id.number, id.past));
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(EventId::read(b"\xff-7"), None);
    }

    #[test]
    fn a_position_is_read_as_it_is_written_and_grows_with_numbers() {
        let mut at = past(7, "e1");
        for (id, expected) in [(9, "~9.e1"), (0, "~9.e1"), (8, "~9.e1"), (10, "~10.e1")] {
            at.saw(id);
            assert_eq!(at.to_string(), expected);
            assert_eq!(at.to_string()[1..].parse(), Ok(at.clone()));
        }
    }

    #[test]
    fn a_first_connection_says_from_where_on() {
        let cases = [
            ("all", Some(From::All)),
            ("last", Some(From::Last)),
            ("new", Some(From::New)),
            ("0", Some(From::After(0, None))),
            ("e-1:7", Some(From::After(7, Some("e-1".into())))),
            ("", None),
            ("-1", None),
            ("+1", None),
            (":7", None),
            ("e:", None),
            ("e:all", None),
            ("e:7:8", None),
            ("\u{fc}:7", None),
            ("ALL", None),
        ];
        for (text, expected) in cases {
            assert_eq!(since(text), expected, "{text}");
        }
    }
}
