//! One line: what is said of a request, without what may be secret: its query, its fields, its body.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use http::{Version, header};
use serde::Serialize;

use super::settings::Format;
use crate::bayeux::ClientId;
use crate::peer::Peer;
use crate::web::Head;

/// How many bytes of a path or a name of a client are kept.
const MAX_TEXT: usize = 512;
/// What stands for the part of a path that is a client id: whoever knows it may use the session.
const HIDDEN: &str = "***";

/// What is said of a request.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    /// When it came; encoded by each format.
    #[serde(serialize_with = "as_rfc3339")]
    time: SystemTime,
    client: String,
    method: String,
    path: String,
    protocol: &'static str,
    status: u16,
    /// Bytes of the response, with its head but by HTTP/2.
    bytes: u64,
    /// Seconds.
    duration: f64,
    user_agent: Option<String>,
    purpose: &'static str,
}

fn as_rfc3339<S: serde::Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&humantime::format_rfc3339_millis(*time))
}

impl Line {
    /// Begins the line of a request.
    pub(super) fn new(
        head: Option<&Head>,
        peer: Peer,
        purpose: &'static str,
        time: SystemTime,
    ) -> Self {
        let client = match peer.ip() {
            Some(ip) => ip.to_string(),
            None => "unix".to_owned(),
        };
        let agent = head.and_then(|head| head.headers.text(&header::USER_AGENT));
        Self {
            time,
            client,
            method: head.map_or("-", |head| head.method.as_str()).to_owned(),
            path: head.map_or_else(|| "-".to_owned(), |head| shown(head.uri.path())),
            protocol: protocol(head.map(|head| head.version)),
            status: 0,
            bytes: 0,
            duration: 0.0,
            user_agent: agent.map(|agent| cut(agent).to_owned()),
            purpose,
        }
    }

    /// Adds how it went. A status of 0 says that no response began: its client went away.
    pub(super) fn finish(&mut self, status: u16, bytes: u64, duration: Duration) -> &Self {
        self.status = status;
        self.bytes = bytes;
        self.duration = (duration.as_secs_f64() * 1000.0).round() / 1000.0;
        self
    }

    /// Writes the line, with its end.
    pub(super) fn encode(&self, format: Format) -> String {
        match format {
            Format::Combined => self.combined(),
            Format::Json => {
                // Nothing of it cannot be written as JSON.
                let mut line = serde_json::to_string(self).unwrap_or_default();
                line.push('\n');
                line
            }
        }
    }

    fn combined(&self) -> String {
        let Self {
            time,
            client,
            method,
            path,
            protocol,
            status,
            bytes,
            duration,
            user_agent,
            purpose,
        } = self;
        let time = httpdate::fmt_http_date(*time);
        // "Sat, 28 Nov 2026 13:40:00 GMT"
        let (day, month, year, clock) = (&time[5..7], &time[8..11], &time[12..16], &time[17..25]);
        let mut line = format!("{client} - - [{day}/{month}/{year}:{clock} +0000] \"");
        quote(&mut line, method);
        line.push(' ');
        quote(&mut line, path);
        // Writing to a text does not fail.
        let _ = write!(line, " {protocol}\" {status} {bytes} \"-\" \"");
        quote(&mut line, user_agent.as_deref().unwrap_or("-"));
        let _ = writeln!(line, "\" {duration:.3} {purpose}");
        line
    }
}

fn protocol(version: Option<Version>) -> &'static str {
    match version {
        Some(Version::HTTP_2) => "HTTP/2.0",
        Some(Version::HTTP_11) => "HTTP/1.1",
        Some(Version::HTTP_10) => "HTTP/1.0",
        _ => "-",
    }
}

/// Returns a path as it may be shown.
fn shown(path: &str) -> String {
    let parts: Vec<&str> = cut(path)
        .split('/')
        .map(|part| match part.parse::<ClientId>() {
            Ok(_) => HIDDEN,
            Err(_) => part,
        })
        .collect();
    parts.join("/")
}

/// Returns as much of a text as is kept.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Adds a text so that it cannot end its quotation or its line, nor write to a terminal.
fn quote(line: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f.. => {
                let _ = write!(line, "\\x{byte:02X}");
            }
            _ => line.push(char::from(byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn head(text: &'static str) -> Head {
        let text = Bytes::from_static(text.as_bytes());
        let mut headers = [httparse::EMPTY_HEADER; 4];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(&text).expect("a head");
        Head::parsed(&request, &text).expect("a head")
    }

    fn line(head: Option<&Head>) -> Line {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_873_200_125);
        let mut line = Line::new(head, Peer::Behind([192, 0, 2, 1].into()), "messages", time);
        line.finish(200, 17, Duration::from_micros(1_234_567));
        line
    }

    #[test]
    fn a_line_says_what_is_no_secret() {
        let head = head(
            "POST /cometd/connect?token=secret HTTP/1.1\r\nHost: h\r\nUser-Agent: a\"b\\c\r\n\
             Cookie: secret\r\n\r\n",
        );
        let line = line(Some(&head));
        assert_eq!(
            line.encode(Format::Combined),
            "192.0.2.1 - - [28/Nov/2026:13:40:00 +0000] \"POST /cometd/connect HTTP/1.1\" 200 17 \"-\" \
             \"a\\x22b\\x5Cc\" 1.235 messages\n"
        );
        let json: serde_json::Value =
            serde_json::from_str(&line.encode(Format::Json)).expect("JSON");
        let expected = serde_json::json!({
            "time": "2026-11-28T13:40:00.125Z", "client": "192.0.2.1", "method": "POST",
            "path": "/cometd/connect", "protocol": "HTTP/1.1", "status": 200, "bytes": 17, "duration": 1.235,
            "user_agent": "a\"b\\c", "purpose": "messages",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn what_cannot_be_read_has_a_line_too() {
        let line = line(None).encode(Format::Combined);
        assert!(line.contains("\"- - -\" 200 17 \"-\" \"-\""), "{line}");
    }

    #[test]
    fn a_client_id_in_a_path_is_hidden_and_a_long_path_is_cut() {
        let id = ClientId(crate::bayeux::RandomId::from_random([7; 16])).to_string();
        assert_eq!(shown(&format!("/cometd/{id}/x")), "/cometd/***/x");
        assert_eq!(shown(&"/é".repeat(400)).len(), MAX_TEXT - 1);
    }
}
