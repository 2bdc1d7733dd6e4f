//! Lists come in pages: `limit` and `after` in the query, `next` in the answer.

use std::str::FromStr;

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

/// Reads a parameter that is a number, if there is one.
///
/// # Errors
/// It is none, or above all that its type has.
pub(super) fn number<T: FromStr>(name: &str, value: Option<&str>) -> Result<Option<T>, Problem> {
    let read = |text: &str| {
        // `parse` takes a plus, too.
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_digits);
        number.ok_or_else(|| parameter(name, "must be a whole number, 0 or more"))
    };
    value.map(read).transpose()
}

/// Says what a parameter has to be.
pub(super) fn parameter(name: &str, fix: impl std::fmt::Display) -> Problem {
    Problem::new(Kind::Parameter, format!("{name} {fix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_or_it_is_said_what_it_must_be() {
        let wrong = || Err(parameter("after", "must be a whole number, 0 or more"));
        for (value, expected) in [
            (None, Ok(None)),
            (Some("0"), Ok(Some(0))),
            (Some("18446744073709551615"), Ok(Some(u64::MAX))),
            (Some("18446744073709551616"), wrong()),
            (Some("x"), wrong()),
            (Some(""), wrong()),
            (Some("+1"), wrong()),
            (Some("-1"), wrong()),
        ] {
            assert_eq!(number::<u64>("after", value), expected, "{value:?}");
        }
    }
}
