//! A request whose answer is yet to come, and how any connection waits for it.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::HeaderValue;

use super::{Answer, Carried, shared_with};
use crate::bayeux::Event;
use crate::memory::{Budget, Charge, Kind};
use crate::session::Stream;
use crate::web::{Response, Socket};

/// Something that a response is waited for of.
///
/// Dropped, it lets go of all that it holds, as if its client had gone.
pub trait PendingAnswer: std::fmt::Debug + Send {
    /// Waits for what comes next. Whoever calls this has looked before whether the client is gone, as
    /// far as the runtime knows: what is taken for a client is lost with it.
    fn poll(&mut self, socket: &Socket, context: &mut Context<'_>) -> Poll<Step>;

    /// Has it end soon, because the server stops.
    fn stop(&mut self) {}

    /// Has it end soon, because the node stops that has passed the request on to this one.
    fn hasten(&mut self) {
        self.stop();
    }

    /// Gives it up, and returns a last response for a client that may still read.
    fn give_up(&mut self) -> Option<Response>;

    /// Returns the stream that its events come by, if they do.
    fn stream(&mut self) -> Option<&mut Stream> {
        None
    }

    /// Tells whether what came later on its connection has to wait for it too.
    fn keeps_order(&self) -> bool {
        false
    }

    /// Tells whether it goes on for a client that has closed its side of the connection, and may have gone:
    /// that is heard when the answer is written.
    fn survives_half_close(&self) -> bool {
        false
    }
}

/// What comes of a wait.
#[derive(Debug)]
pub enum Step {
    /// A response, after which there are others; and the events of its stream that it holds. Only a
    /// connection whose responses are embedded in another can have several.
    Next(Response, Vec<Arc<Event>>),
    /// The last response.
    Last(Response, Option<Carried>),
    /// Another answer in its place.
    Instead(Answer),
    /// There is no last response.
    End,
    /// The client is gone.
    Lost,
}

/// What is around a connection that waits.
pub trait Surroundings {
    /// Tells whether the server stops, at which the task is woken.
    fn is_stopping(&self) -> bool;

    /// Returns the memory that all clients share.
    fn memory(&self) -> &Arc<Budget>;
}

/// A request whose answer is yet to come, and who may read it.
#[derive(Debug)]
pub struct Pending<W: ?Sized = dyn PendingAnswer> {
    /// The answer is shared with the page of this origin.
    shared: Option<Shared>,
    /// What came behind the request meanwhile.
    ahead: Option<Box<Charge>>,
    wait: W,
}

#[derive(Debug)]
struct Shared(Option<HeaderValue>);

/// What a connection has when a wait is over.
#[derive(Debug)]
pub enum Arrived {
    /// An answer.
    Answer(Answer),
    /// The client closed the connection, or its side of it. The response holds no events, which stay
    /// queued; it is for a client that still reads.
    Closed(Response),
    /// The client is gone.
    Lost,
}

impl<W: PendingAnswer> Pending<W> {
    /// Makes one whose answer is for no page of another origin.
    #[must_use]
    pub fn new(wait: W) -> Self {
        Self {
            shared: None,
            ahead: None,
            wait,
        }
    }
}

impl Pending {
    /// Lets the page of an allowed origin read the answer.
    pub fn share_with(&mut self, origin: Option<HeaderValue>) {
        self.shared = Some(Shared(origin));
    }

    /// Returns what is waited for.
    pub fn wait(&mut self) -> &mut dyn PendingAnswer {
        &mut self.wait
    }

    /// Waits for the answer, or the client's end.
    ///
    /// The client's end is looked at first: events are not given to a socket known to be dead.
    pub fn arrived(
        mut self: Box<Self>,
        socket: &mut Socket,
        around: &impl Surroundings,
    ) -> impl Future<Output = Arrived> {
        let mut is_stopped = false;
        // An `async fn` would keep its arguments twice.
        poll_fn(move |context| {
            if !is_stopped && around.is_stopping() {
                is_stopped = true;
                self.wait.stop();
            }
            if socket.poll_closed(context).is_ready() {
                if socket.is_reset() {
                    return Poll::Ready(Arrived::Lost);
                }
                if !self.wait.survives_half_close() {
                    return Poll::Ready(self.closed());
                }
            }
            if (socket.has_ahead() || self.ahead.is_some())
                && self.poll_cut(socket, around.memory(), context).is_ready()
            {
                return Poll::Ready(Arrived::Lost);
            }
            let step = ready!(self.wait.poll(socket, context));
            Poll::Ready(match step {
                Step::Last(response, carried) => {
                    Arrived::Answer(Answer::Now(self.shared(response), carried))
                }
                Step::Instead(answer) => Arrived::Answer(answer),
                // A response of its own cannot be followed by others.
                Step::Next(..) | Step::End | Step::Lost => Arrived::Lost,
            })
        })
    }

    /// Counts what has come behind the request; ready if that has to go.
    #[cold]
    fn poll_cut(
        &mut self,
        socket: &Socket,
        memory: &Arc<Budget>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let new = || Box::new(Charge::new(memory, Kind::Requests, 0));
        let ahead = self.ahead.get_or_insert_with(new);
        ahead.set(socket.memory());
        ahead.poll_cut(context)
    }

    fn closed(&mut self) -> Arrived {
        match self.wait.give_up() {
            Some(response) => Arrived::Closed(self.shared(response)),
            None => Arrived::Lost,
        }
    }

    fn shared(&self, response: Response) -> Response {
        match &self.shared {
            Some(Shared(origin)) => shared_with(response, origin.as_ref()),
            None => response,
        }
    }
}
