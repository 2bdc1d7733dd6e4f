//! The way of messages from a request to their receipts: each is checked, is found or sent, and what has to be
//! settled is waited for.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::caller::Caller;
use super::message::{Posted, string};
use super::nodes::MissingNodes;
use super::problem::{Kind, Problem};
use super::receipts::{Claim, Conflict, Fingerprint, Kept};
use super::{IDEMPOTENCY_KEY, Shared};
use crate::bayeux::{ChannelName, Message};
use crate::metrics::ApiOutcome;
use crate::server::{Denied, Later, NoAnswer, NotSent, Reached, STEP, Sending, Sent, Sequenced};

/// The length of an idempotency key in bytes.
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// What became of a message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Receipt {
    /// It was sent.
    Accepted(Accepted),
    /// It was not.
    NotAccepted(NotAccepted),
}

/// A message was sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    /// That it was: `true`.
    accepted: bool,
    /// Its channel.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, example = "/chat/1")]
    channel: ChannelName,
    /// The sessions on this node that it was queued for.
    receivers: u32,
    /// The sessions that would have received it, and have too much queued.
    dropped: u32,
    /// Its place in the channel's history, if the channel has one.
    id: Option<u64>,
    /// Whether it is stored.
    persisted: bool,
    /// `local` if it has reached only this node of a cluster, whose Redis is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "local")]
    cluster: Option<&'static str>,
    /// The nodes that were to send it, too, and did not answer.
    #[serde(skip)]
    missing: u16,
    /// Whether it was sent before.
    #[serde(skip)]
    is_repeated: bool,
}

fn as_text<S: Serializer>(channel: &ChannelName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(channel.as_str())
}

/// A message was not sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotAccepted {
    /// That it was not: `false`.
    accepted: bool,
    /// Why.
    error: Problem,
}

impl From<Result<Accepted, Problem>> for Receipt {
    fn from(sent: Result<Accepted, Problem>) -> Self {
        match sent {
            Ok(accepted) => Self::Accepted(accepted),
            Err(error) => Self::NotAccepted(NotAccepted {
                accepted: false,
                error,
            }),
        }
    }
}

impl Accepted {
    fn new(channel: ChannelName, kept: Kept) -> Self {
        Self {
            accepted: true,
            channel,
            receivers: kept.receivers,
            dropped: kept.dropped,
            id: kept.id.map(NonZeroU64::get),
            persisted: kept.is_persisted,
            cluster: kept.is_local.then_some("local"),
            missing: kept.missing,
            is_repeated: false,
        }
    }

    /// Returns how far it came.
    #[must_use]
    pub fn reached(&self) -> (u32, u32, MissingNodes) {
        let missing = MissingNodes::new(self.missing.into());
        (self.receivers, self.dropped, missing)
    }
}

impl From<Reached> for Kept {
    fn from(reached: Reached) -> Self {
        let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            receivers: number(reached.receivers),
            dropped: number(reached.dropped),
            missing: u16::try_from(reached.missing).unwrap_or(u16::MAX),
            id: None,
            is_persisted: false,
            is_local: false,
        }
    }
}

impl From<Sequenced> for Kept {
    fn from(sequenced: Sequenced) -> Self {
        Self {
            id: NonZeroU64::new(sequenced.id),
            is_persisted: sequenced.is_persisted,
            ..Self::from(sequenced.reached)
        }
    }
}

impl From<Conflict> for Problem {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Differs => Self::new(
                Kind::Reused,
                "something else was sent under this idempotency key (or message id); use a new one",
            ),
            Conflict::InProgress => Self::new(
                Kind::InProgress,
                "what was sent first under this idempotency key (or message id) is still under way; \
                 ask again in a moment",
            ),
        }
    }
}

impl From<NotSent> for Problem {
    fn from(error: NotSent) -> Self {
        match error {
            NotSent::Denied(denied) => denied.into(),
            NotSent::NoData | NotSent::ChannelOfEvents => {
                Self::new(Kind::Refused, error.to_string())
            }
            NotSent::NoSession => Self::new(
                Kind::SessionUnknown,
                "there is no session of this name; GET /api/v1/sessions lists them",
            ),
            NotSent::NoAnswer => NoAnswer.into(),
            NotSent::Reused => Conflict::Differs.into(),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let retry = denied.retry();
        let problem = match denied.reason() {
            "memory_short" => Self::new(
                Kind::Memory,
                "the server has no memory left for it (memory.budget)",
            ),
            "cluster_unavailable" => Self::new(
                Kind::Unavailable,
                "the cluster's Redis is away (cluster.redis)",
            ),
            "history_unavailable" => Self::new(
                Kind::Unavailable,
                "history cannot be kept now (history.directory)",
            ),
            reason => {
                let detail = format!("an extension refuses it: {reason}");
                let problem = Self::new(Kind::Refused, detail);
                let code = denied.code().filter(|code| (400..600).contains(code));
                let status = code.and_then(|code| http::StatusCode::from_u16(code).ok());
                match status {
                    Some(status) => problem.with_status(status),
                    None => problem,
                }
            }
        };
        problem.retry_after(retry)
    }
}

/// A message that may be sent.
struct Checked<'a> {
    message: Message<'a>,
    channel: ChannelName,
    /// What makes it the same as one that was sent before, if it has an id.
    id: Option<(Fingerprint, Fingerprint)>,
}

/// What a request sends: all that tells it from others, for an idempotency key.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its body.
    pub body: &'a [u8],
}

/// A request on its way.
pub struct Request<'r> {
    shared: &'r Arc<Shared>,
    caller: &'r Caller,
    /// What it was sent under, if that was under a key.
    claim: Option<Claim<'r>>,
}

/// Sends one of a request's messages, of this number.
pub type Send<'f> = dyn Fn(&mut Sending<'_>, usize, &mut Message<'_>, &ChannelName, Instant) -> Result<Sent, NotSent>
    + Sync
    + 'f;

/// Checks one of a request's messages; returns its channel.
pub type Check<'f> = dyn Fn(&Posted<'_>) -> Result<ChannelName, Problem> + Sync + 'f;

impl<'r> Request<'r> {
    /// Begins to send so many messages.
    ///
    /// # Errors
    /// It has come under an idempotency key before, and is still under way or was another; or the key is none.
    pub fn begin(
        shared: &'r Arc<Shared>,
        caller: &'r Caller,
        headers: &HeaderMap,
        content: Content<'_>,
        messages: usize,
    ) -> Result<Self, Problem> {
        let claim = match idempotency_key(headers)? {
            None => None,
            Some(key) => {
                let name = caller.rights.name.as_bytes();
                let key = Fingerprint::of(&[b"request", name, key]);
                let body = Fingerprint::of(&[content.path.as_bytes(), content.body]);
                let claim = shared.receipts.claim(key, body, messages, Instant::now());
                Some(claim?)
            }
        };
        Ok(Self {
            shared,
            caller,
            claim,
        })
    }

    /// Sends messages, and returns what became of each; and how much work that was.
    ///
    /// # Errors
    /// Another node of the cluster has sent something else under the request's key.
    pub async fn send(
        &self,
        messages: Vec<Result<Posted<'_>, Problem>>,
        check: &Check<'_>,
        send: &Send<'_>,
    ) -> Result<(Vec<Result<Accepted, Problem>>, usize), Problem> {
        let mut checked: Vec<Result<Checked<'_>, Problem>> = messages
            .into_iter()
            .map(|message| message.and_then(|posted| self.checked(&posted, check)))
            .collect();
        let mut sending = self.shared.server.sending(self.caller.actor());
        let waiting = {
            let new = checked.iter().enumerate();
            let new = new.filter(|(index, _)| self.before(*index).is_none());
            let new =
                new.filter_map(|(index, checked)| Some((index, &checked.as_ref().ok()?.message)));
            sending.admission(new, Instant::now())
        };
        if let Some(waiting) = waiting {
            let refused = waiting.await;
            sending.admitted(refused);
        }
        let mut sent = Vec::with_capacity(checked.len());
        let mut claims = Vec::new();
        let mut on_their_way = Vec::new();
        let mut enough = STEP;
        for (index, checked) in checked.iter_mut().enumerate() {
            let outcome = match checked {
                Ok(checked) => {
                    let sent = self.send_one(index, checked, &mut sending, &mut claims, send);
                    sent.map(|(accepted, later)| {
                        on_their_way.extend(later.map(|later| (index, later)));
                        accepted
                    })
                }
                Err(problem) => Err(problem.clone()),
            };
            sent.push(outcome);
            if sending.work() >= enough {
                enough = sending.work() + STEP;
                tokio::task::yield_now().await;
            }
        }
        let mut is_reused = false;
        for (index, later) in on_their_way {
            match later.await {
                Ok(sequenced) => {
                    let kept = Kept::from(sequenced);
                    self.settle(index, kept, &claims);
                    if let Ok(accepted) = &mut sent[index] {
                        *accepted = Accepted::new(accepted.channel.clone(), kept);
                    }
                }
                Err(error) => {
                    self.unsettle(index, &claims);
                    let is_own = claims.iter().any(|(of, _)| *of == index);
                    is_reused |= matches!(error, NotSent::Reused) && !is_own;
                    sent[index] = Err(error.into());
                }
            }
        }
        if let Some(unsettled) = sending.unsettled(Instant::now()) {
            for (index, denied) in unsettled.await {
                self.unsettle(index, &claims);
                sent[index] = Err(denied.into());
            }
        }
        self.count(&sent);
        if is_reused {
            return Err(Conflict::Differs.into());
        }
        Ok((sent, sending.work()))
    }

    fn checked<'a>(&self, posted: &Posted<'a>, check: &Check<'_>) -> Result<Checked<'a>, Problem> {
        let channel = check(posted)?;
        let message = posted.message()?;
        let id = match string("id", posted.id)? {
            None => None,
            Some(id) if id.is_empty() => {
                return Err(Problem::new(Kind::Message, "id must not be empty"));
            }
            Some(id) => {
                let name = self.caller.rights.name.as_bytes();
                let key = [b"message", name, channel.as_str().as_bytes(), id.as_bytes()];
                let ext = posted.ext.map_or(&b""[..], |ext| ext.get().as_bytes());
                let data = message.data.as_ref().map_or("", |data| data.get());
                let body = [data.as_bytes(), ext];
                Some((Fingerprint::of(&key), Fingerprint::of(&body)))
            }
        };
        Ok(Checked {
            message,
            channel,
            id,
        })
    }

    /// Returns how far a message came when the request came before.
    fn before(&self, index: usize) -> Option<Kept> {
        self.claim.as_ref()?.before(index)
    }

    /// Sends a message, unless it was sent before. One with an id is under way until its claim goes.
    fn send_one(
        &self,
        index: usize,
        checked: &mut Checked<'_>,
        sending: &mut Sending<'_>,
        claims: &mut Vec<(usize, Claim<'r>)>,
        send: &Send<'_>,
    ) -> Result<(Accepted, Option<Later>), Problem> {
        let now = Instant::now();
        let repeated = |kept| {
            let accepted = Accepted {
                is_repeated: true,
                ..Accepted::new(checked.channel.clone(), kept)
            };
            Ok((accepted, None))
        };
        if let Some(kept) = self.before(index) {
            return repeated(kept);
        }
        let claim = match checked.id {
            None => None,
            Some((key, body)) => Some(self.shared.receipts.claim(key, body, 1, now)?),
        };
        if let Some(kept) = claim.as_ref().and_then(|claim| claim.before(0)) {
            self.keep(index, kept);
            return repeated(kept);
        }
        let own = claim.as_ref().map(|claim| claim.once(0));
        sending.once(own.or_else(|| Some(self.claim.as_ref()?.once(index))));
        let sent = send(sending, index, &mut checked.message, &checked.channel, now)?;
        claims.extend(claim.map(|claim| (index, claim)));
        let (kept, later) = match sent {
            Sent::Done(reached) => (Kept::from(reached), None),
            Sent::Local(reached) => {
                let kept = Kept {
                    is_local: true,
                    ..Kept::from(reached)
                };
                (kept, None)
            }
            Sent::Later(later) => (Kept::from(Reached::default()), Some(later)),
        };
        if later.is_none() {
            self.settle(index, kept, claims);
        }
        Ok((Accepted::new(checked.channel.clone(), kept), later))
    }

    /// Notes what became of a message.
    fn settle(&self, index: usize, kept: Kept, claims: &[(usize, Claim<'_>)]) {
        self.keep(index, kept);
        for (_, claim) in claims.iter().filter(|(of, _)| *of == index) {
            claim.keep(0, kept);
        }
    }

    fn keep(&self, index: usize, kept: Kept) {
        if let Some(claim) = &self.claim {
            claim.keep(index, kept);
        }
    }

    /// Lets a message be sent again that was not settled.
    fn unsettle(&self, index: usize, claims: &[(usize, Claim<'_>)]) {
        if let Some(claim) = &self.claim {
            claim.forget(index);
        }
        for (_, claim) in claims.iter().filter(|(of, _)| *of == index) {
            claim.forget(0);
        }
    }

    fn count(&self, sent: &[Result<Accepted, Problem>]) {
        let metrics = self.shared.server.metrics();
        for outcome in sent {
            metrics.api_message(match outcome {
                Ok(accepted) if accepted.is_repeated => ApiOutcome::Repeated,
                Ok(_) => ApiOutcome::Accepted,
                Err(_) => ApiOutcome::Refused,
            });
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value.as_bytes();
    if (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) {
        return Ok(Some(key));
    }
    Err(Problem::new(
        Kind::Parameter,
        format!("Idempotency-Key must have 1 to {MAX_IDEMPOTENCY_KEY} bytes"),
    ))
}
