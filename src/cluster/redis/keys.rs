//! What everything is called in Redis.
//!
//! Names that one script touches together have the same tag in braces, so that they stand in one partition: all
//! messages in `{m}`, sessions in one of [`PARTITIONS`] by their id. What nodes tell of themselves stands in `{n}`, and what
//! is counted of all of them in `{o}`.

use crate::bayeux::ClientId;

/// Into how many partitions sessions are divided.
pub(super) const PARTITIONS: u64 = 64;

/// The names below one prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
    /// A hash: `head`, the largest number given out; `epoch`; `forgotten`, up to where messages of channels that are
    /// not known any more may be missing; `unlisted`, up to where last numbers of channels without history are not
    /// remembered; `messages` and `bytes` of all that is kept.
    pub(super) numbers: String,
    /// A stream of all messages that are kept, each with its channel.
    pub(super) log: String,
    /// Channels with history, by the number of their last message.
    pub(super) channels: String,
    /// The same, by name.
    pub(super) names: String,
    /// Those of which nothing is kept, by the number of their last message.
    pub(super) empty: String,
    /// Those whose messages get too old, by when their oldest is, in microseconds.
    pub(super) due: String,
    /// Those that have let go of messages, by the number of the last of these.
    pub(super) lost: String,
    /// Bytes of the bodies that are kept of each.
    pub(super) sizes: String,
    /// Channels without history, by the number of their last message: those that had one last.
    pub(super) lasts: String,
    /// Which node trims.
    pub(super) trimmer: String,
    /// Nodes, by when they are dead, in microseconds.
    pub(super) nodes: String,
    /// What nodes tell of themselves.
    pub(super) infos: String,
    /// Channels and patterns with subscribers, each with how many nodes have some.
    pub(super) occupied: String,
    /// How many sessions users and addresses have at all nodes.
    pub(super) shares: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        let of_messages = |name: &str| format!("{prefix}:{{m}}:{name}");
        Self {
            numbers: of_messages("numbers"),
            log: of_messages("log"),
            channels: of_messages("channels"),
            names: of_messages("names"),
            empty: of_messages("empty"),
            due: of_messages("due"),
            lost: of_messages("lost"),
            sizes: of_messages("sizes"),
            lasts: of_messages("lasts"),
            trimmer: of_messages("trimmer"),
            nodes: format!("{prefix}:{{n}}:nodes"),
            infos: format!("{prefix}:{{n}}:infos"),
            occupied: format!("{prefix}:{{o}}:occupied"),
            shares: format!("{prefix}:{{o}}:shares"),
            prefix: prefix.to_owned(),
        }
    }

    /// Returns what the name of every channel's stream begins with.
    pub(super) fn streams(&self) -> String {
        format!("{}:{{m}}:stream:", self.prefix)
    }

    /// Returns the stream of a channel's messages.
    pub(super) fn stream(&self, channel: &str) -> String {
        format!("{}:{{m}}:stream:{channel}", self.prefix)
    }

    /// Returns where it is known that something was published once.
    pub(super) fn once(&self, key: &str) -> String {
        format!("{}:{{m}}:once:{key}", self.prefix)
    }

    /// Returns what all names of Redis' own channels begin with.
    pub(super) fn forms(&self) -> String {
        format!("{}:c:", self.prefix)
    }

    /// Returns where messages are published for those who have subscribed to a channel or pattern.
    pub(super) fn form(&self, pattern: &str) -> String {
        format!("{}:c:{pattern}", self.prefix)
    }

    /// Returns the channel of a node itself, by a name that nobody else has.
    pub(super) fn own(&self, name: &str) -> String {
        format!("{}:o:{name}", self.prefix)
    }

    /// Returns the partition of a session.
    fn partition(id: ClientId) -> u64 {
        id.0.hash_bits() % PARTITIONS
    }

    /// Returns where a session stands.
    pub(super) fn session(&self, id: ClientId) -> String {
        format!("{}{}", self.sessions(Self::partition(id)), id.0)
    }

    /// Returns what the names of the sessions of a partition begin with.
    pub(super) fn sessions(&self, partition: u64) -> String {
        format!("{}:{{s{partition}}}:session:", self.prefix)
    }

    /// Returns what the name of the set of a node's sessions begins with, in a session's partition.
    pub(super) fn sets_beside(&self, id: ClientId) -> String {
        self.set_of(Self::partition(id), "")
    }

    /// Returns where it stands which sessions of a partition a node has.
    pub(super) fn set_of(&self, partition: u64, node: &str) -> String {
        format!("{}:{{s{partition}}}:of:{node}", self.prefix)
    }

    /// Returns of which channels and patterns a node has subscribers.
    pub(super) fn occupied_of(&self, node: &str) -> String {
        format!("{}:{{o}}:of:{node}", self.prefix)
    }

    /// Returns how many sessions users and addresses have at a node.
    pub(super) fn shares_of(&self, node: &str) -> String {
        format!("{}:{{o}}:shares:{node}", self.prefix)
    }

    /// Returns who looks after the sessions of a dead node.
    pub(super) fn burying(&self, node: &str) -> String {
        format!("{}:{{n}}:burying:{node}", self.prefix)
    }
}
