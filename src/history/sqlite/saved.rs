//! Sessions that outlive the process.

use rusqlite::Connection;

use super::schema::{Error, int};
use crate::history::Saved;

/// Keeps sessions, in the place of those with the same keys.
pub(super) fn save(connection: &Connection, batch: &[Saved]) -> Result<(), Error> {
    let transaction = connection.unchecked_transaction()?;
    for saved in batch {
        let sql = "INSERT INTO session (key, state) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET state = excluded.state";
        let mut statement = transaction.prepare_cached(sql)?;
        statement.execute((&saved.key, &saved.state[..]))?;
    }
    transaction.commit()?;
    Ok(())
}

/// Takes sessions, the first first: at most so many, and so many bytes of states but for the first.
pub(super) fn take(
    connection: &Connection,
    max: usize,
    max_bytes: usize,
) -> Result<Vec<Saved>, Error> {
    let transaction = connection.unchecked_transaction()?;
    let mut taken = Vec::new();
    let mut left = max_bytes;
    {
        let sql = "SELECT key, state FROM session ORDER BY number LIMIT ?1";
        let mut statement = transaction.prepare_cached(sql)?;
        let mut rows = statement.query([int(max as u64)])?;
        while let Some(row) = rows.next()? {
            let saved = Saved {
                key: row.get(0)?,
                state: row.get::<_, Vec<u8>>(1)?.into(),
            };
            if saved.state.len() > left && !taken.is_empty() {
                break;
            }
            left = left.saturating_sub(saved.state.len());
            taken.push(saved);
        }
    }
    for saved in &taken {
        let sql = "DELETE FROM session WHERE key = ?1";
        transaction.prepare_cached(sql)?.execute([&saved.key])?;
    }
    transaction.commit()?;
    Ok(taken)
}
