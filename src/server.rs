//! The Bayeux server: takes batches of messages, gives replies and events; knows no HTTP.

mod resources;

mod held;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant, SystemTime};

use crate::bayeux::{BayeuxError, ClientId, Event, Limits, Message, RandomId, Reply, meta};
use crate::metrics::Metrics;
pub use crate::operations::resources::{NotWritten, Place};
use crate::operations::{self, Effect, Origin, Scope};
use crate::resources::{Resources, Settings as ResourceBounds};
use crate::router::Router;
use crate::session;
use crate::session::{
    Batch, Beginning, Browsers, Carrier, EndReason, Session, Sessions, Shared, Stream, Timers,
    sweep,
};

pub use held::HeldConnect;

/// A Bayeux server without a network.
#[derive(Debug)]
pub struct BayeuxServer {
    limits: Limits,
    connection_types: Vec<&'static str>,
    sessions: Sessions,
    router: Router,
    resources: Arc<Resources>,
    shared: Arc<Shared>,
    is_stopping: AtomicBool,
}

/// How a batch came.
pub struct Request<'r> {
    /// The browser cookies it carries that this server can have made.
    pub cookies: &'r [RandomId],
    /// Whether its transport can hold a connect.
    pub may_be_held: bool,
    /// Tells whether the client can no longer be reached, so that the response carries no events;
    /// asked only if it would.
    pub is_client_gone: &'r dyn Fn() -> bool,
    /// Whether the reply to a publish may carry events.
    pub delivers_on_publish: bool,
    /// The stream it came by, to which the events of its session go from now on.
    pub stream: Option<&'r mut Stream>,
    /// How long a connect is held at most, if its transport bounds that.
    pub lifetime: Option<Duration>,
    /// Whether it came by a request of its own, of which browsers allow few at once to a host.
    pub is_request: bool,
    /// Whether the stream serves only the session whose handshake came by it.
    pub needs_own_handshake: bool,
}

/// What a batch led to.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The session it was of.
    pub session: Option<Arc<Session>>,
    /// The events of the response; they come before the replies.
    pub events: Vec<Arc<Event>>,
    /// The replies, in the order of the messages.
    pub replies: Vec<Reply<'a>>,
    /// The browser cookie to set.
    pub new_cookie: Option<RandomId>,
    /// The connect is held: there is no response yet.
    pub held: Option<HeldConnect>,
}

impl Outcome<'_> {
    /// Adds the events that go with the reply to a connect, the one that stands at this place.
    fn carry(&mut self, batch: Batch, connect: Option<usize>) {
        self.events = batch.events;
        if let Some(reply) = connect.and_then(|connect| self.replies.get_mut(connect)) {
            held::number(reply, batch.number);
        }
    }
}

impl BayeuxServer {
    /// Makes a server without sessions.
    #[must_use]
    pub fn new(
        limits: Limits,
        connection_types: Vec<&'static str>,
        session: session::Settings,
        router: Router,
        resources: ResourceBounds,
        metrics: Arc<Metrics>,
    ) -> Self {
        let resources = Arc::new(Resources::new(resources, Arc::clone(&metrics)));
        let shared = Shared {
            settings: session,
            browsers: Browsers::default(),
            timers: Timers::default(),
            metrics,
        };
        Self {
            limits,
            connection_types,
            sessions: Sessions::default(),
            router,
            resources,
            shared: Arc::new(shared),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Returns the bounds of a batch.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Takes the messages of one request, in order.
    ///
    /// A handshake has to be alone: other messages of its batch are passed over (section 4.1).
    pub fn process<'a>(
        &self,
        batch: &[Message<'a>],
        request: Request<'_>,
        now: Instant,
    ) -> Outcome<'a> {
        let origin = Origin {
            cookies: request.cookies,
            may_be_held: request.may_be_held && batch.len() == 1 && !self.is_stopping(),
            is_streamed: request.stream.is_some(),
            lifetime: request.lifetime,
            is_request: request.is_request,
        };
        let scope = self.scope(now);
        let handshake = batch.iter().find(|message| is_on(message, meta::HANDSHAKE));
        if let Some(message) = handshake {
            let outcome = Self::handshake(message, &origin, &scope);
            if let Some((stream, session)) = request.stream.zip(outcome.session.as_ref()) {
                stream.attach(session, now);
            }
            return outcome;
        }
        let session = batch
            .iter()
            .find_map(|message| self.session_of(message, &request));
        if let Some((stream, session)) = request.stream.zip(session.as_ref()) {
            stream.attach(session, now);
        }
        let is_lone_connect = batch.len() == 1 && is_on(&batch[0], meta::CONNECT);
        let batching = session.as_ref().filter(|_| !is_lone_connect);
        if let Some(session) = batching {
            session.begin_batch(now);
        }
        let mut outcome = Outcome {
            session: session.clone(),
            events: Vec::new(),
            replies: Vec::with_capacity(batch.len()),
            new_cookie: None,
            held: None,
        };
        let mut carrier = Carrier::Other;
        // Where the reply to the last connect stands.
        let mut connects = None;
        let mut current = session.as_ref();
        for message in batch {
            let own = current.filter(|session| is_of(message, session));
            let (reply, effect) = operations::apply(message, own, &origin, &scope);
            match effect {
                Effect::None => {}
                Effect::Published if request.delivers_on_publish => {
                    carrier = carrier.max(Carrier::Publish)
                }
                Effect::Published => {}
                Effect::Connected(connect) => {
                    carrier = Carrier::Connect(connect);
                    connects = Some(outcome.replies.len());
                }
                Effect::Ended => current = None,
                Effect::Held { ticket, connect } => {
                    outcome.held =
                        own.map(|session| HeldConnect::new(session, ticket, connect, message));
                    return outcome;
                }
            }
            outcome.replies.push(reply);
        }
        if carrier != Carrier::Other && (request.is_client_gone)() {
            carrier = Carrier::Other;
        }
        let taken = match (batching, &session, carrier) {
            (Some(session), ..) => session.end_batch(carrier),
            (None, Some(session), Carrier::Connect(connect)) => session.take_events(connect),
            _ => Batch::default(),
        };
        outcome.carry(taken, connects);
        outcome
    }

    /// Begins a session that is subscribed to these channels and patterns, for a stream without a
    /// client that speaks Bayeux; or continues the one that `last` is an event of.
    ///
    /// # Errors
    /// There are too many sessions, or it may not be subscribed to these.
    pub fn open_stream(
        &self,
        channels: &[Cow<'_, str>],
        cookies: &[RandomId],
        last: Option<(ClientId, u64)>,
        now: Instant,
    ) -> Result<(Stream, Beginning), BayeuxError> {
        let patterns = operations::patterns(channels, &self.limits)?;
        let continued = last.and_then(|(id, last)| {
            let session = self.sessions.find(id)?;
            let is_same = session.admits(cookies) && session.is_subscribed_to(&patterns);
            let session = is_same.then_some(session)?;
            Stream::replaying(&session, Some(last), true)
        });
        if let Some(continued) = continued {
            return Ok(continued);
        }
        let origin = Origin {
            cookies,
            may_be_held: false,
            is_streamed: true,
            lifetime: None,
            is_request: true,
        };
        let scope = self.scope(now);
        let session = operations::begin(&origin, &scope, random_id)?.session;
        if let Err(error) = operations::subscribe(&patterns, &session, &scope) {
            scope.end(&session, EndReason::Disconnect);
            return Err(error);
        }
        let stream = Stream::replaying(&session, None, true).map(|(stream, _)| stream);
        let beginning = Beginning {
            after: 0,
            is_complete: last.is_none(),
        };
        Ok((stream.unwrap_or_default(), beginning))
    }

    /// Makes a stream of a session whose client sends its messages by requests of their own, after
    /// the event `last` if it is given; nothing if there is no such session for these cookies.
    #[must_use]
    pub fn join_stream(
        &self,
        id: ClientId,
        cookies: &[RandomId],
        last: Option<u64>,
    ) -> Option<(Stream, Beginning)> {
        let session = self
            .sessions
            .find(id)
            .filter(|session| session.admits(cookies))?;
        Stream::replaying(&session, last, false)
    }

    fn handshake<'a>(message: &Message<'a>, origin: &Origin<'_>, scope: &Scope<'_>) -> Outcome<'a> {
        let (reply, handshaken) = operations::handshake(message, origin, scope, random_id);
        let new_cookie = handshaken
            .as_ref()
            .and_then(|handshaken| handshaken.new_cookie);
        Outcome {
            session: handshaken.map(|handshaken| handshaken.session),
            events: Vec::new(),
            replies: vec![reply],
            new_cookie,
            held: None,
        }
    }

    fn session_of(&self, message: &Message<'_>, request: &Request<'_>) -> Option<Arc<Session>> {
        let id: ClientId = message.client_id_text()?.parse().ok()?;
        let session = self.sessions.find(id)?;
        let is_admitted = match &request.stream {
            Some(stream) if request.needs_own_handshake => stream.is_of(&session),
            Some(stream) => stream.admits(&session, request.cookies),
            None => session.admits(request.cookies),
        };
        is_admitted.then_some(session)
    }

    fn scope(&self, now: Instant) -> Scope<'_> {
        Scope {
            sessions: &self.sessions,
            router: &self.router,
            resources: &self.resources,
            shared: &self.shared,
            limits: &self.limits,
            connection_types: &self.connection_types,
            now,
            time_of_day: SystemTime::now,
        }
    }

    /// Fires the timers of all sessions, for ever.
    pub async fn sweep(&self) {
        sweep(&self.shared.timers, |id, due, now| {
            let Some(session) = self.sessions.find(id) else {
                return;
            };
            if session.on_timer(due, now) {
                self.scope(now).end(&session, EndReason::Expired);
            }
        })
        .await;
    }

    /// Tells whether the server stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(SeqCst)
    }

    /// Answers every held connect and holds none from now on, so that no queued event is lost; and
    /// ends the waits for resources.
    pub fn stop(&self) {
        self.is_stopping.store(true, SeqCst);
        self.resources.stop();
        for session in self.sessions.all() {
            session.stop_holding();
        }
    }
}

fn random_id() -> RandomId {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    RandomId::from_random(bytes)
}

fn is_on(message: &Message<'_>, channel: &str) -> bool {
    message
        .channel_text()
        .is_some_and(|text| text.trim_end_matches('/') == channel)
}

fn is_of(message: &Message<'_>, session: &Session) -> bool {
    message
        .client_id_text()
        .is_some_and(|text| text.parse() == Ok(session.id()))
}
