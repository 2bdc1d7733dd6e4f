//! What JSON values mean that are still in the client's own bytes, be they as odd as JSON allows: half an
//! emoji (`\ud83d` alone) is a character that no Rust string can hold, and fails nothing beside it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::{RawValue, to_raw_value};

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

/// Returns the text of a JSON string, borrowed where it holds no escape; nothing of another value, or of
/// one that is no text.
#[must_use]
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw.get()).ok().map(Cow::Owned)
}

/// Returns the values of these fields of an object, of each the last; nothing of another value.
#[must_use]
pub fn fields<'a, const N: usize>(
    object: &'a RawValue,
    names: [&str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    serde_json::Deserializer::from_str(object.get())
        .deserialize_map(Fields(names))
        .ok()
}

/// Returns the names and values of an object, in their order; nothing of another value.
#[must_use]
pub fn entries(object: &RawValue) -> Option<Vec<(&RawValue, &RawValue)>> {
    serde_json::Deserializer::from_str(object.get())
        .deserialize_map(Entries)
        .ok()
}

/// Returns an object without the fields of this name, the others in their own bytes; nothing if none is left.
/// Other values are returned as they are.
#[must_use]
pub fn without<'a>(object: &'a RawValue, name: &str) -> Option<Cow<'a, RawValue>> {
    let bytes = object.get().as_bytes();
    let is_there = memchr::memmem::find(bytes, name.as_bytes()).is_some();
    // It may also be written with escapes.
    if !is_there && memchr::memchr(b'\\', bytes).is_none() {
        return Some(Cow::Borrowed(object));
    }
    let Some(entries) = entries(object) else {
        return Some(Cow::Borrowed(object));
    };
    let is_other = |(own, _): &&(&RawValue, &RawValue)| text(own).as_deref() != Some(name);
    let kept: Vec<String> = entries
        .iter()
        .filter(is_other)
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    if kept.len() == entries.len() {
        return Some(Cow::Borrowed(object));
    }
    if kept.is_empty() {
        return None;
    }
    let text = format!("{{{}}}", kept.join(","));
    RawValue::from_string(text).ok().map(Cow::Owned)
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

struct Fields<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let name = text(name);
            let at = self
                .0
                .iter()
                .position(|sought| name.as_deref() == Some(sought));
            if let Some(at) = at {
                values[at] = Some(value);
            }
        }
        Ok(values)
    }
}

/// The name of a field, in the bytes in which it was sent.
#[derive(Debug, Clone)]
pub struct Name<'a>(Cow<'a, RawValue>);

impl<'a> Name<'a> {
    /// Takes the JSON string that stands before a field's value.
    pub(super) fn of(raw: &'a RawValue) -> Self {
        Self(Cow::Borrowed(raw))
    }

    /// Returns the name as a JSON string.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// Returns the name; nothing if it is no text.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        text(&self.0)
    }
}

impl From<&str> for Name<'_> {
    fn from(text: &str) -> Self {
        Self(Cow::Owned(to_raw_value(text).expect("a string is JSON")))
    }
}

impl PartialEq<str> for Name<'_> {
    fn eq(&self, text: &str) -> bool {
        self.text().as_deref() == Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_left_without_a_field_and_keeps_the_bytes_of_the_others() {
        let cases = [
            ("{}", Some("{}")),
            ("7", Some("7")),
            (r#""secret""#, Some(r#""secret""#)),
            (r#"{"a" : 1.0 }"#, Some(r#"{"a" : 1.0 }"#)),
            (r#"{"a":"secret"}"#, Some(r#"{"a":"secret"}"#)),
            (r#"{"secret":1}"#, None),
            (r#"{"secret":1,"secret":2}"#, None),
            (r#"{"s\u0065cret":1}"#, None),
            (
                r#"{"a": 1.0,"secret":{"b":2}, "c":[ ]}"#,
                Some(r#"{"a":1.0,"c":[ ]}"#),
            ),
            (r#"{"\ud800":1,"secret":2}"#, Some(r#"{"\ud800":1}"#)),
        ];
        for (text, expected) in cases {
            let raw: &RawValue = serde_json::from_str(text).expect("JSON");
            let left = without(raw, "secret");
            assert_eq!(left.as_ref().map(|left| left.get()), expected, "{text}");
        }
    }

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

    #[test]
    fn the_last_field_of_a_name_counts_whatever_stands_beside_it() {
        let cases = [
            (r#"{"a":1,"b":[ 2 ]}"#, Some([Some("1"), Some("[ 2 ]")])),
            (r#"{"\u0062":"x"}"#, Some([None, Some("\"x\"")])),
            (r#"{"b":1,"b":2}"#, Some([None, Some("2")])),
            (r#"{"b":null}"#, Some([None, Some("null")])),
            (r#"{"c":{"b":1}}"#, Some([None, None])),
            (r#"{"\ud83d":"\ud83d","b":1}"#, Some([None, Some("1")])),
            (r#"{"b\ud83d":1,"\ude00b":1}"#, Some([None, None])),
            ("{}", Some([None, None])),
            ("[1,2]", None),
            ("7", None),
            ("\"a\"", None),
            ("null", None),
        ];
        for (json, expected) in cases {
            let raw: &RawValue = serde_json::from_str(json).expect("JSON");
            let found = fields(raw, ["a", "b"]);
            assert_eq!(
                found.map(|all| all.map(|one| one.map(RawValue::get))),
                expected,
                "{json}"
            );
        }
    }
}
