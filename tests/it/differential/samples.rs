//! Requests that are well-formed, of all kinds that are served, and of many that are refused.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::support::{Client, TestServer, percent};

/// Stands in the path of a resource for a name that was not used before.
const FRESH: &str = "freshfreshfreshfreshfresh";

/// A well-formed request.
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    /// It may change a resource, so that it is not answered twice alike.
    pub(super) is_of_resource: bool,
}

/// The sessions that requests are of.
struct Sessions {
    publishes: Client,
    connects: Client,
    streams: Client,
}

/// Puts a name into a request that no request had that was sent otherwise.
pub(super) fn fresh(bytes: &[u8], number: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(at) = memchr::memmem::find(&bytes, FRESH.as_bytes()) {
        let name = format!("{number:0width$}", width = FRESH.len());
        bytes[at..at + FRESH.len()].copy_from_slice(name.as_bytes());
    }
    bytes
}

/// Tells whether a request is for a resource whose name is always the same, so that one way of arriving
/// would change what the next finds.
pub(super) fn is_stale(bytes: &[u8]) -> bool {
    let has = |part: &str| memchr::memmem::find(bytes, part.as_bytes()).is_some();
    has("/r/") && !has(FRESH)
}

/// A request of a head without a length, and a body.
fn request(line: &str, fields: &[&str], body: impl AsRef<[u8]>) -> Sample {
    let body = body.as_ref();
    let mut text = format!("{line} HTTP/1.1\r\nHost: h\r\n");
    for field in fields.iter().filter(|field| !field.is_empty()) {
        text += &format!("{field}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    Sample {
        bytes: [text.as_bytes(), body].concat(),
        is_of_resource: line.contains("/resources/r"),
    }
}

fn cookie(client: &Client) -> String {
    format!(
        "Cookie: BAYEUX_BROWSER={}",
        client.cookie.as_deref().unwrap()
    )
}

fn batch(client: &Client, message: Value) -> String {
    json!([client.message(message)]).to_string()
}

/// All of them, for the sessions of a server.
pub(super) async fn samples(server: &TestServer) -> Vec<Sample> {
    let sessions = Sessions {
        publishes: client(server).await,
        connects: client(server).await,
        streams: client(server).await,
    };
    let mut samples = messages(&sessions);
    samples.extend(polls(&sessions));
    samples.extend(scripts_and_streams(&sessions));
    samples.extend(resources());
    samples.extend(embedding(&sessions));
    samples.extend(others());
    samples
}

/// A client with a session, or one that thinks that it has one, of a server that takes no messages by POST.
async fn client(server: &TestServer) -> Client {
    let takes_posts = server.post("[]").await.status != 405;
    if takes_posts {
        return server.client().await;
    }
    let mut client = Client::new(server.address);
    "0123456789abcdefghijkl".clone_into(&mut client.id);
    client.cookie = Some(client.id.clone());
    client
}

const ORIGIN: &str = "Origin: http://a.example";
const JSON: &str = "Content-Type: application/json";

fn messages(sessions: &Sessions) -> Vec<Sample> {
    let client = &sessions.publishes;
    let cookie = cookie(client);
    let publish = batch(
        client,
        json!({"channel": "/published", "id": "1", "data": "é"}),
    );
    let form = format!("message={}", percent(&publish));
    let post = |fields: &[&str], body: &[u8]| request("POST /cometd", fields, body);
    let publish = publish.as_bytes();
    let (first, second) = publish.split_at(publish.len() / 3);
    let mut chunks = format!("{:x}\r\n", first.len()).into_bytes();
    chunks.extend_from_slice(first);
    write!(chunks, "\r\n{:X};a=b\r\n", second.len()).unwrap();
    chunks.extend_from_slice(second);
    chunks.extend_from_slice(b"\r\n0\r\nT: u\r\n\r\n");
    let head = format!(
        "POST /cometd HTTP/1.1\r\nHost: h\r\n{cookie}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunked = Sample {
        bytes: [head.as_bytes(), &chunks].concat(),
        is_of_resource: false,
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(publish).unwrap();
    let gzip = gzip.finish().unwrap();
    let utf_16: Vec<u8> = str::from_utf8(publish)
        .unwrap()
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let urlencoded = "Content-Type: application/x-www-form-urlencoded";
    let utf_16_type = "Content-Type: application/json; charset=utf-16be";
    let handshake = r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;
    let old = Sample {
        bytes: [
            &b"POST /cometd HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\n[{}]"[..],
        ]
        .concat(),
        is_of_resource: false,
    };
    vec![
        post(&[JSON, &cookie], publish),
        post(&[JSON, &cookie, "Origin: http://h"], publish),
        post(&[&cookie, "Referer: http://h/page"], publish),
        post(&[&cookie, ORIGIN, "Accept-Encoding: gzip"], publish),
        post(&[urlencoded, &cookie], form.as_bytes()),
        post(&["Content-Encoding: gzip", JSON, &cookie], &gzip),
        post(&[utf_16_type, &cookie], &utf_16),
        post(&["Expect: 100-continue", &cookie], publish),
        post(&[JSON], handshake.as_bytes()),
        post(&[JSON, "Accept: multipart/x-mixed-replace"], b"[{]"),
        post(&["Sec-Fetch-Site: same-origin"], b"[]"),
        chunked,
        old,
    ]
}

fn polls(sessions: &Sessions) -> Vec<Sample> {
    let unknown = r#"{"channel":"/meta/connect","clientId":"x","connectionType":"long-polling"}"#;
    let many = format!("[{}]", [unknown].repeat(12).join(","));
    let client = &sessions.connects;
    let cookie = cookie(client);
    let connect = |kind: &str, timeout: Option<u64>| {
        let advice = timeout.map(|timeout| json!({"timeout": timeout}));
        let message = json!({"channel": "/meta/connect", "connectionType": kind, "advice": advice});
        batch(client, message)
    };
    let post = |fields: &[&str], body: String| request("POST /cometd/connect", fields, body);
    let responses = "Accept: message/http";
    let frame = r#"{"channel":"/meta/connect","clientId":"x","connectionType":"iframe"}"#;
    vec![
        post(&[JSON, "Accept-Encoding: gzip"], many),
        post(&[&cookie], connect("long-polling", Some(0))),
        post(&[JSON, &cookie, ORIGIN], connect("long-polling", Some(0))),
        post(&[JSON, &cookie], connect("long-polling", None)),
        post(&[responses, &cookie], connect("message-http", Some(0))),
        post(&[responses, &cookie], connect("long-polling", Some(0))),
        post(&["Referer: http://h/page"], frame.to_owned()),
    ]
}

fn scripts_and_streams(sessions: &Sessions) -> Vec<Sample> {
    let message = percent(r#"{"channel":"/meta/subscribe","subscription":"/a","clientId":"x"}"#);
    let script = format!("GET /cometd?jsonp=f&message={message}");
    let stream = format!("GET /cometd/{}", sessions.streams.id);
    let accepts = "Accept: text/event-stream";
    let upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Extensions: permessage-deflate",
    ];
    let get = |line: &str, fields: &[&str]| request(line, fields, "");
    vec![
        get(&script, &["Referer: http://h/page"]),
        get(&script, &["Referer: http://h/page"]),
        get(&script, &[]),
        get("GET /cometd?tunnelInit=iframe", &["Referer: http://h/"]),
        get("GET /cometd", &upgrade),
        get("GET /events?channel=/streamed", &[accepts]),
        get("GET /events", &[accepts, ORIGIN]),
        request("POST /events", &[JSON], "[]"),
        get(&stream, &[accepts, &cookie(&sessions.streams)]),
    ]
}

fn resources() -> Vec<Sample> {
    let line = |method: &str| format!("{method} /resources/r/{FRESH}");
    let ask = |method: &str, fields: &[&str], body: &str| request(&line(method), fields, body);
    let after = "When-Modified-After: Thu, 01 Jan 1970 00:00:00 GMT";
    vec![
        ask("PUT", &[JSON], "[10]"),
        ask("PUT", &["If-None-Match: *"], "[10]"),
        ask("POST", &[], "[10]"),
        ask("PATCH", &["Content-Range: bytes 1-2/4"], "20"),
        ask("GET", &[], ""),
        ask("GET", &["If-None-Match: *", ORIGIN], ""),
        ask("HEAD", &[], ""),
        ask("DELETE", &[], ""),
        ask("OPTIONS", &[ORIGIN], ""),
        ask("GET", &[after], ""),
        ask("GET", &[after, "Accept: message/http"], ""),
        request("PUT /resources/none", &[], "1"),
    ]
}

fn embedding(sessions: &Sessions) -> Vec<Sample> {
    let client = &sessions.publishes;
    let publish = json!({"channel": "/published", "id": "2", "data": 1});
    let inner = request("POST /cometd", &[], batch(client, publish)).bytes;
    let inner = [&inner[..], b"GET /cometd HTTP/1.1\r\n\r\n", &inner].concat();
    let (cookie, of_requests) = (cookie(client), "Content-Type: message/http");
    let chunked = format!(
        "{:x}\r\n{}\r\n0\r\n\r\n",
        inner.len(),
        str::from_utf8(&inner).unwrap()
    );
    let head = format!(
        "POST /cometd HTTP/1.1\r\nHost: h\r\n{of_requests}\r\n{cookie}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let coded = "Content-Encoding: gzip";
    vec![
        request("POST /cometd", &[of_requests, &cookie], &inner),
        request("POST /resources", &[of_requests, ORIGIN], &inner),
        request("POST /events", &[of_requests], &inner),
        request("POST /cometd", &[of_requests, coded], &inner),
        Sample {
            bytes: [head, chunked].concat().into_bytes(),
            is_of_resource: false,
        },
    ]
}

fn others() -> Vec<Sample> {
    let asks = "Access-Control-Request-Headers: content-type, x-a";
    let post = "Access-Control-Request-Method: POST";
    let get = |line: &str, fields: &[&str]| request(line, fields, "");
    vec![
        get("OPTIONS /cometd", &[ORIGIN, post, asks]),
        get("OPTIONS /cometd", &["Origin: http://h"]),
        get("GET /mirant/eventsource.js", &["If-None-Match: *"]),
        get("GET /nothing", &[]),
        get("DELETE /cometd", &[]),
        get("PUT /cometd/handshake", &[]),
        get("GET /cometd", &["Referer: http://h/"]),
    ]
}
