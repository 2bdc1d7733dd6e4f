//! What happens, told to a hook: notes events as they come, and sends them in batches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{HeaderMap, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::{Notify, watch};

use super::backoff::chance;
use super::delivery::{Attempt, Batch, Delivery, Next, Verdict};
use super::post::Post;
use super::settings::Hook;
use crate::bayeux::{ChannelPattern, Limits};
use crate::lifecycle::{Kind, LifecycleEvent, Listener};
use crate::metrics::{HookEvent, Limit, Metrics, Notice};
use crate::outbound::{Failure, random_id};

/// The events of one hook.
#[derive(Debug)]
pub(super) struct Events {
    post: Arc<Post>,
    kinds: Vec<Kind>,
    channels: Vec<ChannelPattern>,
    /// What begins the ids of events, so that they differ from those of another process.
    prefix: String,
    waiting: Mutex<Delivery<Arc<LifecycleEvent>>>,
    news: Notify,
    metrics: Arc<Metrics>,
}

/// The body of a request.
#[derive(Debug, Serialize)]
struct Body<'a> {
    events: Vec<Event<'a>>,
    dropped: u64,
}

#[derive(Debug, Serialize)]
struct Event<'a> {
    id: String,
    #[serde(flatten)]
    event: &'a LifecycleEvent,
}

/// Whether the server stops.
type Stop = watch::Receiver<bool>;

impl Events {
    /// Makes what tells a hook; channels were checked before.
    pub(super) fn new(
        post: Arc<Post>,
        hook: &Hook,
        limits: &Limits,
        metrics: Arc<Metrics>,
    ) -> Self {
        let channels = hook.channels.iter();
        let channels = channels.filter_map(|text| ChannelPattern::parse(text, limits).ok());
        Self {
            post,
            kinds: hook.events.clone(),
            channels: channels.collect(),
            prefix: random_id().replacen("msg", "evt", 1),
            waiting: Mutex::new(Delivery::new(hook.bounds())),
            news: Notify::new(),
            metrics,
        }
    }

    fn concerns(&self, event: &LifecycleEvent) -> bool {
        let is_of = |channel: &ChannelPattern| {
            let mut patterns = self.channels.iter();
            patterns.any(|pattern| pattern.covers(channel.as_str()))
        };
        self.kinds.contains(&event.kind) && event.channel.as_ref().is_none_or(is_of)
    }

    /// Sends what comes until the server stops, and then once more what is left.
    pub(super) async fn deliver(&self, mut stop: Stop) {
        loop {
            let next = self.lock().next(Instant::now());
            let (Next::Send(_, expired) | Next::At(_, expired) | Next::Nothing(expired)) = next;
            self.metrics.hooks.events(HookEvent::Expired, expired);
            let batch = match next {
                Next::Send(batch, _) => Some(batch),
                // What waits for others to go with goes now.
                _ if *stop.borrow() => self.lock().rest(),
                Next::At(due, _) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(due.into()) => {}
                        () = self.news.notified() => {}
                        () = stopped(&mut stop) => {}
                    }
                    continue;
                }
                Next::Nothing(_) => {
                    tokio::select! {
                        () = self.news.notified() => {}
                        () = stopped(&mut stop) => {}
                    }
                    continue;
                }
            };
            let Some(batch) = batch else { return };
            if !self.send(batch, &mut stop).await {
                break;
            }
        }
        let left = self.lock().clear();
        tracing::warn!(
            hook = &*self.post.name,
            left,
            "events are dropped, because the server stops"
        );
        self.metrics.hooks.events(HookEvent::Stopped, left);
    }

    /// Sends a batch until it is done with; false if the server stopped before.
    async fn send(&self, mut batch: Batch<Arc<LifecycleEvent>>, stop: &mut Stop) -> bool {
        let (id, body) = (random_id(), self.body(&batch));
        let count = batch.events.len();
        loop {
            let is_last = *stop.borrow();
            let begun = Instant::now();
            let response = self.post.send(&id, body.clone()).await;
            self.metrics.hooks.request(begun.elapsed());
            let attempt = attempt(&response, SystemTime::now());
            if attempt != Attempt::Delivered {
                self.tell(&response, attempt);
            }
            let verdict = {
                let mut waiting = self.lock();
                waiting.settle(&mut batch, attempt, Instant::now(), chance())
            };
            match verdict {
                Verdict::Done => self.metrics.hooks.events(HookEvent::Delivered, count),
                Verdict::Refused(count) => self.metrics.hooks.events(HookEvent::Refused, count),
                Verdict::Expired(count) => self.metrics.hooks.events(HookEvent::Expired, count),
                Verdict::Again(_) if is_last => {
                    self.metrics.hooks.events(HookEvent::Stopped, count);
                    return false;
                }
                Verdict::Again(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at.into()) => {}
                        () = stopped(stop) => {}
                    }
                    self.metrics.hooks.retries.increment();
                    continue;
                }
            }
            return true;
        }
    }

    fn body(&self, batch: &Batch<Arc<LifecycleEvent>>) -> Bytes {
        let events = batch.events.iter().map(|numbered| Event {
            id: format!("{}_{}", self.prefix, numbered.number),
            event: &numbered.event,
        });
        let body = Body {
            events: events.collect(),
            dropped: batch.dropped,
        };
        let text = serde_json::to_vec(&body);
        text.expect("names and texts are JSON").into()
    }

    fn tell(&self, response: &Result<Response<Bytes>, Failure>, attempt: Attempt) {
        let Some(permit) = self.metrics.may_log(Notice::Hook) else {
            return;
        };
        let (hook, suppressed) = (&*self.post.name, permit.suppressed);
        let why = match response {
            Ok(response) => format!("its status is {}", response.status()),
            Err(failure) => failure.to_string(),
        };
        if attempt == Attempt::Refused {
            tracing::warn!(
                hook,
                suppressed,
                "events are dropped, because a hook does not take them: {why}"
            );
        } else {
            tracing::warn!(
                hook,
                suppressed,
                "events did not reach a hook, and are sent again: {why}"
            );
        }
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Delivery<Arc<LifecycleEvent>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Events {
    fn note(&self, event: &Arc<LifecycleEvent>) {
        if !self.concerns(event) {
            return;
        }
        let pushed = self.lock().push(Arc::clone(event), Instant::now());
        self.metrics.hooks.queued.increment();
        if pushed.has_dropped {
            self.metrics.hooks.events(HookEvent::Full, 1);
            self.metrics.limited(Limit::MaxHookQueue);
        }
        if pushed.is_news {
            self.news.notify_one();
        }
    }
}

/// Waits until the server stops.
async fn stopped(stop: &mut Stop) {
    if stop.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What became of an attempt; the body of an answer says nothing, even one that is too large.
fn attempt(response: &Result<Response<Bytes>, Failure>, now: SystemTime) -> Attempt {
    let (status, headers) = match response {
        Ok(response) => (response.status(), Some(response.headers())),
        Err(Failure::TooLarge { status, .. }) => (*status, None),
        Err(_) => return Attempt::Failed(None),
    };
    match status {
        status if status.is_success() => Attempt::Delivered,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Attempt::Failed(headers.and_then(|headers| retry_after(headers, now)))
        }
        status if status.is_server_error() => {
            Attempt::Failed(headers.and_then(|headers| retry_after(headers, now)))
        }
        _ => Attempt::Refused,
    }
}

/// Reads `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_events_are_sent_again_and_when() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let failed = |seconds: u64| Attempt::Failed(Some(Duration::from_secs(seconds)));
        let cases = [
            (200, "", Attempt::Delivered),
            (204, "9", Attempt::Delivered),
            (299, "", Attempt::Delivered),
            (302, "", Attempt::Refused),
            (400, "", Attempt::Refused),
            (410, "9", Attempt::Refused),
            (408, "", Attempt::Failed(None)),
            (429, "9", failed(9)),
            (429, "soon", Attempt::Failed(None)),
            (429, "-1", Attempt::Failed(None)),
            (503, "Sun, 06 Nov 1994 08:49:47 GMT", failed(10)),
            (503, "Sun, 06 Nov 1994 08:49:30 GMT", failed(0)),
            (500, "", Attempt::Failed(None)),
            (599, "", Attempt::Failed(None)),
        ];
        for (status, after, expected) in cases {
            let mut response = Response::builder().status(status);
            if !after.is_empty() {
                response = response.header(RETRY_AFTER, after);
            }
            let response = Ok(response.body(Bytes::new()).expect("a response"));
            assert_eq!(attempt(&response, now), expected, "{status} {after}");
        }
        let large = |status| {
            let max = 1;
            attempt(&Err(Failure::TooLarge { max, status }), now)
        };
        assert_eq!(large(StatusCode::OK), Attempt::Delivered);
        assert_eq!(large(StatusCode::BAD_GATEWAY), Attempt::Failed(None));
        let lost = Failure::Timeout(Duration::ZERO);
        assert_eq!(attempt(&Err(lost), now), Attempt::Failed(None));
    }
}
