//! Streams of requests, many of them spoilt: the answers are the same however the bytes arrive, and
//! whatever came before on the connection.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::json;

use crate::support::{Client, Http, Random, TestServer, percent};

/// So many streams of each kind; a failure names its seed.
const STREAMS: u64 = 120;

/// What is seen of the answers to a stream: status, headers that matter, body, for each.
type Seen = Vec<(String, Vec<String>, String)>;

/// Requests that are well-formed, whose answers are the same each time.
fn requests(client: &Client) -> Vec<Vec<u8>> {
    let publish = client.message(json!({"channel": "/a", "id": "1", "data": "é"}));
    let json = json!([publish]).to_string();
    let cookie = client.cookie.as_deref().unwrap_or_default();
    let head = |fields: &str, length: usize| {
        format!(
            "POST /cometd HTTP/1.1\r\nHost: h\r\nCookie: BAYEUX_BROWSER={cookie}\r\n\
             {fields}Content-Length: {length}\r\n\r\n"
        )
    };
    let with = |fields: &str, body: &str| head(fields, body.len()) + body;
    let form = format!("message={}", percent(&json));
    let (first, second) = json.split_at(json.len() / 3);
    let chunked = format!(
        "POST /cometd HTTP/1.1\r\nHost: h\r\nCookie: BAYEUX_BROWSER={cookie}\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:X};a=b\r\n{second}\r\n0\r\nT: u\r\n\r\n",
        first.len(),
        second.len()
    );
    let unknown = r#"[{"channel":"/meta/subscribe","subscription":"/a","clientId":"x","id":"2"}]"#;
    let many = format!(
        "[{}]",
        [unknown.trim_matches(['[', ']'])].repeat(40).join(",")
    );
    let texts = [
        with("Content-Type: application/json\r\n", &json),
        with(
            "Content-Type: application/json;charset=UTF-8\r\nOrigin: http://h\r\n",
            &json,
        ),
        with("Content-Type: application/x-www-form-urlencoded\r\n", &form),
        with("Origin: http://evil.example\r\n", &json),
        with("Accept-Encoding: gzip, br;q=0.1\r\n", &many),
        with("Connection: keep-alive\r\nExpect: x\r\n", unknown),
        with("Content-Encoding: br\r\n", unknown),
        with("", "[{]"),
        with("", "[]"),
        chunked,
        head("", 0),
        format!(
            "GET /cometd?jsonp=f&message={} HTTP/1.1\r\nHost: h\r\nReferer: http://h/\r\n\r\n",
            percent(unknown)
        ),
        "OPTIONS /cometd HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\n\r\n".to_owned(),
        "GET /resources/r/a HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "PUT /resources/none HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1".to_owned(),
        "GET /mirant/eventsource.js HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n".to_owned(),
        "GET /nothing HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(),
        "DELETE /cometd HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

/// Changes to a head that others may understand differently, or that are harmless.
const FIELDS: [&str; 24] = [
    "Host: h\r\n",
    "Host:\r\n",
    "Host: a b\r\n",
    "Content-Length: 2\r\n",
    "Content-Length: 02\r\n",
    "Content-Length: 2, 2\r\n",
    "Content-Length: 18446744073709551615\r\n",
    "Content-Length : 2\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "transfer-encoding: identity\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Content-Encoding: gzip\r\n",
    "Content-Encoding: identity\r\n",
    "Accept-Encoding: gzip;q=0\r\n",
    "Content-Type: application/json; charset=x-none\r\n",
    "Origin: null\r\n",
    "Accept: multipart/x-mixed-replace\r\n",
    "X: a\r b\r\n",
    "X: a\n",
    "X : y\r\n",
    "X: \0\r\n",
];

/// Spoils a request somewhat, most often in its head.
fn spoil(random: &mut Random, request: &[u8]) -> Vec<u8> {
    let mut bytes = request.to_vec();
    match random.below(8) {
        0..=2 => {
            let line = bytes
                .windows(2)
                .position(|two| two == b"\r\n")
                .map_or(0, |at| at + 2);
            let field = FIELDS[random.below(FIELDS.len())];
            bytes.splice(line..line, field.bytes());
        }
        3 => {
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
        }
        4 => bytes = random.spoil(bytes),
        _ => {}
    }
    bytes
}

/// Sends pieces on a connection, closes it for writing, and reads all answers.
async fn answers(mut http: Http, pieces: &[&[u8]]) -> Vec<u8> {
    for (nth, piece) in pieces.iter().enumerate() {
        // The server may have closed the connection: what it said is there all the same.
        if !http.try_send(piece).await {
            break;
        }
        if nth + 1 < pieces.len() {
            http.apart().await;
        }
    }
    http.try_half_close().await;
    http.rest().await
}

/// Takes answers apart, and leaves out what is of the moment or of the connection.
fn seen(mut bytes: &[u8], shown: &str) -> Seen {
    let mut seen = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("half an answer to {shown}"));
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n").map(str::to_owned);
        let status = lines.next().unwrap_or_default();
        let fields: Vec<String> = lines.collect();
        let value = |name: &str| {
            let found = fields.iter().find_map(|line| line.strip_prefix(name));
            found.map(str::to_owned)
        };
        let length = value("Content-Length: ").map_or(0, |length| length.parse().unwrap());
        let omits =
            status.contains(" 304 ") || status.contains(" 204 ") || status.contains(" 100 ");
        let length = if omits { 0 } else { length };
        let body = &bytes[end + 4..][..length];
        bytes = &bytes[end + 4 + length..];
        assert!(!status.contains(" 50"), "{status} to {shown}");
        if status.contains(" 100 ") {
            // It is sent only if the body is late.
            continue;
        }
        let text = if value("Content-Encoding: ").is_some() {
            let mut text = String::new();
            GzDecoder::new(body).read_to_string(&mut text).unwrap();
            text
        } else {
            String::from_utf8_lossy(body).into_owned()
        };
        let kept = fields
            .into_iter()
            .filter(|line| !line.starts_with("Date: ") && !line.starts_with("Last-Modified: "));
        seen.push((status, kept.collect(), text));
    }
    seen
}

/// Cuts bytes at random places.
fn cut<'b>(random: &mut Random, mut bytes: &'b [u8]) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    for _ in 0..=random.below(4) {
        let (piece, rest) = bytes.split_at(random.below(bytes.len() + 1));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

async fn server() -> (TestServer, Client) {
    let server = TestServer::start(&[
        "bayeux.max_interval=10m",
        "http.gzip_threshold=1KiB",
        "channel=[{pattern=\"/r/*\",resource=true}]",
    ]);
    let mut client = server.client().await;
    // From now on the session is bound to its cookie.
    client.publish("/a", 1).await;
    (server, client)
}

#[tokio::test]
async fn a_stream_of_requests_has_one_answer_however_it_arrives() {
    let (server, client) = server().await;
    let requests = requests(&client);
    for seed in 1..=STREAMS {
        let mut random = Random::of(seed);
        let stream: Vec<u8> = (0..=random.below(3))
            .flat_map(|_| {
                let request = &requests[random.below(requests.len())];
                spoil(&mut random, request)
            })
            .collect();
        let shown = format!("seed {seed}: {}", stream.escape_ascii());
        let whole = seen(&answers(server.open().await, &[&stream]).await, &shown);
        let pieces = cut(&mut random, &stream);
        let in_pieces = seen(&answers(server.open().await, &pieces).await, &shown);
        assert_eq!(in_pieces, whole, "in pieces, {shown}");
    }
    still_serves(&server, client).await;
}

#[tokio::test]
async fn a_head_like_others_before_it_is_answered_as_if_it_came_alone() {
    let (server, client) = server().await;
    let requests = requests(&client);
    for seed in 1..=STREAMS {
        let mut random = Random::of(seed ^ 0x5eed);
        let usual = &requests[random.below(requests.len())];
        let near = spoil(&mut random, usual);
        let shown = format!(
            "seed {seed}: {} behind {}",
            near.escape_ascii(),
            usual.escape_ascii()
        );
        let alone = seen(&answers(server.open().await, &[&near]).await, &shown);
        // Three of the same head are enough for it to be known.
        let before = usual.repeat(3);
        let all = [&*before, &*near].concat();
        let pieces = [usual.as_slice(), usual, usual, &near];
        for pieces in [&[all.as_slice()][..], &pieces[..]] {
            let both = seen(&answers(server.open().await, pieces).await, &shown);
            assert!(both.len() >= 3, "{shown}: {both:?}");
            assert_eq!(both[3..], alone, "{shown}");
        }
    }
    still_serves(&server, client).await;
}

/// A bystander is served as ever.
async fn still_serves(server: &TestServer, mut client: Client) {
    let messages = client.publish("/z", 1).await;
    assert_eq!(messages[0]["successful"], true);
    crate::support::until(|| server.metrics().connections.value() <= 2).await;
}

/// Sends what no client sends; the answers, if any, are refusals or what was asked for.
async fn survives(server: &TestServer, bytes: &[u8], shown: &str) {
    let mut http = server.open().await;
    if http.try_send(bytes).await {
        http.try_half_close().await;
    }
    let answer = http.rest().await;
    let status = answer.get(9..12);
    let is_fine =
        answer.is_empty() || status.is_some_and(|s| matches!(s[0], b'1' | b'2' | b'3' | b'4'));
    assert!(is_fine, "{shown}: {}", answer.escape_ascii());
}

#[tokio::test]
async fn frames_resources_and_batches_that_are_none_hurt_nobody() {
    let (server, client) = server().await;
    let upgrade =
        b"GET /cometd HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let message = client.message(json!({"channel": "/meta/connect", "advice": {"timeout": 0}}));
    let batch = json!([
        message,
        client.message(json!({"channel": "/a", "data": [1, {"b": null}]}))
    ]);
    let batch = batch.to_string().into_bytes();
    let length = u8::try_from(batch.len() / 256).unwrap();
    let low = u8::try_from(batch.len() % 256).unwrap();
    // Frames with a mask of zeros: a text, a ping, a close.
    let frames = [
        &[0x81, 0xfe, length, low, 0, 0, 0, 0][..],
        &batch,
        &[0x89, 0x80, 0, 0, 0, 0],
        &[0x88, 0x82, 0, 0, 0, 0, 3, 0xe8],
    ]
    .concat();
    let put =
        b"PUT /resources/r/a HTTP/1.1\r\nHost: h\r\nIf-Match: \"x\"\r\nContent-Length: 9\r\n\r\n\
        {\"a\":[1]}PATCH /resources/r/a HTTP/1.1\r\nHost: h\r\nContent-Range: bytes 1-2/9\r\n\
        Content-Length: 2\r\n\r\n\"bGET /resources/r/a HTTP/1.1\r\nHost: h\r\n\
        When-Modified-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
    for seed in 1..=STREAMS * 3 {
        let mut random = Random::of(seed ^ 0xf7a3e5);
        let bytes = match seed % 3 {
            0 => [upgrade.as_slice(), &random.spoil(frames.clone())].concat(),
            1 => random.spoil(put.to_vec()),
            _ => {
                let body = random.spoil(batch.clone());
                let head = format!(
                    "POST /cometd HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                [head.as_bytes(), &body].concat()
            }
        };
        survives(
            &server,
            &bytes,
            &format!("seed {seed}: {}", bytes.escape_ascii()),
        )
        .await;
    }
    still_serves(&server, client).await;
}
