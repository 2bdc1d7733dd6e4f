//! Who a client is: what it shows, a key, a token or a password, checked; or somebody outside asked.
//!
//! What can be checked at once is ([`Check::Done`]); what takes long or needs somebody else is a future
//! ([`Check::Pending`]) that a message waits for before it is processed. It knows no session and no
//! transport.

pub mod api_keys;
mod authenticator;
mod fault;
mod generations;
pub mod operators;
pub mod passwords;
mod problem;
mod secret;
pub mod settings;
pub mod token;
pub mod webhook;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::access::Identity;
pub use authenticator::Authenticator;
pub use fault::Fault;
pub use problem::Problem;
pub use secret::Secret;

/// Who a client has shown to be.
#[derive(Debug, Clone)]
pub struct Known {
    /// Who it is, and until when.
    pub identity: Arc<Identity>,
    /// What the reply to its handshake carries in `ext` for it: members of an object, as JSON.
    pub ext: Vec<(String, Box<RawValue>)>,
}

impl From<Identity> for Known {
    fn from(identity: Identity) -> Self {
        Self {
            identity: Arc::new(identity),
            ext: Vec::new(),
        }
    }
}

/// A check that is going on; dropped, it is given up.
pub type Checking = Pin<Box<dyn Future<Output = Result<Known, Fault>> + Send>>;

/// What became of a check.
pub enum Check {
    /// It is over.
    Done(Result<Known, Fault>),
    /// It takes its time.
    Pending(Checking),
}

impl From<Fault> for Check {
    fn from(fault: Fault) -> Self {
        Self::Done(Err(fault))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(outcome) => f.debug_tuple("Done").field(outcome).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}

/// What the head of a request shows of its client, as far as the configuration asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The token of `Authorization: Bearer`, or of the cookie or query parameter that may hold one.
    pub token: Option<Box<str>>,
    /// The headers that the webhook is told, by name in small letters, and of `cookie` only the cookies
    /// that it is told.
    pub headers: Box<[(Box<str>, Box<str>)]>,
}
