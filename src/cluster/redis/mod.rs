//! Redis: what orders and spreads messages, keeps them, and knows which node owns which session.
//!
//! Two connections: one on which it is asked ([`link`]), and one on which messages come ([`feed`]). Each change is one
//! script, so it is whole or not there, and all nodes see them in one order. Names are divided into partitions
//! ([`keys`]) as Redis Cluster needs it.

mod address;
mod backoff;
mod cover;
mod feed;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod inbox;
mod keys;
mod link;
mod occupancy;
mod publishing;
mod registry;
mod scripts;
mod shares;
mod store;
mod survey;
#[cfg(test)]
mod tests;
mod trouble;
mod wire;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::AbortHandle;

use self::address::Address;
use self::feed::Feeder;
use self::inbox::Inbox;
use self::keys::Keys;
use self::link::Link;
use self::store::Known;
pub use self::survey::{Survey, survey};
use self::trouble::Trouble;
use super::{Backplane, Feed, Interest, NotPublished, Outgoing, Settings};
use crate::bayeux::ChannelName;
use crate::history::{self, Failed, Place, Policy};
use crate::metrics::Metrics;

/// A start is not possible with these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cluster.redis {0}")]
pub struct ConnectError(String);

/// Redis, as one node uses it.
pub struct Redis {
    link: Arc<Link>,
    inbox: Arc<Inbox>,
    policy: Policy,
    known: Known,
    /// This node has told that it lives.
    has_beaten: AtomicBool,
    /// Up to how many channels are merged.
    few: usize,
    /// Of how many channels without history the last number is remembered.
    max_channels: usize,
    /// The channel of this node itself.
    own: String,
    interest: Arc<Interest>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        for task in self.tasks().iter() {
            task.abort();
        }
    }
}

impl Redis {
    /// Makes one that is not connected yet.
    ///
    /// # Errors
    /// The URL has to be changed.
    pub fn new(
        settings: &Settings,
        history: &history::Settings,
        password: Option<&str>,
        policy: Policy,
        interest: Arc<Interest>,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, ConnectError> {
        let url = settings.redis.as_deref().unwrap_or_default();
        let url = match password {
            Some(password) => address::with_password(url, password),
            None => url.to_owned(),
        };
        let address = Address::parse(&url).map_err(ConnectError)?;
        let keys = Keys::new(&settings.prefix);
        let name = link::random_name();
        let max_inbox = usize::try_from(settings.max_inbox.as_u64()).unwrap_or(usize::MAX);
        let own = keys.own(&name);
        Ok(Arc::new(Self {
            link: Arc::new(Link::new(address, settings.call_timeout, keys)),
            inbox: Arc::new(Inbox::new(
                max_inbox,
                Arc::clone(metrics),
                Arc::clone(&interest),
            )),
            policy,
            known: Known::new(history, name),
            few: store::FEW,
            max_channels: settings.max_channels,
            has_beaten: AtomicBool::new(false),
            own,
            interest,
            tasks: Mutex::default(),
        }))
    }

    /// Connects. If Redis is away, it does so as soon as that is there.
    ///
    /// # Errors
    /// The settings have to be changed: Redis is too old, or refuses this user.
    pub async fn start(&self) -> Result<(), ConnectError> {
        if !self.tasks().is_empty() {
            return Ok(());
        }
        let first = match self.link.open().await {
            Err(Trouble::Refused(why)) => {
                return Err(ConnectError(format!("cannot be used: {why}")));
            }
            opened => opened,
        };
        if let Ok(up) = &first {
            self.link.set(up.clone());
        }
        let feeder = Feeder {
            link: Arc::clone(&self.link),
            interest: Arc::clone(&self.interest),
            inbox: Arc::clone(&self.inbox),
            own: self.own.clone(),
        };
        let keeper = Arc::clone(&self.link);
        let started = [
            tokio::spawn(async move { keeper.keep(first).await }).abort_handle(),
            tokio::spawn(feeder.keep()).abort_handle(),
        ];
        self.tasks().extend(started);
        Ok(())
    }

    /// Makes one that connects at once, to a Redis without a password.
    ///
    /// # Errors
    /// The settings have to be changed.
    #[cfg(test)]
    pub async fn connect(
        settings: &Settings,
        history: &history::Settings,
        policy: Policy,
        interest: Arc<Interest>,
    ) -> Result<Arc<Self>, ConnectError> {
        let redis = Self::new(settings, history, None, policy, interest, &Arc::default())?;
        redis.start().await?;
        Ok(redis)
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send_mark(&self, mark: u64) -> Result<(), Failed> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.own).arg(mark);
        let count: u64 = self.link.ask(&publish).await?;
        if count == 0 {
            return Err(Failed::Io("messages do not come from Redis now".into()));
        }
        Ok(())
    }

    async fn last_ids(&self, channels: Vec<ChannelName>) -> Result<Vec<u64>, Failed> {
        if channels.is_empty() {
            return Ok(Vec::new());
        }
        let keys = &self.link.keys;
        let mut pipeline = redis::pipe();
        let names: Vec<_> = channels.iter().map(ChannelName::as_str).collect();
        for scores in [&keys.lasts, &keys.channels] {
            pipeline.cmd("ZMSCORE").arg(scores).arg(&names);
        }
        let forgotten = pipeline.cmd("HMGET").arg(&keys.numbers);
        forgotten.arg(&["unlisted", "forgotten"]);
        type Scores = Vec<Option<f64>>;
        type Ids = (Scores, Scores, (Option<u64>, Option<u64>));
        let (lasts, kept, forgotten): Ids = self.link.ask_all(&pipeline).await?;
        let forgotten = forgotten.0.max(forgotten.1).unwrap_or(0);
        let ids = lasts.into_iter().zip(kept).map(|(last, kept)| {
            let last = last.map(number).max(kept.map(number));
            last.unwrap_or(forgotten)
        });
        Ok(ids.collect())
    }
}

/// Returns a number that Redis has as a score.
fn number(score: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "numbers are whole, positive, and below 2^53"
    )]
    let number = score as u64;
    number
}

impl Backplane for Redis {
    fn publish(
        &self,
        batch: Vec<Outgoing>,
    ) -> BoxFuture<'_, Result<Vec<Result<Place, NotPublished>>, Failed>> {
        self.publish_all(batch, false).boxed()
    }

    fn next(&self) -> BoxFuture<'_, Feed> {
        let next = self.inbox.next();
        let next = next.inspect(|feed| {
            if let Feed::Message(message) = feed {
                self.link.saw(message.place.id);
            }
        });
        next.boxed()
    }

    fn mark(&self, mark: u64) -> BoxFuture<'_, Result<(), Failed>> {
        self.send_mark(mark).boxed()
    }

    fn last_of(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<u64>, Failed>> {
        self.last_ids(channels).boxed()
    }

    fn is_up(&self) -> bool {
        self.link.is_up() && self.inbox.is_up()
    }
}
