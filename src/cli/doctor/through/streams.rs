//! Whether events on streams come when they are published, or when a proxy has enough of them.
//!
//! Of two streams, since proxies buffer one and not the other: an event stream, which ends with its connection, and
//! xhr-streaming, which comes in chunks.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use serde_json::{Deserializer, Value};
use tokio::time::timeout;

use super::directives::{Cause, Program, fix};
use crate::cli::doctor::finding::Finding;
use crate::cli::with_causes;
use crate::client::incoming::find_reply;
use crate::client::messages::{self, CONNECT, SUBSCRIBE};
use crate::client::{Fault, Identity, Server, Session};

const STREAMS: &str = "streams";
/// How many events are published, each when the last has come.
const EVENTS: usize = 7;
/// How long one may take before it counts as held back for good.
const PATIENCE: Duration = Duration::from_secs(2);
/// What half of them take longer than their replies, if a proxy waits for more to go with each.
const HELD_BACK: Duration = Duration::from_millis(120);

/// What came of a stream.
enum Outcome {
    /// An event takes so long, as a rule.
    Took(Duration),
    /// None came.
    Nothing,
    /// The server lets this client not subscribe or publish.
    Forbidden(String),
}

/// Which streams the server has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offered {
    /// Event streams.
    pub(super) events: bool,
    /// Connects by xhr-streaming.
    pub(super) chunks: bool,
}

/// Who publishes, and where.
pub(super) struct Publisher<'p> {
    pub(super) session: Session,
    pub(super) server: &'p Server,
    pub(super) channel: &'p str,
}

/// Publishes events, and hears them on each stream that there is.
pub(super) async fn check(
    publisher: &mut Publisher<'_>,
    streaming: &Server,
    offered: Offered,
    proxy: Option<Program>,
) -> Finding {
    let channel = publisher.channel;
    let mut told = Finding::ok(
        STREAMS,
        "the server offers no stream by which it could be told",
    );
    for (is_offered, name) in [
        (offered.events, "an event stream"),
        (offered.chunks, "xhr-streaming"),
    ] {
        if !is_offered {
            continue;
        }
        let heard = match name {
            "xhr-streaming" => by_chunks(publisher, streaming).await,
            _ => by_events(publisher).await,
        };
        told = match heard {
            Ok(Outcome::Took(time)) if time < HELD_BACK => {
                Finding::ok(STREAMS, "events come as they are published")
            }
            Ok(Outcome::Took(time)) => Finding::wrong(
                STREAMS,
                format!(
                    "the proxy holds each event of {name} back for {} ms",
                    time.as_millis()
                ),
                fix(Cause::Buffers, proxy),
            ),
            Ok(Outcome::Nothing) => Finding::wrong(
                STREAMS,
                format!("the proxy buffers {name}: nothing has come within {PATIENCE:?}"),
                fix(Cause::Buffers, proxy),
            ),
            Ok(Outcome::Forbidden(error)) => Finding::warning(
                STREAMS,
                format!(
                    "it could not be told: the server refuses to subscribe or publish on {channel} ({error})"
                ),
                "--token or --user of somebody who may, or another --channel",
            ),
            Err(fault) => Finding::warning(
                STREAMS,
                format!("it could not be told by {name}: {}", with_causes(&fault)),
                "see what else is wrong, and ask again",
            ),
        };
        if !told.is_ok() {
            break;
        }
    }
    told
}

/// Hears by the event stream of a session.
async fn by_events(publisher: &mut Publisher<'_>) -> Result<Outcome, Fault> {
    let server = publisher.server;
    let mut session = open(server).await?;
    let heard = async {
        if let Some(refused) = subscribe(&mut session, server, publisher.channel).await? {
            return Ok(Outcome::Forbidden(refused));
        }
        session.connect(server).await?;
        let dialled = server.dial().await?;
        let cookies = session.arrived().cookies();
        let opening = dialled.listen_as(&server.url, session.client_id(), cookies, PATIENCE);
        let mut stream = match opening.await {
            Err(Fault::TimedOut { .. }) => return Ok(Outcome::Nothing),
            opened => opened?,
        };
        measure(publisher, async || {
            poll_fn(|cx| stream.poll_next(cx)).await?;
            Ok(true)
        })
        .await
    };
    let heard = heard.await;
    session.leave(server).await;
    heard
}

/// Hears by the stream of a connect.
async fn by_chunks(publisher: &mut Publisher<'_>, server: &Server) -> Result<Outcome, Fault> {
    let mut session = open(server).await?;
    let channel = publisher.channel;
    let heard = async {
        if let Some(refused) = subscribe(&mut session, server, channel).await? {
            return Ok(Outcome::Forbidden(refused));
        }
        session.connect(server).await?;
        session.leave_held(server).await?;
        measure(publisher, async || event(&mut session, channel).await).await
    };
    let heard = heard.await;
    session.leave(server).await;
    heard
}

async fn open(server: &Server) -> Result<Session, Fault> {
    let dialled = server.dial().await?;
    let mut session = Session::over(dialled, server, Identity::default()).await?;
    session.handshake(server).await?;
    Ok(session)
}

/// Subscribes; returns why the server does not let it.
async fn subscribe(
    session: &mut Session,
    server: &Server,
    channel: &str,
) -> Result<Option<String>, Fault> {
    let subscribe = messages::subscribe(session.client_id(), channel);
    session.say(server, &subscribe).await?;
    let batch = session.connection().receive_within(server.timeout).await?;
    let reply = find_reply(batch, SUBSCRIBE)?;
    Ok((!reply.is_successful).then_some(reply.error))
}

/// Publishes each event when the last has come, as `next` tells; it says no once none can come any more.
async fn measure(
    publisher: &mut Publisher<'_>,
    mut next: impl AsyncFnMut() -> Result<bool, Fault>,
) -> Result<Outcome, Fault> {
    let mut took = Vec::new();
    for number in 0..EVENTS {
        if let Some(refused) = publisher.publish(number).await? {
            return Ok(Outcome::Forbidden(refused));
        }
        let replied = Instant::now();
        let has_come = timeout(PATIENCE, next()).await.unwrap_or(Ok(false))?;
        if !has_come {
            break;
        }
        took.push(replied.elapsed());
    }
    took.sort_unstable();
    let rule = took.get(took.len() / 2).copied();
    Ok(rule.map_or(Outcome::Nothing, Outcome::Took))
}

impl Publisher<'_> {
    /// Publishes a number; returns why the server does not let it.
    async fn publish(&mut self, number: usize) -> Result<Option<String>, Fault> {
        let id = number.to_string();
        let data = RawValue::from_string(id.clone()).map_err(std::io::Error::other)?;
        let event = [(&*id, &*data)].into_iter();
        let batch = messages::publish(self.session.client_id(), self.channel, event);
        self.session.say(self.server, &batch).await?;
        let connection = self.session.connection();
        let replies = connection.receive_within(self.server.timeout).await?;
        let reply = find_reply(replies, self.channel)?;
        Ok((!reply.is_successful).then_some(reply.error))
    }
}

/// Waits for the next event of a channel on a connect's stream; false once the connect is answered.
async fn event(session: &mut Session, channel: &str) -> Result<bool, Fault> {
    loop {
        let batch = session.connection().receive_within(PATIENCE * 2).await?;
        // Several arrays may have come at once.
        let arrays = Deserializer::from_slice(batch).into_iter::<Vec<Value>>();
        let messages: Vec<Value> = arrays.filter_map(Result::ok).flatten().collect();
        let is_on = |name: &str| messages.iter().any(|message| message["channel"] == name);
        if is_on(CONNECT) {
            return Ok(false);
        }
        if is_on(channel) {
            return Ok(true);
        }
    }
}
