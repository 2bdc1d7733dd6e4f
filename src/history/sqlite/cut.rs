//! Where a channel is cut: which of its oldest messages are no longer to be kept.

use rusqlite::{Connection, OptionalExtension};

use super::index::{Channel, Cut, Item, Number};
use super::schema::{Error, int};

/// How many messages leave a channel at once because there are too many; others follow with the next.
const MAX_STEPS: u64 = 4096;

/// Finds what is above a channel's retention, by number and bytes, once some more messages are there.
pub(super) fn excess(
    connection: &Connection,
    number: Number,
    channel: &Channel,
    new: &[Item],
) -> Result<Option<Cut>, Error> {
    let (messages, bytes) = channel.excess(new);
    if messages == 0 && bytes == 0 {
        return Ok(None);
    }
    let mut counter = Counter {
        messages,
        bytes,
        cut: Cut::default(),
    };
    if channel.has_places() {
        let sql = "SELECT id, size FROM place WHERE channel = ?1 AND id > ?2 ORDER BY id";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query((number, int(channel.lost)))?;
        while let Some(row) = rows.next()? {
            let item = Item {
                id: row.get::<_, i64>(0)?.cast_unsigned(),
                size: row.get::<_, i64>(1)?.cast_unsigned(),
            };
            if !counter.takes(item) {
                return Ok(counter.result());
            }
        }
    }
    for item in channel.recent.iter().chain(new) {
        if !counter.takes(*item) {
            break;
        }
    }
    Ok(counter.result())
}

/// Takes messages from the front while there are too many.
struct Counter {
    messages: u64,
    bytes: u64,
    cut: Cut,
}

impl Counter {
    fn takes(&mut self, item: Item) -> bool {
        let is_done = self.messages == 0 && self.bytes == 0;
        if is_done || self.cut.messages == MAX_STEPS {
            self.cut.first = item.id;
            return false;
        }
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(item.size);
        self.cut.lost = item.id;
        self.cut.messages += 1;
        self.cut.bytes += item.size;
        true
    }

    fn result(&self) -> Option<Cut> {
        (self.cut.messages > 0).then_some(self.cut)
    }
}

/// Finds what a channel has up to a number.
pub(super) fn up_to(
    connection: &Connection,
    number: Number,
    channel: &Channel,
    id: u64,
) -> Result<Option<Cut>, Error> {
    if channel.messages == 0 || channel.first > id {
        return Ok(None);
    }
    if channel.last <= id {
        return Ok(Some(Cut {
            lost: channel.last,
            messages: channel.messages,
            bytes: channel.bytes,
            first: 0,
        }));
    }
    let mut cut = Cut::default();
    if channel.has_places() {
        let sql = "SELECT count(*), coalesce(sum(size), 0), coalesce(max(id), 0) FROM place
             WHERE channel = ?1 AND id > ?2 AND id <= ?3";
        let mut statement = connection.prepare_cached(sql)?;
        let range = (number, int(channel.lost), int(id));
        let found: (i64, i64, i64) = statement.query_row(range, |row| row.try_into())?;
        cut.messages = found.0.cast_unsigned();
        cut.bytes = found.1.cast_unsigned();
        cut.lost = found.2.cast_unsigned();
    }
    for item in channel.recent.iter().take_while(|item| item.id <= id) {
        cut.messages += 1;
        cut.bytes += item.size;
        cut.lost = item.id;
    }
    cut.first = first_after(connection, number, channel, id)?;
    Ok((cut.messages > 0).then_some(cut))
}

/// Finds a channel's oldest message after a number; 0: there is none.
pub(super) fn first_after(
    connection: &Connection,
    number: Number,
    channel: &Channel,
    id: u64,
) -> Result<u64, Error> {
    if channel.has_places() {
        let sql = "SELECT id FROM place WHERE channel = ?1 AND id > ?2 ORDER BY id LIMIT 1";
        let mut statement = connection.prepare_cached(sql)?;
        let found = statement.query_row((number, int(id)), |row| row.get::<_, i64>(0));
        if let Some(found) = found.optional()? {
            return Ok(found.cast_unsigned());
        }
    }
    let recent = channel.recent.iter().find(|item| item.id > id);
    Ok(recent.map_or(0, |item| item.id))
}
