//! The bodies of requests and responses between nodes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::answering::Answering;
use super::line::Sending;

/// A body that is sent.
#[derive(Debug)]
pub(super) enum Body {
    /// It is whole.
    Whole(Option<Bytes>),
    /// A request that is passed on.
    Passing(Sending),
    /// The answer to one.
    Answering(Box<Answering>),
}

impl Body {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// Returns what it says whole, as long as nothing of it is sent.
    pub(super) fn said(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes.as_deref().unwrap_or_default(),
            Self::Passing(sending) => sending.request(),
            Self::Answering(_) => &[],
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passing(sending) => sending.poll_frame(context),
            Self::Answering(answering) => answering.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Passing(_) | Self::Answering(_) => SizeHint::default(),
        }
    }
}
