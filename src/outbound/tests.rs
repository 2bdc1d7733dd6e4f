//! Requests to servers on this machine that answer well, badly, slowly, or not at all.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;

const BOUNDS: Bounds = Bounds {
    timeout: Duration::from_secs(10),
    max_response: 100,
    max_requests: 2,
};

/// A server that gives its connections away, and its URL.
async fn server() -> (mpsc::Receiver<TcpStream>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "http://{}/a?b=c",
        listener.local_addr().expect("an address")
    );
    let (give, take) = mpsc::channel(10);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if give.send(stream).await.is_err() {
                return;
            }
        }
    });
    (take, url)
}

/// Reads a request with an empty body, or one of these bytes.
async fn request(stream: &mut TcpStream, body: &str) -> String {
    let mut read = Vec::new();
    let end = format!("\r\n\r\n{body}");
    while !read.ends_with(end.as_bytes()) {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).await.expect("a request");
        assert!(count > 0, "the connection ended");
        read.extend(&buffer[..count]);
    }
    String::from_utf8(read).expect("text")
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).expect("a request")
}

fn outbound(bounds: Bounds) -> Arc<Outbound> {
    Arc::new(Outbound::new(bounds).expect("certificate authorities"))
}

#[tokio::test]
async fn a_response_comes_whole_and_its_connection_is_used_again() {
    let (mut streams, url) = server().await;
    let outbound = outbound(BOUNDS);
    let serve = async {
        let mut stream = streams.recv().await.expect("a connection");
        let first = request(&mut stream, "").await;
        stream
            .write_all(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 2\r\n\r\nhi")
            .await
            .expect("written");
        let second = request(&mut stream, "body").await;
        stream
            .write_all(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
            .await
            .expect("written");
        (first, second)
    };
    let send = async {
        let found = outbound.send(get(&url)).await.expect("a response");
        assert_eq!(found.status(), 302, "a redirect is not followed");
        assert_eq!(found.body(), "hi");
        let post = Request::post(&url).header("x-a", "b");
        let post = post.body(Bytes::from("body")).expect("a request");
        let failed = outbound.send(post).await.expect("a response");
        assert_eq!(
            (failed.status().as_u16(), &**failed.body()),
            (500, &b"a"[..])
        );
    };
    let ((first, second), ()) = tokio::join!(serve, send);
    let first = first.to_lowercase();
    assert!(first.starts_with("get /a?b=c http/1.1\r\n"), "{first}");
    assert!(first.contains("user-agent: mirant/"), "{first}");
    let second = second.to_lowercase();
    assert!(second.starts_with("post /a?b=c http/1.1\r\n"), "{second}");
    assert!(second.contains("x-a: b\r\n"), "{second}");
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let (mut streams, url) = server().await;
    let outbound = outbound(BOUNDS);
    for head in ["Content-Length: 101", "Connection: close"] {
        let serve = async {
            let mut stream = streams.recv().await.expect("a connection");
            request(&mut stream, "").await;
            let response = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{}", "a".repeat(101));
            stream
                .write_all(response.as_bytes())
                .await
                .expect("written");
        };
        let ((), response) = tokio::join!(serve, outbound.send(get(&url)));
        let failure = response.expect_err("it is too large");
        assert_eq!(failure.to_string(), "the answer is larger than 100 bytes");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_takes_its_time_and_no_more() {
    let (mut streams, url) = server().await;
    let timeout = Duration::from_millis(200);
    let outbound = outbound(Bounds { timeout, ..BOUNDS });
    let sent = outbound.send(get(&url));
    let (response, stream) = tokio::join!(sent, streams.recv());
    let failure = response.expect_err("no answer");
    assert_eq!(failure.to_string(), "no answer within 200ms");
    drop(stream);
}

#[tokio::test]
async fn what_is_broken_says_why() {
    let (mut streams, url) = server().await;
    let outbound = outbound(BOUNDS);
    let serve = async {
        let mut stream = streams.recv().await.expect("a connection");
        request(&mut stream, "").await;
        stream.write_all(b"no HTTP\r\n\r\n").await.expect("written");
    };
    let ((), response) = tokio::join!(serve, outbound.send(get(&url)));
    let failure = response.expect_err("no HTTP");
    assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");
    let failure = failure.to_string();
    assert!(failure.contains("invalid HTTP"), "{failure}");

    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    let response = outbound.send(get(&format!("http://{address}/"))).await;
    let failure = response.expect_err("nobody is there");
    assert!(matches!(failure, Failure::Unconnected(_)), "{failure:?}");
    let failure = failure.to_string();
    assert!(failure.contains("refused"), "{failure}");
}

#[tokio::test]
async fn no_more_are_on_their_way_than_may_be() {
    let (mut streams, url) = server().await;
    let outbound = outbound(BOUNDS);
    let sent: Vec<_> = (0..3)
        .map(|_| {
            let (outbound, url) = (Arc::clone(&outbound), url.clone());
            tokio::spawn(async move { outbound.send(get(&url)).await })
        })
        .collect();
    let mut first = streams.recv().await.expect("a connection");
    let mut second = streams.recv().await.expect("a connection");
    request(&mut first, "").await;
    request(&mut second, "").await;
    assert_eq!(outbound.places.available_permits(), 0);
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    first.write_all(ok).await.expect("written");
    request(&mut first, "").await;
    for stream in [&mut first, &mut second] {
        stream.write_all(ok).await.expect("written");
    }
    for sent in sent {
        assert_eq!(sent.await.expect("sent").expect("a response").status(), 200);
    }
}

#[tokio::test]
async fn private_addresses_are_not_connected_to_whatever_they_are_called() {
    let (mut streams, url) = server().await;
    let (_, port) = url.rsplit_once(':').expect("a port");
    let outbound = Outbound::to(Destinations::Public, BOUNDS).expect("certificate authorities");
    // The last are how `getaddrinfo` reads numbers, and no literals of a URL.
    for host in [
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "localhost",
        "2130706433",
        "0x7f.1",
    ] {
        let response = outbound.send(get(&format!("http://{host}:{port}"))).await;
        let failure = response.expect_err(host).to_string();
        assert!(failure.contains("is private"), "{host}: {failure}");
    }
    assert!(streams.try_recv().is_err(), "nothing was connected to");
}

#[test]
fn a_url_is_absolute_and_holds_no_password() {
    for good in ["https://a/b", "http://127.0.0.1:80", "https://[::1]/"] {
        assert!(url(good).is_ok(), "{good}");
    }
    for (bad, expected) in [
        ("", "must be a URL"),
        ("a b", "must be a URL"),
        ("/a", "must begin with https://"),
        ("a.example", "must begin with https://"),
        ("ftp://a/", "must begin with https://"),
        ("https://u:p@a/", "must not hold a user"),
    ] {
        let fix = url(bad).expect_err(bad);
        assert!(fix.starts_with(expected), "{bad}: {fix}");
    }
}
