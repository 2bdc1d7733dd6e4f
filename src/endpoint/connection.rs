//! One connection: requests and responses in turn, and the wait between and during them.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::Shared;
use super::reader::{self, Open, Reading, Refusal};
use super::whole;
use crate::metrics::Limit;
use crate::transports::{Answer, Carried, Incoming, Link, Polled, Times, expects_continue};
use crate::web::{Head, Persistence, Request, Response, Socket};

/// A request has been taken, and its answer is known or awaited.
struct Taken {
    answer: Answer,
    persistence: Persistence,
    socket: Socket,
}

/// Serves a connection to its end.
///
/// What is kept while a connect is held is this function's own state; all else that waits is boxed,
/// and gone by then.
pub(super) async fn serve(stream: TcpStream, shared: &Shared) {
    let mut socket = Socket::new(stream, Bytes::new());
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
    while has_arrived(&mut socket, until.as_mut(), shared).await {
        let Some(mut taken) = take(socket, shared).await else {
            return;
        };
        let polled = match taken.answer {
            Answer::Held(held) => held.wait(&mut taken.socket).await,
            Answer::Waiting(waiting) => waiting.wait(&mut taken.socket).await,
            Answer::Now(response, carried) => Polled::Answered(response, carried),
            Answer::Delayed(response, delay) => {
                Box::pin(pause(&mut taken.socket, delay, shared)).await;
                Polled::Answered(response, None)
            }
            Answer::Open(response, opened) => {
                let begun = begin(&mut taken.socket, response, taken.persistence, shared);
                if begun.await {
                    opened.run(taken.socket, link(shared)).await;
                }
                return;
            }
        };
        match respond(taken.socket, polled, taken.persistence, shared).await {
            Some(open) => socket = open,
            None => return,
        }
    }
}

/// Writes the response that begins a stream; true if the client took it.
async fn begin(
    socket: &mut Socket,
    response: Response,
    mut persistence: Persistence,
    shared: &Shared,
) -> bool {
    // An upgraded connection goes on, be it as something else.
    persistence.keeps_alive &= response.status() == StatusCode::SWITCHING_PROTOCOLS;
    write(socket, response, None, persistence, shared).await
}

fn link(shared: &Shared) -> Link {
    let settings = &shared.settings;
    Link {
        stopping: shared.stopping.clone(),
        times: Times {
            write_timeout: settings.write_timeout,
            message_timeout: settings.body_timeout,
            idle_timeout: settings.keep_alive_timeout,
        },
        metrics: Arc::clone(&shared.metrics),
    }
}

/// Writes a response, and gives the socket back if its connection goes on.
async fn respond(
    mut socket: Socket,
    polled: Polled,
    mut persistence: Persistence,
    shared: &Shared,
) -> Option<Socket> {
    let (response, carried) = match polled {
        Polled::Answered(response, carried) => (response, carried),
        Polled::Closed(response) => {
            // A client that closed only its side may have sent requests before it.
            persistence.keeps_alive &= socket.has_ahead();
            (response, None)
        }
    };
    // A 408 ends its connection (RFC 9110 section 15.5.9), unless more was sent already.
    persistence.keeps_alive &=
        response.status() != StatusCode::REQUEST_TIMEOUT || socket.has_ahead();
    persistence.keeps_alive &= !shared.is_stopping();
    if !write(&mut socket, response, carried, persistence, shared).await {
        return None;
    }
    if persistence.keeps_alive {
        return Some(socket);
    }
    // A stopping server does not wait for its clients.
    if !shared.is_stopping() {
        Box::pin(socket.linger()).await;
    }
    None
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

/// Has the next request served, of which something has arrived; nothing when the connection ends.
async fn take(socket: Socket, shared: &Shared) -> Option<Taken> {
    let (stream, mut arrived) = socket.into_parts();
    let request = whole::take(&mut arrived, shared.bounds());
    let socket = Socket::new(stream, arrived);
    if let Some(request) = request {
        return Some(serve_whole(request, socket, shared));
    }
    match Box::pin(reader::read(socket, shared)).await {
        Reading::Request(request, socket) => Some(serve_whole(*request, socket, shared)),
        Reading::Open(open, socket) => Box::pin(begin_open(*open, socket, shared)).await,
        Reading::Refused(refusal, head, socket) => {
            Box::pin(refuse(refusal, head.as_deref(), socket, shared)).await;
            None
        }
        Reading::Closed => None,
    }
}

/// Has a request answered whose body has arrived.
fn serve_whole(request: Request, socket: Socket, shared: &Shared) -> Taken {
    let persistence = Persistence::of(&request.head);
    let incoming = Incoming {
        request,
        socket: &socket,
        is_embedded: false,
    };
    let answer = shared.site.serve(incoming);
    Taken {
        answer,
        persistence,
        socket,
    }
}

/// Has a request answered whose body is still to come; its connection ends with the response.
async fn begin_open(open: Open, mut socket: Socket, shared: &Shared) -> Option<Taken> {
    let Open { head, body } = open;
    let settings = &shared.settings;
    let answer = shared.site.open(&head, body, shared.bounds());
    if matches!(answer, Answer::Open(..)) && expects_continue(&head) {
        let written = socket
            .write(CONTINUE, settings.write_timeout, |_| Poll::Pending)
            .await;
        written.ok()?;
    }
    Some(Taken {
        answer,
        persistence: Persistence {
            version: head.version,
            ..Persistence::LAST
        },
        socket,
    })
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Waits for the next request; false if none comes any more.
///
/// The timer is not set anew for each request, which costs more than most of them: it is when it
/// fires too early.
async fn has_arrived(socket: &mut Socket, mut until: Pin<&mut Sleep>, shared: &Shared) -> bool {
    if socket.has_ahead() {
        return true;
    }
    let due = Instant::now() + shared.settings.keep_alive_timeout;
    poll_fn(|context| {
        if let Poll::Ready(arrived) = socket.poll_fill(context) {
            return Poll::Ready(arrived);
        }
        if shared.is_stopping() {
            return Poll::Ready(false);
        }
        while until.as_mut().poll(context).is_ready() {
            if due <= Instant::now() {
                return Poll::Ready(false);
            }
            until.as_mut().reset(due);
        }
        Poll::Pending
    })
    .await
}

async fn refuse(refusal: Refusal, head: Option<&Head>, mut socket: Socket, shared: &Shared) {
    if let Some(limit) = refusal.limit {
        shared.metrics.limited(limit);
    }
    let mut response = Response::error(refusal.status, refusal.reason);
    if let Some(head) = head {
        response = shared.site.share(head, response);
    }
    if write(&mut socket, response, None, Persistence::LAST, shared).await {
        socket.linger().await;
    }
}

/// Writes a response; false if the client did not take it, whose events go back to their session.
async fn write(
    socket: &mut Socket,
    response: Response,
    carried: Option<Carried>,
    persistence: Persistence,
    shared: &Shared,
) -> bool {
    shared.metrics.responded(response.status().as_u16());
    let bytes = response.encode(persistence);
    drop(response);
    let timeout = shared.settings.write_timeout;
    let is_displaced = |context: &mut Context<'_>| match &carried {
        Some(carried) => carried.poll_displaced(context),
        None => Poll::Pending,
    };
    let Err(error) = socket.write(&bytes, timeout, is_displaced).await else {
        return true;
    };
    if error.kind() == std::io::ErrorKind::TimedOut {
        shared.metrics.limited(Limit::WriteTimeout);
    }
    tracing::trace!(%error, "a response was not taken");
    if let Some(carried) = carried {
        carried.restore();
    }
    false
}
