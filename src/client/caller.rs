//! A client that calls: it publishes on a service channel, and waits for the answer.

use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::approach::Approach;
use super::chance::chance;
use super::course::{Change, Course, Step};
use super::fault::Fault;
use super::incoming::{Incoming, read_texts};
use super::messages::{self, CONNECT};
use super::session::Session;

/// What the message of a call is known by; its session makes no other.
const ID: &str = "call";

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Data.
    Data(String),
    /// That the call failed: an error, or data that say so.
    Failed(String),
}

/// A session that makes a call.
#[derive(Debug)]
pub(crate) struct Caller {
    approach: Approach,
    session: Session,
    course: Course,
}

impl Caller {
    /// Opens a session.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub(crate) async fn open(mut approach: Approach) -> Result<Self, Fault> {
        let mut course = Course::new(false);
        loop {
            let (session, reply) = approach.handshake(false).await?;
            match course.answered(&reply, chance()).map_err(Fault::Denied)? {
                Change::Postponed(_) => sleep(course.wait()).await,
                _ => {
                    return Ok(Self {
                        approach,
                        session,
                        course,
                    });
                }
            }
        }
    }

    /// Calls, and waits for the answer, however long it takes.
    ///
    /// # Errors
    /// The connection broke, or the session ended: the call may have been taken or not.
    pub(crate) async fn call(&mut self, channel: &str, data: &RawValue) -> Result<Answer, Fault> {
        let server = self.approach.server();
        let session = &mut self.session;
        let publish = messages::publish(session.client_id(), channel, [(ID, data)].into_iter());
        session.say(server, &publish).await?;
        // When to connect, if no reply is due; when one is due at the latest, otherwise.
        let mut connect = None;
        let mut end = Instant::now() + server.timeout;
        loop {
            let until = connect.unwrap_or(end);
            let Some(arrival) = session.connection().receive_before(until).await? else {
                if connect.take().is_none() {
                    let (limit, answer) = (server.timeout, "nothing".to_owned());
                    return Err(Fault::TimedOut { limit, answer });
                }
                let at_once = self.course.step() == Step::Connect { at_once: true };
                let id = session.client_id();
                let batch = messages::connect(server.connection_type, id, at_once);
                session.say(server, &batch).await?;
                end = Instant::now() + self.course.hold() + server.timeout;
                continue;
            };
            let messages = read_texts(arrival.batch)?;
            for (_, message) in &messages {
                if let Some(answer) = answer(message, channel) {
                    return Ok(answer);
                }
                let is_taken = message.has_id(ID) && message.channel.as_deref() == Some(channel);
                let is_connected = message.channel.as_deref() == Some(CONNECT);
                if is_connected {
                    let change = self.course.answered(&message.reply(), chance());
                    if let Change::SessionGone(error) = change.map_err(Fault::Denied)? {
                        return Err(Fault::Denied(error));
                    }
                }
                if is_taken || is_connected {
                    connect = Some(Instant::now() + self.course.wait());
                }
            }
        }
    }

    /// Ends the session.
    pub(crate) async fn leave(mut self) {
        self.session.leave(self.approach.server()).await;
    }
}

/// The answer to a call, if a message is one.
fn answer(message: &Incoming<'_>, channel: &str) -> Option<Answer> {
    if message.channel.as_deref() != Some(channel) || !message.has_id(ID) {
        return None;
    }
    let is_failure = message.successful == Some(false);
    let error = message.error.as_deref().map(str::to_owned);
    match message.data {
        Some(data) if !is_failure => Some(Answer::Data(data.get().to_owned())),
        Some(data) => Some(Answer::Failed(
            error.unwrap_or_else(|| data.get().to_owned()),
        )),
        None => is_failure.then(|| Answer::Failed(error.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_id_and_data_or_a_failure() {
        let data = |data: &str| Some(Answer::Data(data.to_owned()));
        let failed = |error: &str| Some(Answer::Failed(error.to_owned()));
        // (the fields of a message, the answer in it)
        let cases = [
            (r#""id":"call","successful":true"#, None),
            (r#""id":"call","data":null"#, data("null")),
            (r#""id":"call","data":1.0,"successful":true"#, data("1.0")),
            (
                r#""id":"call","data":{"a": 1},"successful":false"#,
                failed(r#"{"a": 1}"#),
            ),
            (
                r#""id":"call","data":1,"successful":false,"error":"e""#,
                failed("e"),
            ),
            (
                r#""id":"call","successful":false,"error":"403::x""#,
                failed("403::x"),
            ),
            (r#""id":"call","successful":false"#, failed("")),
            (r#""id":"other","data":1"#, None),
            (r#""data":1"#, None),
        ];
        for (fields, expected) in cases {
            for (channel, expected) in [("/service/y", None), ("/service/x", expected)] {
                let text = format!(r#"{{"channel":"{channel}",{fields}}}"#);
                let message: Incoming<'_> = serde_json::from_str(&text).unwrap();
                assert_eq!(answer(&message, "/service/x"), expected, "{text}");
            }
        }
    }
}
