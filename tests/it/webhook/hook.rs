//! A webhook of a test's own: it checks signatures, writes down what it is asked, and answers as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::support::{Folder, Posted, ok};

/// Where it is asked.
const PATH: &str = "/ask?a=b";
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

#[derive(Debug, Default)]
struct State {
    answers: BTreeMap<&'static str, Answer>,
    questions: Vec<Posted>,
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
            url: format!("http://{address}{PATH}"),
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

    pub(crate) fn questions(&self) -> Vec<Posted> {
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

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, gate: Arc<Semaphore>) {
    while let Some(question) = Posted::read(&mut stream, PATH).await {
        let action = question.json()["action"].as_str().unwrap().to_owned();
        let answer = {
            let mut state = state.lock().unwrap();
            state.problems.extend(question.problem(&[SECRET]));
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
