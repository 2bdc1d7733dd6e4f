//! Answers, and those that are yet to come: what becomes of a request, whoever takes it.
//!
//! A connection knows three kinds: a response, something that a response is waited for of
//! ([`Pending`]), and something that it goes on as ([`Streaming`]). It knows none of those that stand
//! behind them.

mod carried;
mod deferred;
mod delay;
mod delivery;
mod link;
mod outgoing;
mod pending;
mod streaming;

use http::HeaderValue;

pub use self::carried::Carried;
pub use self::deferred::Deferred;
pub use self::delay::Delay;
pub use self::delivery::Delivery;
pub use self::link::{Link, Times};
pub use self::outgoing::{MAX_WRITE, Outgoing, limit_of};
pub use self::pending::{Arrived, Pending, PendingAnswer, Step, Surroundings};
pub use self::streaming::{Around, Streaming, run};
use super::gate::{Decision, share};
use crate::web::Response;

/// What becomes of a request.
#[derive(Debug)]
pub enum Answer {
    /// It is answered now; events in the response go back to their session if it cannot be written.
    Now(Response, Option<Carried>),
    /// It is answered later.
    Later(Box<Pending>),
    /// It is answered now, and its connection then goes on as this.
    Stream(Response, Box<dyn Streaming>),
}

impl Answer {
    /// Makes the answer that comes of a wait.
    pub fn later(wait: impl PendingAnswer + 'static) -> Self {
        Self::Later(Box::new(Pending::new(wait)))
    }

    /// Lets the page of an allowed origin read it.
    #[must_use]
    pub fn shared(self, decision: &Decision<'_>) -> Self {
        match self {
            Self::Now(response, carried) => Self::Now(decision.share(response), carried),
            Self::Stream(response, stream) => Self::Stream(decision.share(response), stream),
            Self::Later(mut pending) => {
                if !decision.is_embedded {
                    pending.share_with(decision.origin.clone());
                }
                Self::Later(pending)
            }
        }
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Now(response, None)
    }
}

fn shared_with(response: Response, origin: Option<&HeaderValue>) -> Response {
    share(response, origin)
}
