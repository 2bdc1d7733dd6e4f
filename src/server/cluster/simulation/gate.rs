//! What a node can do now: whether its process runs, and whether it reaches Redis.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What a node can do now.
#[derive(Debug, Default)]
pub(super) struct Gate(watch::Sender<Can>);

#[derive(Debug, Default, Clone, Copy)]
struct Can {
    is_dead: bool,
    /// It takes no connections of clients any more.
    is_closed: bool,
    /// It has cut those that there were.
    has_cut: bool,
    frozen: Option<Instant>,
    cut: Option<Instant>,
}

/// Returns until when something lasts that is not over.
fn lasts(until: Option<Instant>) -> Option<Instant> {
    until.filter(|until| *until > Instant::now())
}

impl Gate {
    fn can(&self) -> Can {
        *self.0.borrow()
    }

    pub(super) fn kill(&self) {
        self.0.send_modify(|can| can.is_dead = true);
    }

    pub(super) fn close(&self) {
        self.0.send_modify(|can| can.is_closed = true);
    }

    pub(super) fn cut_clients(&self) {
        self.0.send_modify(|can| can.has_cut = true);
    }

    pub(super) fn freeze(&self, time: Duration) {
        self.0
            .send_modify(|can| can.frozen = Some(Instant::now() + time));
    }

    /// Cuts it off from Redis.
    pub(super) fn cut(&self, time: Duration) {
        self.0
            .send_modify(|can| can.cut = Some(Instant::now() + time));
    }

    pub(super) fn is_dead(&self) -> bool {
        self.can().is_dead
    }

    pub(super) fn is_closed(&self) -> bool {
        self.can().is_closed
    }

    pub(super) fn is_cut(&self) -> bool {
        lasts(self.can().cut).is_some()
    }

    pub(super) fn is_frozen(&self) -> bool {
        lasts(self.can().frozen).is_some()
    }

    /// Waits until something of it is so, looking again whenever it changes.
    async fn until<T>(&self, look: impl Fn(Can) -> Result<T, Option<Instant>>) -> T {
        let mut changes = self.0.subscribe();
        loop {
            let now = *changes.borrow_and_update();
            let changed = async {
                // The other end is here.
                let _ = changes.changed().await;
            };
            match look(now) {
                Ok(result) => return result,
                Err(Some(over)) => {
                    tokio::select! {
                        () = sleep_until(over) => {}
                        () = changed => {}
                    }
                }
                Err(None) => changed.await,
            }
        }
    }

    /// Waits until it runs; false if it is dead.
    pub(super) async fn lives(&self) -> bool {
        self.until(|can| match lasts(can.frozen) {
            _ if can.is_dead => Ok(false),
            Some(until) => Err(Some(until)),
            None => Ok(true),
        })
        .await
    }

    /// Waits until it runs; for ever if it is dead.
    pub(super) async fn runs(&self) {
        if !self.lives().await {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until it is dead, frozen, or cut off from Redis.
    pub(super) async fn stumbles(&self) {
        self.until(|can| {
            let stumbles = can.is_dead || lasts(can.frozen).or(lasts(can.cut)).is_some();
            stumbles.then_some(()).ok_or(None)
        })
        .await;
    }

    /// Waits until it does nothing for its clients: it is dead, or frozen, or has cut them.
    pub(super) async fn halts(&self) {
        self.until(|can| {
            let halts = can.is_dead || can.has_cut || lasts(can.frozen).is_some();
            halts.then_some(()).ok_or(None)
        })
        .await;
    }

    /// Waits until it is not cut off from Redis.
    pub(super) async fn reaches(&self) {
        self.until(|can| lasts(can.cut).map_or(Ok(()), |until| Err(Some(until))))
            .await;
    }

    /// Waits for something that the node does; nothing if it dies before.
    pub(super) async fn unless_dead<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let dies = self.until(|can| can.is_dead.then_some(()).ok_or(None));
        tokio::select! {
            biased;
            result = what => Some(result),
            () = dies => None,
        }
    }
}
