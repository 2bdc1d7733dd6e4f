//! A message as it is in Redis, kept and on its way: a line of numbers and lengths, then its texts, byte for byte.
//!
//! `ID BEFORE AT FLAGS CHANNEL EXT CUSTOM PUBLISHER` and a line feed, then the channel, `ext`, the custom fields and
//! `data`. The script writes the first two; `AT` is 0 if the message came when its number says. There is no flag yet: 0.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::bayeux::{ChannelName, ClientId, Limits, RandomId};
use crate::cluster::Incoming;
use crate::history::{Body, Entry, Place};

/// The line is never longer.
const MAX_LINE: usize = 256;

/// Writes what stands behind the two numbers.
pub(super) fn tail(entry: &Entry, at: Option<SystemTime>, publisher: Option<ClientId>) -> Vec<u8> {
    let Body { data, ext, custom } = &entry.body;
    let part = |part: &Option<Bytes>| part.clone().unwrap_or_default();
    let (ext, custom) = (part(ext), part(custom));
    let channel = entry.channel.as_str();
    let publisher = publisher.map_or_else(|| "-".to_owned(), |id| id.0.to_string());
    let at = at.map_or(0, micros);
    let line = format!(
        "{at} 0 {} {} {} {publisher}\n",
        channel.len(),
        ext.len(),
        custom.len()
    );
    [line.as_bytes(), channel.as_bytes(), &ext, &custom, data].concat()
}

/// Reads a message; nothing if it is none.
pub(super) fn read(payload: Vec<u8>) -> Option<Incoming> {
    let end = memchr::memchr(b'\n', &payload[..payload.len().min(MAX_LINE)])?;
    let payload = Bytes::from(payload);
    let line = payload.slice(..end);
    let mut words = std::str::from_utf8(&line).ok()?.split(' ');
    let place = Place {
        id: word(&mut words)?,
        before: word(&mut words)?,
    };
    let at: u64 = word(&mut words)?;
    let _flags: u8 = word(&mut words)?;
    let (channel, ext, custom): (usize, usize, usize) =
        (word(&mut words)?, word(&mut words)?, word(&mut words)?);
    let publisher = match words.next()? {
        "-" => None,
        id => Some(ClientId(id.parse::<RandomId>().ok()?)),
    };
    let mut texts = payload.slice(end + 1..);
    let mut take = |length: usize| (length <= texts.len()).then(|| texts.split_to(length));
    let channel = take(channel)?;
    let part = |text: Bytes| (!text.is_empty()).then_some(text);
    let ext = part(take(ext)?);
    let custom = part(take(custom)?);
    let channel = std::str::from_utf8(&channel).ok()?;
    let channel = ChannelName::parse(channel, &Limits::of_known_channels()).ok()?;
    let at = UNIX_EPOCH + Duration::from_micros(if at == 0 { place.id } else { at });
    let body = Body {
        data: texts,
        ext,
        custom,
    };
    Some(Incoming {
        place,
        entry: Entry { channel, at, body },
        publisher,
    })
}

fn word<'a, T: FromStr>(words: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    words.next()?.parse().ok()
}

/// Returns a time as Redis counts it, in microseconds.
pub(super) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(channel: &str, data: &'static str) -> Entry {
        Entry {
            channel: ChannelName::parse(channel, &Limits::default()).expect(channel),
            at: UNIX_EPOCH + Duration::from_micros(1_800_000_000_000_007),
            body: Body {
                data: data.into(),
                ext: None,
                custom: None,
            },
        }
    }

    fn payload(entry: &Entry, at: Option<SystemTime>, publisher: Option<ClientId>) -> Vec<u8> {
        let tail = tail(entry, at, publisher);
        [b"1800000000000007 9 ", &tail[..]].concat()
    }

    #[test]
    fn messages_come_as_they_went() {
        let mut whole = entry("/a b/{c}", "{\"x\": [1e400,\t\"\\n\"]}");
        whole.body.ext = Some("{ }".into());
        whole.body.custom = Some("\"a\":1,\"\u{e9}\":\"\n\"".into());
        let publisher = Some(ClientId(RandomId::from_random([7; 16])));
        for entry in [whole, entry("/a", "null"), entry("/a", "")] {
            for publisher in [publisher, None] {
                let other = entry.at + Duration::from_secs(1);
                for at in [None, Some(other)] {
                    let read = read(payload(&entry, at, publisher)).expect("a message");
                    let place = Place {
                        id: 1_800_000_000_000_007,
                        before: 9,
                    };
                    let mut entry = entry.clone();
                    entry.at = at.unwrap_or(entry.at);
                    let expected = Incoming {
                        place,
                        entry,
                        publisher,
                    };
                    assert_eq!(read, expected);
                }
            }
        }
    }

    #[test]
    fn what_is_no_message_is_told_from_one() {
        let good = payload(&entry("/a", "1"), None, None);
        assert!(read(good.clone()).is_some());
        let text = String::from_utf8(good).expect("ASCII");
        for (from, to) in [
            ("1800000000000007", "x"),
            (" 2 0 0 ", " 99 0 0 "),
            (" 2 0 0 ", " 2 99 0 "),
            (" 2 0 0 ", " 2 0 18446744073709551615 "),
            (" 2 0 0 ", " 2 "),
            (" -\n", " short\n"),
            ("\n", " "),
            ("/a", "/*"),
        ] {
            let wrong = text.replacen(from, to, 1);
            assert_ne!(wrong, text);
            assert_eq!(read(wrong.clone().into_bytes()), None, "{wrong}");
        }
        assert_eq!(read(Vec::new()), None);
    }
}
