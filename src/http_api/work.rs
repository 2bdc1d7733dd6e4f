//! How much an answer took, which its connection is told: others have their turn in between.

use axum::response::{IntoResponse, Response};

use super::Work;
use crate::server::STEP;
use crate::transports::aside;

/// An answer, and how much work it was.
#[derive(Debug)]
pub(super) struct Working<T> {
    answer: T,
    work: usize,
}

impl<T> Working<T> {
    pub(super) fn new(answer: T, work: usize) -> Self {
        Self { answer, work }
    }
}

impl<T: IntoResponse> IntoResponse for Working<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        response.extensions_mut().insert(Work(self.work));
        response
    }
}

/// Looks through so many entries; if they are many, other tasks go on elsewhere meanwhile.
pub(super) fn worked<T>(entries: usize, look: impl FnOnce() -> T) -> T {
    if entries <= STEP {
        return look();
    }
    let (mut look, mut found) = (Some(look), None);
    aside(&mut || found = look.take().map(|look| look()));
    found.expect("it was done")
}
