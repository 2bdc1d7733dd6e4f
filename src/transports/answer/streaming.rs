//! A connection that goes on as a stream: it waits for something to write and writes it, until that is the
//! last.

use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::time::Sleep;

use super::outgoing::{Outgoing, Writing, Written};
use super::{Link, Times};
use crate::metrics::{Gauge, Metrics};
use crate::session::Stream;
use crate::transports::runtime::now;
use crate::web::{Patience, Socket};

/// A connection that goes on as a stream.
pub trait Streaming: Debug + Send {
    /// Waits until there is something to write, or the end. The client's own end has to be looked at
    /// before events are taken. `sleep` is for what is done at a time.
    fn poll_outgoing(
        &mut self,
        socket: &mut Socket,
        around: &Around<'_>,
        sleep: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<Outgoing>;

    /// Returns the stream whose events it writes.
    fn stream(&mut self) -> &mut Stream;

    /// Hears that all was written; `had_to_wait` for the client to read.
    fn written(&mut self, had_to_wait: bool);

    /// Lets go of the session, because nothing more will be written.
    fn let_go(&mut self);

    /// Returns what counts the connections of its kind.
    fn gauge<'m>(&self, metrics: &'m Metrics) -> &'m Gauge;
}

/// What is around a connection.
#[derive(Debug)]
pub struct Around<'l> {
    /// How long it may wait.
    pub times: &'l Times,
    /// The server stops.
    pub is_stopping: bool,
}

/// Serves a connection to its end, and counts it as long.
#[allow(
    clippy::manual_async_fn,
    reason = "a block keeps what it is given once; an `async fn` keeps its arguments twice"
)]
pub fn run(
    mut connection: Box<dyn Streaming>,
    mut socket: Socket,
    mut link: Link,
) -> impl Future<Output = ()> + Send {
    async move {
        connection.gauge(&link.metrics).increment();
        let mut stopped = pin!(link.stopping.wait_for(|stopping| *stopping));
        let mut is_stopping = false;
        let mut sleep = pin!(tokio::time::sleep_until(now().into()));
        loop {
            let next = poll_fn(|context| {
                is_stopping = is_stopping || stopped.as_mut().poll(context).is_ready();
                let around = Around {
                    times: &link.times,
                    is_stopping,
                };
                connection.poll_outgoing(&mut socket, &around, sleep.as_mut(), context)
            });
            let outgoing = next.await;
            let stream = connection.stream();
            let patience = link.times.patience;
            let (is_full, written, had_to_wait) = {
                let metrics = &link.metrics;
                let (is_full, writing) = begin(outgoing, &mut socket, stream, patience, metrics);
                match writing {
                    None => {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Some(Writing::Done(written)) => (is_full, written, false),
                    Some(Writing::Waits(waiting)) => (is_full, waiting.await, true),
                }
            };
            match written {
                Written::All => connection.written(had_to_wait),
                Written::Last => {
                    connection.let_go();
                    socket.end();
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
        connection.gauge(&link.metrics).decrement();
    }
}

/// Begins to write, unless nothing is to be; tells also whether others have their turn afterwards.
///
/// Here and not in the loop: what is lent there makes every stream that waits larger.
fn begin<'w>(
    outgoing: Outgoing,
    socket: &'w mut Socket,
    stream: &'w mut Stream,
    patience: Patience,
    metrics: &'w Metrics,
) -> (bool, Option<Writing<'w>>) {
    let is_full = outgoing.is_full();
    if outgoing.is_empty() && is_full {
        return (true, None);
    }
    let writing = outgoing.write(socket, stream, patience, metrics);
    (is_full, Some(writing))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that a function returns.
    fn size_of_future<F>(_: fn(Box<dyn Streaming>, Socket, Link) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_stream_that_waits_is_small() {
        let size = size_of_future(run);
        // What the allocator gives for more is 768.
        assert!(size <= 640, "every stream that waits costs {size} bytes");
    }
}
