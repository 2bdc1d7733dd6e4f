//! Which simulated client.

use std::fmt;

/// Which simulated client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The subscriber of that number, from 0.
    Client(usize),
    /// The one that publishes.
    Publisher,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => write!(f, "client {number}"),
            Self::Publisher => write!(f, "the publisher"),
        }
    }
}
