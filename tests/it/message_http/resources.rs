//! The changes of a resource, each as a response.

use serde_json::json;

use crate::support::{Embedded, Request, TestServer, until};

pub(super) const ON: &str = "channel=[{ pattern = '/r/**', resource = true }]";
pub(super) const AT: &str = "/resources/r/a";
pub(super) const EPOCH: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

pub(super) fn watch() -> Request {
    Request::new("GET", AT)
        .header("When-Modified-After", EPOCH)
        .header("Accept", "message/http")
}

#[tokio::test]
async fn every_change_is_a_response_also_within_a_second() {
    let mut server = TestServer::start(&[ON]);
    let mut stream = Embedded::open(server.address, watch()).await;
    let mut publisher = server.client().await;
    for number in 0..20 {
        publisher.publish("/r/a", json!({ "n": number })).await;
        let response = stream.next().await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("Content-Location"), Some(AT));
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        assert!(response.header("ETag").unwrap().starts_with('"'));
        assert!(response.header("Last-Modified").is_some());
        assert_eq!(response.text(), format!("{{\"n\":{number}}}"));
    }
    let part = Request::new("PATCH", AT)
        .header("Content-Range", "bytes 5-6/*")
        .body("77");
    assert_eq!(server.open().await.exchange(part).await.status, 200);
    let response = stream.next().await;
    assert_eq!((response.status, response.text()), (206, "77"));
    assert_eq!(response.header("Content-Range"), Some("bytes 5-6/8"));
    let delete = Request::new("DELETE", AT);
    assert_eq!(server.open().await.exchange(delete).await.status, 204);
    assert_eq!(stream.next().await.status, 410);
    publisher.publish("/r/a", 1).await;
    assert_eq!(stream.next().await.text(), "1");
    server.stop();
    stream.ended().await;
    server.stopped().await;
}

#[tokio::test]
async fn what_is_there_comes_first_and_a_client_that_left_is_forgotten() {
    let server = TestServer::start(&[ON]);
    server.client().await.publish("/r/a", 5).await;
    let mut stream = Embedded::open(server.address, watch()).await;
    assert_eq!(stream.next().await.text(), "5");
    until(|| server.metrics().watched_resources.value() == 1).await;
    drop(stream);
    until(|| server.metrics().watched_resources.value() == 0).await;
}

#[tokio::test]
async fn a_head_and_a_transport_that_is_off_have_one_response() {
    let off = r#"bayeux.transports=["long-polling"]"#;
    let server = TestServer::start(&[ON, off]);
    server.client().await.publish("/r/a", 5).await;
    let response = server.open().await.exchange(watch()).await;
    assert_eq!(response.header("Content-Type"), Some("application/json"));
    assert_eq!(response.text(), "5");
}
