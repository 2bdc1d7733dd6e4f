//! The tables, how their file is opened, and what its errors mean.
//!
//! ```sql
//! SELECT id, name, datetime(at / 1e9, 'unixepoch'), data FROM message JOIN channel ON number = channel;
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{Bounds, files};
use crate::history::Failed;

/// The file with the tables, in the directory.
const FILE: &str = "history.db";
/// Says that a file is one of ours: "Mira".
const APPLICATION: i64 = 0x4d69_7261;
/// Which tables there are.
const VERSION: i64 = 1;
/// How long somebody else's reading may hold back what has to be alone.
const PATIENCE: Duration = Duration::from_secs(1);
/// Statements that are kept parsed.
const STATEMENTS: usize = 32;

/// Messages stand in the order of their numbers, which is the order in which they come: each commit writes the
/// end of one table. `place` finds those of a channel; it is written later, many at once (see `round.rs`).
const TABLES: &str = "
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL,
    before INTEGER NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL,
    ext TEXT,
    custom TEXT
);
CREATE TABLE place (
    channel INTEGER NOT NULL,
    id INTEGER NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (channel, id)
) WITHOUT ROWID;
CREATE TABLE channel (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    cleared INTEGER NOT NULL,
    filed INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE TABLE mark (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE session (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, state BLOB NOT NULL);
";

/// Why something with the file did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// SQLite says so.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The operating system says so.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// What is there contradicts itself.
    #[error("{0}")]
    Damaged(&'static str),
    /// What is at the path is not what was opened.
    #[error("the files in history.directory are gone, or were replaced")]
    Gone,
    /// There is no room within the bound.
    #[error("there is no room left for history")]
    Full,
    /// It has tables that a later version of the program made.
    #[error("history.db was written by a later version of this program")]
    Later,
}

impl Error {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }

    /// Tells whether what is in the file is not what was written to it.
    pub(super) fn is_damage(&self) -> bool {
        let code = self.code();
        matches!(
            code,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ) || matches!(
            self,
            Self::Damaged(_)
                | Self::Sqlite(
                    rusqlite::Error::InvalidColumnType(..)
                        | rusqlite::Error::IntegralValueOutOfRange(..)
                )
        )
    }

    /// Returns it as callers of the store hear of it.
    pub(super) fn failed(&self) -> Failed {
        match self {
            Self::Full => Failed::Full,
            _ if self.code() == Some(ErrorCode::DiskFull) => Failed::Full,
            other => Failed::Io(other.to_string().into()),
        }
    }
}

/// Returns where the tables are.
pub(super) fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// Returns the file, and those that SQLite keeps beside it: first the one with the latest changes.
pub(super) fn files(directory: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| directory.join(format!("{FILE}{end}")))
}

/// Returns how many bytes the files have.
pub(super) fn size(directory: &Path) -> u64 {
    let len = |path: &PathBuf| std::fs::metadata(path).map_or(0, |data| data.len());
    files(directory).iter().map(len).sum()
}

/// Returns how many bytes have been written beside the tables, and not yet into them.
pub(super) fn log_size(directory: &Path) -> u64 {
    let [_, log, _] = files(directory);
    std::fs::metadata(log).map_or(0, |data| data.len())
}

/// Opens the file for the one that writes, and makes it and its tables if there are none; says whether it did.
pub(super) fn open_to_write(
    directory: &Path,
    bounds: &Bounds,
) -> Result<(Connection, bool), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // SQLite gives the files beside it the same mode.
    files::open(&file(directory))?;
    for path in self::files(directory) {
        files::tighten(&path);
    }
    let connection = Connection::open_with_flags(file(directory), flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(
        "PRAGMA page_size = 4096;
         PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16384;",
    )?;
    connection.pragma_update(None, "wal_autocheckpoint", int(bounds.log_pages))?;
    connection.pragma_update(None, "journal_size_limit", int(bounds.log_bytes))?;
    set_max_pages(&connection, bounds.pages)?;
    let is_new = tables(&connection)? == 0;
    if is_new {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    if integer(&connection, "PRAGMA application_id")? != APPLICATION {
        return Err(Error::Damaged("history.db is not a store of history"));
    }
    if integer(&connection, "PRAGMA user_version")? > VERSION {
        return Err(Error::Later);
    }
    Ok((connection, is_new))
}

/// Opens the file for one of those that read.
pub(super) fn open_to_read(directory: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file(directory), flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch("PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

/// Lets the file grow to so many pages. One that has more already keeps them until they are given back.
pub(super) fn set_max_pages(connection: &Connection, pages: u64) -> Result<(), Error> {
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    Ok(())
}

fn tables(connection: &Connection) -> Result<i64, Error> {
    integer(connection, "SELECT count(*) FROM sqlite_schema")
}

/// Asks for one number.
pub(super) fn integer(connection: &Connection, sql: &str) -> Result<i64, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Returns how many pages are in use, and how many are not.
pub(super) fn pages(connection: &Connection) -> Result<(u64, u64), Error> {
    let all = integer(connection, "PRAGMA page_count")?.cast_unsigned();
    let free = integer(connection, "PRAGMA freelist_count")?.cast_unsigned();
    Ok((all.saturating_sub(free), free))
}

/// Writes what has been written beside the tables into them, as far as nobody reads what was before; `mode`
/// says whether to wait for those who do. Tells whether nobody was in the way.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> Result<bool, Error> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let is_busy: bool = connection.query_row(&sql, [], |row| row.get(0))?;
    Ok(!is_busy)
}

/// Returns a mark, such as the epoch.
pub(super) fn mark<T: rusqlite::types::FromSql>(
    connection: &Connection,
    name: &str,
) -> Result<T, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM mark WHERE name = ?1")?;
    match statement.query_row([name], |row| row.get(0)) {
        Err(rusqlite::Error::QueryReturnedNoRows) => Err(Error::Damaged("a mark is missing")),
        other => Ok(other?),
    }
}

/// Sets a mark.
pub(super) fn set_mark(
    connection: &Connection,
    name: &str,
    value: impl rusqlite::ToSql,
) -> Result<(), Error> {
    let sql = "INSERT INTO mark VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute((name, value))?;
    Ok(())
}

/// Returns a number as SQLite has them. Those that it does not have are larger than any there are.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
