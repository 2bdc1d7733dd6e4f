//! A client that receives: it keeps its subscriptions over broken connections and lost sessions.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::approach::Approach;
use super::chance::chance;
use super::course::{Change, Course, Step};
use super::fault::Fault;
use super::incoming::{Reply, read_texts};
use super::messages::{self, CONNECT, HANDSHAKE, SUBSCRIBE};
use super::position::{Position, Recoveries, Since};
use super::session::{Identity, LEAVE, Session};
use super::transport::ConnectionType;

/// What has come.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Events.
    pub(crate) events: Vec<Event>,
    /// What has become of the connection or of the session.
    pub(crate) news: Option<News>,
    /// Channels and patterns of which the server says that messages may be missing.
    pub(crate) missing: Vec<String>,
}

/// An event.
#[derive(Debug)]
pub(crate) struct Event {
    /// As it came.
    pub(crate) text: String,
    /// Its number in its server's history, if it has one.
    pub(crate) number: Option<u64>,
}

/// What becomes of a client, for whoever watches it.
#[derive(Debug)]
pub(crate) enum News {
    /// A session has begun.
    Connected {
        /// How the server is spoken to.
        by: ConnectionType,
        /// Why not by what is tried first.
        refused: Option<Fault>,
    },
    /// The server has taken the subscriptions.
    Subscribed {
        /// What it says of what was published before.
        past: Recoveries,
    },
    /// The connection broke.
    Lost {
        /// How.
        fault: Fault,
        /// How long until the next attempt.
        wait: Duration,
    },
    /// The session goes on after the connection had broken.
    Resumed,
    /// The session is gone; another is begun.
    SessionGone {
        /// What the server says.
        error: String,
        /// How long until then.
        wait: Duration,
        /// What was not received is gone, too: it is not known where in a history to go on.
        loses: bool,
    },
    /// The server does not know any more what came after the last message; it is subscribed to what is new.
    Expired {
        /// What the server says.
        error: String,
    },
    /// The server has taken a subscription back; it is asked for again.
    SubscriptionLost {
        /// What the server says.
        error: String,
    },
    /// The server wants to be asked later.
    Postponed {
        /// What the server says.
        error: String,
        /// How much later.
        wait: Duration,
    },
}

/// A client with subscriptions.
#[derive(Debug)]
pub(crate) struct Receiver {
    approach: Approach,
    channels: Vec<String>,
    course: Course,
    session: Option<Session>,
    identity: Identity,
    /// A reply is due before this.
    awaited: Option<Instant>,
    /// When to go on, if no reply is due.
    due: Instant,
    /// A server has answered; until then a fault is the end.
    has_begun: bool,
    position: Position,
    /// A subscription is lost, and to be made again when no reply is due.
    is_unsubscribed: bool,
}

impl Receiver {
    /// A client that will subscribe to channels or patterns, and have their messages from somewhere on if that
    /// is said.
    pub(crate) fn new(approach: Approach, channels: Vec<String>, since: Option<Since>) -> Self {
        Self {
            approach,
            channels,
            course: Course::new(true),
            session: None,
            identity: Identity::default(),
            awaited: None,
            due: Instant::now(),
            has_begun: false,
            position: Position::new(since),
            is_unsubscribed: false,
        }
    }

    /// Waits for what comes next. What it has returned counts as received: it is acknowledged by what this
    /// does when it is called again. By then [`Self::had`] is to be told what has been done with.
    ///
    /// # Errors
    /// There is nothing more to be done: the server refuses, or could not be reached from the start.
    pub(crate) async fn next(&mut self) -> Result<Heard, Fault> {
        loop {
            let heard = match self.awaited {
                Some(end) => self.read(end).await,
                None => self.act().await,
            };
            match heard {
                Ok(Some(heard)) => return Ok(heard),
                Ok(None) => {}
                Err(fault) if self.has_begun && fault.is_passing() => return Ok(self.lost(fault)),
                Err(fault) => return Err(fault),
            }
        }
    }

    fn lost(&mut self, fault: Fault) -> Heard {
        self.course.broke(chance());
        self.session = None;
        self.awaited = None;
        let wait = self.pause();
        Heard {
            news: Some(News::Lost { fault, wait }),
            ..Heard::default()
        }
    }

    /// Waits as long as it has to before the next step.
    fn pause(&mut self) -> Duration {
        let wait = self.course.wait();
        self.due = Instant::now() + wait;
        wait
    }

    /// Lets the wait pass, and takes the next step.
    async fn act(&mut self) -> Result<Option<Heard>, Fault> {
        let pushes = self.approach.server().connection_type.pushes();
        match &mut self.session {
            // Events may come meanwhile.
            Some(session) if pushes && Instant::now() < self.due => {
                if let Some(arrival) = session.connection().receive_before(self.due).await? {
                    let batch = arrival.batch.to_vec();
                    return self.take(&batch);
                }
            }
            _ => sleep_until(self.due).await,
        }
        match self.course.step() {
            Step::Handshake => {
                self.session = None;
                let (session, reply) = self.approach.handshake(true).await?;
                self.identity = session.identity();
                self.session = Some(session);
                self.has_begun = true;
                self.follow(&reply).map(Some)
            }
            Step::Subscribe | Step::Connect { .. } => {
                self.send().await?;
                Ok(None)
            }
        }
    }

    /// Sends what is next, over a new connection if there is none.
    async fn send(&mut self) -> Result<(), Fault> {
        let session = match &mut self.session {
            Some(session) => session,
            None => {
                let identity = self.identity.clone();
                self.session.insert(self.approach.reopen(identity).await?)
            }
        };
        let server = self.approach.server();
        let id = session.client_id();
        let batch = match self.course.step() {
            Step::Connect { at_once } => {
                messages::connect_with(server.connection_type, id, at_once, self.course.ack())
            }
            Step::Handshake | Step::Subscribe => {
                messages::subscribe_to(id, &self.channels, self.position.since())
            }
        };
        session.say(server, &batch).await?;
        self.awaited = Some(Instant::now() + self.course.hold() + server.timeout);
        Ok(())
    }

    /// Reads the next batch, which must come while the reply that is due still may.
    async fn read(&mut self, end: Instant) -> Result<Option<Heard>, Fault> {
        let session = self.session.as_mut().expect("what is awaited was sent");
        let Some(arrival) = session.connection().receive_before(end).await? else {
            let limit = self.course.hold() + self.approach.server().timeout;
            let answer = "nothing".to_owned();
            return Err(Fault::TimedOut { limit, answer });
        };
        let batch = arrival.batch.to_vec();
        self.take(&batch)
    }

    /// Takes the events and the reply of a batch.
    fn take(&mut self, batch: &[u8]) -> Result<Option<Heard>, Fault> {
        let awaited = match self.course.step() {
            Step::Handshake => HANDSHAKE,
            Step::Subscribe => SUBSCRIBE,
            Step::Connect { .. } => CONNECT,
        };
        let mut events = Vec::new();
        let (mut reply, mut lost) = (None, None);
        for (text, message) in read_texts(batch)? {
            if message.is_event() {
                events.push(Event {
                    text: text.to_owned(),
                    number: message.replay_id(),
                });
            } else if message.channel.as_deref() == Some(awaited) {
                reply = Some(message.reply());
            } else if message.channel.as_deref() == Some(SUBSCRIBE) {
                lost = (message.successful == Some(false)).then(|| message.reply().error);
            }
        }
        let reply = reply.filter(|_| self.awaited.take().is_some());
        let mut heard = match reply {
            Some(reply) => self.follow(&reply)?,
            None => Heard::default(),
        };
        if let Some(error) = lost {
            self.is_unsubscribed = true;
            heard.news = Some(News::SubscriptionLost { error });
        }
        if self.is_unsubscribed && self.awaited.is_none() {
            self.is_unsubscribed = false;
            self.course.unsubscribed();
        }
        heard.events = events;
        let is_something =
            !heard.events.is_empty() || heard.news.is_some() || !heard.missing.is_empty();
        Ok(is_something.then_some(heard))
    }

    /// Goes where a reply leads.
    fn follow(&mut self, reply: &Reply) -> Result<Heard, Fault> {
        let is_refused = self.course.step() == Step::Subscribe && !reply.is_successful;
        if is_refused && self.position.give_up(&reply.error) {
            let error = reply.error.clone();
            return Ok(Heard {
                news: Some(News::Expired { error }),
                ..Heard::default()
            });
        }
        let change = self.course.answered(reply, chance());
        let change = change.map_err(Fault::Denied)?;
        let wait = self.pause();
        let news = match change {
            Change::Begun => Some(News::Connected {
                by: self.approach.server().connection_type,
                refused: self.approach.take_refused(),
            }),
            Change::Subscribed => {
                self.position.subscribed(&reply.replay);
                Some(News::Subscribed {
                    past: reply.replay.clone(),
                })
            }
            Change::Resumed => Some(News::Resumed),
            Change::GoesOn => None,
            Change::Postponed(error) => Some(News::Postponed { error, wait }),
            Change::SessionGone(error) => Some(News::SessionGone {
                error,
                wait,
                loses: !self.position.is_known(),
            }),
        };
        Ok(Heard {
            news,
            missing: reply.gap.clone(),
            ..Heard::default()
        })
    }

    /// Goes on to an event with which its user has done: a new session has what comes after that.
    pub(crate) fn had(&mut self, event: &Event) {
        if let Some(number) = event.number {
            self.position.saw(number);
        }
    }

    /// Where it is, if that is known.
    pub(crate) fn position(&self) -> Option<&Since> {
        self.position.since()
    }

    /// Ends the session, if the server can be told soon.
    pub(crate) async fn leave(mut self) {
        let _ = timeout(LEAVE, async {
            let pushes = self.approach.server().connection_type.pushes();
            // While a connect is held no other reply comes over its connection.
            if !pushes && self.awaited.is_some() {
                let identity = self.session.as_ref().map(Session::identity);
                let Some(identity) = identity else { return };
                self.session = self.approach.reopen(identity).await.ok();
            }
            if let Some(session) = &mut self.session {
                session.leave(self.approach.server()).await;
            }
        })
        .await;
    }
}
