//! How a store begins: with what is in its directory, as far as that can be trusted.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::Connection;
use tracing::{error, warn};

use super::files::Identity;
use super::index::{Channel, Index, Item, Number};
use super::schema::{self, Error, int};
use super::{OpenError, Shared, cut, files, keeping, rows};
use crate::bayeux::{ChannelName, Limits};
use crate::history::{Epoch, Policy, Sync};

/// The file that says that a directory is in use.
const LOCK: &str = "history.lock";
/// Numbers of channels are below this: far above what there can be, and what memory is reserved for.
const MAX_NUMBER: Number = 1 << 24;
/// A store that can go on.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) index: Index,
    pub(super) epoch: Epoch,
    /// Which file it is.
    pub(super) file: Option<Identity>,
}

/// What a store that is opened again remembers.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) epoch: Epoch,
    /// The last number that was kept.
    pub(super) head: u64,
    /// The file is not the one that was open before: it may lack what this one has given out.
    pub(super) is_replaced: bool,
}

/// Takes a directory for this process, for as long as the file is open.
pub(super) fn lock(directory: &Path) -> Result<File, OpenError> {
    let failed = |error| OpenError::Io(directory.to_owned(), error);
    files::make_directory(directory).map_err(failed)?;
    let path = directory.join(LOCK);
    let file = files::open(&path).map_err(failed)?;
    files::tighten(&path);
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Tells whether a directory is still the one that was taken with this file.
pub(super) fn is_locked(directory: &Path, lock: &File) -> bool {
    let ours = lock.metadata().ok().map(|data| files::identity(&data));
    ours.is_some() && ours == files::at(&directory.join(LOCK))
}

/// Opens the store in a directory, or begins one. What is damaged is moved aside.
pub(super) fn open(shared: &Shared, known: Option<&Known>) -> Result<Opened, Error> {
    match attempt(shared, known) {
        Err(damage) if damage.is_damage() => {
            move_aside(&shared.directory, &damage)?;
            attempt(shared, None)
        }
        other => other,
    }
}

/// Moves files that cannot be used out of the way, for somebody to look into; those that were moved before go.
pub(super) fn move_aside(directory: &Path, damage: &Error) -> Result<(), Error> {
    let to = directory.join("damaged");
    files::make_directory(&to)?;
    for file in schema::files(directory) {
        let Some(name) = file.file_name() else {
            continue;
        };
        let target = to.join(name);
        match fs::rename(&file, &target) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let _ = fs::remove_file(target);
            }
            other => other?,
        }
    }
    let to = to.display();
    error!("history is damaged, and begins anew; what there was is in {to}: {damage}");
    Ok(())
}

fn attempt(shared: &Shared, known: Option<&Known>) -> Result<Opened, Error> {
    let directory = &shared.directory;
    let [_, log, _] = schema::files(directory);
    let has_log = log.exists();
    let (connection, is_new) = schema::open_to_write(directory, &shared.bounds)?;
    if is_new {
        begin(&connection)?;
    }
    if schema::checkpoint(&connection, "TRUNCATE")? {
        is_whole(&connection, directory)?;
    }
    let mut epoch: String = schema::mark(&connection, "epoch")?;
    if let Some(known) = known
        && *known.epoch == epoch
    {
        // What was being kept when it failed.
        let sql = "DELETE FROM message WHERE id > ?1";
        connection.execute(sql, [int(known.head)])?;
    }
    let mut index = load(&connection, &shared.policy)?;
    let is_clean: bool = schema::mark(&connection, "clean")?;
    let replaced = known.filter(|known| known.is_replaced);
    if !is_clean || replaced.is_some() {
        let head = replaced.map_or(0, |known| known.head);
        index.head = index.head.max(now()).max(head);
        let is_lossy = replaced.is_some()
            || !Run::read(&connection)?.is_safe()
            || (known.is_none() && !has_log);
        if is_lossy {
            warn!(
                "history may lack its newest messages, since it was not closed or is another: a new epoch begins"
            );
            epoch = random_name();
            index.forgotten = index.head;
            index.lost = index.head;
        }
    }
    let transaction = connection.unchecked_transaction()?;
    schema::set_mark(&transaction, "epoch", &epoch)?;
    schema::set_mark(&transaction, "forgotten", int(index.forgotten))?;
    schema::set_mark(&transaction, "head", int(index.head))?;
    Run::this(shared.sync).write(&transaction)?;
    schema::set_mark(&transaction, "clean", false)?;
    transaction.commit()?;
    // So that it cannot get lost with the file beside the tables that it is not closed now.
    schema::checkpoint(&connection, "TRUNCATE")?;
    File::open(directory)?.sync_all()?;
    if shared.sync != Sync::Always {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
    }
    limit(&connection, &mut index)?;
    Ok(Opened {
        connection,
        index,
        epoch: epoch.into(),
        file: files::at(&schema::file(directory)),
    })
}

/// Marks a new store's beginning. Its numbers are larger than those of any that was here before.
fn begin(connection: &Connection) -> Result<(), Error> {
    let transaction = connection.unchecked_transaction()?;
    let start = int(now());
    for name in ["head", "forgotten", "counted"] {
        schema::set_mark(&transaction, name, start)?;
    }
    schema::set_mark(&transaction, "epoch", random_name())?;
    schema::set_mark(&transaction, "clean", true)?;
    transaction.commit()?;
    Ok(())
}

/// Checks that the file has as many pages as it says.
fn is_whole(connection: &Connection, directory: &Path) -> Result<(), Error> {
    let pages = schema::integer(connection, "PRAGMA page_count")?.cast_unsigned();
    let size = schema::integer(connection, "PRAGMA page_size")?.cast_unsigned();
    if fs::metadata(schema::file(directory))?.len() < pages * size {
        return Err(Error::Damaged("history.db is shorter than it says"));
    }
    Ok(())
}

/// Under which conditions messages were written.
struct Run {
    /// The machine's start.
    boot: String,
    is_synced: bool,
}

impl Run {
    fn this(sync: Sync) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        Self {
            boot: boot.unwrap_or_default().trim().to_owned(),
            is_synced: sync == Sync::Always,
        }
    }

    fn read(connection: &Connection) -> Result<Self, Error> {
        Ok(Self {
            boot: schema::mark(connection, "boot")?,
            is_synced: schema::mark(connection, "synced")?,
        })
    }

    fn write(&self, connection: &Connection) -> Result<(), Error> {
        schema::set_mark(connection, "boot", &self.boot)?;
        schema::set_mark(connection, "synced", self.is_synced)
    }

    /// Tells whether all of it is there although it was not closed: it had been synced, or only the process
    /// ended, not the machine.
    fn is_safe(&self) -> bool {
        let is_same = !self.boot.is_empty() && self.boot == Self::this(Sync::Always).boot;
        self.is_synced || is_same
    }
}

/// Reads what is known of all channels: what the table of channels says, and the messages that came later.
fn load(connection: &Connection, policy: &Policy) -> Result<Index, Error> {
    let mark = |name| schema::mark::<i64>(connection, name).map(i64::cast_unsigned);
    let mut index = Index::new(mark("forgotten")?);
    index.head = mark("head")?.max(index.forgotten);
    let sql = "SELECT number, name, first, last, lost, cleared, filed, messages, bytes FROM channel
         ORDER BY number";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let value = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let number: Number = row.get(0)?;
        if number >= MAX_NUMBER {
            return Err(Error::Damaged("a channel has a wrong number"));
        }
        let name = name(row.get_ref(1)?.as_str().unwrap_or_default())?;
        let mut channel = Channel::new(name.clone(), policy.of(&name), 0);
        channel.first = value(2)?;
        channel.last = value(3)?;
        channel.lost = value(4)?;
        channel.written_lost = channel.lost;
        channel.cleared = value(5)?;
        channel.filed = value(6)?;
        channel.messages = value(7)?;
        channel.bytes = value(8)?;
        channel.is_written = true;
        index.head = index.head.max(channel.last).max(channel.lost);
        index.insert(number, channel);
    }
    count(connection, &mut index, mark("counted")?)?;
    Ok(index)
}

/// Adds the messages after a number, up to which all have their place or are gone.
fn count(connection: &Connection, index: &mut Index, counted: u64) -> Result<(), Error> {
    let sql = format!(
        "SELECT id, channel, {} FROM message WHERE id > ?1 ORDER BY id",
        rows::SIZE
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([int(counted)])?;
    while let Some(row) = rows.next()? {
        let item = Item {
            id: row.get::<_, i64>(0)?.cast_unsigned(),
            size: row.get::<_, i64>(2)?.cast_unsigned(),
        };
        let number: Number = row.get(1)?;
        match index.get(number) {
            Some(channel) if item.id > channel.filed.max(channel.lost) => {
                index.push(number, &[item]);
            }
            Some(channel) if item.id > channel.lost => {}
            Some(_) => index.garbage.push(item.id),
            None if item.id <= index.forgotten => index.garbage.push(item.id),
            None => return Err(Error::Damaged("a message has no channel")),
        }
        index.head = index.head.max(item.id);
    }
    Ok(())
}

/// Lets go of what is above the retention of each channel, which may have changed.
fn limit(connection: &Connection, index: &mut Index) -> Result<(), Error> {
    let numbers: Vec<_> = index.iter().map(|(number, _)| number).collect();
    let numbers = keeping::without_history(index, numbers.into_iter());
    if !numbers.is_empty() {
        let id = index.head + 1;
        keeping::let_go(index, &numbers, id);
        let transaction = connection.unchecked_transaction()?;
        keeping::write_all(&transaction, index, &numbers)?;
        transaction.commit()?;
        for number in numbers {
            index.note_written(number, 0);
        }
    }
    let mut cuts = Vec::new();
    for (number, channel) in index.iter() {
        if let Some(cut) = cut::excess(connection, number, channel, &[])? {
            cuts.push((number, cut));
        }
    }
    for (number, cut) in cuts {
        index.cut(number, &cut);
    }
    Ok(())
}

fn name(text: &str) -> Result<ChannelName, Error> {
    let limits = Limits {
        max_channel_length: usize::MAX,
        max_channel_segments: usize::MAX,
        ..Limits::default()
    };
    let name = ChannelName::parse(text, &limits);
    name.map_err(|_| Error::Damaged("a channel has no proper name"))
}

/// Returns the time in microseconds since 1970, where numbers begin.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(0)
}

fn random_name() -> String {
    let mut bytes = [0; 9];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}
