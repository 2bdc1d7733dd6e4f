//! What orders and spreads messages: the one thing that stands between the row of messages and Redis.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::bayeux::{ChannelName, ClientId};
use crate::history::{Entry, Epoch, Failed, Place};

/// A message that is to be published.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// What it says; its time is set anew by the backplane.
    pub entry: Entry,
    /// Who publishes it, if that is a session.
    pub publisher: Option<ClientId>,
    /// Publish it only if this is the number of the last message on its channel, 0 for none; or if that is not
    /// remembered.
    pub expected: Option<u64>,
    /// Publish it only once; else its first place is returned.
    pub once: Option<Once>,
}

/// Under what a message is published only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// What its request has in common with itself when it comes again.
    pub key: String,
    /// Which of the messages of the request it is.
    pub index: usize,
    /// What tells what the request says from everything else: without blanks.
    pub body: String,
    /// For how long that is remembered.
    pub within: Duration,
}

/// A message that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Its number, and the one before it on its channel.
    pub place: Place,
    /// What it says.
    pub entry: Entry,
    /// Who published it, if that is a session, of whatever node.
    pub publisher: Option<ClientId>,
}

/// Why one message was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPublished {
    /// The last message on its channel is another than was expected: its number, 0 for none.
    Unexpected(u64),
    /// Something else was published under its key.
    Reused,
    /// It, of its batch, could not be.
    Failed(Failed),
}

/// Where the numbers stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The largest number given out; 0: none yet.
    pub id: u64,
    /// The name of the numbers: another one says that some that were given out may be lost.
    pub epoch: Epoch,
}

/// What comes from the backplane, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// It is connected, and everything of interest is subscribed to again: whatever has a larger number than this
    /// comes. What came between the last message before and this has to be looked for.
    Up(Head),
    /// A message. Numbers grow from one to the next.
    Message(Box<Incoming>),
    /// A mark that this node has made ([`Backplane::mark`]): all messages that were published before it have come.
    Mark(u64),
    /// It is not connected any more.
    Down,
}

/// What orders and spreads messages.
///
/// One caller publishes, one batch after the other; one takes what comes.
pub trait Backplane: Debug + Send + Sync {
    /// Publishes messages in their order, and returns where each stands. All nodes that are interested get them in the
    /// order of their numbers, this one too. What has history is kept.
    ///
    /// # Errors
    /// Some of them may be published and others not: that is not known.
    fn publish(
        &self,
        batch: Vec<Outgoing>,
    ) -> BoxFuture<'_, Result<Vec<Result<Place, NotPublished>>, Failed>>;

    /// Returns what comes next; pending while nothing does. It connects again by itself.
    fn next(&self) -> BoxFuture<'_, Feed>;

    /// Sends a mark to this node itself, behind all that was published before.
    ///
    /// # Errors
    /// It is not connected.
    fn mark(&self, mark: u64) -> BoxFuture<'_, Result<(), Failed>>;

    /// Returns the numbers of the last messages on channels; where one is not remembered, one that is not smaller.
    ///
    /// # Errors
    /// It is not connected.
    fn last_of(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<u64>, Failed>>;

    /// Tells whether it is connected, as far as is known.
    fn is_up(&self) -> bool;
}
