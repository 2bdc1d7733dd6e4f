//! The history of channels by plain requests, of clients and of application servers.

use mirant::bayeux::Message;
use mirant::extensions::{Extension, MessageInfo, Refusal};
use mirant::run::Additions;
use serde_json::{Value, json};

use crate::http_api::key;
use crate::support::{Request, Response, TestServer, percent};

const DIRECT: &str = "bayeux.publish_without_session=true";
const KEPT: &str = "channel=[{ pattern = '/h/**', history = { messages = 3 } }]";
const PUBLISH: &str =
    "{ allow = ['handshake', 'publish', 'subscribe'], channels = ['/**'], who = 'anyone' }";

fn server(set: &[&str]) -> TestServer {
    let all: Vec<&str> = [DIRECT, KEPT]
        .into_iter()
        .chain(set.iter().copied())
        .collect();
    TestServer::start(&all)
}

async fn publish(server: &TestServer, channel: &str, data: &str) {
    let message = format!(r#"{{"channel":"{channel}","data":{data}}}"#);
    let replies = server.post(message).await.messages();
    assert_eq!(replies[0]["successful"], true, "{replies:?}");
}

async fn send(server: &TestServer, method: &str, path: &str) -> Response {
    let request = Request::new(method, path);
    server.open().await.exchange(request).await
}

async fn get(server: &TestServer, path: &str) -> Value {
    let response = send(server, "GET", path).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("Content-Type"), Some("application/json"));
    assert_eq!(response.header("Cache-Control"), Some("no-store"));
    serde_json::from_slice(&response.body).unwrap()
}

/// The data of the messages of a part.
fn data(part: &Value) -> Vec<&Value> {
    let messages = part["messages"].as_array().unwrap();
    messages.iter().map(|message| &message["data"]).collect()
}

fn ids(part: &Value) -> Vec<u64> {
    let messages = part["messages"].as_array().unwrap();
    let ids = messages
        .iter()
        .map(|message| message["id"].as_u64().unwrap());
    ids.collect()
}

#[tokio::test]
async fn what_was_published_is_read_as_it_was_sent() {
    let server = server(&[]);
    let odd = "{\"x\": 1.50e1,\t\"é\":[]}";
    publish(&server, "/h/a", odd).await;
    publish(&server, "/h/b", "2").await;
    publish(&server, "/h/a", "3").await;
    let response = send(&server, "GET", "/history/h/a").await;
    assert!(
        response.text().contains(&format!("\"data\":{odd}}}")),
        "{}",
        response.text()
    );
    let part = get(&server, "/history/h/b").await;
    let message = &part["messages"][0];
    assert_eq!(message["channel"], "/h/b");
    assert_eq!(message["before"], 0);
    assert!(message["at"].as_str().unwrap().ends_with('Z'), "{message}");
    assert_eq!(
        (&part["complete"], &part["end"]),
        (&json!(true), &json!(true))
    );
    // A pattern is read in one order, however its path is written.
    let all = get(&server, "/history/h/**").await;
    let ids = ids(&all);
    assert_eq!(ids.len(), 3);
    assert_eq!(all["messages"][2]["before"], ids[0]);
    for path in [
        format!("/history/{}", percent("h/**")),
        "/history/**".to_owned(),
    ] {
        let same = get(&server, &path).await;
        assert_eq!(same["messages"], all["messages"], "{path}");
    }
    // Page by page.
    let first = get(&server, "/history/h/**?limit=2").await;
    assert_eq!(first["messages"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&first["next"], &first["end"]),
        (&json!(ids[1]), &json!(false))
    );
    let rest = get(&server, &format!("/history/h/**?limit=2&after={}", ids[1])).await;
    assert_eq!(data(&rest), [&json!(3)]);
    assert_eq!(
        (&rest["complete"], &rest["end"]),
        (&json!(true), &json!(true))
    );
    let next = rest["next"].as_u64().unwrap();
    publish(&server, "/h/b", "4").await;
    let new = get(&server, &format!("/history/h/**?after={next}")).await;
    assert_eq!(data(&new), [&json!(4)]);
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_told() {
    let server = server(&[]);
    publish(&server, "/h/a", "0").await;
    let part = get(&server, "/history/h/a").await;
    let (first, epoch) = (ids(&part)[0], part["epoch"].as_str().unwrap().to_owned());
    for number in 1..=3 {
        publish(&server, "/h/a", &number.to_string()).await;
    }
    let part = get(
        &server,
        &format!("/history/h/a?after={first}&epoch={epoch}"),
    )
    .await;
    assert_eq!(data(&part), [&json!(1), &json!(2), &json!(3)]);
    assert_eq!(part["complete"], true);
    assert!(part.get("reason").is_none(), "{part}");
    publish(&server, "/h/a", "4").await;
    for (query, complete, reason) in [
        (String::new(), true, Value::Null),
        (format!("?after={first}"), false, json!("expired")),
        ("?after=0".to_owned(), false, json!("expired")),
        (
            format!("?after={first}&epoch=other"),
            false,
            json!("epoch_changed"),
        ),
        (
            "?after=9007199254740991".to_owned(),
            false,
            json!("epoch_changed"),
        ),
    ] {
        let part = get(&server, &format!("/history/h/a{query}")).await;
        assert_eq!(
            (&part["complete"], &part["reason"]),
            (&json!(complete), &reason),
            "{query}"
        );
        if !query.contains("9007199254740991") {
            assert_eq!(data(&part), [&json!(2), &json!(3), &json!(4)], "{query}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused() {
    let server = server(&["history.max_page_messages=2"]);
    for (method, path, status, reason) in [
        ("GET", "/history/h/a?after=x", 400, "after must be"),
        ("GET", "/history/h/a?limit=3", 400, "limit must be 1 to 2"),
        ("GET", "/history/h/a?epoch=x", 400, "epoch says"),
        ("GET", "/history/other", 404, "there is no history"),
        ("GET", "/history", 404, "there is no history"),
        ("GET", "/history/h//a", 404, "there is no history"),
        ("GET", "/history/service/a", 404, "there is no history"),
        ("PUT", "/history/h/a", 405, "history has the methods"),
        ("DELETE", "/history/h/*", 400, "one channel at a time"),
        ("DELETE", "/history/h/a?up_to=-1", 400, "up_to must be"),
    ] {
        let response = send(&server, method, path).await;
        assert_eq!(response.status, status, "{method} {path}");
        assert!(response.text().contains(reason), "{}", response.text());
        let allow = (status == 405).then_some("GET, DELETE, OPTIONS");
        assert_eq!(response.header("Allow"), allow);
    }
    // Without a channel that has history there is nothing at all.
    let none = TestServer::start(&[]);
    let response = send(&none, "GET", "/history/h/a").await;
    assert_eq!(response.status, 404);
    assert!(response.text().contains("nothing at this path"));
}

#[tokio::test]
async fn it_is_read_by_whoever_may_subscribe() {
    let access = "access=[{ deny = ['subscribe'], channels = ['/h/secret'], who = 'anyone' }, \
                  { allow = ['handshake', 'publish', 'subscribe'], channels = ['/**'], who = 'anyone' }]";
    let server = server(&[access, "http.allowed_origins=https://a.example"]);
    publish(&server, "/h/secret", "1").await;
    for (path, status) in [
        ("/history/h/a", 200),
        ("/history/h/secret", 403),
        ("/history/h/**", 403),
        ("/history/h/*", 403),
    ] {
        let response = send(&server, "GET", path).await;
        assert_eq!(response.status, status, "{path}");
        assert!(!response.text().contains("\"data\":1"), "{path}");
    }
    // And by the pages that may use the server.
    for (origin, status) in [("https://a.example", 200), ("https://b.example", 403)] {
        let request = Request::new("GET", "/history/h/a").header("Origin", origin);
        let response = server.open().await.exchange(request).await;
        assert_eq!(response.status, status);
        let shared = (status == 200).then_some(origin);
        assert_eq!(response.header("Access-Control-Allow-Origin"), shared);
    }
    let preflight = Request::new("OPTIONS", "/history/h/a")
        .header("Origin", "https://a.example")
        .header("Access-Control-Request-Method", "DELETE");
    let response = server.open().await.exchange(preflight).await;
    let methods = response.header("Access-Control-Allow-Methods");
    assert!(methods.unwrap().contains("DELETE"), "{response:?}");
}

#[tokio::test]
async fn it_is_deleted_only_by_whom_a_rule_allows_that() {
    for (access, status) in [
        (String::new(), 403),
        (format!("access=[{PUBLISH}]"), 403),
        (
            format!(
                "access=[{{ deny = ['forget'], channels = ['/h/a'], who = 'anyone' }}, {{ allow = ['forget'], channels = ['/**'], who = 'anyone' }}, {PUBLISH}]"
            ),
            403,
        ),
        (
            format!(
                "access=[{{ allow = ['forget'], channels = ['/h/b'], who = 'anyone' }}, {PUBLISH}]"
            ),
            403,
        ),
        (
            format!(
                "access=[{{ allow = ['forget'], channels = ['/h/*'], who = 'anyone' }}, {PUBLISH}]"
            ),
            204,
        ),
    ] {
        let set: Vec<&str> = [&*access]
            .into_iter()
            .filter(|set| !set.is_empty())
            .collect();
        let server = server(&set);
        for number in ["1", "2", "3"] {
            publish(&server, "/h/a", number).await;
        }
        publish(&server, "/h/b", "4").await;
        let second = ids(&get(&server, "/history/h/a").await)[1];
        let path = format!("/history/h/a?up_to={second}");
        let response = send(&server, "DELETE", &path).await;
        assert_eq!(response.status, status, "{access}: {}", response.text());
        let part = get(&server, "/history/h/**").await;
        if status == 204 {
            assert_eq!(data(&part), [&json!(3), &json!(4)]);
            assert_eq!(send(&server, "DELETE", "/history/h/a").await.status, 204);
            let part = get(&server, "/history/h/**").await;
            assert_eq!(data(&part), [&json!(4)]);
            // Who is behind is told.
            let part = get(&server, &format!("/history/h/a?after={second}")).await;
            assert_eq!(part["reason"], "expired");
        } else {
            assert!(
                response.text().contains("forget_denied"),
                "{}",
                response.text()
            );
            assert_eq!(data(&part).len(), 4);
            assert!(server.metrics().memory.of(mirant::memory::Kind::History) > 0);
        }
    }
}

/// Refuses messages on one channel, as long as their subscription, if they have one, is this.
#[derive(Debug)]
struct Refusing(&'static str, &'static str);

impl Extension for Refusing {
    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        let is_on_it = message.channel_text().as_deref() == Some(self.0);
        let subscription = message.subscription.map(|raw| raw.get());
        // What deletes has no data.
        if is_on_it && subscription.unwrap_or_default() == self.1 && message.data.is_none() {
            return Err(Refusal::Failed("403::not_today".into()));
        }
        Ok(())
    }
}

#[tokio::test]
async fn extensions_see_a_subscribe_or_a_publish() {
    let rules =
        format!("access=[{{ allow = ['forget'], channels = ['/**'], who = 'anyone' }}, {PUBLISH}]");
    for (channel, subscription, refused) in [
        ("/meta/subscribe", "\"/h/a\"", ("GET", "/history/h/a")),
        ("/meta/subscribe", "\"/h/**\"", ("GET", "/history/h/**")),
        ("/h/a", "", ("DELETE", "/history/h/a")),
    ] {
        let additions = Additions {
            extensions: vec![Box::new(Refusing(channel, subscription))],
            ..Additions::default()
        };
        let server = TestServer::start_with(&[DIRECT, KEPT, &rules], additions);
        publish(&server, "/h/a", "1").await;
        for (method, path, status) in [
            ("GET", "/history/h/a", 200),
            ("GET", "/history/h/**", 200),
            ("DELETE", "/history/h/a", 204),
        ] {
            let response = send(&server, method, path).await;
            if (method, path) == refused {
                assert_eq!(response.status, 403, "{method} {path}");
                assert!(response.text().contains("not_today"), "{}", response.text());
            } else {
                assert_eq!(response.status, status, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn application_servers_read_and_delete_it_as_their_keys_say() {
    let with_key = |method: &str, path: &str| {
        let key = format!("Bearer {}", crate::http_api::KEY);
        Request::new(method, path).header("Authorization", &key)
    };
    let hash = crate::http_api::HASH;
    let on_one = format!(
        "api.key=[{{ name = 'app', hash = '{hash}', allow = ['admin'], channels = ['/h/a'] }}]"
    );
    let reading = server(&["api.public=true", &key("read")]);
    publish(&reading, "/h/a", "1").await;
    let ask = async |server: &TestServer, method: &str, path: &str| {
        let request = with_key(method, path);
        server.open().await.exchange(request).await
    };
    let response = ask(&reading, "GET", "/api/v1/history/h/**").await;
    let part: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(data(&part), [&json!(1)]);
    assert_eq!(part, get(&reading, "/history/h/**").await);
    let response = ask(&reading, "DELETE", "/api/v1/history/h/a").await;
    assert_eq!(response.status, 403);
    for name in ["after", "limit"] {
        let response = ask(&reading, "GET", &format!("/api/v1/history/h/a?{name}=x")).await;
        let problem: Value = serde_json::from_slice(&response.body).unwrap();
        let expected = format!("{name} must be a whole number, 0 or more");
        assert_eq!(
            (response.status, &problem["detail"]),
            (400, &json!(expected))
        );
    }
    let deleting = server(&["api.public=true", &on_one]);
    publish(&deleting, "/h/a", "1").await;
    publish(&deleting, "/h/b", "2").await;
    for (method, path, status) in [
        ("GET", "/api/v1/history/h/b", 403),
        ("GET", "/api/v1/history/h/**", 403),
        ("DELETE", "/api/v1/history/h/*", 403),
        ("GET", "/api/v1/history/h/a", 200),
        ("DELETE", "/api/v1/history/h/a", 200),
    ] {
        let response = ask(&deleting, method, path).await;
        assert_eq!(response.status, status, "{method} {path}");
        if (method, status) == ("DELETE", 200) {
            assert_eq!(response.text(), r#"{"deleted":1}"#);
        }
    }
    let left = get(&deleting, "/history/h/**").await;
    assert_eq!(data(&left), [&json!(2)]);
}
