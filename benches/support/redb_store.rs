//! Another embedded store, for comparison: the same tables in redb, each batch durable when it is done.

use std::path::Path;
use std::sync::mpsc;
use std::time::UNIX_EPOCH;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mirant::history::Entry;
use redb::{Database, TableDefinition};
use tokio::sync::oneshot;

use crate::Keeper;

/// Channel, time and data by number.
const MESSAGES: TableDefinition<'_, u64, (u32, u64, &[u8])> = TableDefinition::new("message");
/// The messages of a channel.
const PLACES: TableDefinition<'_, (u32, u64), u32> = TableDefinition::new("place");

type Batch = (Vec<Entry>, oneshot::Sender<()>);

/// A thread that writes.
pub(crate) struct Redb(mpsc::Sender<Batch>);

impl Redb {
    pub(crate) fn open(directory: &Path) -> Self {
        let database = Database::create(directory.join("redb")).expect("a database");
        let (send, batches) = mpsc::channel::<Batch>();
        std::thread::spawn(move || {
            let mut next = 1_700_000_000_000_000;
            for (batch, reply) in batches {
                write(&database, &mut next, &batch);
                let _ = reply.send(());
            }
        });
        Self(send)
    }
}

fn write(database: &Database, next: &mut u64, batch: &[Entry]) {
    let transaction = database.begin_write().expect("a transaction");
    {
        let mut messages = transaction.open_table(MESSAGES).expect("a table");
        let mut places = transaction.open_table(PLACES).expect("a table");
        for entry in batch {
            let name = entry.channel.as_str();
            let number = name
                .rsplit('/')
                .next()
                .and_then(|number| number.parse().ok());
            let channel: u32 = number.expect("a number");
            let at = entry.at.duration_since(UNIX_EPOCH).expect("after 1970");
            let nanos = u64::try_from(at.as_nanos()).expect("before 2554");
            let data = &entry.body.data[..];
            messages
                .insert(*next, (channel, nanos, data))
                .expect("inserted");
            let size = u32::try_from(data.len()).expect("small");
            places.insert((channel, *next), size).expect("inserted");
            *next += 1;
        }
    }
    transaction.commit().expect("committed");
}

impl Keeper for Redb {
    fn keep(&self, batch: Vec<Entry>) -> BoxFuture<'_, ()> {
        let (reply, kept) = oneshot::channel();
        self.0.send((batch, reply)).expect("a thread");
        kept.map(|kept| kept.expect("kept")).boxed()
    }
}
