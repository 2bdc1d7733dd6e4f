//! The loop that every connection runs which goes on as a stream: turns, until one is the last.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::exchange::now;
use super::turn::{Turn, Writing, Written};
use super::{Link, Times};
use crate::metrics::{Gauge, Metrics};
use crate::session::Stream;
use crate::web::Socket;

/// A connection that goes on as a stream.
pub(super) trait Streaming: Send {
    /// Waits until there is something to write, or the end. The client's own end has to be looked at
    /// before events are taken. `sleep` is for what is done at a time.
    fn poll_turn(
        &mut self,
        socket: &mut Socket,
        around: &Around<'_>,
        sleep: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<Turn>;

    /// Returns the stream whose events the turns hold.
    fn stream(&mut self) -> &mut Stream;

    /// Hears that a turn has been written; `had_to_wait` for the client to read.
    fn written(&mut self, had_to_wait: bool);

    /// Lets go of the session, because nothing more will be written.
    fn let_go(&mut self);
}

/// What is around a connection.
#[derive(Debug)]
pub(super) struct Around<'l> {
    pub(super) times: &'l Times,
    pub(super) is_stopping: bool,
}

/// Serves a connection to its end, and counts it as long.
#[allow(
    clippy::manual_async_fn,
    reason = "a block keeps what it is given once; an `async fn` keeps its arguments twice"
)]
pub(super) fn run<S: Streaming>(
    mut connection: Box<S>,
    mut socket: Socket,
    mut link: Link,
    gauge: fn(&Metrics) -> &Gauge,
) -> impl Future<Output = ()> + Send {
    async move {
        gauge(&link.metrics).increment();
        let mut stopped = pin!(link.stopping.wait_for(|stopping| *stopping));
        let mut is_stopping = false;
        let mut sleep = pin!(tokio::time::sleep_until(now().into()));
        loop {
            let turn = poll_fn(|context| {
                is_stopping = is_stopping || stopped.as_mut().poll(context).is_ready();
                let around = Around {
                    times: &link.times,
                    is_stopping,
                };
                connection.poll_turn(&mut socket, &around, sleep.as_mut(), context)
            })
            .await;
            let is_full = turn.is_full();
            if turn.is_empty() && is_full {
                tokio::task::yield_now().await;
                continue;
            }
            let patience = link.times.patience;
            let stream = connection.stream();
            let (written, had_to_wait) =
                match turn.write(&mut socket, stream, patience, &link.metrics) {
                    Writing::Done(written) => (written, false),
                    Writing::Waits(waiting) => (waiting.await, true),
                };
            match written {
                Written::All => connection.written(had_to_wait),
                Written::Last => {
                    connection.let_go();
                    // A stopping server does not wait for its clients.
                    if !is_stopping {
                        Box::pin(socket.linger()).await;
                    }
                    break;
                }
                Written::Lost => break,
            }
            if is_full {
                tokio::task::yield_now().await;
            }
        }
        gauge(&link.metrics).decrement();
    }
}

/// Tells whether nothing was written for an interval; zero is never.
pub(super) fn is_silent_for_long(
    wrote: Instant,
    interval: Duration,
    mut sleep: Pin<&mut Sleep>,
    context: &mut Context<'_>,
) -> bool {
    if interval.is_zero() {
        return false;
    }
    let due = (wrote + interval).into();
    if sleep.deadline() != due {
        sleep.as_mut().reset(due);
    }
    sleep.poll(context).is_ready()
}
