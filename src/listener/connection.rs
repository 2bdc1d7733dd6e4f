//! One connection: requests and responses in turn, and the wait between and during them.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http::StatusCode;
use tokio::time::{Instant, Sleep};

use super::fast_path;
use super::head_cache::HeadCache;
use super::http1::{self, CONTINUE, Open, Reading, Unreadable};
use super::respond::{Rest, respond, write};
use super::routes::Known;
use super::{Shared, newest};
use crate::metrics::Limit;
use crate::pause::was_paused;
use crate::server::STEP;
use crate::transports::answer::{self, Answer, Arrived, Link, Pending, Streaming, Times};
use crate::web::{Head, Persistence, Request, Response, Socket};

/// How long after its last answer, or after its beginning, a connection is kept for a request when the server stops:
/// the request may be on its way, and some clients and balancers do not send it again if it is lost.
const NEXT_REQUEST: Duration = Duration::from_secs(1);

/// What becomes of a request, and of its connection afterwards.
pub(super) struct Taken {
    answer: Answer,
    persistence: Persistence,
}

/// Serves a connection to its end.
///
/// What is kept while a connect is held is this function's own state: what is usual is done without
/// an await, and all else that waits is boxed, and gone by then. The socket comes boxed because a
/// future keeps room for its arguments beside what it makes of them.
pub(super) async fn serve(socket: Box<Socket>, shared: &mut Arc<Shared>) {
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
        let shared = newest(shared);
        let mut step = take_whole(&mut socket, &mut cache, shared);
        if matches!(step, Step::Unread) {
            let Some((taken, open)) = Box::pin(take(socket, shared)).await else {
                return;
            };
            socket = open;
            step = taken.step(&socket, shared);
        }
        while let Step::Pending(pending, persistence) = step {
            step = match pending.arrived(&mut socket, shared).await {
                Arrived::Answer(answer) => Taken::new(answer, persistence).step(&socket, shared),
                Arrived::Closed(response) => closed(&socket, response, persistence, shared),
                Arrived::Lost => return,
            };
        }
        let rest = match step {
            Step::Next | Step::Unread | Step::Pending(..) => None,
            Step::Rest(rest) => Some(rest),
            Step::Stream(begun) => {
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
        socket.unwatch();
    }
}

/// Goes on with the only request of a stream of HTTP/2, whatever its answer is.
#[allow(
    clippy::manual_async_fn,
    reason = "a block keeps what it is given once; an `async fn` keeps its arguments twice"
)]
pub(super) fn go_on(
    mut socket: Socket,
    mut step: Step,
    shared: &Shared,
) -> impl Future<Output = ()> + Send {
    async move {
        while let Step::Pending(pending, persistence) = step {
            step = match pending.arrived(&mut socket, shared).await {
                Arrived::Answer(answer) => Taken::new(answer, persistence).step(&socket, shared),
                Arrived::Closed(response) => closed(&socket, response, persistence, shared),
                Arrived::Lost => return,
            };
        }
        match step {
            Step::Next | Step::Unread | Step::Pending(..) => {}
            Step::Rest(rest) => {
                Box::pin(rest.finish(&mut socket, shared)).await;
            }
            Step::Stream(begun) => {
                if let Some(stream) = Box::pin(begin(socket, begun, shared)).await {
                    stream.await;
                }
            }
        }
    }
}

/// How a connection goes on with what has arrived.
pub(super) enum Step {
    /// It was a request, which is answered.
    Next,
    /// The same, but for this.
    Rest(Box<Rest>),
    /// It was a request whose answer is yet to come.
    Pending(Box<Pending>, Persistence),
    /// It was a request that opens a stream, after this response.
    Stream(Box<Begun>),
    /// It is no ordinary request, or not all of one.
    Unread,
}

/// The response that begins a stream, and the stream.
pub(super) struct Begun {
    response: Response,
    stream: Box<dyn Streaming>,
    persistence: Persistence,
}

impl Taken {
    pub(super) fn new(answer: Answer, persistence: Persistence) -> Self {
        Self {
            answer,
            persistence,
        }
    }

    pub(super) fn step(self, socket: &Socket, shared: &Shared) -> Step {
        let persistence = self.persistence;
        match self.answer {
            Answer::Now(response, carried) => {
                respond(socket, response, carried, persistence, shared)
                    .map_or(Step::Next, Step::Rest)
            }
            Answer::Later(pending) => Step::Pending(pending, persistence),
            Answer::Stream(response, stream) => Step::Stream(Box::new(Begun {
                response,
                stream,
                persistence,
            })),
        }
    }
}

/// Writes the response that begins a stream; returns the stream, if the client took it.
async fn begin(
    mut socket: Socket,
    begun: Box<Begun>,
    shared: &Shared,
) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
    let Begun {
        response,
        stream,
        mut persistence,
    } = *begun;
    // An upgraded connection goes on, be it as something else.
    persistence.keeps_alive &= response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let is_taken = write(&mut socket, &response, persistence, shared).await;
    is_taken.then(|| Box::pin(answer::run(stream, socket, link(shared))) as Pin<Box<_>>)
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

/// Has the next request served, if it is ordinary and has arrived whole.
fn take_whole(socket: &mut Socket, cache: &mut HeadCache<Known>, shared: &Shared) -> Step {
    let mut arrived = socket.take_ahead();
    let known = cache.get(&arrived, &shared.hashes);
    // What is known of a head does not say what its line says.
    let known = known.filter(|_| shared.access_log.is_none());
    if let Some((known, body)) = known.filter(|(known, _)| known.is_in(&shared.routes)) {
        let text = arrived.slice(body.clone());
        arrived.advance(body.end);
        socket.put_back(arrived);
        socket.set_client(known.client());
        let answer = known.serve(text, socket);
        return Taken::new(answer, known.persistence()).step(socket, shared);
    }
    let taken = fast_path::take(&mut arrived, shared.bounds());
    socket.put_back(arrived);
    let Some((Request { head, body }, text)) = taken else {
        return Step::Unread;
    };
    shared.proxies.identify(&head, socket);
    let route = shared.route(&head);
    shared.watch(socket, Some((&head, &route)));
    let client = socket.client();
    cache.observe(&text, body.len(), &shared.hashes, || {
        route.cacheable(client)
    });
    let answer = route.serve(&head, body, socket);
    Taken::new(answer, Persistence::of(&head)).step(socket, shared)
}

/// Has the next request served, of which something has arrived; nothing when the connection ends.
async fn take(mut socket: Socket, shared: &Shared) -> Option<(Taken, Socket)> {
    // Of what cannot be read it is not known whose it is.
    socket.set_client(None);
    match http1::read(socket, shared).await {
        Reading::Request(request, mut socket) => {
            Some((serve_whole(*request, &mut socket, shared), socket))
        }
        Reading::Open(open, socket) => begin_open(*open, socket, shared).await,
        Reading::Refused(refusal, head, socket) => {
            let persistence = Persistence::LAST;
            refuse(refusal, head.as_deref(), socket, persistence, shared).await;
            None
        }
        Reading::Closed => None,
    }
}

/// Has a request answered whose body has arrived.
fn serve_whole(request: Request, socket: &mut Socket, shared: &Shared) -> Taken {
    let Request { head, body } = request;
    shared.proxies.identify(&head, socket);
    let route = shared.route(&head);
    shared.watch(socket, Some((&head, &route)));
    Taken::new(route.serve(&head, body, socket), Persistence::of(&head))
}

/// Has a request answered whose body is still to come; its connection ends with the response.
async fn begin_open(open: Open, mut socket: Socket, shared: &Shared) -> Option<(Taken, Socket)> {
    let Open { head, body } = open;
    shared.proxies.identify(&head, &mut socket);
    let route = shared.route(&head);
    shared.watch(&mut socket, Some((&head, &route)));
    let answer = route.open(body, shared.bounds());
    if matches!(answer, Answer::Stream(..)) && head.expects_continue() {
        let written = socket.write(CONTINUE, shared.settings.patience()).await;
        written.ok()?;
    }
    let persistence = Persistence {
        version: head.version,
        ..Persistence::LAST
    };
    Some((Taken::new(answer, persistence), socket))
}

/// Answers a client that closed its side of the connection; it may have sent requests before that.
fn closed(
    socket: &Socket,
    response: Response,
    mut persistence: Persistence,
    shared: &Shared,
) -> Step {
    persistence.keeps_alive &= socket.has_ahead();
    respond(socket, response, None, persistence, shared).map_or(Step::Next, Step::Rest)
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
    let mut since = Instant::now();
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
        let is_stopping = shared.is_stopping();
        let time = match is_stopping {
            true => NEXT_REQUEST,
            false => shared.settings.keep_alive_timeout,
        };
        if is_stopping && until.deadline() > since + time {
            until.as_mut().reset(since + time);
        }
        while until.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if !is_stopping && was_paused((since + time).into_std(), now.into_std()) {
                // The next request may be there, and not heard of yet.
                since = now;
            } else if since + time <= now {
                return Poll::Ready(false);
            }
            until.as_mut().reset(since + time);
        }
        Poll::Pending
    })
}

/// Answers a request that is not served, as its connection's last.
pub(super) async fn refuse(
    refusal: Unreadable,
    head: Option<&Head>,
    mut socket: Socket,
    persistence: Persistence,
    shared: &Shared,
) {
    // It is the last: while its client reads why, nothing is kept of what it has sent.
    drop(socket.take_ahead());
    if let Some(limit) = refusal.limit {
        shared.metrics.limited(limit);
    }
    let mut response = Response::error(refusal.status, refusal.reason);
    if refusal.limit == Some(Limit::Memory) {
        response = response.header("Retry-After", b"1");
    }
    match head {
        Some(head) => {
            shared.proxies.identify(head, &mut socket);
            let route = shared.routes.find(head);
            shared.watch(&mut socket, Some((head, &route)));
            response = route.share(response);
        }
        None => shared.watch(&mut socket, None),
    }
    let is_taken = write(&mut socket, &response, persistence, shared).await;
    // A stopping server does not wait for its clients.
    if is_taken && !shared.is_stopping() {
        socket.linger().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that a function returns.
    fn size_of_future<F>(_: impl Fn(Box<Socket>, &'static mut Arc<Shared>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_that_waits_is_small() {
        let size = size_of_future(serve);
        // With what the runtime adds, 640: it takes a multiple of 128.
        assert!(size <= 544, "every client that waits costs {size} bytes");
    }
}
