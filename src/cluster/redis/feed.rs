//! The connection on which messages come: it is subscribed to what this node is interested in.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisResult, Value};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::backoff::Backoff;
use super::cover::{Cover, Steps};
use super::inbox::Inbox;
use super::keys::Keys;
use super::link::{BEAT, Link, Up};
use crate::bayeux::ChannelPattern;
use crate::cluster::{Change, Interest};

/// How many are subscribed to, or left, by one command.
const BATCH: usize = 512;

/// Takes messages from Redis to where they wait.
pub(super) struct Feeder {
    pub(super) link: Arc<Link>,
    pub(super) interest: Arc<Interest>,
    pub(super) inbox: Arc<Inbox>,
    /// The channel of this node itself.
    pub(super) own: String,
}

/// A connection that has ended, or could not be begun: why.
type Ended = String;

impl Feeder {
    /// Keeps a connection, for ever.
    pub(super) async fn keep(self) {
        let mut backoff = Backoff::default();
        let mut ups = self.link.watch();
        loop {
            let up = match ups.wait_for(Option::is_some).await {
                Ok(up) => up.clone(),
                Err(_) => return,
            };
            let Some(up) = up else { continue };
            let connection = self.inbox.begin();
            let begun = self.begin(connection, &up).await;
            let why = match begun {
                Ok((redis, cover)) => {
                    let began = Instant::now();
                    let why = self.serve(connection, redis, cover, &up).await;
                    backoff.lasted(began.elapsed());
                    why
                }
                Err(why) => why,
            };
            self.inbox.end(connection);
            self.interest.note_up(false);
            tracing::warn!(%why, "messages of the cluster do not come now");
            sleep(backoff.next()).await;
        }
    }

    /// Connects, and subscribes to everything.
    async fn begin(
        &self,
        connection: u64,
        up: &Up,
    ) -> Result<(MultiplexedConnection, Cover), Ended> {
        let inbox = Arc::clone(&self.inbox);
        let own = self.own.clone();
        let push = move |push: PushInfo| {
            take(&inbox, connection, &own, push);
            Ok::<_, std::convert::Infallible>(())
        };
        let config = self.link.config().set_push_sender(push);
        let connecting = self.link.connect(config, self.link.timeout());
        let (mut redis, server) = connecting.await.map_err(|trouble| format!("{trouble:?}"))?;
        if server != up.server {
            return Err("another Redis is asked than the one that messages come from".to_owned());
        }
        // First: what is wanted from now on is waited for, as it may come after everything else.
        self.interest.note_up(true);
        let (patterns, changes) = self.interest.take_all();
        let mut cover = Cover::default();
        let wanted = patterns.into_iter().map(|pattern| Change {
            pattern,
            is_wanted: true,
        });
        let steps = cover.change(wanted);
        let failed = |error: redis::RedisError| error.to_string();
        redis.subscribe(&self.own).await.map_err(failed)?;
        self.take_steps(&mut redis, steps).await.map_err(failed)?;
        self.inbox.settled(connection, changes);
        self.interest.note_done(changes);
        let head = self.link.head().await.map_err(|error| error.to_string())?;
        if head.epoch != up.epoch {
            return Err("numbers have got another name".to_owned());
        }
        if self.inbox.up(connection, head) {
            Ok((redis, cover))
        } else {
            Err("the connection has ended".to_owned())
        }
    }

    /// Follows what is wanted, until the connection ends.
    async fn serve(
        &self,
        connection: u64,
        mut redis: MultiplexedConnection,
        mut cover: Cover,
        up: &Up,
    ) -> Ended {
        let mut ups = self.link.watch();
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.inbox.ended() => return "the connection has ended".to_owned(),
                _ = beats.tick() => {
                    let pong: RedisResult<Value> = redis::cmd("PING").query_async(&mut redis).await;
                    if let Err(error) = pong {
                        return error.to_string();
                    }
                }
                () = self.interest.changed() => {
                    let (changed, count) = self.interest.take();
                    let steps = cover.change(changed);
                    if let Err(error) = self.take_steps(&mut redis, steps).await {
                        return error.to_string();
                    }
                    self.inbox.settled(connection, count);
                    self.interest.note_done(count);
                }
                changed = ups.changed() => {
                    let now = ups.borrow_and_update().clone();
                    let is_other = now.is_some_and(|now| {
                        now.server != up.server || now.epoch != up.epoch
                    });
                    if is_other || changed.is_err() {
                        return "Redis is another, or has lost data".to_owned();
                    }
                }
            }
        }
    }

    async fn take_steps(&self, redis: &mut MultiplexedConnection, steps: Steps) -> RedisResult<()> {
        for patterns in steps.subscribe.chunks(BATCH) {
            redis.subscribe(names(&self.link.keys, patterns)).await?;
        }
        for patterns in steps.unsubscribe.chunks(BATCH) {
            redis.unsubscribe(names(&self.link.keys, patterns)).await?;
        }
        Ok(())
    }
}

fn names(keys: &Keys, patterns: &[ChannelPattern]) -> Vec<String> {
    let names = patterns.iter().map(|pattern| keys.form(pattern.as_str()));
    names.collect()
}

/// Takes what comes on a connection.
fn take(inbox: &Inbox, connection: u64, own: &str, push: PushInfo) {
    match push.kind {
        PushKind::Message => {
            let mut parts = push.data.into_iter();
            let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) =
                (parts.next(), parts.next())
            else {
                return;
            };
            if channel != own.as_bytes() {
                inbox.message(connection, payload);
            } else if let Some(mark) = std::str::from_utf8(&payload)
                .ok()
                .and_then(|mark| mark.parse().ok())
            {
                inbox.mark(connection, mark);
            }
        }
        PushKind::Disconnection => inbox.end(connection),
        _ => {}
    }
}
