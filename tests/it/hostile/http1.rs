//! HTTP/1.1 that is slow, endless, ambiguous, or far too much.

use std::time::Duration;

use futures_util::future::join_all;
use mirant::metrics::Limit;
use mirant::web::gzip;

use super::bystanders::Bystanders;
use crate::support::{Http, Request, TestServer, until};

/// Attackers at once.
const MANY: usize = 30;
/// How often one that is slow sends something.
const PACE: Duration = Duration::from_millis(5);

/// Sends something again and again until the connection takes no more; then returns what came.
async fn endless(mut http: Http, begin: &str, again: &[u8]) -> String {
    let mut goes_on = http.try_send(begin.as_bytes()).await;
    while goes_on {
        goes_on = http.try_send(again).await;
        tokio::task::yield_now().await;
    }
    String::from_utf8_lossy(&http.rest().await).into_owned()
}

/// Sends a byte now and then until it is refused.
async fn slow(mut http: Http, begin: &str, again: &[u8]) -> u16 {
    http.send(begin).await;
    let mut pace = tokio::time::interval(PACE);
    loop {
        tokio::select! {
            response = http.response() => return response.status,
            () = async {
                pace.tick().await;
            } => {}
        }
        http.try_send(again).await;
    }
}

#[tokio::test]
async fn slow_heads_and_bodies() {
    let server = TestServer::start(&["http.header_timeout=400ms", "http.body_timeout=400ms"]);
    let mut bystanders = Bystanders::of(&server).await;
    let head = "POST /cometd HTTP/1.1\r\nHost: h\r\nX: ";
    let counted = "POST /cometd HTTP/1.1\r\nHost: h\r\nContent-Length: 9999\r\n\r\n[";
    let chunked = "POST /cometd HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let ways = [(head, "x"), (counted, " "), (chunked, "1\r\n \r\n")];
    let attack = async {
        let ways = ways.iter().cycle().take(MANY);
        let attackers = ways.map(|(begin, again)| async {
            slow(server.open().await, begin, again.as_bytes()).await
        });
        join_all(attackers).await
    };
    let statuses = bystanders.notice_nothing(attack).await;
    assert_eq!(statuses, [408; MANY]);
    let each = MANY as u64 / 3;
    assert_eq!(server.metrics().limit_count(Limit::HeaderTimeout), each);
    assert_eq!(server.metrics().limit_count(Limit::BodyTimeout), 2 * each);
}

#[tokio::test]
async fn endless_heads_and_bodies() {
    let server = TestServer::start(&[]);
    let mut bystanders = Bystanders::of(&server).await;
    let line = "GET /".to_owned();
    let head = "GET / HTTP/1.1\r\nHost: h\r\n".to_owned();
    let chunked = "POST /cometd HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let trailers = format!("{chunked}2\r\n[]\r\n0\r\n");
    let field = "X-Endless: 0123456789\r\n".repeat(10);
    let chunk = format!("64\r\n{}\r\n", " ".repeat(100));
    let ways = [
        (line, "a".repeat(300), "HTTP/1.1 4"),
        (head, field.clone(), "HTTP/1.1 431"),
        (chunked.to_owned(), chunk, "HTTP/1.1 413"),
        (format!("{chunked}1;"), "x".repeat(300), "HTTP/1.1 400"),
        (trailers, field, "HTTP/1.1 400"),
    ];
    let attack = async {
        let ways = ways.iter().cycle().take(MANY);
        let attackers = ways.map(|(begin, again, status)| {
            let ways = (begin, again.as_bytes());
            let server = &server;
            async move { (status, endless(server.open().await, ways.0, ways.1).await) }
        });
        join_all(attackers).await
    };
    for (status, answer) in bystanders.notice_nothing(attack).await {
        // A reset may have overtaken it.
        assert!(
            answer.is_empty() || answer.starts_with(status),
            "{status}: {answer}"
        );
    }
}

#[tokio::test]
async fn requests_behind_requests() {
    const BEHIND: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let server = TestServer::start(&[]);
    let mut bystanders = Bystanders::of(&server).await;
    let heads = [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: 4\r\n X: folded",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\nContent-Length: 4",
        "Content-Length: +4",
        "Host: other",
    ];
    let attack = async {
        let server = &server;
        let attackers = heads.iter().map(|head| async move {
            let request = format!("POST /cometd HTTP/1.1\r\nHost: h\r\n{head}\r\n\r\n");
            let mut http = server.open().await;
            http.send(format!("{request}0\r\n\r\n{BEHIND}")).await;
            let answer = http.rest().await;
            (head, String::from_utf8_lossy(&answer).into_owned())
        });
        join_all(attackers).await
    };
    for (head, answer) in bystanders.notice_nothing(attack).await {
        assert!(answer.starts_with("HTTP/1.1 400"), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head}: {answer}");
    }
}

#[tokio::test]
async fn giant_batches_and_bombs() {
    let server = TestServer::start(&["bayeux.max_batch=500"]);
    let mut bystanders = Bystanders::of(&server).await;
    let batch = |count| format!("[{}]", vec!["{}"; count].join(","));
    let gzipped =
        |plain: &[u8]| Request::post(gzip::whole(plain)).header("Content-Encoding", "gzip");
    let bomb = gzipped(&vec![b' '; 20 << 20]);
    let cases = [
        (Request::post(batch(500)), 200),
        (Request::post(batch(501)), 400),
        (Request::post("[".repeat(60_000)), 400),
        (
            Request::post(format!("[{{\"a\":{}", "[".repeat(60_000))),
            400,
        ),
        (Request::post(" ".repeat(70_000)), 413),
        (bomb, 413),
    ];
    let attack = async {
        let cases = cases.iter().cycle().take(MANY);
        let attackers = cases.map(|(request, status)| async {
            let response = server.open().await.exchange(request.clone()).await;
            (*status, response.status)
        });
        join_all(attackers).await
    };
    for (expected, status) in bystanders.notice_nothing(attack).await {
        assert_eq!(status, expected);
    }
}

#[tokio::test]
async fn connections_without_end() {
    let server = TestServer::start(&["http.max_connections_per_address=20"]);
    let mut bystanders = Bystanders::of(&server).await;
    let attack = async {
        for n in 0..500 {
            let mut http = server.open().await;
            if n % 2 == 0 {
                http.try_send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nnonsense \0\r\n\r\n")
                    .await;
            }
            http.reset();
        }
    };
    bystanders.notice_nothing(attack).await;
    // Theirs are left.
    until(|| server.metrics().connections.value() <= 5).await;
}
