//! What the HTTP API tells and does about sessions, channels and users, wherever in the cluster they are.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::authentication::{issuer, token};
use crate::http_api::{HASH, post, request};
use crate::support::{Client, Http, Response, TestCluster, TestRedis, within};

const PRESENCE: &str = "channel=[{ pattern = '/a', presence = true }]";
const IMPATIENT: &str = "cluster.call_timeout=1s";

/// The settings of each node, whose API is where clients are.
fn settings<'a>(issuer: &'a str, key: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let own = [issuer, key, "api.public=true", PRESENCE, IMPATIENT];
    own.iter().chain(more).copied().collect()
}

fn key() -> String {
    format!("api.key=[{{ name = 'app', hash = '{HASH}', allow = ['admin'] }}]")
}

async fn ask(node: SocketAddr, method: &str, path: &str) -> Response {
    let request = request(method, &format!("/api/v1{path}"));
    Http::open(node).await.exchange(request).await
}

async fn get(node: SocketAddr, path: &str) -> Value {
    let response = ask(node, "GET", path).await;
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

async fn posted(node: SocketAddr, path: &str, body: Value) -> (u16, Value) {
    let request = post(&format!("/api/v1{path}"), body.to_string());
    let response = Http::open(node).await.exchange(request).await;
    let json = serde_json::from_slice(&response.body).unwrap();
    (response.status, json)
}

/// Asks again until the answer is as it has to be.
async fn until_told(node: SocketAddr, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let answer = get(node, path).await;
            if is_so(&answer) {
                return answer;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    within(asking).await
}

/// A client at a node, of a user or of nobody, which is subscribed.
pub(super) async fn client(node: SocketAddr, user: Option<&str>) -> Client {
    let mut client = Client::new(node);
    let ext = user.map(|user| json!({"authentication": {"token": token(user, 600)}}));
    let fields = ext.map_or_else(|| json!({}), |ext| json!({"ext": ext}));
    let reply = client.handshake_with(fields).await;
    assert_eq!(reply["successful"], true, "{reply}");
    client.connect().await;
    assert_eq!(client.subscribe("/a").await["successful"], true);
    client
}

fn field<'v>(list: &'v Value, name: &str) -> Vec<&'v str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item[name].as_str().unwrap()).collect()
}

/// The data of the events among messages.
fn data(messages: &[Value]) -> Vec<&Value> {
    let messages = messages.iter().map(|message| &message["data"]);
    messages.filter(|data| !data.is_null()).collect()
}

/// Three nodes that know each other, and the clients: two of `u1` at two nodes, one of `u2` and one of nobody.
struct Scene {
    cluster: TestCluster,
    clients: Vec<Client>,
}

impl Scene {
    async fn start() -> Self {
        let (issuer, key) = (issuer(), key());
        let cluster = TestCluster::start(3, &settings(&issuer, &key, &[])).await;
        let of = |node: usize| cluster.nodes[node].address;
        let mut clients = Vec::new();
        for (node, user) in [(0, Some("u1")), (1, Some("u1")), (2, Some("u2")), (1, None)] {
            clients.push(client(of(node), user).await);
        }
        for node in 0..3 {
            let all = |list: &Value| list["sessions"].as_array().unwrap().len() == 4;
            until_told(of(node), "/sessions", all).await;
        }
        Self { cluster, clients }
    }

    fn node(&self, number: usize) -> SocketAddr {
        self.cluster.nodes[number].address
    }

    fn alias(&self, client: usize) -> String {
        self.cluster.nodes[0].alias(&self.clients[client].id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_the_same_at_every_node() {
    let scene = Scene::start().await;
    let mut aliases: Vec<String> = (0..4).map(|client| scene.alias(client)).collect();
    let first = aliases[0].clone();
    aliases.sort_unstable();
    for node in 0..3 {
        let list = get(scene.node(node), "/sessions").await;
        assert_eq!(field(&list["sessions"], "session"), aliases, "{node}");
        assert_eq!(list["next"], Value::Null);
        assert!(list.get("nodes_missing").is_none(), "{list}");
        let of_user = get(scene.node(node), "/sessions?user=u1&address=127.0.0.0/8").await;
        assert_eq!(field(&of_user["sessions"], "user"), ["u1", "u1"], "{node}");
        let one = get(scene.node(node), &format!("/sessions/{first}")).await;
        assert_eq!(one["user"], "u1");
        assert_eq!(one["subscriptions"], json!(["/a"]));
        let channels = get(scene.node(node), "/channels").await;
        let channels = channels["channels"].as_array().unwrap();
        assert_eq!(channels.len(), 1);
        assert_eq!(channels[0]["subscribers"], 4, "{node}");
        let channel = get(scene.node(node), "/channels/a").await;
        let users = json!([{"user": "u1", "sessions": 2}, {"user": "u2", "sessions": 1}]);
        let presence = json!({"users": users, "anonymous": 1, "truncated": false});
        assert_eq!(channel["presence"], presence, "{node}");
        assert_eq!(channel["subscribers"], 4);
        assert_eq!(
            ask(scene.node(node), "GET", "/channels/b").await.status,
            404
        );
        let nobody = ask(scene.node(node), "GET", "/sessions/0000000000000000000001").await;
        assert_eq!(nobody.status, 404);
    }
    // Each page by another node.
    let (mut found, mut after) = (Vec::new(), String::new());
    for page in 0..4 {
        let path = format!("/sessions?limit=1{after}");
        let list = get(scene.node(page % 3), &path).await;
        found.extend(
            field(&list["sessions"], "session")
                .into_iter()
                .map(str::to_owned),
        );
        match list["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => assert_eq!(page, 3, "{list}"),
        }
    }
    assert_eq!(found, aliases);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_sessions_and_users_wherever_they_are() {
    let mut scene = Scene::start().await;
    let message = |to: Value, data: &str| {
        let mut message = json!({"channel": "/service/x", "data": data, "ext": {"e": 1}});
        message
            .as_object_mut()
            .unwrap()
            .extend(to.as_object().unwrap().clone());
        message
    };
    for node in 0..3 {
        let to_user = message(json!({"user": "u1"}), &format!("user {node}"));
        let sent = posted(scene.node(node), "/deliver", to_user).await;
        assert_eq!(sent, (200, json!({"sessions": 2, "dropped": 0})), "{node}");
        let to_session = message(
            json!({"session": scene.alias(1)}),
            &format!("session {node}"),
        );
        let sent = posted(scene.node(node), "/deliver", to_session).await;
        assert_eq!(sent, (200, json!({"sessions": 1, "dropped": 0})), "{node}");
        let to_nobody = message(json!({"session": "0000000000000000000001"}), "");
        assert_eq!(posted(scene.node(node), "/deliver", to_nobody).await.0, 404);
        let to_nobody = message(json!({"user": "u3"}), "");
        let sent = posted(scene.node(node), "/deliver", to_nobody).await;
        assert_eq!(sent, (200, json!({"sessions": 0, "dropped": 0})));
    }
    let expected = [
        vec!["user 0", "user 1", "user 2"],
        vec![
            "user 0",
            "session 0",
            "user 1",
            "session 1",
            "user 2",
            "session 2",
        ],
        vec![],
        vec![],
    ];
    for (client, expected) in scene.clients.iter_mut().zip(expected) {
        let messages = client.queued().await;
        assert_eq!(data(&messages), expected, "{messages:?}");
        let event = messages
            .iter()
            .find(|message| message.get("data").is_some());
        if let Some(event) = event {
            assert_eq!(
                (&event["channel"], &event["ext"]),
                (&json!("/service/x"), &json!({"e": 1}))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_wherever_they_are() {
    let scene = Scene::start().await;
    // (the session, and by which node it is ended: elsewhere, and here)
    for (client, node) in [(3, 0), (2, 2)] {
        let path = format!("/sessions/{}", scene.alias(client));
        assert_eq!(ask(scene.node(node), "DELETE", &path).await.status, 204);
        for node in 0..3 {
            assert_eq!(ask(scene.node(node), "GET", &path).await.status, 404);
            assert_eq!(ask(scene.node(node), "DELETE", &path).await.status, 404);
        }
    }
    let body = json!({"refuse": "10m"});
    let ended = posted(scene.node(2), "/users/u1/disconnect", body).await;
    assert_eq!(ended, (200, json!({"sessions": 2, "refused": "10m"})));
    for node in 0..3 {
        let mut client = Client::new(scene.node(node));
        let ext = json!({"authentication": {"token": token("u1", 600)}});
        let reply = client.handshake_with(json!({"ext": ext})).await;
        let error = reply["error"].as_str().unwrap();
        assert!(error.ends_with("user_refused"), "{node}: {reply}");
    }
}

/// Three processes, and a session of `u1` at the last.
async fn processes(node_timeout: &str) -> (TestCluster, Client, String) {
    let (issuer, key) = (issuer(), key());
    let set = settings(&issuer, &key, &[node_timeout, "bayeux.max_interval=2m"]);
    let mut cluster = TestCluster::over(TestRedis::start().await, &set);
    cluster.processes = (0..3).map(|_| cluster.process(&[])).collect();
    let client = client(cluster.processes[2].address(), Some("u1")).await;
    let mut alias = String::new();
    for node in &cluster.processes {
        let is_there = |list: &Value| !list["sessions"].as_array().unwrap().is_empty();
        let list = until_told(node.address(), "/sessions", is_there).await;
        alias = list["sessions"][0]["session"].as_str().unwrap().to_owned();
    }
    (cluster, client, alias)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_tells_that_it_lacks_a_node() {
    let (cluster, _client, alias) = processes("cluster.node_timeout=1m").await;
    let node = cluster.processes[0].address();
    cluster.processes[2].signal("STOP");
    let list = get(node, "/sessions").await;
    let expected = json!({"sessions": [], "next": null, "nodes_missing": 1});
    assert_eq!(list, expected);
    assert_eq!(get(node, "/channels").await["nodes_missing"], 1);
    // There may be one, and a session that may be there is not said to be gone.
    let one = format!("/sessions/{alias}");
    for (method, path) in [("GET", "/channels/a"), ("GET", &one), ("DELETE", &one)] {
        let response = ask(node, method, path).await;
        assert_eq!(response.status, 503, "{path}: {}", response.text());
        assert_eq!(response.header("Retry-After"), Some("1"));
    }
    let message = json!({"user": "u1", "channel": "/a", "data": 1});
    let sent = posted(node, "/deliver", message).await;
    let expected = json!({"sessions": 0, "dropped": 0, "nodes_missing": 1});
    assert_eq!(sent, (200, expected));
    let message = json!({"session": alias, "channel": "/a", "data": 1});
    assert_eq!(posted(node, "/deliver", message).await.0, 503);
    let ended = posted(node, "/users/u1/disconnect", json!({})).await;
    let expected = json!({"sessions": 0, "refused": null, "nodes_missing": 1});
    assert_eq!(ended, (200, expected));
    cluster.processes[2].signal("CONT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_node_has_died_is_found_again() {
    let (mut cluster, mut client, alias) = processes("cluster.node_timeout=2s").await;
    let nodes = [0, 1].map(|node: usize| cluster.processes[node].address());
    cluster.processes[2].signal("KILL");
    for node in nodes {
        let list = until_told(node, "/sessions", |list| {
            list.get("nodes_missing").is_none()
        })
        .await;
        assert_eq!(list["sessions"], json!([]), "nobody has asked for it");
    }
    let message = json!({"session": alias, "channel": "/x", "data": "found"});
    let sent = posted(nodes[0], "/deliver", message).await;
    assert_eq!(sent, (200, json!({"sessions": 1, "dropped": 0})));
    for node in nodes {
        let channel = get(node, "/channels/a").await;
        assert_eq!(
            channel["presence"]["users"],
            json!([{"user": "u1", "sessions": 1}])
        );
    }
    client.move_to(nodes[1]);
    assert_eq!(data(&client.events().await), [&json!("found")]);
    let path = format!("/sessions/{alias}");
    assert_eq!(ask(nodes[1], "DELETE", &path).await.status, 204);
    assert_eq!(ask(nodes[0], "GET", &path).await.status, 404);
    cluster.processes.truncate(2);
}
