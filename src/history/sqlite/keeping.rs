//! What is kept no longer: too much of a channel, too old, too much of all, channels that nobody uses.
//!
//! Whoever reads does not see it any more from when the index is told; it leaves the tables later.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension};
use tracing::warn;

use super::index::{Channel, Cut, Index, Number};
use super::round::SLICE;
use super::schema::{Error, int};
use super::{cut, rows, schema};

/// Channels that are cut in one slice because of their age.
const AGED: usize = 256;
/// Channels whose names are logged.
const NAMED: usize = 5;

/// Finds what some channels have above their retention.
pub(super) fn excess(
    connection: &Connection,
    index: &Index,
    numbers: impl Iterator<Item = Number>,
) -> Result<Vec<(Number, Cut)>, Error> {
    let mut cuts = Vec::new();
    for number in numbers {
        if let Some(channel) = index.get(number)
            && let Some(cut) = cut::excess(connection, number, channel, &[])?
        {
            cuts.push((number, cut));
        }
    }
    Ok(cuts)
}

/// Finds channels that have no history any more, and have not been let go yet.
pub(super) fn without_history(index: &Index, numbers: impl Iterator<Item = Number>) -> Vec<Number> {
    let is_due = |number: &Number| {
        index.get(*number).is_some_and(|channel| {
            // It is let go with a number that no message has.
            let is_let_go = channel.messages == 0 && channel.lost > channel.last;
            !channel.retention.is_on() && !is_let_go
        })
    };
    numbers.filter(is_due).collect()
}

/// Lets go of all that channels have which have no history any more. What is published now is not kept: so
/// whoever knows of no number above `id`, a new one, is to hear that something is missing, once they have again.
pub(super) fn let_go(index: &mut Index, numbers: &[Number], id: u64) {
    let mut names = Vec::new();
    let (mut channels, mut messages) = (0_u64, 0);
    for number in numbers {
        let Some(channel) = index.get(*number) else {
            continue;
        };
        let all = Cut {
            lost: id,
            messages: channel.messages,
            bytes: channel.bytes,
            first: 0,
        };
        if channel.messages > 0 {
            channels += 1;
            messages += channel.messages;
            if names.len() < NAMED {
                names.push(channel.name.as_str().to_owned());
            }
        }
        index.cut(*number, &all);
    }
    index.head = index.head.max(id);
    if channels > 0 {
        let names = names.join(", ");
        warn!(
            channels,
            messages,
            "no [[channel]] entry gives these history any more, and what was kept of them goes: {names}"
        );
    }
}

/// Finds what is too old, of so many channels at once; tells whether that are all.
pub(super) fn aged(
    connection: &Connection,
    index: &Index,
    now: SystemTime,
) -> Result<(Vec<(Number, Cut)>, bool), Error> {
    let mut ends: BTreeMap<Duration, u64> = BTreeMap::new();
    let mut cuts = Vec::new();
    for (number, channel) in index.iter() {
        let Some(age) = channel.retention.age.filter(|_| channel.messages > 0) else {
            continue;
        };
        let end = match ends.get(&age) {
            Some(end) => *end,
            None => {
                let end = before(connection, index.head, now.checked_sub(age))?;
                *ends.entry(age).or_insert(end)
            }
        };
        if channel.first > end {
            continue;
        }
        if cuts.len() == AGED {
            return Ok((cuts, false));
        }
        cuts.extend(cut::up_to(connection, number, channel, end)?.map(|cut| (number, cut)));
    }
    Ok((cuts, true))
}

/// Finds the last message before a time, by halves.
fn before(connection: &Connection, head: u64, time: Option<SystemTime>) -> Result<u64, Error> {
    let Some(time) = time.map(rows::nanos) else {
        return Ok(0);
    };
    let sql = "SELECT id, at FROM message WHERE id >= ?1 ORDER BY id LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut next = |id: u64| -> Result<Option<(u64, i64)>, Error> {
        let row = statement.query_row([int(id)], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
        });
        Ok(row.optional()?)
    };
    // All up to `low` are older, all above `high` are not.
    let (mut low, mut high) = (0, head);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match next(middle)? {
            Some((id, at)) if at < time && id <= high => low = id,
            _ => high = middle - 1,
        }
    }
    Ok(low)
}

/// Finds the oldest messages of all, so many bytes at most but for the first; returns up to where, and what
/// leaves each channel.
pub(super) fn oldest(
    connection: &Connection,
    index: &Index,
    max_bytes: u64,
) -> Result<(u64, Vec<(Number, Cut)>), Error> {
    let sql = format!(
        "SELECT id, channel, {} FROM message ORDER BY id",
        rows::SIZE
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut end = 0;
    let (mut bytes, mut count) = (0, 0);
    let mut ends: BTreeMap<Number, u64> = BTreeMap::new();
    while bytes < max_bytes
        && count < SLICE
        && let Some(row) = rows.next()?
    {
        end = row.get::<_, i64>(0)?.cast_unsigned();
        ends.insert(row.get(1)?, end);
        bytes += row.get::<_, i64>(2)?.cast_unsigned();
        count += 1;
    }
    let mut cuts = Vec::new();
    for (number, id) in ends {
        let Some(channel) = index.get(number) else {
            continue;
        };
        // Of what is gone already its row has to say so before it is deleted.
        let gone = Cut {
            first: channel.first,
            ..Cut::default()
        };
        let cut = cut::up_to(connection, number, channel, id)?;
        cuts.push((number, cut.unwrap_or(gone)));
    }
    Ok((end, cuts))
}

/// Deletes the messages up to a number, of which the index knows already that they are gone.
pub(super) fn delete(
    connection: &Connection,
    index: &Index,
    up_to: u64,
    numbers: &[Number],
) -> Result<(), Error> {
    let transaction = connection.unchecked_transaction()?;
    write_all(&transaction, index, numbers)?;
    transaction
        .prepare_cached("DELETE FROM message WHERE id <= ?1")?
        .execute([int(up_to)])?;
    transaction.commit()?;
    Ok(())
}

/// Writes what is known of some channels.
pub(super) fn write_all(
    connection: &Connection,
    index: &Index,
    numbers: &[Number],
) -> Result<(), Error> {
    for number in numbers {
        if let Some(channel) = index.get(*number) {
            rows::file(connection, *number, channel, 0)?;
        }
    }
    Ok(())
}

/// Chooses channels to forget, the least recently used first, those without messages before others.
pub(super) fn least_used(index: &Index, count: usize) -> Vec<Number> {
    let due = |(number, channel): (Number, &Channel)| (channel.messages > 0, channel.last, number);
    let mut all: Vec<_> = index.iter().map(due).collect();
    if count < all.len() {
        all.select_nth_unstable(count);
        all.truncate(count);
    }
    all.into_iter().map(|(_, _, number)| number).collect()
}

/// Deletes channels with all their messages that have a place.
pub(super) fn forget(
    connection: &Connection,
    numbers: &[Number],
    forgotten: u64,
) -> Result<(), Error> {
    let transaction = connection.unchecked_transaction()?;
    for number in numbers {
        for sql in [
            "DELETE FROM message WHERE id IN (SELECT id FROM place WHERE channel = ?1)",
            "DELETE FROM place WHERE channel = ?1",
            "DELETE FROM channel WHERE number = ?1",
        ] {
            transaction.prepare_cached(sql)?.execute([number])?;
        }
    }
    schema::set_mark(&transaction, "forgotten", int(forgotten))?;
    transaction.commit()?;
    Ok(())
}
