//! Why nobody knows who a client is.

use std::borrow::Cow;
use std::time::Duration;

use crate::bayeux::BayeuxError;

/// A check that failed: the error that the client is told, and when it may try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The error.
    pub error: BayeuxError,
    /// Its argument, which says more; empty if there is no more to say. It holds no secret.
    pub detail: Cow<'static, str>,
    /// How long to wait before the same may succeed; nothing: it will not.
    pub retry: Option<Duration>,
}

impl Fault {
    /// Returns the text of the `error` field: `code:arguments:message`.
    #[must_use]
    pub fn text(&self) -> String {
        self.error.about(&[&self.detail])
    }

    /// Says more.
    #[must_use]
    pub fn because(self, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { detail, ..self }
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(self, retry: Duration) -> Self {
        let retry = Some(retry);
        Self { retry, ..self }
    }
}

impl From<BayeuxError> for Fault {
    fn from(error: BayeuxError) -> Self {
        Self {
            error,
            detail: Cow::Borrowed(""),
            retry: None,
        }
    }
}
