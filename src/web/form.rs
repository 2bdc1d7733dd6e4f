//! Finding the messages in a request body or a query; knows nothing of what a message says.

use std::convert::Infallible;
use std::future;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use memchr::{memchr, memchr2};
use multer::Multipart;
use percent_encoding::percent_decode;
use serde::de::IgnoredAny;
use thiserror::Error;

/// The field, of a form or a query, that holds messages.
const MESSAGE: &[u8] = b"message";
/// The query parameter that names the JSONP callback.
const CALLBACK: &[u8] = b"jsonp";

/// The bounds of a form or a query.
#[derive(Debug, Clone, Copy)]
pub struct FormLimits {
    /// How many fields, of any name, there may be.
    pub max_fields: usize,
}

/// A request body, by its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The body is JSON by its first byte; blanks around it are cut off.
    Json(Bytes),
    /// A form with at least one field named `message`.
    Form(Fields),
}

/// The fields of a form or a query that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// The values of the fields named `message`, in order; may be empty, and need not be UTF-8.
    pub messages: Vec<Bytes>,
    /// The value of `jsonp`, as the client wrote it: check it before it is written anywhere.
    pub callback: Option<String>,
}

/// Why a body or a query holds no messages; each is the client's mistake (status 400).
#[derive(Debug, Error)]
pub enum Error {
    /// There is nothing but blanks.
    #[error("the body is empty: send a JSON array of messages")]
    Empty,
    /// The body is neither an array, an object nor a form.
    #[error("the body holds no message: send a JSON array, or a form with a `message` field")]
    NotAMessage,
    /// No field of the form is named `message`.
    #[error("the form has no `message` field: put the JSON into a field of that name")]
    NoMessage,
    /// There are more fields than the limit.
    #[error("there are more than {0} fields: send the messages as one JSON array")]
    TooManyFields(usize),
    /// The query names two callbacks.
    #[error("there is more than one `jsonp` parameter: send one")]
    TwoCallbacks,
    /// The body does not follow its multipart framing.
    #[error("the multipart body is malformed ({0}): check its boundary, or send a JSON array")]
    Multipart(#[from] multer::Error),
}

/// Reads a body in UTF-8.
///
/// The first byte that is not blank decides: clients send JSON as a form, and forms as text.
///
/// # Errors
///
/// All of them.
pub fn read(body: &Bytes, content_type: Option<&str>, limits: FormLimits) -> Result<Body, Error> {
    let body = body.slice_ref(body.trim_ascii());
    let fields = match *body {
        [] => return Err(Error::Empty),
        [b'[' | b'{', ..] => return Ok(Body::Json(body)),
        [b'-', b'-', ..] if is_multipart(content_type) => {
            // Of a body that has arrived the parser never waits for more.
            multipart(body, content_type.unwrap_or_default(), limits)
                .now_or_never()
                .unwrap_or(Err(Error::NotAMessage))?
        }
        _ => urlencoded(body, limits)?,
    };
    if fields.messages.is_empty() {
        return Err(Error::NoMessage);
    }
    Ok(Body::Form(fields))
}

/// Reads the query of a JSONP request, in which parameters of other names are passed over.
///
/// # Errors
///
/// [`Error::TooManyFields`] and [`Error::TwoCallbacks`].
pub fn query_messages(query: &str, limits: FormLimits) -> Result<Fields, Error> {
    fields(Bytes::copy_from_slice(query.as_bytes()), limits)
}

fn fields(text: Bytes, limits: FormLimits) -> Result<Fields, Error> {
    let mut found = Fields::default();
    for field in Pairs::new(text, limits) {
        let Field { name, value } = field?;
        found.add(&name, value)?;
    }
    Ok(found)
}

impl Fields {
    fn add(&mut self, name: &[u8], value: Bytes) -> Result<(), Error> {
        if name == MESSAGE {
            self.messages.push(value);
        } else if name == CALLBACK {
            let callback = String::from_utf8_lossy(&value).into_owned();
            if self.callback.replace(callback).is_some() {
                return Err(Error::TwoCallbacks);
            }
        }
        Ok(())
    }
}

/// Reads the values of the parameters of one name, in order.
///
/// # Errors
///
/// [`Error::TooManyFields`].
pub fn query_values(query: &str, name: &str, limits: FormLimits) -> Result<Vec<Bytes>, Error> {
    let mut values = Vec::new();
    for field in Pairs::new(Bytes::copy_from_slice(query.as_bytes()), limits) {
        let field = field?;
        if field.name == name.as_bytes() {
            values.push(field.value);
        }
    }
    Ok(values)
}

fn urlencoded(body: Bytes, limits: FormLimits) -> Result<Fields, Error> {
    if memchr(b'=', &body).is_none() {
        return Err(Error::NotAMessage);
    }
    fields(body, limits)
}

fn is_multipart(content_type: Option<&str>) -> bool {
    let media_type = content_type.and_then(|text| text.split(';').next());
    media_type.is_some_and(|text| text.trim().eq_ignore_ascii_case("multipart/form-data"))
}

async fn multipart(body: Bytes, content_type: &str, limits: FormLimits) -> Result<Fields, Error> {
    let boundary = multer::parse_boundary(content_type)?;
    let body = stream::once(future::ready(Ok::<_, Infallible>(body)));
    let mut parts = Multipart::new(body, boundary);
    let mut found = Fields::default();
    let mut count = 0;
    while let Some(field) = parts.next_field().await? {
        count += 1;
        if count > limits.max_fields {
            return Err(Error::TooManyFields(limits.max_fields));
        }
        let name = field.name().unwrap_or_default().to_owned();
        found.add(name.as_bytes(), field.bytes().await?)?;
    }
    Ok(found)
}

struct Field {
    name: Bytes,
    value: Bytes,
}

/// The fields of urlencoded text, decoded.
struct Pairs {
    rest: Bytes,
    count: usize,
    limits: FormLimits,
}

impl Pairs {
    fn new(text: Bytes, limits: FormLimits) -> Self {
        Self {
            rest: text,
            count: 0,
            limits,
        }
    }
}

impl Iterator for Pairs {
    type Item = Result<Field, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.count += 1;
        if self.count > self.limits.max_fields {
            self.rest.clear();
            return Some(Err(Error::TooManyFields(self.limits.max_fields)));
        }
        let end = memchr(b'&', &self.rest).unwrap_or(self.rest.len());
        let equals = memchr(b'=', &self.rest[..end]).unwrap_or(end);
        let name = decode(self.rest.slice(..equals));
        let after_equals = self.rest.len().min(equals + 1);
        let literal = self.rest.slice(after_equals..);
        if name == MESSAGE && equals < end && is_whole_json(&literal) {
            self.rest.clear();
            return Some(Ok(Field {
                name,
                value: literal,
            }));
        }
        let value = decode(self.rest.slice(after_equals.min(end)..end));
        self.rest = self.rest.slice(self.rest.len().min(end + 1)..);
        Some(Ok(Field { name, value }))
    }
}

/// Whether a client forgot to encode its JSON, whose `&`, `+` and `%` then stand for themselves.
///
/// Asking this for every field stays linear in the text: JSON goes on past a `&` only inside a
/// string, and of two texts, one begun inside the other's string, only one can be inside a string.
fn is_whole_json(text: &[u8]) -> bool {
    let is_framed = matches!(text, [b'[', .., b']'] | [b'{', .., b'}']);
    is_framed && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

fn decode(raw: Bytes) -> Bytes {
    if memchr2(b'+', b'%', &raw).is_none() {
        return raw;
    }
    let mut spaced = Vec::from(raw);
    for byte in &mut spaced {
        if *byte == b'+' {
            *byte = b' ';
        }
    }
    percent_decode(&spaced).collect()
}

#[cfg(test)]
mod tests;
