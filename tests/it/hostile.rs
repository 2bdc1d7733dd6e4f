//! Bytes that no client would send: every answer is a 2xx or 4xx, and the server goes on.

use serde_json::json;

use crate::support::{Request, TestServer, only, percent};

/// A small generator of pseudo-random numbers (xorshift), so that a failure names its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// Changes, removes, repeats or adds a few bytes.
    fn spoil(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        const TOKENS: [&[u8]; 12] = [
            b"\r\n",
            b"[",
            b"{\"",
            b"\\u",
            b"\0",
            b"\xff\xfe",
            b"%",
            b"&message=",
            b"1e999",
            b"--",
            b":",
            b"\"",
        ];
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] = self.byte(),
                1 => {
                    bytes.remove(at);
                }
                2 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                _ => {
                    let token = TOKENS[self.below(TOKENS.len())];
                    bytes.splice(at..at, token.iter().copied());
                }
            }
        }
        bytes
    }
}

#[tokio::test]
async fn spoilt_requests_are_refused_or_served() {
    let server = TestServer::start(&["bayeux.max_interval=10m"]);
    let mut client = server.client().await;
    let message = client.message(json!({
        "channel": "/meta/subscribe", "id": "1", "subscription": ["/a", "/b/**"],
        "ext": {"a": [1, {"b": null}]}, "advice": {"timeout": 0},
    }));
    let json = json!([message, {"channel": "/a", "data": "\u{2028}", "clientId": "x"}]).to_string();
    let form = format!("message={}&message={{}}", percent(&json));
    let requests = [
        Request::post(json.clone()).header("Content-Type", "application/json; charset=utf-8"),
        Request::post(form).header("Content-Type", "application/x-www-form-urlencoded"),
        Request::jsonp("a.b", &json),
    ];
    for seed in 1..4000 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (seed << 32));
        let request = &requests[random.below(requests.len())];
        let bytes = random.spoil(request.bytes());
        let mut http = server.open().await;
        http.send(&bytes).await;
        http.half_close().await;
        let answer = http.rest().await;
        let status = answer.get(9..12).map(<[u8]>::to_vec).unwrap_or_default();
        let is_fine = answer.is_empty() || matches!(status.first(), Some(b'2' | b'4'));
        let shown = String::from_utf8_lossy(&bytes);
        assert!(
            is_fine,
            "seed {seed}: {:?} to {shown}",
            String::from_utf8_lossy(&answer)
        );
    }
    let reply = only(client.publish("/z", 1).await);
    assert_eq!(reply["successful"], true);
}
