//! Turning a request body of any charset into UTF-8; knows nothing of what the body says.

use std::borrow::Cow;

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use http::StatusCode;
use thiserror::Error;

/// The Content-Type that almost every client sends, which is not taken apart.
const USUAL: &str = "application/json;charset=UTF-8";
/// How much of an unknown charset's name an error repeats.
const NAME_SHOWN: usize = 32;

/// Why a body could not be turned into UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// The `charset` parameter names no charset that this server decodes.
    #[error("the charset {0:?} is not known: send UTF-8")]
    UnknownCharset(String),
    /// The body is not valid in its charset.
    #[error("the body is not valid {0}: send UTF-8, or name the body's charset in Content-Type")]
    Malformed(&'static str),
}

impl Error {
    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownCharset(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Returns the body in UTF-8 without a byte order mark; a body in UTF-8 is checked, not copied.
///
/// The charset is the `charset` parameter of the Content-Type. Without one it is UTF-8, or the
/// UTF-16 or UTF-32 that a byte order mark or the null bytes of RFC 4627, section 3, give away.
///
/// # Errors
///
/// [`Error::UnknownCharset`] or [`Error::Malformed`].
pub fn to_utf8(body: Bytes, content_type: Option<&str>) -> Result<Bytes, Error> {
    if content_type.is_some_and(|text| text.eq_ignore_ascii_case(USUAL)) {
        return Charset::Encoding(UTF_8).decode(body);
    }
    let has_parameters = |text: &&str| text.contains('=');
    let charset = match content_type
        .filter(has_parameters)
        .and_then(charset_parameter)
    {
        Some(name) => Charset::named(&name, &body)?,
        None => Charset::sniffed(&body).unwrap_or(Charset::Encoding(UTF_8)),
    };
    charset.decode(body)
}

/// A charset with its byte order settled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Charset {
    /// One of `encoding_rs`, which has no UTF-32.
    Encoding(&'static Encoding),
    Utf32Be,
    Utf32Le,
}

impl Charset {
    fn named(name: &str, body: &[u8]) -> Result<Self, Error> {
        let sniffed = Self::sniffed(body);
        match name.to_ascii_lowercase().as_str() {
            "utf-32be" => return Ok(Self::Utf32Be),
            "utf-32le" => return Ok(Self::Utf32Le),
            "utf-32" if sniffed == Some(Self::Utf32Le) => return Ok(Self::Utf32Le),
            "utf-32" => return Ok(Self::Utf32Be),
            _ => {}
        }
        let Some(encoding) = Encoding::for_label_no_replacement(name.as_bytes()) else {
            let shown = name.chars().filter(char::is_ascii_graphic);
            return Err(Error::UnknownCharset(shown.take(NAME_SHOWN).collect()));
        };
        // `utf-16` leaves the byte order open, and `encoding_rs` reads it as little-endian.
        if encoding == UTF_16LE && sniffed == Some(Self::Encoding(UTF_16BE)) {
            return Ok(Self::Encoding(UTF_16BE));
        }
        Ok(Self::Encoding(encoding))
    }

    fn sniffed(body: &[u8]) -> Option<Self> {
        match *body {
            [0x00, 0x00, 0xFE, 0xFF, ..] => Some(Self::Utf32Be),
            [0xFF, 0xFE, 0x00, 0x00, ..] => Some(Self::Utf32Le),
            [0xFE, 0xFF, ..] => Some(Self::Encoding(UTF_16BE)),
            [0xFF, 0xFE, ..] => Some(Self::Encoding(UTF_16LE)),
            [0, 0, 0, d, ..] if d != 0 => Some(Self::Utf32Be),
            [a, 0, 0, 0, ..] if a != 0 => Some(Self::Utf32Le),
            [0, b, 0, d, ..] if b != 0 && d != 0 => Some(Self::Encoding(UTF_16BE)),
            [a, 0, c, 0, ..] if a != 0 && c != 0 => Some(Self::Encoding(UTF_16LE)),
            _ => None,
        }
    }

    fn decode(self, body: Bytes) -> Result<Bytes, Error> {
        let body = self.without_mark(body);
        match self {
            Self::Encoding(encoding) => decode_with(encoding, body),
            Self::Utf32Be => decode_utf32(&body, u32::from_be_bytes),
            Self::Utf32Le => decode_utf32(&body, u32::from_le_bytes),
        }
    }

    fn without_mark(self, body: Bytes) -> Bytes {
        let mark: &[u8] = match self {
            Self::Utf32Be => &[0x00, 0x00, 0xFE, 0xFF],
            Self::Utf32Le => &[0xFF, 0xFE, 0x00, 0x00],
            Self::Encoding(encoding) if encoding == UTF_8 => &[0xEF, 0xBB, 0xBF],
            Self::Encoding(encoding) if encoding == UTF_16BE => &[0xFE, 0xFF],
            Self::Encoding(encoding) if encoding == UTF_16LE => &[0xFF, 0xFE],
            Self::Encoding(_) => return body,
        };
        if body.starts_with(mark) {
            body.slice(mark.len()..)
        } else {
            body
        }
    }
}

fn decode_with(encoding: &'static Encoding, body: Bytes) -> Result<Bytes, Error> {
    let decoded = match encoding.decode_without_bom_handling_and_without_replacement(&body) {
        Some(Cow::Owned(text)) => Bytes::from(text),
        Some(Cow::Borrowed(_)) => return Ok(body),
        None => return Err(Error::Malformed(encoding.name())),
    };
    Ok(decoded)
}

fn decode_utf32(body: &[u8], read: fn([u8; 4]) -> u32) -> Result<Bytes, Error> {
    let (units, rest) = body.as_chunks::<4>();
    let text: Option<String> = units
        .iter()
        .map(|unit| char::from_u32(read(*unit)))
        .collect();
    text.filter(|_| rest.is_empty())
        .map(Bytes::from)
        .ok_or(Error::Malformed("UTF-32"))
}

/// The first `charset` parameter that is not empty.
fn charset_parameter(content_type: &str) -> Option<String> {
    parameters(content_type).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("charset") {
            return None;
        }
        let value = value.trim().replace(['"', '\'', '\\'], "");
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    })
}

/// Splits at the semicolons outside quoted strings.
fn parameters(content_type: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    content_type.split(move |c| {
        let is_text = is_escaped;
        is_escaped = is_quoted && c == '\\' && !is_text;
        is_quoted ^= c == '"' && !is_text;
        c == ';' && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[\"aé€😀\"]";

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    fn utf32(text: &str, bytes: fn(u32) -> [u8; 4]) -> Vec<u8> {
        text.chars().map(u32::from).flat_map(bytes).collect()
    }

    #[test]
    fn bodies_become_utf8() {
        let marked = format!("\u{FEFF}{TEXT}");
        let cases: Vec<(Option<&str>, Vec<u8>, &str)> = vec![
            (None, TEXT.into(), TEXT),
            (None, vec![], ""),
            (None, marked.clone().into(), TEXT),
            (None, utf16(TEXT, u16::to_be_bytes), TEXT),
            (None, utf16(TEXT, u16::to_le_bytes), TEXT),
            (None, utf16(&marked, u16::to_be_bytes), TEXT),
            (None, utf16(&marked, u16::to_le_bytes), TEXT),
            (None, utf32(TEXT, u32::to_be_bytes), TEXT),
            (None, utf32(TEXT, u32::to_le_bytes), TEXT),
            (None, utf32(&marked, u32::to_be_bytes), TEXT),
            (None, utf32(&marked, u32::to_le_bytes), TEXT),
            (Some("text/plain"), TEXT.into(), TEXT),
            (
                Some("application/json; charset=\"UTF-8\""),
                marked.clone().into(),
                TEXT,
            ),
            (Some("text/json;charset=UTF-8"), TEXT.into(), TEXT),
            (Some("a/b;charset="), TEXT.into(), TEXT),
            (Some("a/b; x=\";charset=no\\\";\""), TEXT.into(), TEXT),
            (Some("a/b; x=\"\\\\\"; charset=latin1"), b"\xE9".into(), "é"),
            (
                Some("text/plain; Charset = ISO-8859-1"),
                b"[\"\xE9\"]".into(),
                "[\"é\"]",
            ),
            (Some("charset=windows-1251"), b"\xE9".into(), "й"),
            (Some("charset='koi8-r'; x=y"), b"\xCA".into(), "й"),
            (Some(";charset=Shift_JIS"), b"\x82\xA0".into(), "あ"),
            (
                Some("a/b;charset=us-ascii;charset=none"),
                b"[]".into(),
                "[]",
            ),
            (Some("charset=utf-16"), utf16(TEXT, u16::to_be_bytes), TEXT),
            (Some("charset=UTF-16"), utf16(TEXT, u16::to_le_bytes), TEXT),
            (
                Some("charset=utf-16be"),
                utf16(&marked, u16::to_be_bytes),
                TEXT,
            ),
            (Some("charset=utf-32"), utf32(TEXT, u32::to_be_bytes), TEXT),
            (
                Some("charset=UTF-32"),
                utf32(&marked, u32::to_le_bytes),
                TEXT,
            ),
            (
                Some("charset=utf-32LE"),
                utf32(TEXT, u32::to_le_bytes),
                TEXT,
            ),
            (
                Some("charset=utf-32be"),
                utf32(TEXT, u32::to_be_bytes),
                TEXT,
            ),
        ];
        for (content_type, body, expected) in cases {
            let text = to_utf8(Bytes::from(body), content_type);
            assert_eq!(text, Ok(Bytes::from(expected)), "{content_type:?}");
        }
    }

    #[test]
    fn utf8_is_not_copied() {
        for content_type in [None, Some("charset=utf-8")] {
            let body = Bytes::from(TEXT);
            let start = body.as_ptr();
            assert_eq!(to_utf8(body, content_type).unwrap().as_ptr(), start);
        }
    }

    #[test]
    fn bad_bodies_are_refused() {
        let malformed = Error::Malformed;
        let cases: &[(Option<&str>, &[u8], Error)] = &[
            (None, b"[\"\xE9\"]", malformed("UTF-8")),
            (Some("charset=utf-8"), b"\xC0\x80", malformed("UTF-8")),
            (Some("charset=utf-16le"), b"[\0]", malformed("UTF-16LE")),
            (
                Some("charset=utf-16"),
                b"[\0\x00\xD8]\0",
                malformed("UTF-16LE"),
            ),
            (Some("charset=utf-32"), b"\0\0\0", malformed("UTF-32")),
            (
                Some("charset=utf-32le"),
                b"\x00\xD8\0\0",
                malformed("UTF-32"),
            ),
            (Some("charset=shift_jis"), b"\x82", malformed("Shift_JIS")),
            (
                Some("charset=utf-7"),
                b"[]",
                Error::UnknownCharset("utf-7".into()),
            ),
            (
                Some("charset=iso-2022-kr"),
                b"[]",
                Error::UnknownCharset("iso-2022-kr".into()),
            ),
        ];
        for (content_type, body, expected) in cases {
            let result = to_utf8(Bytes::from_static(body), *content_type);
            assert_eq!(result.as_ref(), Err(expected), "{content_type:?}");
        }
    }

    #[test]
    fn unknown_names_are_shortened() {
        let content_type = format!("charset=x\ny{}", "z".repeat(100));
        let error = to_utf8(Bytes::new(), Some(&content_type)).unwrap_err();
        assert_eq!(error.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(matches!(error, Error::UnknownCharset(name)
            if name.len() == NAME_SHOWN && name.starts_with("xyz")));
    }
}
