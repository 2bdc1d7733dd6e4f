//! An application of a test's own that a hook calls: it checks signatures, writes down what comes, answers as it
//! is told, and can be killed and revived.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::{Folder, Posted, ok, until};

const PATH: &str = "/hook?a=b";

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// This, with 200.
    Json(Value),
    /// These bytes.
    Raw(Vec<u8>),
    /// Nothing, and the connection ends.
    Closed,
    /// This, once [`Application::release`] says so.
    Held(Box<Self>),
}

/// An answer without a body.
pub(crate) fn status(line: &str) -> Answer {
    let text = format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n");
    Answer::Raw(text.into_bytes())
}

type Decide = Box<dyn FnMut(&Posted) -> Answer + Send>;

struct State {
    decide: Decide,
    requests: Vec<Posted>,
    problems: Vec<String>,
    under_way: usize,
    most_under_way: usize,
}

struct Inner {
    state: Mutex<State>,
    gate: Semaphore,
    secrets: Vec<&'static str>,
}

/// The application; what is wrong with a signature fails the test in the end.
pub(crate) struct Application {
    pub(crate) address: SocketAddr,
    folder: Folder,
    inner: Arc<Inner>,
    accepting: Option<JoinSet<()>>,
}

/// Takes events, and answers calls with their data.
fn agreeable(request: &Posted) -> Answer {
    match request.json()["call"].get("data") {
        Some(data) => Answer::Json(json!({"reply": data})),
        None => status("204 No Content"),
    }
}

impl Application {
    pub(crate) async fn new() -> Self {
        Self::with(&["planted-hook-secret"]).await
    }

    /// Makes one that checks a signature by each of several secrets.
    pub(crate) async fn with(secrets: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = Folder::new(&format!("hook-{}", address.port()));
        for (index, secret) in secrets.iter().enumerate() {
            std::fs::write(folder.file(&index.to_string()), format!("{secret}\n")).unwrap();
        }
        let mut application = Self {
            address,
            folder,
            inner: Arc::new(Inner {
                state: Mutex::new(State {
                    decide: Box::new(agreeable),
                    requests: Vec::new(),
                    problems: Vec::new(),
                    under_way: 0,
                    most_under_way: 0,
                }),
                gate: Semaphore::new(0),
                secrets: secrets.to_vec(),
            }),
            accepting: None,
        };
        application.accept(listener);
        application
    }

    fn accept(&mut self, listener: TcpListener) {
        let inner = Arc::clone(&self.inner);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&inner)));
            }
        });
        self.accepting = Some(accepting);
    }

    /// Ends all its connections, and takes no more.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut accepting) = self.accepting.take() {
            accepting.shutdown().await;
        }
        // Connections end with their tasks, which end when they are polled next.
        until(|| Arc::strong_count(&self.inner) == 1).await;
        self.inner.state.lock().unwrap().under_way = 0;
    }

    /// Is there again.
    pub(crate) async fn revive(&mut self) {
        self.accept(TcpListener::bind(self.address).await.unwrap());
    }

    /// What a server has to be told to have it as its hook.
    pub(crate) fn set(&self, more: &str) -> String {
        format!("hook=[{}]", self.entry(more))
    }

    pub(crate) fn entry(&self, more: &str) -> String {
        let address = self.address;
        self.entry_at(
            &format!("http://{address}"),
            &format!("allow_private = true, {more}"),
        )
    }

    pub(crate) fn entry_at(&self, base: &str, more: &str) -> String {
        let secrets = (0..self.inner.secrets.len()).map(|index| {
            let file = self.folder.file(&index.to_string());
            format!("{{ file = '{}' }}", file.display())
        });
        let secrets: Vec<String> = secrets.collect();
        let secrets = secrets.join(", ");
        format!("{{ url = '{base}{PATH}', secrets = [{secrets}], {more} }}")
    }

    /// Answers so from now on.
    pub(crate) fn answer(&self, decide: impl FnMut(&Posted) -> Answer + Send + 'static) {
        self.inner.state.lock().unwrap().decide = Box::new(decide);
    }

    /// Does what it is asked, as in the beginning.
    pub(crate) fn agree(&self) {
        self.answer(agreeable);
    }

    /// Lets so many go on that are held.
    pub(crate) fn release(&self, count: usize) {
        self.inner.gate.add_permits(count);
    }

    /// How many requests have come.
    pub(crate) fn asked(&self) -> usize {
        self.inner.state.lock().unwrap().requests.len()
    }

    /// How many were under way at once, at most.
    pub(crate) fn most_under_way(&self) -> usize {
        self.inner.state.lock().unwrap().most_under_way
    }

    /// The requests that came since the last time, of which there are so many at least.
    pub(crate) async fn requests(&self, least: usize) -> Vec<Posted> {
        until(|| self.asked() >= least).await;
        std::mem::take(&mut self.inner.state.lock().unwrap().requests)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let problems = &self.inner.state.lock().unwrap().problems;
            assert!(problems.is_empty(), "{problems:?}");
        }
    }
}

async fn serve(stream: TcpStream, inner: Arc<Inner>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = Posted::read(&mut stream, PATH).await {
        let mut answer = {
            let mut state = inner.state.lock().unwrap();
            state.under_way += 1;
            state.most_under_way = state.most_under_way.max(state.under_way);
            let problem = request.problem(&inner.secrets);
            state.problems.extend(problem);
            let answer = (state.decide)(&request);
            state.requests.push(request);
            answer
        };
        if let Answer::Held(then) = answer {
            inner.gate.acquire().await.unwrap().forget();
            answer = *then;
        }
        inner.state.lock().unwrap().under_way -= 1;
        let bytes = match answer {
            Answer::Json(value) => ok(&value.to_string()),
            Answer::Raw(bytes) => bytes,
            Answer::Closed | Answer::Held(_) => return,
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
