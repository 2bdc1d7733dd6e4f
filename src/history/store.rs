//! What every store does: the one thing that stands between the router and where messages are kept.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::bayeux::{ChannelName, ChannelPattern};

/// The name of a store's numbers: another one says that some that were given out may be lost.
pub type Epoch = Arc<str>;

/// What subscribers receive of a message beside its channel: JSON, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// `data`.
    pub data: Bytes,
    /// `ext`, an object; without `replay`, which says the number.
    pub ext: Option<Bytes>,
    /// The other fields: members of an object, without its braces, such as `"a":1,"b":2`.
    pub custom: Option<Bytes>,
}

impl Body {
    /// Returns how many bytes it has: what `bytes` of a retention counts.
    #[must_use]
    pub fn len(&self) -> usize {
        let optional = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        self.data.len() + optional(&self.ext) + optional(&self.custom)
    }

    /// Tells whether it has none, which only that of a deletion has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A message that is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its channel.
    pub channel: ChannelName,
    /// When it came.
    pub at: SystemTime,
    /// What it says.
    pub body: Body,
}

impl Entry {
    /// Makes what says that the resource of a channel is deleted: a message without `data`, of which subscribers hear
    /// nothing.
    #[must_use]
    pub fn deletion(channel: ChannelName, at: SystemTime) -> Self {
        let body = Body {
            data: Bytes::new(),
            ext: None,
            custom: None,
        };
        Self { channel, at, body }
    }

    /// Tells whether it deletes the resource of its channel.
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        self.body.data.is_empty()
    }
}

/// Which number a message has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number: larger than that of every message before it, on whatever channel, and never 0.
    pub id: u64,
    /// The number of the message before it on its channel, kept or not; 0: there was none, or it is forgotten.
    pub before: u64,
}

/// A message that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub place: Place,
    /// The message.
    pub entry: Entry,
}

/// A channel or pattern, and from where on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The channels.
    pub pattern: ChannelPattern,
    /// Messages with larger numbers are wanted.
    pub after: u64,
}

impl Want {
    /// Tells whether a message is wanted.
    #[must_use]
    pub fn takes(&self, channel: &ChannelName, id: u64) -> bool {
        id > self.after && self.pattern.covers(channel.as_str())
    }
}

/// Which of the wanted messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All.
    All,
    /// The newest of each channel, if its number is at most this.
    LastOfEach(u64),
}

/// What is to be read: every message that any of the wants takes, once, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What is wanted.
    pub wants: Vec<Want>,
    /// Which of that.
    pub selection: Selection,
    /// Only messages with larger numbers: the position that the page before has led to, at first 0.
    pub position: u64,
    /// How many messages at most, 1 or more.
    pub max_messages: usize,
    /// How many bytes of bodies at most, but for the first.
    pub max_bytes: usize,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The messages, in the order of their numbers.
    pub messages: Vec<Kept>,
    /// Up to this number all that is wanted has now been read. It may have grown without a message: a store
    /// may give up after some time of searching, and is asked again.
    pub position: u64,
    /// There was no more when it was read; `position` is then at least the largest number given out.
    pub is_end: bool,
    /// The largest number of a message that is wanted, and was to be read, and is not kept any more; 0: none
    /// is missing. (Of [`Selection::All`] only.)
    pub lost: u64,
}

impl Page {
    /// Leaves out what only says that a resource was deleted, of which subscribers hear nothing.
    #[must_use]
    pub fn without_deletions(mut self) -> Self {
        self.messages.retain(|kept| !kept.entry.is_deletion());
        self
    }
}

/// What is known of something that is wanted, before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    /// The number of the oldest message that is kept of these channels.
    pub first: Option<u64>,
    /// The number of the newest.
    pub last: Option<u64>,
    /// The largest number of a message of these channels that is not kept any more; 0: none was. Who has had it
    /// misses nothing. It may be too large (by what is forgotten of channels), never too small.
    pub lost: u64,
    /// The largest number given out to any message.
    pub head: u64,
    /// If more messages are wanted than was asked about: after which number exactly so many come.
    pub too_many: Option<u64>,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages.
    pub messages: u64,
    /// What counts against `history.max_bytes`: the memory that is taken, or the size of the files.
    pub bytes: u64,
    /// Channels that are known.
    pub channels: u64,
}

/// A session that outlives the process: its client id, and what is known of it, which the store does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// What finds it.
    pub key: String,
    /// What there is of it.
    pub state: Bytes,
}

/// Why a store did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// There is no room on the file system, or within `history.max_bytes`.
    #[error("there is no room left for history")]
    Full,
    /// The operating system, or a server, says that something does not work.
    #[error("{0}")]
    Io(Arc<str>),
}

/// Where messages are kept.
///
/// One caller appends, one batch after the other; anybody reads. A message can be read from when `append` is
/// done with it, at the latest, in the order of the numbers: who finds one finds all before it.
pub trait Store: Debug + Send + Sync {
    /// Returns the name of its numbers.
    fn epoch(&self) -> Epoch;

    /// Keeps messages, all or none, and numbers them in their order. When it is done they are as safe as
    /// `history.sync` says.
    ///
    /// # Errors
    /// None of them is kept. Their numbers, if they got some, are not given to others.
    fn append(&self, batch: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Place>, Failed>>;

    /// Reads a page.
    ///
    /// # Errors
    /// It cannot be read now.
    fn read(&self, query: Query) -> BoxFuture<'_, Result<Page, Failed>>;

    /// Finds what there is of something that is wanted, of which at most `max` messages are to be read.
    ///
    /// # Errors
    /// It cannot be read now.
    fn survey(&self, want: Want, max: usize) -> BoxFuture<'_, Result<Survey, Failed>>;

    /// Forgets the messages of a channel or pattern up to a number; returns how many.
    ///
    /// # Errors
    /// None is forgotten for sure.
    fn remove(&self, pattern: ChannelPattern, up_to: u64) -> BoxFuture<'_, Result<u64, Failed>>;

    /// Lets go of what is too old, or too much; to be called about once a second.
    ///
    /// # Errors
    /// It does not work now; the next time it may.
    fn trim(&self, now: SystemTime) -> BoxFuture<'_, Result<(), Failed>>;

    /// Tells how much is kept.
    fn figures(&self) -> Figures;

    /// Tells whether it works, as far as was seen last.
    ///
    /// # Errors
    /// It does not, and why.
    fn health(&self) -> Result<(), Failed>;

    /// Tells whether anything is there after the process has ended.
    fn is_durable(&self) -> bool;

    /// Tells whether what was appended is safe even if the machine loses power.
    fn is_synced(&self) -> bool;

    /// Keeps sessions for the next process, beside those that it keeps already.
    ///
    /// # Errors
    /// They are not kept.
    fn save_sessions(&self, batch: Vec<Saved>) -> BoxFuture<'_, Result<(), Failed>>;

    /// Returns some of the sessions that were kept, and forgets them; none: there are no more. At most so many
    /// sessions, and so many bytes of states but for the first.
    ///
    /// # Errors
    /// They cannot be read, and are kept.
    fn take_sessions(
        &self,
        max_sessions: usize,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<Saved>, Failed>>;

    /// Writes what there is to write, and closes its files: the last thing that it is asked for.
    fn close(&self) -> BoxFuture<'_, ()>;
}
