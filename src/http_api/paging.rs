//! Lists come in pages: `limit` and `after` in the query, `next` in the answer.

use super::problem::{Kind, Problem};

/// How many a page has if its query does not say.
const DEFAULT_LIMIT: usize = 100;
/// How many it has at most.
const MAX_LIMIT: usize = 1000;

/// Returns how many a page is to have.
///
/// # Errors
/// It is none, or too many.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    Err(parameter("limit", format!("must be 1 to {MAX_LIMIT}")))
}

/// Says what a parameter has to be.
pub(super) fn parameter(name: &str, fix: impl std::fmt::Display) -> Problem {
    Problem::new(Kind::Parameter, format!("{name} {fix}"))
}
