//! Keys that are somewhere else: fetched when they are needed, at most so often, and kept while their source
//! is down.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{Request, Response, StatusCode, Uri};
use jsonwebtoken::Algorithm;
use tokio::sync::watch;

use super::keys::Keys;
use crate::metrics::Metrics;
use crate::outbound::Outbound;

/// The bounds on fetches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How old keys may be before they are fetched again; `max-age` of a response may say less.
    pub(super) max_age: Duration,
    /// How old they may be at all.
    pub(super) max_stale: Duration,
    /// The time from one fetch to the next, at least.
    pub(super) min_interval: Duration,
    /// How many there may be that can be used.
    pub(super) max_keys: usize,
}

/// A set of keys at a URL.
pub(super) struct Remote {
    url: Uri,
    algorithms: Vec<Algorithm>,
    bounds: Bounds,
    outbound: Arc<Outbound>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// The keys, when they came, and until when they are fresh.
    current: Option<Current>,
    /// Which keys they are; it differs from that of all before.
    generation: u64,
    /// When the last fetch began.
    begun: Option<Instant>,
    /// How many have begun; one is going on if fewer have ended.
    fetches: u64,
    has_failed: bool,
}

#[derive(Clone)]
struct Current {
    keys: Arc<Keys>,
    text: Bytes,
    since: Instant,
    fresh_until: Instant,
}

/// What may come of asking for newer keys.
pub(super) enum Refresh<F> {
    /// This ends when they are there, or cannot be had.
    Going(F),
    /// They were asked for only just.
    TooSoon,
}

impl Remote {
    pub(super) fn new(
        url: Uri,
        algorithms: &[Algorithm],
        bounds: Bounds,
        outbound: &Arc<Outbound>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            url,
            algorithms: algorithms.to_vec(),
            bounds,
            outbound: Arc::clone(outbound),
            metrics: Arc::clone(metrics),
            state: Mutex::default(),
            ended: watch::Sender::new(0),
        }
    }

    /// Tells whether both have the same keys.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.url == other.url && self.algorithms == other.algorithms
    }

    /// Goes on with the keys that another one has.
    pub(super) fn go_on_from(&self, before: &Self) {
        let (current, generation, begun) = {
            let before = before.lock();
            (before.current.clone(), before.generation, before.begun)
        };
        // Without keys it is to be fetched now, however short a time ago that was tried.
        if current.is_some() {
            let mut state = self.lock();
            (state.current, state.generation, state.begun) = (current, generation, begun);
        }
    }

    /// Returns the keys that are known, and their generation. If they are not fresh any more others are
    /// fetched meanwhile.
    pub(super) fn keys(self: &Arc<Self>) -> (u64, Option<Arc<Keys>>) {
        let now = Instant::now();
        let (found, is_fresh) = {
            let state = self.lock();
            let current = state.current.as_ref();
            let usable = current.filter(|current| now < current.since + self.bounds.max_stale);
            let keys = usable.map(|current| Arc::clone(&current.keys));
            let is_fresh = current.is_none_or(|current| now < current.fresh_until);
            ((state.generation, keys), is_fresh)
        };
        if !is_fresh {
            let _in_the_background = self.refresh();
        }
        found
    }

    /// Fetches the keys, unless that is going on already or was done only just.
    pub(super) fn refresh(self: &Arc<Self>) -> Refresh<impl Future<Output = ()> + Send + use<>> {
        let now = Instant::now();
        let mut state = self.lock();
        let is_going = *self.ended.borrow() < state.fetches;
        if !is_going {
            let next = state.begun.map(|begun| begun + self.bounds.min_interval);
            if next.is_some_and(|next| now < next) {
                return Refresh::TooSoon;
            }
            state.begun = Some(now);
            state.fetches += 1;
            let this = Arc::clone(self);
            tokio::spawn(async move { this.fetch().await });
        }
        let (mut ended, wanted) = (self.ended.subscribe(), state.fetches);
        Refresh::Going(async move {
            // An error would mean that the keys are gone with all else.
            let _ = ended.wait_for(|ended| *ended >= wanted).await;
        })
    }

    /// Returns how long it is until they may be fetched again.
    pub(super) fn next_fetch(&self) -> Duration {
        let begun = self.lock().begun;
        let next = begun.map(|begun| begun + self.bounds.min_interval);
        next.map_or(Duration::ZERO, |next| {
            next.saturating_duration_since(Instant::now())
        })
    }

    async fn fetch(&self) {
        let _ended = Ended(&self.ended);
        let outcome = self.fetched().await;
        let has_failed = outcome.is_err();
        match outcome {
            Ok((keys, text, max_age)) => {
                self.metrics.key_fetches.increment();
                self.put(keys, text, max_age);
            }
            Err(failure) => {
                self.metrics.failed_key_fetches.increment();
                tracing::warn!(url = %self, "the keys of an issuer of tokens cannot be fetched: {failure}");
            }
        }
        let had_failed = {
            let mut state = self.lock();
            std::mem::replace(&mut state.has_failed, has_failed)
        };
        match (had_failed, has_failed) {
            (false, true) => self.metrics.failing_key_sources.increment(),
            (true, false) => self.metrics.failing_key_sources.decrement(),
            _ => {}
        }
    }

    async fn fetched(&self) -> Result<(Keys, Bytes, Duration), String> {
        let request = Request::get(self.url.clone())
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let response = self.outbound.send(request).await;
        let response = response.map_err(|failure| failure.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("the answer is {}", response.status()));
        }
        let max_age = max_age(&response).unwrap_or(self.bounds.max_age);
        let text = response.into_body();
        let mut keys = Keys::parse(&text, self.bounds.max_keys)
            .map_err(|what| format!("the answer {what}"))?;
        if !keys.without_secrets() {
            return Err(
                "the answer has nothing but secrets, which everybody can read there".to_owned(),
            );
        }
        if !self.algorithms.is_empty() && !keys.narrow(&self.algorithms) {
            return Err("none of its keys is for the algorithms of the issuer".to_owned());
        }
        Ok((keys, text, max_age))
    }

    fn put(&self, keys: Keys, text: Bytes, max_age: Duration) {
        let longest = self.bounds.max_age.max(self.bounds.min_interval);
        let fresh = max_age.clamp(self.bounds.min_interval, longest);
        let since = Instant::now();
        let fresh_until = since + fresh;
        let mut state = self.lock();
        if let Some(current) = state
            .current
            .as_mut()
            .filter(|current| current.text == text)
        {
            current.since = since;
            current.fresh_until = fresh_until;
            return;
        }
        state.generation += 1;
        state.current = Some(Current {
            keys: Arc::new(keys),
            text,
            since,
            fresh_until,
        });
        drop(state);
        tracing::info!(url = %self, "an issuer of tokens has new keys");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What it holds is whole whatever happened to who put it there.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.has_failed {
            self.metrics.failing_key_sources.decrement();
        }
    }
}

/// Says at its end that a fetch has ended, however that came.
struct Ended<'r>(&'r watch::Sender<u64>);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|ended| *ended += 1);
    }
}

/// Returns `max-age`, or nothing if a response does not say it.
fn max_age(response: &Response<Bytes>) -> Option<Duration> {
    let control = response.headers().get(CACHE_CONTROL)?.to_str().ok()?;
    control
        .split(',')
        .find_map(|directive| {
            let (name, seconds) = directive.trim().split_once('=')?;
            let seconds = seconds.trim_matches('"').parse().ok();
            seconds.filter(|_| name.eq_ignore_ascii_case("max-age"))
        })
        .map(Duration::from_secs)
}

/// The URL without its query, which may hold what is not for logs.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.scheme_str().unwrap_or_default();
        let authority = self
            .url
            .authority()
            .map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{authority}{}", self.url.path())
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.to_string()).finish()
    }
}

#[cfg(test)]
mod tests;
