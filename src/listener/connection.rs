//! One connection: requests and responses in turn, and the wait between and during them.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http::StatusCode;
use tokio::time::{Instant, Sleep};

use super::Shared;
use super::fast_path;
use super::head_cache::HeadCache;
use super::http1::{self, CONTINUE, Open, Reading, Refusal};
use super::respond::{Rest, respond, write};
use crate::pause::was_paused;
use crate::transports::{
    Answer, HeldPoll, Incoming, Link, Opened, Polled, STEP, Times, Usual, Waiting, expects_continue,
};
use crate::web::{Head, Persistence, Request, Response, Socket};

/// What becomes of a request, and of its connection afterwards.
struct Taken {
    answer: Answer,
    persistence: Persistence,
}

/// What is kept of a head that comes again.
type Said = (Usual, Persistence);

/// Serves a connection to its end.
///
/// What is kept while a connect is held is this function's own state: what is usual is done without
/// an await, and all else that waits is boxed, and gone by then. The socket comes boxed because a
/// future keeps room for its arguments beside what it makes of them.
pub(super) async fn serve(socket: Box<Socket>, shared: &Shared) {
    let mut socket = *socket;
    let mut until = pin!(tokio::time::sleep(shared.settings.keep_alive_timeout));
    let mut stopping = shared.stopping.clone();
    let mut stopped = pin!(stopping.changed());
    poll_fn(|context| {
        // Once is enough: a task has one waker all its life. What it is woken for, it asks
        // `is_stopping`.
        let _ = stopped.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
    let mut cache = HeadCache::default();
    while has_arrived(&mut socket, until.as_mut(), shared).await {
        let mut step = take_whole(&mut socket, &mut cache, shared);
        if matches!(step, Step::Unread) {
            let Some((taken, open)) = Box::pin(take(socket, shared)).await else {
                return;
            };
            socket = open;
            step = taken.step(&socket, shared);
        }
        let rest = match step {
            Step::Next | Step::Unread => None,
            Step::Rest(rest) => Some(rest),
            Step::Held(held, persistence) => {
                let polled = held.wait(&mut socket).await;
                respond(&socket, polled, persistence, shared)
            }
            Step::Waiting(waiting, persistence) => {
                let polled = Box::pin(waiting.wait(&mut socket)).await;
                respond(&socket, polled, persistence, shared)
            }
            Step::Delayed(polled, delay, persistence) => {
                Box::pin(pause(&mut socket, delay, shared)).await;
                respond(&socket, *polled, persistence, shared)
            }
            Step::Open(begun) => {
                if let Some(stream) = Box::pin(begin(socket, begun, shared)).await {
                    stream.await;
                }
                return;
            }
        };
        if let Some(rest) = rest
            && !Box::pin(rest.finish(&mut socket, shared)).await
        {
            return;
        }
    }
}

/// How a connection goes on with what has arrived.
enum Step {
    /// It was a request, which is answered.
    Next,
    /// The same, but for this.
    Rest(Box<Rest>),
    /// It was a request whose connect is held.
    Held(Box<HeldPoll>, Persistence),
    /// It was a request that waits for its resource.
    Waiting(Box<Waiting>, Persistence),
    /// It was a request that is answered after a while.
    Delayed(Box<Polled>, Duration, Persistence),
    /// It was a request that opens a stream, after this response.
    Open(Box<(Response, Opened, Persistence)>),
    /// It is no ordinary request, or not all of one.
    Unread,
}

impl Taken {
    fn step(self, socket: &Socket, shared: &Shared) -> Step {
        let persistence = self.persistence;
        match self.answer {
            Answer::Now(response, carried) => {
                let polled = Polled::Answered(response, carried);
                respond(socket, polled, persistence, shared).map_or(Step::Next, Step::Rest)
            }
            Answer::Held(held) => Step::Held(held, persistence),
            Answer::Waiting(waiting) => Step::Waiting(waiting, persistence),
            Answer::Delayed(response, delay) => {
                let polled = Box::new(Polled::Answered(response, None));
                Step::Delayed(polled, delay, persistence)
            }
            Answer::Open(response, opened) => Step::Open(Box::new((response, opened, persistence))),
        }
    }
}

/// Writes the response that begins a stream; returns the stream, if the client took it.
async fn begin(
    mut socket: Socket,
    begun: Box<(Response, Opened, Persistence)>,
    shared: &Shared,
) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
    let (response, opened, mut persistence) = *begun;
    // An upgraded connection goes on, be it as something else.
    persistence.keeps_alive &= response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let is_taken = write(&mut socket, &response, persistence, shared).await;
    is_taken.then(|| opened.run(socket, link(shared)))
}

fn link(shared: &Shared) -> Link {
    let settings = &shared.settings;
    Link {
        stopping: shared.stopping.clone(),
        times: Times {
            patience: settings.patience(),
            message_timeout: settings.body_timeout,
            idle_timeout: settings.keep_alive_timeout,
        },
        metrics: Arc::clone(&shared.metrics),
    }
}

/// Waits for a delay, the client's end, or the server's.
async fn pause(socket: &mut Socket, delay: Duration, shared: &Shared) {
    let mut stopping = shared.stopping.clone();
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = poll_fn(|context| socket.poll_closed(context)) => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
}

/// Has the next request served, if it is ordinary and has arrived whole.
fn take_whole(socket: &mut Socket, cache: &mut HeadCache<Said>, shared: &Shared) -> Step {
    let mut arrived = socket.take_ahead();
    if let Some(((usual, persistence), body)) = cache.get(&arrived, &shared.hashes) {
        let text = arrived.slice(body.clone());
        arrived.advance(body.end);
        socket.put_back(arrived);
        let taken = Taken {
            answer: usual.serve(text, socket),
            persistence: *persistence,
        };
        return taken.step(socket, shared);
    }
    let taken = fast_path::take(&mut arrived, shared.bounds());
    socket.put_back(arrived);
    let Some((request, head)) = taken else {
        return Step::Unread;
    };
    cache.observe(&head, request.body.len(), &shared.hashes, || {
        shared.hosts.check(&request.head).ok()?;
        Some((
            shared.routes.usual(&request)?,
            Persistence::of(&request.head),
        ))
    });
    serve_whole(request, socket, shared).step(socket, shared)
}

/// Has the next request served, of which something has arrived; nothing when the connection ends.
async fn take(socket: Socket, shared: &Shared) -> Option<(Taken, Socket)> {
    match http1::read(socket, shared).await {
        Reading::Request(request, socket) => Some((serve_whole(*request, &socket, shared), socket)),
        Reading::Open(open, socket) => begin_open(*open, socket, shared).await,
        Reading::Refused(refusal, head, socket) => {
            refuse(refusal, head.as_deref(), socket, shared).await;
            None
        }
        Reading::Closed => None,
    }
}

/// Has a request answered whose body has arrived.
fn serve_whole(request: Request, socket: &Socket, shared: &Shared) -> Taken {
    let persistence = Persistence::of(&request.head);
    if let Some(response) = shared.misdirected(&request.head) {
        return Taken {
            answer: response.into(),
            persistence,
        };
    }
    let incoming = Incoming {
        request,
        socket,
        is_embedded: false,
    };
    let answer = shared.routes.serve(incoming);
    Taken {
        answer,
        persistence,
    }
}

/// Has a request answered whose body is still to come; its connection ends with the response.
async fn begin_open(open: Open, mut socket: Socket, shared: &Shared) -> Option<(Taken, Socket)> {
    let Open { head, body } = open;
    let settings = &shared.settings;
    let answer = match shared.misdirected(&head) {
        Some(response) => response.into(),
        None => shared.routes.open(&head, body, shared.bounds()),
    };
    if matches!(answer, Answer::Open(..)) && expects_continue(&head) {
        let written = socket.write(CONTINUE, settings.patience()).await;
        written.ok()?;
    }
    let persistence = Persistence {
        version: head.version,
        ..Persistence::LAST
    };
    let taken = Taken {
        answer,
        persistence,
    };
    Some((taken, socket))
}

/// Waits for the next request; false if none comes any more.
///
/// The timer is not set anew for each request, which costs more than most of them: it is when it
/// fires too early.
fn has_arrived<'c>(
    socket: &'c mut Socket,
    mut until: Pin<&'c mut Sleep>,
    shared: &'c Shared,
) -> impl Future<Output = bool> {
    let mut due = Instant::now() + shared.settings.keep_alive_timeout;
    // Who sends much ahead lets others have their turn, also those of whom only the kernel knows yet.
    let mut turn_of_others = socket
        .has_worked(STEP)
        .then(|| Box::pin(tokio::task::yield_now()));
    poll_fn(move |context| {
        if let Some(others) = &mut turn_of_others {
            ready!(others.as_mut().poll(context));
            turn_of_others = None;
        }
        if socket.has_ahead() {
            return Poll::Ready(true);
        }
        if let Poll::Ready(arrived) = socket.poll_fill(context) {
            return Poll::Ready(arrived);
        }
        if shared.is_stopping() {
            return Poll::Ready(false);
        }
        while until.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if was_paused(due.into_std(), now.into_std()) {
                // The next request may be there, and not heard of yet.
                due = now + shared.settings.keep_alive_timeout;
            } else if due <= now {
                return Poll::Ready(false);
            }
            until.as_mut().reset(due);
        }
        Poll::Pending
    })
}

async fn refuse(refusal: Refusal, head: Option<&Head>, mut socket: Socket, shared: &Shared) {
    if let Some(limit) = refusal.limit {
        shared.metrics.limited(limit);
    }
    let mut response = Response::error(refusal.status, refusal.reason);
    if let Some(head) = head {
        response = shared.routes.share(head, response);
    }
    let is_taken = write(&mut socket, &response, Persistence::LAST, shared).await;
    // A stopping server does not wait for its clients.
    if is_taken && !shared.is_stopping() {
        socket.linger().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that a function returns.
    fn size_of_future<F>(_: impl Fn(Box<Socket>, &'static Shared) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_that_waits_is_small() {
        let size = size_of_future(serve);
        // With what the runtime adds, 640: it takes a multiple of 128.
        assert!(size <= 544, "every client that waits costs {size} bytes");
    }
}
