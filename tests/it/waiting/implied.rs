//! Requests that stand for messages wait as these would: event streams and resources.

use super::{Admit, House, Settle};
use crate::support::{Block, Embedded, Events, Request, Response, until};

const STREAM: &str = "/events?channel=/r/a";
const AT: &str = "/resources/r/a";
const ORIGIN: &str = "https://good.example";
const SET: [&str; 2] = [
    "channel=[{ pattern = '/r/**', resource = true }]",
    r#"http.allowed_origins=["https://good.example"]"#,
];

fn stream(last: &str) -> Request {
    Request::new("GET", STREAM)
        .header("Accept", "text/event-stream")
        .header("Last-Event-ID", last)
}

/// Opens a stream, of which nothing else waits.
async fn opened(house: &House, last: &str) -> (Events, Block) {
    Events::open_with(house.server.address, stream(last)).await
}

impl House {
    fn of_resources() -> Self {
        Self::with(&SET)
    }

    /// Lets those pass who wait to be admitted.
    async fn pass(&mut self, channels: &[&str]) {
        for channel in channels {
            self.waiter_at(Admit, channel).await.pass();
        }
    }
}

#[tokio::test]
async fn an_event_stream_begins_when_its_handshake_and_its_subscribe_are_admitted() {
    let mut house = House::of_resources();
    house.all_wait(Some(Admit));
    let mut http = house.server.open().await;
    http.send(stream("").header("Origin", ORIGIN).bytes()).await;
    let handshake = house.waiter_at(Admit, "/meta/handshake").await;
    house.pass(&["/meta/subscribe"]).await;
    assert_eq!(house.waiting(), 1);
    assert_eq!(house.server.metrics().sessions.value(), 0);
    handshake.pass();
    let response = http.response().await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("Access-Control-Allow-Origin"), Some(ORIGIN));
    assert_eq!(house.server.metrics().sessions.value(), 1);
    assert_eq!(house.waiting(), 0);
}

#[tokio::test]
async fn a_stream_that_is_refused_or_given_up_while_it_waits_leaves_nothing() {
    let mut house = House::of_resources();
    house.all_wait(Some(Admit));
    let mut http = house.server.open().await;
    http.send(stream("").bytes()).await;
    house.pass(&["/meta/handshake"]).await;
    house.waiter_at(Admit, "/meta/subscribe").await.refuse();
    let response = http.response().await;
    assert_eq!((response.status, &*response.reason()), (403, "no"));

    let mut http = house.server.open().await;
    http.send(stream("").bytes()).await;
    house.pass(&["/meta/handshake"]).await;
    let waiter = house.waiter_at(Admit, "/meta/subscribe").await;
    http.reset();
    waiter.given_up().await;
    house.waits(0).await;
    assert_eq!(house.server.metrics().sessions.value(), 0);
    assert_eq!(house.server.metrics().event_streams.value(), 0);
}

#[tokio::test]
async fn a_stream_that_continues_waits_as_a_subscribe_of_its_session() {
    let mut house = House::of_resources();
    let (mut old, block) = opened(&house, "").await;
    let mut publisher = house.server.client().await;
    publisher.publish("/r/a", 1).await;
    old.next().await;
    house.all_wait(Some(Admit));
    let mut http = house.server.open().await;
    let last = block.id.unwrap();
    http.send(stream(&last).bytes()).await;
    house.pass(&["/meta/subscribe"]).await;
    let response = http.response().await;
    assert_eq!(response.status, 200);
    let text = String::from_utf8(http.some().await).unwrap();
    assert!(
        text.contains("\"data\":1") && !text.contains("gap"),
        "{text}"
    );
    assert!(house.has_no_waiter());
}

#[tokio::test]
async fn a_stream_whose_session_ends_meanwhile_asks_for_another_by_a_handshake() {
    let mut house = House::of_resources();
    let (mut old, block) = opened(&house, "").await;
    let last = block.id.unwrap();
    house.all_wait(Some(Admit));
    let mut http = house.server.open().await;
    http.send(stream(&last).bytes()).await;
    let waiter = house.waiter_at(Admit, "/meta/subscribe").await;
    // It is refused to somebody else with the same cookies, whose session ends.
    let mut other = house.server.open().await;
    other.send(stream(&last).bytes()).await;
    house.waiter_at(Admit, "/meta/subscribe").await.disconnect();
    assert_eq!(other.response().await.status, 403);
    old.ended().await;
    assert_eq!(house.server.metrics().sessions.value(), 0);
    waiter.pass();
    house.pass(&["/meta/handshake", "/meta/subscribe"]).await;
    assert_eq!(http.response().await.status, 200);
    let text = String::from_utf8(http.some().await).unwrap();
    assert!(text.contains("gap"), "{text}");
    assert_eq!(house.server.metrics().sessions.value(), 1);
}

#[tokio::test]
async fn a_joined_stream_waits_as_a_connect() {
    for passes in [true, false] {
        let mut house = House::of_resources();
        let client = house.server.client().await;
        house.all_wait(Some(Admit));
        let target = format!("/cometd/{}", client.id);
        let request = Request::new("GET", &target).header("Accept", "text/event-stream");
        let mut http = house.server.open().await;
        http.send(client.with_cookie(request).bytes()).await;
        let waiter = house.waiter_at(Admit, "/meta/connect").await;
        if passes {
            waiter.pass();
            assert_eq!(http.response().await.status, 200);
            let metrics = house.server.metrics();
            until(|| metrics.event_streams.value() == 1).await;
        } else {
            waiter.refuse();
            let response = http.response().await;
            assert!(response.text().contains("403::no"), "{response:?}");
        }
    }
}

fn exposes(response: &Response) -> bool {
    response.header("Access-Control-Expose-Headers").is_some()
}

#[tokio::test]
async fn requests_for_resources_wait_in_their_order() {
    let mut house = House::of_resources();
    let mut subscriber = house.subscriber().await;
    house.all_wait(Some(Admit));
    let mut http = house.server.open().await;
    let put = |body: &str| Request::new("PUT", AT).header("Origin", ORIGIN).body(body);
    let get = Request::new("GET", AT).header("Origin", ORIGIN);
    http.send([put("1").bytes(), put("2").bytes(), get.bytes()].concat())
        .await;
    let first = house.waiter_at(Admit, "/r/a").await;
    assert!(subscriber.is_silent().await);
    assert!(house.has_no_waiter());
    first.refuse();
    let response = http.response().await;
    assert_eq!((response.status, exposes(&response)), (403, true));
    assert_eq!(response.header("Access-Control-Allow-Origin"), Some(ORIGIN));
    house.pass(&["/r/a"]).await;
    let response = http.response().await;
    assert_eq!((response.status, exposes(&response)), (201, true));
    house.pass(&["/meta/subscribe"]).await;
    let response = http.response().await;
    assert_eq!((response.status, response.text()), (200, "2"));
    assert_eq!(response.header("Access-Control-Allow-Origin"), Some(ORIGIN));
    assert_eq!(subscriber.message().await["data"], 2);
    assert_eq!((house.waiting(), house.published()), (0, 1));
}

#[tokio::test]
async fn who_is_admitted_may_wait_for_a_change() {
    let mut house = House::of_resources();
    house.all_wait(Some(Admit));
    let wait =
        Request::new("GET", AT).header("When-Modified-After", "Thu, 01 Jan 1970 00:00:00 GMT");
    let mut http = house.server.open().await;
    http.send(wait.bytes()).await;
    let mut embedded = Embedded::two_way(house.server.address).await;
    house.pass(&["/meta/subscribe"]).await;
    embedded.request(&wait).await;
    house.pass(&["/meta/subscribe"]).await;
    until(|| house.server.metrics().watched_resources.value() == 2).await;
    house.all_wait(None);
    house.server.client().await.publish("/r/a", 7).await;
    assert_eq!(http.response().await.text(), "7");
    assert_eq!(embedded.next().await.text(), "7");
}

/// Changes, the status of each if it settles, and the event that it leads to.
fn changes() -> [(Request, u16, Option<&'static str>); 4] {
    let request = |method| Request::new(method, AT).header("Origin", ORIGIN);
    [
        (request("PUT").body("\"a\""), 201, Some("a")),
        (request("POST").body("\"b\""), 200, Some("b")),
        (
            request("PATCH")
                .header("Content-Range", "bytes 1-1/*")
                .body("c"),
            200,
            Some("c"),
        ),
        (request("DELETE"), 204, None),
    ]
}

#[tokio::test]
async fn the_response_to_a_change_leaves_when_that_is_settled() {
    for passes in [true, false] {
        let mut house = House::of_resources();
        let mut subscriber = house.subscriber().await;
        house.all_wait(Some(Settle));
        let mut http = house.server.open().await;
        for (request, status, event) in changes() {
            http.send(request.bytes()).await;
            let waiter = house.waiter_at(Settle, "/r/a").await;
            if let Some(event) = event {
                assert_eq!(subscriber.message().await["data"], event);
            }
            assert!(http.is_silent().await);
            let response = if passes {
                waiter.pass();
                let response = http.response().await;
                assert_eq!(response.status, status);
                response
            } else {
                waiter.refuse();
                let response = http.response().await;
                assert_eq!((response.status, &*response.reason()), (403, "no"));
                response
            };
            assert!(exposes(&response));
            assert_eq!(response.header("Access-Control-Allow-Origin"), Some(ORIGIN));
        }
        assert_eq!(house.waiting(), 0);
    }
}

#[tokio::test]
async fn a_change_by_an_embedded_request_settles_too_and_one_that_fails_need_not() {
    let mut house = House::of_resources();
    house.all_wait(Some(Settle));
    let mut embedded = Embedded::two_way(house.server.address).await;
    let [(put, ..), ..] = changes();
    embedded.request(&put).await;
    let waiter = house.waiter_at(Settle, "/r/a").await;
    let unmet = put.clone().header("If-None-Match", "*");
    assert_eq!(embedded.exchange(unmet).await.status, 412);
    waiter.pass();
    assert_eq!(embedded.next().await.status, 201);

    embedded.request(&put).await;
    let waiter = house.waiter_at(Settle, "/r/a").await;
    embedded.outer.http.reset();
    waiter.given_up().await;
    house.waits(0).await;
}
