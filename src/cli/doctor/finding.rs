//! What a check has found, and how that is told: one line each.

use std::fmt;

use serde::Serialize;

use crate::cli::harmless::shown;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Nothing is to be done.
    Ok,
    /// It works, and may not always, or it could not be told.
    Warning,
    /// It has to be mended.
    Wrong,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    pub(super) state: State,
    seen: String,
    /// The setting or the directive that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    /// Nothing is to be done.
    pub(super) fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            seen: seen.into(),
            fix: None,
        }
    }

    /// It works, and may not always, or it could not be told.
    pub(super) fn warning(
        check: &'static str,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Warning,
            fix: Some(fix.into()),
            ..Self::ok(check, seen)
        }
    }

    /// It has to be mended.
    pub(super) fn wrong(
        check: &'static str,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Wrong,
            ..Self::warning(check, seen, fix)
        }
    }

    /// Whether nothing is to be done.
    pub(super) fn is_ok(&self) -> bool {
        self.state == State::Ok
    }
}

/// One line. What others have said is part of it, and cannot be more than text.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Wrong => "wrong",
        };
        write!(f, "{state:<7}  {}: {}", self.check, shown(&self.seen))?;
        match &self.fix {
            Some(fix) => write!(f, "; fix: {}", shown(fix)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        let cases = [
            (Finding::ok("a", "b"), "ok       a: b"),
            (Finding::warning("a", "b", "c"), "warning  a: b; fix: c"),
            (
                Finding::wrong("a", "b\n", "c"),
                "wrong    a: b\\u000a; fix: c",
            ),
        ];
        for (finding, line) in cases {
            assert_eq!(finding.to_string(), line);
        }
        let json = serde_json::to_string(&Finding::ok("a", "b")).unwrap();
        assert_eq!(json, r#"{"check":"a","state":"ok","seen":"b"}"#);
    }
}
