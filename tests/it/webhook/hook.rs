//! A webhook of a test's own: it checks signatures, writes down what it is asked, and answers as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::support::Folder;

pub(crate) const SECRET: &str = "planted-webhook-secret";

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// This, with 200.
    Json(Value),
    /// These bytes.
    Raw(Vec<u8>),
    /// Nothing, and the connection ends.
    Closed,
    /// Allowed, once [`Hook::release`] says so.
    Held,
}

/// A request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// By name in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Question {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

#[derive(Debug, Default)]
struct State {
    answers: BTreeMap<&'static str, Answer>,
    questions: Vec<Question>,
    problems: Vec<String>,
}

/// The webhook; what is wrong with a signature fails the test in the end.
pub(crate) struct Hook {
    pub(crate) url: String,
    folder: Folder,
    state: Arc<Mutex<State>>,
    gate: Arc<Semaphore>,
}

impl Hook {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = Folder::new(&format!("webhook-{}", address.port()));
        std::fs::write(folder.file("secret"), format!("{SECRET}\n")).unwrap();
        let hook = Self {
            url: format!("http://{address}/ask?a=b"),
            folder,
            state: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        };
        let (state, gate) = (Arc::clone(&hook.state), Arc::clone(&hook.gate));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&state), Arc::clone(&gate)));
            }
        });
        hook
    }

    /// What a server has to be told to ask it.
    pub(crate) fn set(&self) -> Vec<String> {
        let secret = self.folder.file("secret");
        vec![
            format!("webhook.url={}", self.url),
            format!("webhook.secret={{ file = '{}' }}", secret.display()),
        ]
    }

    /// Answers so from now on.
    pub(crate) fn answer(&self, action: &'static str, answer: Answer) {
        self.state.lock().unwrap().answers.insert(action, answer);
    }

    /// Allows everything, as in the beginning.
    pub(crate) fn allow(&self) {
        self.state.lock().unwrap().answers.clear();
    }

    /// Lets so many go on that are held.
    pub(crate) fn release(&self, count: usize) {
        self.gate.add_permits(count);
    }

    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().questions.len()
    }

    pub(crate) fn questions(&self) -> Vec<Question> {
        std::mem::take(&mut self.state.lock().unwrap().questions)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let problems = &self.state.lock().unwrap().problems;
            assert!(problems.is_empty(), "{problems:?}");
        }
    }
}

/// An answer with 200, whose body is this.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, gate: Arc<Semaphore>) {
    while let Some(question) = read(&mut stream).await {
        let action = question.json()["action"].as_str().unwrap().to_owned();
        let answer = {
            let mut state = state.lock().unwrap();
            state.problems.extend(problem(&question));
            state.questions.push(question);
            state.answers.get(&*action).cloned()
        };
        let allowed = match &*action {
            "handshake" => json!({"allow": true, "user": "u1"}),
            _ => json!({"allow": true}),
        };
        let bytes = match answer {
            None => ok(&allowed.to_string()),
            Some(Answer::Json(value)) => ok(&value.to_string()),
            Some(Answer::Raw(bytes)) => bytes,
            Some(Answer::Closed) => return,
            Some(Answer::Held) => {
                gate.acquire().await.unwrap().forget();
                ok(&allowed.to_string())
            }
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Question> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    assert_eq!(lines.next(), Some("POST /ask?a=b HTTP/1.1"));
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    let text = String::from_utf8(body).unwrap();
    Some(Question { headers, text })
}

/// Says what is wrong with a signature.
fn problem(question: &Question) -> Option<String> {
    let header = |name: &str| question.headers.get(name).map_or("", |value| value);
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let sent = UNIX_EPOCH + Duration::from_secs(timestamp.parse().unwrap_or(0));
    let age = SystemTime::now().duration_since(sent).unwrap_or_default();
    if age > Duration::from_secs(60) {
        return Some(format!("{timestamp} is not now"));
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = format!("{id}.{timestamp}.{}", question.text);
    let signature = BASE64.decode(header("webhook-signature").trim_start_matches("v1,"));
    let is_valid = hmac::verify(&key, signed.as_bytes(), &signature.unwrap_or_default()).is_ok();
    (!is_valid).then(|| format!("{question:?} is not signed"))
}
