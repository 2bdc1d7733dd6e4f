//! The head of a request, and its header fields where they stand in its bytes.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, Method, Uri, Version, header};

/// The head of a request.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its method.
    pub method: Method,
    /// Its target.
    pub uri: Uri,
    /// The version of HTTP it came by.
    pub version: Version,
    /// Its header fields.
    pub headers: Headers,
}

/// A request whose body has arrived.
#[derive(Debug)]
pub struct Request {
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Bytes,
}

impl Request {
    /// Returns its method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// Returns its target.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.head.uri
    }

    /// Returns its header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.head.headers
    }
}

/// The header fields of a request, in their order. There are few: to find one they are compared, which
/// costs less than to hash each of them.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    text: Bytes,
    fields: Vec<Field>,
}

/// Where a field's name and its value are.
#[derive(Debug, Clone, Copy)]
struct Field {
    /// The first letter of the name, in lower case: it differs among most names of one length.
    initial: u8,
    name: Span,
    value: Span,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    begin: usize,
    length: usize,
}

impl Head {
    /// Makes the head that was parsed from these bytes; nothing if a part of it is not what it should
    /// be.
    #[must_use]
    pub fn parsed(request: &httparse::Request<'_, '_>, text: &Bytes) -> Option<Self> {
        let target = text.slice_ref(request.path?.as_bytes());
        Some(Self {
            method: Method::from_bytes(request.method?.as_bytes()).ok()?,
            uri: Uri::from_maybe_shared(target).ok()?,
            version: match request.version? {
                0 => Version::HTTP_10,
                _ => Version::HTTP_11,
            },
            headers: Headers::parsed(request.headers, text),
        })
    }
}

impl Head {
    /// Tells whether its client waits to hear that it may send the body (RFC 9110 section 10.1.1).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        let expect = self.headers.get(&header::EXPECT);
        self.version == Version::HTTP_11
            && expect.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"))
    }
}

impl Headers {
    /// Takes the fields that were parsed from these bytes.
    fn parsed(fields: &[httparse::Header<'_>], text: &Bytes) -> Self {
        let begin = text.as_ptr().addr();
        // An empty value may stand nowhere.
        let span = |part: &[u8]| Span {
            begin: if part.is_empty() {
                0
            } else {
                part.as_ptr().addr().saturating_sub(begin)
            },
            length: part.len(),
        };
        let fields = fields.iter().map(|field| Field {
            initial: initial(field.name.as_bytes()),
            name: span(field.name.as_bytes()),
            value: span(field.value),
        });
        Self {
            fields: fields.collect(),
            text: text.clone(),
        }
    }

    /// Returns the first value of a field.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// Returns all values of a field.
    pub fn get_all(&self, name: &HeaderName) -> impl DoubleEndedIterator<Item = &[u8]> {
        let name = name.as_str().as_bytes();
        let initial = initial(name);
        let fields = self.fields.iter();
        let fields = fields.filter(move |field| field.initial == initial && self.is(field, name));
        fields.map(|field| self.part(field.value))
    }

    /// Returns the first value of a field, if it is visible ASCII.
    #[must_use]
    pub fn text(&self, name: &HeaderName) -> Option<&str> {
        self.get(name).and_then(visible)
    }

    /// Returns all values of a field that are visible ASCII.
    pub fn texts(&self, name: &HeaderName) -> impl Iterator<Item = &str> {
        self.get_all(name).filter_map(visible)
    }

    /// Tells whether a field that is a list of tokens has this one (RFC 9110 section 5.6.1).
    #[must_use]
    pub fn lists(&self, name: &HeaderName, token: &str) -> bool {
        self.texts(name)
            .flat_map(|list| list.split(','))
            .any(|found| found.trim().eq_ignore_ascii_case(token))
    }

    /// Tells whether there is such a field.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Removes all fields of a name.
    pub fn remove(&mut self, name: &HeaderName) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.retain(|field| !self.is(field, name.as_str().as_bytes()));
        self.fields = fields;
    }

    /// Adds a field, for which all are copied.
    pub fn append(&mut self, name: &HeaderName, value: &[u8]) {
        let name = name.as_str().as_bytes();
        let begin = self.text.len();
        self.fields.push(Field {
            initial: initial(name),
            name: Span {
                begin,
                length: name.len(),
            },
            value: Span {
                begin: begin + name.len(),
                length: value.len(),
            },
        });
        self.text = [&*self.text, name, value].concat().into();
    }

    fn is(&self, field: &Field, name: &[u8]) -> bool {
        field.name.length == name.len() && self.part(field.name).eq_ignore_ascii_case(name)
    }

    fn part(&self, span: Span) -> &[u8] {
        &self.text[span.begin..][..span.length]
    }
}

impl<'f> FromIterator<(&'f [u8], &'f [u8])> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'f [u8], &'f [u8])>>(fields: I) -> Self {
        let mut text = BytesMut::new();
        let mut put = |part: &[u8]| {
            let begin = text.len();
            text.extend_from_slice(part);
            Span {
                begin,
                length: part.len(),
            }
        };
        let fields = fields.into_iter().map(|(name, value)| Field {
            initial: initial(name),
            name: put(name),
            value: put(value),
        });
        Self {
            fields: fields.collect(),
            text: text.freeze(),
        }
    }
}

fn initial(name: &[u8]) -> u8 {
    name.first().map_or(0, u8::to_ascii_lowercase)
}

fn visible(value: &[u8]) -> Option<&str> {
    let is_visible = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    // All of them, which is done many at a time, and not only up to the first that is not.
    let is_text = value.iter().fold(true, |all, byte| all & is_visible(byte));
    str::from_utf8(value).ok().filter(|_| is_text)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn parsed(text: &'static str) -> Option<Head> {
        let head = Bytes::from_static(text.as_bytes());
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(&head).expect("a head");
        Head::parsed(&request, &head)
    }

    const X_A: HeaderName = HeaderName::from_static("x-a");
    const EMPTY: HeaderName = HeaderName::from_static("empty");

    #[test]
    fn every_part_is_there() {
        let text = "PUT /a/b?c HTTP/1.0\r\nHost: x\r\nEmpty:\r\nX-A: 1 2\r\nx-a: 3\r\n\r\n";
        let head = parsed(text).expect("a head");
        assert_eq!((head.method, head.version), (Method::PUT, Version::HTTP_10));
        assert_eq!(
            head.uri.path_and_query().map(|both| both.as_str()),
            Some("/a/b?c")
        );
        let values: Vec<_> = head.headers.get_all(&X_A).collect();
        assert_eq!(values, [b"1 2".as_slice(), b"3"]);
        assert_eq!(head.headers.text(&EMPTY), Some(""));
        assert_eq!(head.headers.get(&http::header::HOST), Some(b"x".as_slice()));
    }

    #[test]
    fn a_target_has_to_be_one() {
        assert!(parsed("GET http:// HTTP/1.1\r\n\r\n").is_none());
    }

    #[test]
    fn fields_are_added_and_removed() {
        let mut headers: Headers = [(b"X-A".as_slice(), b"1".as_slice()), (b"Empty", b"")]
            .into_iter()
            .collect();
        headers.append(&X_A, b"2");
        assert_eq!(headers.texts(&X_A).collect::<Vec<_>>(), ["1", "2"]);
        headers.remove(&X_A);
        assert!(!headers.contains(&X_A) && headers.contains(&EMPTY));
    }

    #[test]
    fn fields_are_those_of_a_map_of_headers() {
        let text = "GET / HTTP/1.1\r\nX-A: 1\r\nHost:x\r\nx-a:  two words \r\nEMPTY:\r\nX-a: \u{e9}\r\n\r\n";
        let head = Bytes::from_static(text.as_bytes());
        let mut fields = [httparse::EMPTY_HEADER; 8];
        let mut request = httparse::Request::new(&mut fields);
        request.parse(&head).expect("a head");
        let map: HeaderMap = request
            .headers
            .iter()
            .map(|field| {
                let name = HeaderName::from_bytes(field.name.as_bytes()).expect("a name");
                let value = http::HeaderValue::from_bytes(field.value).expect("a value");
                (name, value)
            })
            .collect();
        let parsed = Headers::parsed(request.headers, &head);
        for name in map.keys() {
            let expected: Vec<_> = map
                .get_all(name)
                .iter()
                .map(|value| value.as_bytes())
                .collect();
            let found: Vec<_> = parsed.get_all(name).collect();
            assert_eq!(found, expected, "{name}");
        }
        assert_eq!(parsed.texts(&X_A).collect::<Vec<_>>(), ["1", "two words"]);
    }

    #[test]
    fn a_list_has_a_token_in_any_case_and_field() {
        let cases: [(&[&str], bool); 5] = [
            (&["upgrade"], true),
            (&["keep-alive ,UPGRADE"], true),
            (&["close", "x, Upgrade"], true),
            (&["upgraded"], false),
            (&[], false),
        ];
        for (values, expected) in cases {
            let fields = values
                .iter()
                .map(|value| (b"X-A".as_slice(), value.as_bytes()));
            let headers: Headers = fields.collect();
            assert_eq!(headers.lists(&X_A, "upgrade"), expected, "{values:?}");
        }
    }

    #[test]
    fn text_is_visible_ascii() {
        let cases = [
            (b"a\tb c~".as_slice(), true),
            (b"\xe9", false),
            ("é".as_bytes(), false),
            (b"a\x7f", false),
        ];
        for (value, is_text) in cases {
            let headers: Headers = [(b"x-a".as_slice(), value)].into_iter().collect();
            assert_eq!(headers.text(&X_A).is_some(), is_text, "{value:?}");
            assert_eq!(headers.get(&X_A), Some(value));
        }
    }
}
