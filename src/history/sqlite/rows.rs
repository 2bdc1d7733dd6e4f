//! What is written of channels and messages, and read back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql};

use super::index::{Channel, Number};
use super::schema::{Error, int};
use crate::bayeux::ChannelName;
use crate::history::{Body, Entry, Kept, Place};

/// How many bytes a message's body has.
pub(super) const SIZE: &str =
    "octet_length(data) + coalesce(octet_length(ext), 0) + coalesce(octet_length(custom), 0)";

/// JSON, to be read by whoever looks into the tables.
struct Json<'a>(&'a Bytes);

impl ToSql for Json<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// Writes a message.
pub(super) fn insert(
    connection: &Connection,
    number: Number,
    place: Place,
    entry: &Entry,
) -> Result<(), Error> {
    let sql = "INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let body = &entry.body;
    connection.prepare_cached(sql)?.execute((
        int(place.id),
        number,
        int(place.before),
        nanos(entry.at),
        Json(&body.data),
        body.ext.as_ref().map(Json),
        body.custom.as_ref().map(Json),
    ))?;
    Ok(())
}

/// Reads a message, all columns in their order, whose channel is known.
pub(super) fn kept(row: &Row<'_>, channel: ChannelName) -> Result<Kept, Error> {
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let part = |column| -> Result<Option<Bytes>, Error> {
        match row.get_ref(column)? {
            ValueRef::Text(bytes) => Ok(Some(Bytes::copy_from_slice(bytes))),
            ValueRef::Null => Ok(None),
            _ => Err(Error::Damaged("a message has something else than text")),
        }
    };
    let data = part(4)?.ok_or(Error::Damaged("a message has no data"))?;
    Ok(Kept {
        place: Place {
            id: number(0)?,
            before: number(2)?,
        },
        entry: Entry {
            channel,
            at: time(row.get(3)?),
            body: Body {
                data,
                ext: part(5)?,
                custom: part(6)?,
            },
        },
    })
}

/// Writes what is known of a channel, with the places of the first so many messages that have none.
pub(super) fn file(
    connection: &Connection,
    number: Number,
    channel: &Channel,
    count: usize,
) -> Result<(), Error> {
    let (mut messages, mut bytes) = channel.in_places();
    let mut filed = channel.filed;
    {
        let sql = "INSERT INTO place VALUES (?1, ?2, ?3)";
        let mut statement = connection.prepare_cached(sql)?;
        for item in channel.recent.iter().take(count) {
            statement.execute((number, int(item.id), int(item.size)))?;
            messages += 1;
            bytes += item.size;
            filed = item.id;
        }
    }
    if count >= channel.recent.len() {
        filed = filed.max(channel.last);
    }
    let first = if messages > 0 { channel.first } else { 0 };
    let sql = "INSERT INTO channel VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET first = excluded.first, last = excluded.last, lost = excluded.lost,
         filed = excluded.filed, messages = excluded.messages, bytes = excluded.bytes";
    connection.prepare_cached(sql)?.execute((
        number,
        channel.name.as_str(),
        int(first),
        int(channel.last),
        int(channel.lost),
        int(channel.cleared),
        int(filed),
        int(messages),
        int(bytes),
    ))?;
    Ok(())
}

/// Returns a time as it is written: nanoseconds since 1970.
pub(super) fn nanos(at: SystemTime) -> i64 {
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => nanos(after),
        Err(error) => -nanos(error.duration()),
    }
}

fn time(nanos: i64) -> SystemTime {
    let duration = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 {
        UNIX_EPOCH - duration
    } else {
        UNIX_EPOCH + duration
    }
}
