//! Making JSON safe inside a script; knows nothing of where the JSON came from.

use std::borrow::Cow;

use memchr::memmem::find;
use memchr::{memchr_iter, memchr2_iter};

/// The longest callback name.
const MAX_CALLBACK: usize = 64;
/// The function a client means that names none.
pub const DEFAULT_CALLBACK: &str = "jsonpcallback";

/// Whether a callback's name may be written into a script that the page loads which is to hear it:
/// identifiers with dots between them, as Dojo's are.
pub fn is_callback(name: &str) -> bool {
    name.len() <= MAX_CALLBACK && name.split('.').all(is_identifier)
}

/// Whether a callback's name may be written into a page of this server: `^[A-Za-z_$][A-Za-z0-9_$]*$`.
/// With dots in it another site could have any function of this origin's pages called.
pub fn is_identifier(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_$".contains(&byte);
    name.len() <= MAX_CALLBACK
        && name.bytes().all(is_allowed)
        && name.starts_with(|first: char| !first.is_ascii_digit())
}

/// Writes JSON as an expression of a script that has the value of the JSON.
///
/// Almost always that is the JSON itself. But a script takes a field of the name `__proto__` for the
/// object's prototype, by which a publisher's fields would become those of the message, or of its
/// parent's; and fails on two of them. Such JSON is parsed by the script, for which `__proto__` is a
/// name like any other.
pub fn expression(json: &[u8]) -> Cow<'_, [u8]> {
    if may_name_a_prototype(json) {
        Cow::Owned([b"JSON.parse(\"", &*escape_for_string(json), b"\")"].concat())
    } else {
        escape_for_script(json)
    }
}

/// Tells whether a name in JSON might be `__proto__`, perhaps spelt with escapes: those of its
/// characters begin so, and are rare.
fn may_name_a_prototype(json: &[u8]) -> bool {
    let may_be_spelt = || {
        memchr_iter(b'\\', json)
            .any(|at| matches!(json[at..], [_, b'u', b'0', b'0', b'5'..=b'7', ..]))
    };
    find(json, b"__proto__").is_some() || may_be_spelt()
}

/// Escapes JSON for a string of a script between double quotes.
fn escape_for_string(json: &[u8]) -> Cow<'_, [u8]> {
    let is_site = |byte: u8| matches!(byte, b'"' | b'\\' | b'\t' | b'\n' | b'\r' | b'<' | 0xE2);
    let sites = (0..json.len()).filter(|&at| is_site(json[at]));
    escape(json, sites, |text| match text {
        [b'"', ..] => Some((1, br#"\""#)),
        [b'\\', ..] => Some((1, br"\\")),
        [b'\t', ..] => Some((1, br"\t")),
        [b'\n', ..] => Some((1, br"\n")),
        [b'\r', ..] => Some((1, br"\r")),
        _ => script_escape(text),
    })
}

/// Escapes what would end a script element or, in engines before 2019, a string.
///
/// The input must be valid JSON, which holds these characters in strings only; the output is
/// JSON of the same meaning.
fn escape_for_script(json: &[u8]) -> Cow<'_, [u8]> {
    escape(json, memchr2_iter(b'<', 0xE2, json), script_escape)
}

fn script_escape(text: &[u8]) -> Option<(usize, &'static [u8])> {
    match text {
        [b'<', b'/', ..] => Some((2, br"<\/")),
        [b'<', b'!', b'-', b'-', ..] => Some((4, br"<\u0021--")),
        [0xE2, 0x80, 0xA8, ..] => Some((3, br"\u2028")),
        [0xE2, 0x80, 0xA9, ..] => Some((3, br"\u2029")),
        _ => None,
    }
}

/// Escapes what would end a comment around the JSON, as clients that strip one expect it.
///
/// The input must be valid JSON; the output is JSON of the same meaning.
pub fn escape_comment_end(json: &[u8]) -> Cow<'_, [u8]> {
    escape(json, memchr_iter(b'*', json), |text| match text {
        [b'*', b'/', ..] => Some((2, br"*\/")),
        _ => None,
    })
}

/// The length of what is to be replaced at the start of a text, and with what.
type Replacement = fn(&[u8]) -> Option<(usize, &'static [u8])>;

/// Replaces what begins at some of the `sites`; copies nothing when none has a replacement.
///
/// No site may lie inside what another one replaces.
fn escape(
    json: &[u8],
    sites: impl Iterator<Item = usize>,
    replacement: Replacement,
) -> Cow<'_, [u8]> {
    let mut escaped = Vec::new();
    let mut copied = 0;
    for site in sites {
        if let Some((length, with)) = replacement(&json[site..]) {
            escaped.extend_from_slice(&json[copied..site]);
            escaped.extend_from_slice(with);
            copied = site + length;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    escaped.extend_from_slice(&json[copied..]);
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use memchr::memmem;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn callbacks() {
        let cases = [
            ("dojo.io.ScriptSrcTransport._state.id1.jsonpCall", true),
            ("jQuery112406883102096116913_1795209195108", true),
            ("_cometd_jsonp_0", true),
            ("$", true),
            ("a.$", true),
            ("a-b", false),
            ("1a", false),
            ("a.1", false),
            (".a", false),
            ("a.", false),
            ("a..b", false),
            (&*"a".repeat(64), true),
            (&*"a".repeat(65), false),
            ("", false),
            ("a(b)", false),
            ("a b", false),
            ("a[0]", false),
            ("a\n", false),
            ("é", false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_callback(name), expected, "{name}");
            let expected = expected && !name.contains('.');
            assert_eq!(is_identifier(name), expected, "{name}");
        }
    }

    #[test]
    fn scripts() {
        let cases = [
            (r#"["</script>"]"#, r#"["<\/script>"]"#),
            (r#"["<!--<script>"]"#, r#"["<\u0021--<script>"]"#),
            ("[\"a\u{2028}\u{2029}b\"]", r#"["a\u2028\u2029b"]"#),
            (r#"["<</</"]"#, r#"["<<\/<\/"]"#),
            (r#"["\\</"]"#, r#"["\\<\/"]"#),
        ];
        for (json, expected) in cases {
            assert_eq!(&*escape_for_script(json.as_bytes()), expected.as_bytes());
        }
        for json in [r#"["<b>","<!-","<\/","a/b"]"#, "[\"“€\u{2027}\"]", ""] {
            let escaped = escape_for_script(json.as_bytes());
            assert!(matches!(escaped, Cow::Borrowed(_)), "{json}");
        }
    }

    /// The JSON that a script would parse; nothing if the expression is JSON itself.
    fn parsed_by(expression: &[u8]) -> Option<String> {
        let literal = expression
            .strip_prefix(b"JSON.parse(")?
            .strip_suffix(b")")?;
        // Every escape that stands in it means the same in a string of JSON.
        Some(serde_json::from_slice(literal).expect("a string"))
    }

    #[test]
    fn what_may_name_a_prototype_is_parsed() {
        let parsed = [
            r#"[{"__proto__":{"a":"</script><!--"}}]"#,
            r#"[{"data":{"__pro\u0074o__":1,"__proto__":2}}]"#,
            r#"[{"\u005f_proto__":1}]"#,
            r#"[{"_\u005Fproto__":1}]"#,
            r#"[{"__\u0070roto__":1}]"#,
            r#"[{"__p\u0072oto__":1}]"#,
            r#"[{"__pr\u006Fto__":1}]"#,
            "[{\"__proto__\" :\r\n\t\"\\\"\\\\ \u{2028}\u{2029}€\"}]",
            // No harm is in these, but to know that would cost more.
            r#"["__proto__"]"#,
            r#"["\u0041\\\u0061"]"#,
        ];
        for json in parsed {
            let expression = expression(json.as_bytes());
            assert_eq!(parsed_by(&expression).as_deref(), Some(json));
            for end in ["</", "<!--", "\n", "\r", "\u{2028}", "\u{2029}"] {
                assert!(
                    memmem::find(&expression, end.as_bytes()).is_none(),
                    "{json}"
                );
            }
        }
        for json in [
            r#"[{"proto":1,"a":"\u00e9\\\""}]"#,
            r#"[{"_proto_":1}]"#,
            "[]",
        ] {
            assert_eq!(&*expression(json.as_bytes()), json.as_bytes());
        }
    }

    #[test]
    fn comments() {
        let escaped = escape_comment_end(br#"["/foo/**/*/"]"#);
        assert_eq!(&*escaped, br#"["/foo/**\/*\/"]"#);
        let escaped = escape_comment_end(br#"["/foo/**","/*"]"#);
        assert!(matches!(escaped, Cow::Borrowed(_)));
    }

    fn json() -> impl Strategy<Value = Value> {
        let piece = prop_oneof![
            Just("<"),
            Just("/"),
            Just("!"),
            Just("--"),
            Just("*"),
            Just("\\"),
            Just("\""),
            Just("\u{2028}"),
            Just("\u{2029}"),
            Just("\u{2027}"),
            Just("€"),
            Just("</"),
            Just("<!--"),
            Just("__proto__"),
            Just("\n"),
            Just("a"),
        ];
        let text = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(text.clone(), inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_meaning_stays(value in json()) {
            let plain = value.to_string();
            let script = escape_for_script(plain.as_bytes());
            let comment = escape_comment_end(&script);
            let expression = expression(plain.as_bytes());
            if let Some(parsed) = parsed_by(&expression) {
                prop_assert_eq!(&parsed, &plain);
            } else {
                prop_assert_eq!(&*expression, &*script);
                prop_assert!(!plain.contains("__proto__"));
            }
            for end in ["</", "<!--", "\u{2028}", "\u{2029}", "\n"] {
                prop_assert!(memmem::find(&expression, end.as_bytes()).is_none());
            }
            for escaped in [&script, &comment] {
                prop_assert_eq!(&serde_json::from_slice::<Value>(escaped).unwrap(), &value);
            }
            for end in ["</", "<!--", "\u{2028}", "\u{2029}", "*/"] {
                prop_assert!(memmem::find(&comment, end.as_bytes()).is_none());
            }
        }
    }
}
