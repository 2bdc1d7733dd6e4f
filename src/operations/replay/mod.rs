//! What a subscribe gets of the past: what it asks for, what of that is there, and the pages that it is given.

mod decide;
mod page;
mod part;
pub mod past;
mod stream;

use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::value::RawValue;

use super::{Later, Scope};
use crate::bayeux::{
    BayeuxError, ChannelPattern, Message, NotRecovered, Outcome, Positions, REPLAY, Reply, Since,
    fields,
};
use crate::extensions::Refusal;
use crate::metrics::Limit;
use crate::router::{ReplayDefault, ReplayExpired, ReplayOptions};
use crate::session::{Asked, Decided, Found, From, Run, Session};
pub use decide::{begins, is_gone, judge, position};
pub use part::Part;
pub(super) use stream::asked as asked_by_stream;
pub use stream::{Recovered, Recovering};

/// How many subscribes of one session may wait for what they missed.
const MAX_RUNS: usize = 64;

/// What a subscribe asks for of the past.
#[derive(Debug, Default)]
pub(super) struct Asks {
    asked: Vec<Asked>,
    /// What it asks for that has no history.
    without: Vec<ChannelPattern>,
    /// It names positions, so its reply tells what there is.
    is_told: bool,
}

/// Returns what a message says of positions.
fn said<'m>(message: &'m Message<'_>) -> Option<&'m RawValue> {
    let ext = message.ext.as_deref()?;
    let [replay] = fields(ext, [REPLAY])?;
    replay.filter(|replay| replay.get() != "null")
}

/// Tells whether a handshake asks for replays, and some channel may have history.
pub(super) fn is_asked(message: &Message<'_>, scope: &Scope<'_>) -> bool {
    let is_on = scope.history.store().is_some();
    is_on && said(message).is_some_and(|replay| replay.get() != "false")
}

/// Reads what a subscribe asks for; a subscription of which it says nothing gets what the configuration says.
///
/// # Errors
/// It is no position.
pub(super) fn asked(
    message: &Message<'_>,
    patterns: &[ChannelPattern],
    scope: &Scope<'_>,
) -> Result<Asks, BayeuxError> {
    let replay = said(message);
    let positions = replay.map(Positions::read).transpose()?;
    let is_kept = scope.history.store().is_some();
    let mut asks = Asks {
        is_told: positions.is_some(),
        ..Asks::default()
    };
    if !is_kept && !asks.is_told {
        return Ok(asks);
    }
    for pattern in patterns {
        let options = scope.router.replay(pattern).filter(|_| is_kept);
        let position = positions
            .as_ref()
            .and_then(|positions| positions.of(pattern.as_str()));
        match (options, position) {
            (Some(options), Some(position)) => {
                asks.add(pattern, position.into(), options);
            }
            (Some(options), None) if options.default != ReplayDefault::New => {
                asks.add(pattern, options.default.into(), options);
            }
            (None, Some(_)) => asks.without.push(pattern.clone()),
            (Some(_) | None, None) => {}
        }
    }
    Ok(asks)
}

impl std::convert::From<&Since<'_>> for From {
    fn from(since: &Since<'_>) -> Self {
        match since {
            Since::New => Self::New,
            Since::All => Self::All,
            Since::After { id, epoch } => Self::After(*id, epoch.as_deref().map(Arc::from)),
        }
    }
}

impl std::convert::From<ReplayDefault> for From {
    fn from(default: ReplayDefault) -> Self {
        match default {
            ReplayDefault::New => Self::New,
            ReplayDefault::Last => Self::Last,
            ReplayDefault::All => Self::All,
        }
    }
}

impl Asks {
    fn add(&mut self, pattern: &ChannelPattern, from: From, options: ReplayOptions) {
        self.asked.push(Asked {
            pattern: pattern.clone(),
            from,
            fails: options.expired == ReplayExpired::Fail,
        });
    }

    /// Begins the runs, before anything is subscribed to: from now on live events wait for them.
    ///
    /// # Errors
    /// The session has as many runs that are not over as it may.
    pub(super) fn begin(self, session: &Session, scope: &Scope<'_>) -> Result<Begun, Refusal> {
        if let Some(first) = self.asked.first()
            && session.replay_count() >= MAX_RUNS
        {
            scope.metrics().limited(Limit::MaxPending);
            let error = BayeuxError::TooManyPending.about(&[first.pattern.as_str()]);
            return Err(Refusal::Later(error.into(), super::RETRY));
        }
        scope.note_work(self.asked.len());
        let (last, others): (Vec<_>, Vec<_>) = self
            .asked
            .into_iter()
            .partition(|asked| asked.from == From::Last);
        let runs = [others, last].into_iter().filter(|asked| !asked.is_empty());
        let runs = runs.filter_map(|asked| {
            let patterns: Vec<_> = asked.iter().map(|asked| asked.pattern.clone()).collect();
            let number = session.begin_replay(&patterns)?;
            Some(Run { number, asked })
        });
        Ok(Begun {
            runs: runs.collect(),
            without: self.without,
            is_told: self.is_told,
        })
    }
}

/// The runs of a subscribe that have begun.
#[derive(Debug)]
pub(super) struct Begun {
    runs: Vec<Run>,
    without: Vec<ChannelPattern>,
    is_told: bool,
}

impl Begun {
    /// Gives them up, because nothing is subscribed to.
    pub(super) fn give_up(self, session: &Session) {
        for run in self.runs {
            session.cancel_replay(run.number);
        }
    }

    /// Has it decided from where on they read. The reply waits for that, and tells what there is if the client
    /// wants to know; `new` is what is lost again if a position is not there any more.
    pub(super) fn decide<'a>(
        self,
        mut reply: Reply<'a>,
        new: Vec<ChannelPattern>,
        session: &Session,
        scope: &Scope<'_>,
    ) -> Reply<'a> {
        if self.runs.is_empty() {
            if self.is_told {
                reply.extend(REPLAY, told(&[], &self.without, ""));
            }
            return reply;
        }
        let decided = scope.shared.replays.decide(session.id(), self.runs, new);
        let epoch = scope.history.store().map(|store| store.epoch());
        let (without, is_told) = (self.without, self.is_told);
        scope.keep_back(Later::new(decided.map(move |decided| match decided {
            Ok(Decided::Begun(found)) => Ok(is_told.then(|| {
                let epoch = epoch.as_deref().unwrap_or_default();
                (REPLAY, told(&found, &without, epoch))
            })),
            Ok(Decided::Expired(pattern, id)) => Err(expired(&pattern, id)),
            Ok(Decided::Failed(pattern)) => Err(unavailable(&pattern)),
            Err(_) => Err(Refusal::Failed(BayeuxError::SubscribeFailed.text().into())),
        })));
        reply
    }
}

fn expired(pattern: &ChannelPattern, id: u64) -> Refusal {
    let error = BayeuxError::ReplayExpired.about(&[pattern.as_str(), &id.to_string()]);
    Refusal::Failed(error.into())
}

fn unavailable(pattern: &ChannelPattern) -> Refusal {
    let error = BayeuxError::HistoryUnavailable.about(&[pattern.as_str()]);
    Refusal::Later(error.into(), super::RETRY)
}

/// Returns what the reply tells, as JSON.
fn told(found: &[Found], without: &[ChannelPattern], epoch: &str) -> String {
    let found = found.iter().map(|found| Outcome {
        pattern: found.pattern.as_str(),
        failed: found.missing,
        after: found.after,
        first: found.survey.first,
        last: found.survey.last,
        epoch,
    });
    let without = without.iter().map(|pattern| Outcome {
        pattern: pattern.as_str(),
        failed: Some(NotRecovered::NoHistory),
        after: 0,
        first: None,
        last: None,
        epoch,
    });
    Outcome::json(&found.chain(without).collect::<Vec<_>>())
}
