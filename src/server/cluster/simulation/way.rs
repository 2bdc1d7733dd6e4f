//! A node's way to the model of Redis: what it asks and is answered may come late, or not at all.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::Mutant;
use super::gate::Gate;
use super::redis::{Data, Item, Redis, Subscriber};
use crate::bayeux::ChannelName;
use crate::cluster::{Backplane, Feed, Head, Interest, NodeId, NotPublished, Outgoing};
use crate::history::{Failed, Place};

/// A node's way to Redis.
pub(super) struct Way {
    pub(super) redis: Arc<Redis>,
    pub(super) me: NodeId,
    pub(super) gate: Arc<Gate>,
    pub(super) interest: Arc<Interest>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Way of {}", self.me)
    }
}

pub(super) fn away() -> Failed {
    Failed::Io("away".into())
}

impl Way {
    /// Does something in Redis. Once it is sent it is done even if nobody waits for it any more, unless the connection
    /// breaks first; if it fails it may be done.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        effect: impl FnOnce(&mut Data) -> T + Send + 'static,
    ) -> BoxFuture<'_, Result<T, Failed>> {
        async move {
            self.gate.runs().await;
            if self.gate.is_cut() {
                return Err(away());
            }
            let (redis, gate) = (Arc::clone(&self.redis), Arc::clone(&self.gate));
            let done = tokio::spawn(async move {
                sleep(redis.latency()).await;
                // Few are on their way for long.
                if redis.goes_wrong(100) {
                    sleep(Duration::from_millis(redis.below(4000) as u64)).await;
                }
                if gate.is_cut() && redis.below(2) == 0 {
                    return None;
                }
                let result = effect(&mut redis.data());
                sleep(redis.latency()).await;
                Some(result)
            });
            let result = done.await.expect("nobody fails");
            self.gate.runs().await;
            if self.gate.is_cut() || self.redis.goes_wrong(200) {
                return Err(away());
            }
            result.ok_or_else(away)
        }
        .boxed()
    }

    fn subscriber<T>(&self, look: impl FnOnce(&mut Subscriber, u64) -> T) -> T {
        let mut data = self.redis.data();
        let last = data.last;
        look(data.subscribers.entry(self.me).or_default(), last)
    }

    /// Has what is wanted subscribed to, and connects again when it was cut, for ever.
    pub(super) async fn keep(&self) {
        loop {
            self.gate.runs().await;
            if self.gate.is_cut() {
                self.end();
                self.gate.reaches().await;
            } else if self.subscriber(|subscriber, _| subscriber.is_up) {
                tokio::select! {
                    () = self.interest.changed() => self.subscribe().await,
                    () = self.gate.stumbles() => {}
                }
            } else {
                self.begin().await;
            }
        }
    }

    async fn begin(&self) {
        self.interest.note_up(true);
        let (patterns, made) = self.interest.take_all();
        sleep(self.redis.latency()).await;
        if self.gate.is_cut() {
            return self.interest.note_up(false);
        }
        self.subscriber(|subscriber, last| {
            subscriber.is_up = true;
            subscriber.patterns = patterns.into_iter().collect();
            let head = Head {
                id: last,
                epoch: "e".into(),
            };
            subscriber.push(Duration::ZERO, Item::Feed(Feed::Up(head)));
            subscriber.push(Duration::ZERO, Item::Settled(made));
        });
        self.interest.note_done(made);
    }

    fn end(&self) {
        if self.subscriber(|subscriber, _| subscriber.is_up) {
            self.interest.note_up(false);
            self.subscriber(|subscriber, _| {
                subscriber.is_up = false;
                subscriber.patterns.clear();
                subscriber.feed.clear();
                subscriber.push(Duration::ZERO, Item::Feed(Feed::Down));
            });
        }
    }

    async fn subscribe(&self) {
        let (changes, made) = self.interest.take();
        if self.redis.mutant == Mutant::SettlesEarly {
            self.interest.note_passed(made);
        }
        if self.redis.mutant == Mutant::InterestAfterState {
            self.interest.note_done(made);
            sleep(Duration::from_millis(300)).await;
        }
        sleep(self.redis.latency()).await;
        self.subscriber(|subscriber, _| {
            for change in changes {
                if change.is_wanted {
                    subscriber.patterns.insert(change.pattern);
                } else {
                    subscriber.patterns.remove(&change.pattern);
                }
            }
            subscriber.push(Duration::ZERO, Item::Settled(made));
        });
        sleep(self.redis.latency()).await;
        self.interest.note_done(made);
    }

    fn more(&self) -> Arc<Notify> {
        self.subscriber(|subscriber, _| Arc::clone(&subscriber.more))
    }
}

impl Backplane for Way {
    fn publish(
        &self,
        batch: Vec<Outgoing>,
    ) -> BoxFuture<'_, Result<Vec<Result<Place, NotPublished>>, Failed>> {
        let (latencies, micros) = (self.redis.latencies(), self.redis.micros());
        self.ask(move |data| {
            let publish = |message: Outgoing| {
                let Outgoing {
                    entry, publisher, ..
                } = message;
                Ok(data.publish(&entry, publisher, micros, &latencies))
            };
            batch.into_iter().map(publish).collect()
        })
    }

    fn next(&self) -> BoxFuture<'_, Feed> {
        async move {
            let more = self.more();
            loop {
                self.gate.runs().await;
                let due = self.subscriber(|subscriber, _| {
                    let due = subscriber.feed.front().map(|(due, _)| *due);
                    match due {
                        Some(due) if due <= Instant::now() => {
                            Ok(subscriber.feed.pop_front().map(|(_, item)| item))
                        }
                        due => Err(due),
                    }
                });
                match due {
                    Ok(Some(Item::Feed(feed))) => return feed,
                    Ok(Some(Item::Settled(changes))) => self.interest.note_passed(changes),
                    Ok(None) => {}
                    Err(Some(due)) => {
                        tokio::select! {
                            () = sleep_until(due) => {}
                            () = more.notified() => {}
                        }
                    }
                    Err(None) => more.notified().await,
                }
            }
        }
        .boxed()
    }

    fn mark(&self, mark: u64) -> BoxFuture<'_, Result<(), Failed>> {
        async move {
            if self.gate.is_cut() {
                return Err(away());
            }
            if self.redis.mutant == Mutant::NoBarrier {
                self.subscriber(|subscriber, _| {
                    let now = Instant::now();
                    let mark = Item::Feed(Feed::Mark(mark));
                    subscriber.feed.push_front((now, mark));
                    subscriber.more.notify_one();
                });
                return Ok(());
            }
            sleep(self.redis.latency()).await;
            let latency = self.redis.latency();
            self.subscriber(|subscriber, _| {
                if !subscriber.is_up {
                    return Err(away());
                }
                subscriber.push(latency, Item::Feed(Feed::Mark(mark)));
                Ok(())
            })?;
            // The answer may be lost.
            if self.redis.goes_wrong(50) {
                return Err(away());
            }
            Ok(())
        }
        .boxed()
    }

    fn last_of(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<u64>, Failed>> {
        self.ask(move |data| {
            let last = channels.iter().map(|channel| data.last_of.get(channel));
            last.map(|last| last.copied().unwrap_or(0)).collect()
        })
    }

    fn is_up(&self) -> bool {
        !self.gate.is_cut()
    }
}
