//! The description, held to what the server does: each operation gets good requests and bad ones, and what comes
//! back is what the description says of that status. Each status that is described comes back once at least.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;

use mirant::bayeux::Message;
use mirant::extensions::{Extension, MessageInfo, Refusal, Wait};
use mirant::run::Additions;
use serde_json::{Value, json};

use super::{HASH, LISTEN, OTHER, OTHER_HASH, ROLE, ask};
use crate::support::{Http, Request, Response, TestServer, until};

/// An operation: its method, and its path in the description.
type Operation = (&'static str, &'static str);

const DESCRIPTION: Operation = ("get", "/api/v1/openapi.json");
const PUBLISH: Operation = ("post", "/api/v1/publish");
const PUBLISH_ON: Operation = ("post", "/api/v1/publish/{channel}");
const DELIVER: Operation = ("post", "/api/v1/deliver");
const CHANNELS: Operation = ("get", "/api/v1/channels");
const CHANNEL: Operation = ("get", "/api/v1/channels/{channel}");
const HISTORY: Operation = ("get", "/api/v1/history/{channel}");
const FORGET: Operation = ("delete", "/api/v1/history/{channel}");
const FIGURES_OF_HISTORY: Operation = ("get", "/api/v1/history");
const FIGURES: Operation = ("get", "/api/v1/figures");
const WATCH: Operation = ("get", "/api/v1/watch/{channel}");
const WATCH_SESSION: Operation = ("get", "/api/v1/sessions/{session}/watch");
const KEY_DETAILS: Operation = ("get", "/api/v1/key");
const CONFIGURATION: Operation = ("get", "/api/v1/configuration");
const EXPLAIN: Operation = ("post", "/api/v1/explain");
const NODES: Operation = ("get", "/api/v1/nodes");
const RELOAD: Operation = ("post", "/api/v1/reload");
const SESSIONS: Operation = ("get", "/api/v1/sessions");
const SESSION: Operation = ("get", "/api/v1/sessions/{session}");
const END: Operation = ("delete", "/api/v1/sessions/{session}");
const DISCONNECT: Operation = ("post", "/api/v1/users/{user}/disconnect");

/// Refuses `"down"`, and lets `"wait"` wait for ever.
#[derive(Debug)]
struct Moods;

impl Extension for Moods {
    fn may_wait(&self) -> bool {
        true
    }

    fn admit(&self, message: &Message<'_>, _: &MessageInfo) -> Option<Wait> {
        let waits = message.data.as_ref()?.get() == "\"wait\"";
        waits.then(|| Box::pin(pending()) as Wait)
    }

    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        match message.data.as_ref().map(|data| data.get()) {
            Some("\"down\"") => Err(Refusal::Failed("503::down".into())),
            _ => Ok(()),
        }
    }
}

fn server() -> TestServer {
    let keys = format!(
        "api.key=[{{ name = 'app', hash = '{HASH}', allow = ['admin'] }}, \
         {{ name = 'other', hash = '{OTHER_HASH}', allow = ['calls'] }}]"
    );
    let set = [
        LISTEN,
        ROLE,
        &keys,
        "api.max_messages=2",
        "bayeux.max_refused_users=1",
        "channel=[{ pattern = '/present', presence = true }, \
          { pattern = '/kept', history = { messages = 9 } }]",
    ];
    let additions = Additions {
        extensions: vec![Box::new(Moods)],
        ..Additions::default()
    };
    TestServer::start_with(&set, additions)
}

/// The description, and what has come back of it.
struct Description {
    document: Value,
    produced: BTreeMap<Operation, BTreeSet<String>>,
}

impl Description {
    async fn of(server: &TestServer) -> Self {
        let response = ask(server, Request::new("GET", DESCRIPTION.1)).await;
        Self {
            document: serde_json::from_slice(&response.body).unwrap(),
            produced: BTreeMap::new(),
        }
    }

    fn operation(&self, (method, path): Operation) -> &Value {
        let operation = &self.document["paths"][path][method];
        assert!(operation.is_object(), "{method} {path} is not described");
        operation
    }

    /// Says what is wrong with a value by a schema of the document.
    fn wrong(&self, schema: &Value, value: &Value) -> Option<String> {
        let mut whole = json!({"components": self.document["components"]});
        for (name, part) in schema.as_object().unwrap() {
            whole[name] = part.clone();
        }
        let validator = jsonschema::draft202012::new(&whole).unwrap();
        let error = validator.validate(value).err()?;
        Some(format!("{error} at {}", error.instance_path()))
    }

    /// Holds a response to what is said of its status.
    fn check(&mut self, of: Operation, response: &Response) {
        let status = response.status.to_string();
        let described = &self.operation(of)["responses"][&status];
        assert!(
            described.is_object(),
            "{of:?} {status} is not described: {}",
            response.text()
        );
        match described["content"].as_object() {
            None => assert!(response.body.is_empty(), "{of:?} {status}"),
            Some(content) => {
                let media_type = response.header("Content-Type").unwrap();
                let content = content.get(media_type);
                let content = content.unwrap_or_else(|| panic!("{of:?} {status}: {media_type}"));
                let body = serde_json::from_slice(&response.body).unwrap();
                let wrong = self.wrong(&content["schema"], &body);
                assert_eq!(wrong, None, "{of:?} {status}: {body}");
            }
        }
        self.produced.entry(of).or_default().insert(status);
    }

    /// Sends a request, and holds its response, and its body if that is good, to the description.
    async fn send(
        &mut self,
        server: &TestServer,
        of: Operation,
        request: Request,
        status: u16,
    ) -> Response {
        let response = ask(server, request.clone()).await;
        assert_eq!(response.status, status, "{of:?}: {}", response.text());
        self.check(of, &response);
        let schema = &self.operation(of)["requestBody"]["content"]["application/json"]["schema"];
        if status == 200 && !request.payload().is_empty() {
            let body = serde_json::from_slice(request.payload()).unwrap();
            assert_eq!(self.wrong(schema, &body), None, "{of:?}: {body}");
        }
        response
    }
}

fn request((method, _): Operation, path: &str, body: &str) -> Request {
    let method = method.to_uppercase();
    let request = super::request(&method, path);
    if body.is_empty() {
        request
    } else {
        request.body(body)
    }
}

/// What may be asked, and the status that comes of it.
type Case = (Operation, String, &'static str, u16);

/// Requests of which each is good or bad by itself.
fn cases_of_messages() -> Vec<Case> {
    let case = |of, path: &str, body, status| (of, path.to_owned(), body, status);
    let (publish, on, deliver) = (PUBLISH.1, "/api/v1/publish/a", DELIVER.1);
    let three =
        r#"[{"channel":"/a","data":1},{"channel":"/a","data":1},{"channel":"/a","data":1}]"#;
    vec![
        case(DESCRIPTION, DESCRIPTION.1, "", 200),
        case(
            PUBLISH,
            publish,
            r#"{"channel":"/a","data":1,"ext":{},"id":"x"}"#,
            200,
        ),
        case(
            PUBLISH,
            publish,
            r#"[{"channel":"/a","data":1},{"channel":"/b","data":null}]"#,
            200,
        ),
        case(
            PUBLISH,
            publish,
            r#"{"channel":"/kept","data":1,"ext":{}}"#,
            200,
        ),
        case(PUBLISH, publish, "[]", 200),
        case(PUBLISH, publish, r#"{"channel":"a","data":1}"#, 400),
        case(PUBLISH, publish, three, 413),
        case(
            PUBLISH,
            publish,
            r#"{"channel":"/a","data":2,"id":"x"}"#,
            422,
        ),
        case(PUBLISH, publish, r#"{"channel":"/a","data":"down"}"#, 503),
        case(PUBLISH_ON, on, "[1]", 200),
        case(PUBLISH_ON, on, "[1", 400),
        case(PUBLISH_ON, on, "\"down\"", 503),
        case(
            DELIVER,
            deliver,
            r#"{"user":"u","channel":"/a","data":1}"#,
            200,
        ),
        case(DELIVER, deliver, r#"{"channel":"/a","data":1}"#, 400),
        case(
            DELIVER,
            deliver,
            r#"{"session":"x","channel":"/a","data":1}"#,
            404,
        ),
        case(
            DELIVER,
            deliver,
            r#"{"user":"u","channel":"/a","data":"down"}"#,
            503,
        ),
    ]
}

/// The same of what is asked about sessions, channels and users.
fn cases_of_clients(alias: &str) -> Vec<Case> {
    let case = |of, path: &str, body, status| (of, path.to_owned(), body, status);
    vec![
        case(CHANNELS, "/api/v1/channels?pattern=/**&limit=1", "", 200),
        case(CHANNELS, "/api/v1/channels?limit=0", "", 400),
        case(CHANNEL, "/api/v1/channels/present", "", 200),
        case(CHANNEL, "/api/v1/channels/a", "", 200),
        case(CHANNEL, "/api/v1/channels/a/**/b", "", 400),
        case(CHANNEL, "/api/v1/channels/nobody/here", "", 404),
        case(HISTORY, "/api/v1/history/kept?after=1", "", 200),
        case(HISTORY, "/api/v1/history/**?limit=1", "", 200),
        case(HISTORY, "/api/v1/history/kept?after=x", "", 400),
        case(HISTORY, "/api/v1/history/a", "", 404),
        case(FORGET, "/api/v1/history/kept?up_to=x", "", 400),
        case(FORGET, "/api/v1/history/a", "", 404),
        case(FORGET, "/api/v1/history/kept", "", 200),
        case(SESSIONS, "/api/v1/sessions?limit=1", "", 200),
        case(SESSIONS, "/api/v1/sessions?limit=x", "", 400),
        case(SESSION, &format!("/api/v1/sessions/{alias}"), "", 200),
        case(SESSION, "/api/v1/sessions/x", "", 400),
        case(SESSION, "/api/v1/sessions/0000000000000000000001", "", 404),
        case(END, "/api/v1/sessions/x", "", 400),
        case(END, "/api/v1/sessions/0000000000000000000001", "", 404),
        case(END, &format!("/api/v1/sessions/{alias}"), "", 204),
        case(DISCONNECT, "/api/v1/users/u/disconnect", "{}", 200),
        case(
            DISCONNECT,
            "/api/v1/users/u/disconnect",
            r#"{"refuse":"10m"}"#,
            200,
        ),
        case(DISCONNECT, "/api/v1/users/u/disconnect", "[", 400),
        case(
            DISCONNECT,
            "/api/v1/users/u2/disconnect",
            r#"{"refuse":"10m"}"#,
            503,
        ),
    ]
}

/// The same of what an operator asks. What goes on is tried elsewhere.
fn cases_of_operators() -> Vec<Case> {
    let case = |of, path: &str, body, status| (of, path.to_owned(), body, status);
    let explain = EXPLAIN.1;
    vec![
        case(FIGURES_OF_HISTORY, "/api/v1/history?channel=/kept", "", 200),
        case(
            FIGURES_OF_HISTORY,
            "/api/v1/history?channel=/a/**/b",
            "",
            400,
        ),
        case(FIGURES_OF_HISTORY, "/api/v1/history?channel=/a", "", 404),
        case(WATCH, "/api/v1/watch/a/**/b", "", 400),
        case(WATCH_SESSION, "/api/v1/sessions/x/watch", "", 400),
        case(
            WATCH_SESSION,
            "/api/v1/sessions/0000000000000000000001/watch",
            "",
            404,
        ),
        case(CONFIGURATION, CONFIGURATION.1, "", 200),
        case(
            EXPLAIN,
            explain,
            r#"{"action":"subscribe","channel":"/a/**"}"#,
            200,
        ),
        case(EXPLAIN, explain, r#"{"action":"publish"}"#, 400),
        case(NODES, NODES.1, "", 200),
        // This program has nowhere to read it from.
        case(RELOAD, RELOAD.1, "", 422),
    ]
}

/// Asks to watch without a key that is for it, and what any key is told of itself.
async fn with_other_keys(description: &mut Description, server: &TestServer) {
    let paths = [
        (FIGURES, FIGURES.1),
        (RELOAD, RELOAD.1),
        (WATCH, "/api/v1/watch/a"),
        (
            WATCH_SESSION,
            "/api/v1/sessions/0000000000000000000001/watch",
        ),
    ];
    for (of, path) in paths {
        let unknown = request(of, path, "").header("Authorization", "");
        description.send(server, of, unknown, 401).await;
        let other = request(of, path, "").header("Authorization", &format!("Bearer {OTHER}"));
        description.send(server, of, other, 403).await;
    }
    let of = KEY_DETAILS;
    description
        .send(server, of, request(of, of.1, ""), 200)
        .await;
    let unknown = request(of, of.1, "").header("Authorization", "");
    description.send(server, of, unknown, 401).await;
}

#[tokio::test]
async fn each_operation_answers_as_described() {
    let server = server();
    let mut description = Description::of(&server).await;
    let mut client = server.client().await;
    client.subscribe(json!(["/a", "/present", "/a/**"])).await;
    let of_clients = cases_of_clients(&server.alias(&client.id));
    with_other_keys(&mut description, &server).await;
    let cases = cases_of_messages().into_iter().chain(cases_of_operators());
    for (of, path, body, status) in cases.chain(of_clients) {
        if of == DESCRIPTION {
            description
                .send(&server, of, Request::new("GET", &path), status)
                .await;
            continue;
        }
        description
            .send(&server, of, request(of, &path, body), status)
            .await;
        if status == 200 || status == 204 {
            let unknown = request(of, &path, body).header("Authorization", "");
            description.send(&server, of, unknown, 401).await;
            let other =
                request(of, &path, body).header("Authorization", &format!("Bearer {OTHER}"));
            description.send(&server, of, other, 403).await;
        }
    }
    for (of, path, body) in [
        (PUBLISH, PUBLISH.1, r#"{"channel":"/a","data":DATA}"#),
        (PUBLISH_ON, "/api/v1/publish/a", "DATA"),
        (
            DELIVER,
            DELIVER.1,
            r#"{"user":"u","channel":"/a","data":DATA}"#,
        ),
    ] {
        let under = |data: &str, key| {
            request(of, path, &body.replace("DATA", data)).header("Idempotency-Key", key)
        };
        description
            .send(
                &server,
                of,
                under("1", "k"),
                if of == PUBLISH { 200 } else { 422 },
            )
            .await;
        description.send(&server, of, under("2", "k"), 422).await;
        let mut waiting = Http::open(server.api.unwrap()).await;
        waiting.send(under("\"wait\"", "w").bytes()).await;
        until(|| server.metrics().waiting_batches.value() == 1).await;
        description
            .send(&server, of, under("\"wait\"", "w"), 409)
            .await;
        waiting.reset();
        until(|| server.metrics().waiting_batches.value() == 0).await;
    }
    let described = described(&description.document);
    let produced: BTreeSet<(String, String, String)> = description
        .produced
        .iter()
        .flat_map(|((method, path), statuses)| {
            let statuses = statuses.iter();
            statuses.map(|status| ((*method).to_owned(), (*path).to_owned(), status.clone()))
        })
        .collect();
    let missing: Vec<_> = described
        .difference(&produced)
        .filter(|(method, path, status)| {
            let never = [
                ("post", PUBLISH_ON.1, "413"),
                // Memory does not fail.
                ("get", HISTORY.1, "503"),
                ("delete", FORGET.1, "503"),
                // All nodes answer.
                ("get", SESSION.1, "503"),
                ("delete", END.1, "503"),
                ("get", CHANNEL.1, "503"),
                ("get", FIGURES_OF_HISTORY.1, "503"),
                // Other tests do that, with a program that has a file.
                ("post", RELOAD.1, "200"),
                // It goes on.
                ("get", FIGURES.1, "200"),
                ("get", FIGURES.1, "503"),
                ("get", WATCH.1, "200"),
                ("get", WATCH.1, "503"),
                ("get", WATCH_SESSION.1, "200"),
                ("get", WATCH_SESSION.1, "503"),
            ];
            !never.contains(&(&**method, &**path, &**status))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "described, and did not come back: {missing:#?}"
    );
}

/// Lists all statuses that are described, each with its method and path.
fn described(document: &Value) -> BTreeSet<(String, String, String)> {
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            for status in operation["responses"].as_object().unwrap().keys() {
                described.insert((method.clone(), path.clone(), status.clone()));
            }
        }
    }
    described
}

#[tokio::test]
async fn each_operation_has_a_name_of_its_own_and_asks_for_a_key() {
    let server = server();
    let description = Description::of(&server).await;
    let document = &description.document;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["components"]["securitySchemes"]["key"]["scheme"],
        "bearer"
    );
    assert_eq!(document["security"], json!([{"key": []}]));
    let mut names = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        assert!(!path.contains('*'), "{path}");
        for operation in methods.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            assert!(names.insert(name.clone()), "{name} stands twice");
        }
    }
}
