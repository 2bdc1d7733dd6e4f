//! What JSON values mean that are still in the client's own bytes.

use serde_json::value::RawValue;

/// The largest whole number that, like all below it, is a double: JavaScript's `MAX_SAFE_INTEGER`.
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

/// Returns the number that is meant, however it is written; nothing of another value, or of one that
/// is too large for a double.
#[must_use]
pub fn number(raw: &RawValue) -> Option<f64> {
    // Of what is JSON, only numbers are read; `NaN` and the like are not JSON.
    let number: f64 = raw.get().parse().ok()?;
    number.is_finite().then_some(number)
}

/// Returns the whole number, zero or more, that is meant: many encoders write `9.0` or `9e0` for 9.
#[must_use]
pub fn whole(raw: &RawValue) -> Option<u64> {
    if let Ok(whole) = raw.get().parse() {
        return Some(whole);
    }
    let number = number(raw)?;
    let is_whole = number.fract() == 0.0 && (0.0..=MAX_EXACT).contains(&number);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, not negative, and below 2^53"
    )]
    is_whole.then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        let cases = [
            ("9", Some(9.0), Some(9)),
            ("9.0", Some(9.0), Some(9)),
            ("9e0", Some(9.0), Some(9)),
            ("9.00E+0", Some(9.0), Some(9)),
            ("0.9e1", Some(9.0), Some(9)),
            ("900e-2", Some(9.0), Some(9)),
            ("0", Some(0.0), Some(0)),
            ("-0.0", Some(0.0), Some(0)),
            ("1e3", Some(1000.0), Some(1000)),
            ("-9", Some(-9.0), None),
            ("-9.0", Some(-9.0), None),
            ("9.5", Some(9.5), None),
            (
                "9007199254740991.0",
                Some(MAX_EXACT),
                Some(1 << 53).map(|n: u64| n - 1),
            ),
            (
                "9007199254740993",
                Some(9_007_199_254_740_992.0),
                Some(9_007_199_254_740_993),
            ),
            ("1e16", Some(1e16), None),
            ("1e300", Some(1e300), None),
            ("1e400", None, None),
            ("-1e400", None, None),
            ("\"9\"", None, None),
            ("null", None, None),
            ("true", None, None),
            ("[9]", None, None),
            ("{}", None, None),
        ];
        for (text, expected, as_whole) in cases {
            let raw: &RawValue = serde_json::from_str(text).expect("JSON");
            assert_eq!((number(raw), whole(raw)), (expected, as_whole), "{text}");
        }
    }
}
