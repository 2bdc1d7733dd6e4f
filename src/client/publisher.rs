//! A client that publishes: batch after batch, each acknowledged before the next, so that order is kept.

use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::approach::Approach;
use super::chance::chance;
use super::course::{Change, Course, backoff};
use super::fault::{Fault, excerpt};
use super::incoming::{read_texts, wait_asked};
use super::messages;
use super::session::Session;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server has published it.
    Accepted,
    /// The server has not, and says why.
    Refused(String),
    /// It was sent, and no answer came: it may be published or not.
    Unknown,
    /// It was not sent.
    Unsent,
}

/// A message to publish.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// By which its acknowledgement is known: letters and digits.
    pub(crate) id: String,
    /// What it says, as it is.
    pub(crate) data: Box<RawValue>,
}

/// A client that publishes on one channel.
#[derive(Debug)]
pub(crate) struct Publisher {
    approach: Approach,
    session: Option<Session>,
    channel: String,
    /// How long it goes on trying without getting any further.
    patience: Duration,
    /// A message at a time, because the server has said that they come too fast: of a batch it might refuse
    /// some and take those behind them.
    is_slow: bool,
    has_begun: bool,
}

impl Publisher {
    /// Opens a session.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub(crate) async fn open(
        approach: Approach,
        channel: String,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let mut publisher = Self {
            approach,
            session: None,
            channel,
            patience,
            is_slow: false,
            has_begun: false,
        };
        publisher.begin().await?;
        publisher.has_begun = true;
        Ok(publisher)
    }

    /// Publishes messages in their order, and tells what became of each, and why it stopped if it did before
    /// all of them had an answer.
    pub(crate) async fn publish(&mut self, batch: &[Message]) -> (Vec<Outcome>, Option<Fault>) {
        let mut outcomes = vec![Outcome::Unsent; batch.len()];
        let mut give_up = Instant::now() + self.patience;
        let mut in_vain = 0;
        loop {
            let open = |outcome: &Outcome| *outcome == Outcome::Unsent;
            let mut left: Vec<usize> = (0..batch.len()).filter(|&at| open(&outcomes[at])).collect();
            if left.is_empty() {
                return (outcomes, None);
            }
            if self.is_slow {
                left.truncate(1);
            }
            self.forget_if_closed().await;
            if let Err(fault) = self.begin().await {
                return (outcomes, Some(fault));
            }
            if let Err(fault) = self.send(batch, &left, &mut outcomes).await {
                self.session = None;
                if !fault.is_of_size() {
                    return (outcomes, Some(fault));
                }
                // Nothing of it was taken; what is too large shows if each goes alone.
                self.is_slow = true;
                outcomes[left[0]] = match left.len() {
                    1 => Outcome::Refused(fault.to_string()),
                    _ => Outcome::Unsent,
                };
                left[1..]
                    .iter()
                    .for_each(|&at| outcomes[at] = Outcome::Unsent);
                continue;
            }
            let postponed = self.take_postponed(&left, &mut outcomes);
            if left.iter().any(|&at| !open(&outcomes[at])) {
                give_up = Instant::now() + self.patience;
                in_vain = 0;
            }
            if let Some((wait, error)) = postponed {
                let wait = wait.max(backoff(in_vain, chance()));
                in_vain += 1;
                if Instant::now() + wait > give_up {
                    return (outcomes, Some(Fault::Denied(error)));
                }
                sleep(wait).await;
            }
        }
    }

    /// Gives a session up whose connection the server has closed while nothing was due: what is sent over it
    /// would be lost.
    async fn forget_if_closed(&mut self) {
        if let Some(session) = &mut self.session {
            let came = session.connection().receive_before(Instant::now()).await;
            if came.is_err() {
                self.session = None;
            }
        }
    }

    /// Makes a session, unless there is one.
    async fn begin(&mut self) -> Result<(), Fault> {
        let give_up = Instant::now() + self.patience;
        let mut failures = 0;
        while self.session.is_none() {
            let mut course = Course::new(false);
            let (wait, fault) = match self.approach.handshake(false).await {
                Ok((session, reply)) => match course.answered(&reply, chance()) {
                    Ok(Change::Postponed(error)) => (course.wait(), Fault::Denied(error)),
                    Ok(_) => {
                        self.session = Some(session);
                        continue;
                    }
                    Err(error) => return Err(Fault::Denied(error)),
                },
                Err(fault) if self.has_begun && fault.is_passing() => {
                    failures += 1;
                    (backoff(failures, chance()), fault)
                }
                Err(fault) => return Err(fault),
            };
            if Instant::now() + wait > give_up {
                return Err(fault);
            }
            sleep(wait).await;
        }
        Ok(())
    }

    /// Sends messages in one batch, and notes what the server says of each.
    async fn send(
        &mut self,
        batch: &[Message],
        left: &[usize],
        outcomes: &mut [Outcome],
    ) -> Result<(), Fault> {
        let session = self.session.as_mut().expect("a session was begun");
        let server = self.approach.server();
        let messages = left.iter().map(|&at| (&*batch[at].id, &*batch[at].data));
        let text = messages::publish(session.client_id(), &self.channel, messages);
        for &at in left {
            outcomes[at] = Outcome::Unknown;
        }
        session.say(server, &text).await?;
        let mut unanswered = left.len();
        while unanswered > 0 {
            let replies = session.connection().receive_within(server.timeout).await?;
            let before = unanswered;
            for (_, message) in read_texts(replies)? {
                let is_reply = message.successful.is_some() && message.data.is_none();
                let is_it = |at: &&usize| {
                    outcomes[**at] == Outcome::Unknown && message.has_id(&batch[**at].id)
                };
                if let Some(&at) = left.iter().find(is_it).filter(|_| is_reply) {
                    unanswered -= 1;
                    outcomes[at] = match message.successful {
                        Some(true) => Outcome::Accepted,
                        _ => Outcome::Refused(message.error.unwrap_or_default().into_owned()),
                    };
                }
            }
            if unanswered == before && !server.connection_type.pushes() {
                return Err(Fault::Refused(excerpt(replies)));
            }
        }
        Ok(())
    }

    /// Takes back what was refused only for now: it is to be sent again by another session, or later. Returns
    /// after which wait, and what the server says.
    fn take_postponed(
        &mut self,
        left: &[usize],
        outcomes: &mut [Outcome],
    ) -> Option<(Duration, String)> {
        let mut postponed = None;
        for &at in left {
            let Outcome::Refused(error) = &outcomes[at] else {
                continue;
            };
            let wait = wait_asked(error);
            if wait.is_some() {
                self.is_slow = true;
            } else if error.starts_with("402") {
                self.session = None;
            } else {
                continue;
            }
            postponed = postponed.max(Some((wait.unwrap_or_default(), error.clone())));
            outcomes[at] = Outcome::Unsent;
        }
        postponed
    }

    /// Keeps the session, by a connect that is answered at once; if that fails, the next batch begins another.
    pub(crate) async fn keep(&mut self) {
        if let Some(session) = &mut self.session
            && session.connect(self.approach.server()).await.is_err()
        {
            self.session = None;
        }
    }

    /// Ends the session.
    pub(crate) async fn leave(mut self) {
        if let Some(session) = &mut self.session {
            session.leave(self.approach.server()).await;
        }
    }
}
