//! Answers, without what is of the moment or chance.

use std::io::Read as _;

use flate2::read::GzDecoder;

use crate::support::take_chunk;

/// Names that are made by chance have so many letters at least; what else has is no loss.
const NAME: usize = 20;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: Vec<String>,
    pub(super) body: String,
}

/// What was read of some bytes.
pub(super) struct Read {
    pub(super) answers: Vec<Answer>,
    /// The last is whole, and others may follow.
    pub(super) is_whole: bool,
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.fields.iter().filter_map(|line| line.split_once(": "));
        let mut values = fields.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value)
    }

    /// It is of this media type.
    pub(super) fn is_of(&self, media_type: &str) -> bool {
        let content_type = self.field("Content-Type");
        content_type.is_some_and(|found| found.starts_with(media_type))
    }
}

/// Reads answers, to the last byte that has come. Nothing of an answer comes late, but of one that is a
/// stream.
pub(super) fn read(mut bytes: &[u8]) -> Read {
    let mut read = Read {
        answers: Vec::new(),
        is_whole: true,
    };
    while let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end + 4..];
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.get(9..12));
        let status: u16 = status
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no status: {head}"));
        let mut answer = Answer {
            status,
            fields: lines.map(str::to_owned).collect(),
            body: String::new(),
        };
        if status == 100 {
            // It is sent only if the body is late.
            continue;
        }
        let body = take_body(&answer, &mut bytes, &mut read.is_whole);
        answer.body = text(&answer, body);
        answer.forget();
        read.answers.push(answer);
    }
    assert!(bytes.is_empty(), "half an answer: {}", bytes.escape_ascii());
    read
}

/// Takes the bytes of an answer's body.
fn take_body(answer: &Answer, bytes: &mut &[u8], is_whole: &mut bool) -> Vec<u8> {
    if matches!(answer.status, 204 | 304) {
        return Vec::new();
    }
    if let Some(length) = answer.field("Content-Length") {
        // That of an answer to a HEAD does not come.
        let is_omitted = bytes.is_empty() || bytes.starts_with(b"HTTP/1.");
        let length = if is_omitted {
            0
        } else {
            length.parse().unwrap()
        };
        let (body, rest) = bytes.split_at(length);
        *bytes = rest;
        return body.to_vec();
    }
    *is_whole = false;
    let mut rest = std::mem::take(bytes).to_vec();
    if answer.field("Transfer-Encoding").is_none() {
        return rest;
    }
    let mut body = Vec::new();
    while let Some(chunk) = take_chunk(&mut rest) {
        body.extend(chunk);
    }
    assert!(rest.is_empty(), "half a chunk: {}", rest.escape_ascii());
    body
}

fn text(answer: &Answer, body: Vec<u8>) -> String {
    let mut plain = Vec::new();
    let body = if answer.field("Content-Encoding").is_some() {
        // A stream is cut where its client has closed the connection.
        let _ = GzDecoder::new(&*body).read_to_end(&mut plain);
        plain
    } else {
        body
    };
    if answer.is_of("message/http") {
        let inner = read(&body).answers;
        return inner.iter().map(|answer| format!("{answer:?}\n")).collect();
    }
    masked(&String::from_utf8_lossy(&body))
}

impl Answer {
    /// Leaves out what differs from one time to the next.
    fn forget(&mut self) {
        let is_coded = self.field("Content-Encoding").is_some();
        self.fields.retain(|line| {
            let is_of_the_moment =
                line.starts_with("Date: ") || line.starts_with("Last-Modified: ");
            !(is_of_the_moment || is_coded && line.starts_with("Content-Length: "))
        });
        for line in &mut self.fields {
            if line.starts_with("ETag: ") {
                "ETag: it".clone_into(line);
            } else if line.len() > NAME {
                *line = masked(line);
            }
        }
    }
}

/// Hides long names.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut name = 0;
    for character in text.chars() {
        let is_part = character.is_ascii_alphanumeric();
        name = if is_part { name + 1 } else { 0 };
        if name == NAME {
            masked.truncate(masked.len() + 1 - NAME);
            masked.push('*');
        } else if name < NAME {
            masked.push(character);
        }
    }
    masked
}
