//! The embedded requests whose answers, or the last of them, are yet to come.

use crate::session::Stream;
use crate::transports::answer;
use crate::web::Response;

/// A request whose answer is yet to come.
#[derive(Debug)]
pub(super) struct PendingRequest {
    /// The request's target, as it was sent.
    pub(super) location: Box<str>,
    /// It was a HEAD.
    pub(super) omits_body: bool,
    answer: Box<answer::Pending>,
}

impl PendingRequest {
    pub(super) fn new(location: Box<str>, omits_body: bool, answer: Box<answer::Pending>) -> Self {
        Self {
            location,
            omits_body,
            answer,
        }
    }

    pub(super) fn wait(&mut self) -> &mut dyn answer::PendingAnswer {
        self.answer.wait()
    }

    /// Gives it up, and returns a last response for a client that may still read.
    pub(super) fn give_up(&mut self) -> Option<Response> {
        self.wait().give_up()
    }

    /// Returns the stream its events come by, if they do.
    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        self.answer.wait().stream()
    }
}
