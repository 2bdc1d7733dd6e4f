//! Something that is served as it is: a file, a figure, a page.

use std::fmt::Debug;

use super::{Head, Response};

/// What is at some paths, and is answered by what a request's head says.
pub trait Page: Debug + Send + Sync {
    /// Tells whether a path is one of its own.
    fn is_at(&self, path: &str) -> bool;

    /// Answers a request for one of its paths.
    fn serve(&self, head: &Head) -> Response;
}
