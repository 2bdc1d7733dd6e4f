//! One question on its way: bounded in number, in time and in the size of its answer.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode, Uri};
use tokio::sync::Semaphore;

use super::answer::Decision;
use super::settings::Settings;
use crate::authentication::{Fault, Problem};
use crate::bayeux::BayeuxError;
use crate::metrics::{Limit, Metrics, Notice, WebhookOutcome};
use crate::outbound::{self, Bounds, Outbound, Signer, random_id};

/// Asks the webhook.
#[derive(Debug)]
pub(super) struct Caller {
    url: Uri,
    signer: Signer,
    outbound: Outbound,
    /// For those that wait for their turn, and those that are under way.
    room: Semaphore,
    retry: Duration,
    metrics: Arc<Metrics>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Outbound(#[from] outbound::Failure),
    #[error("its status is {0}")]
    Status(StatusCode),
    #[error("it is not understood: {0}")]
    NotUnderstood(String),
}

impl Caller {
    pub(super) fn new(
        url: &str,
        signer: Signer,
        settings: &Settings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Vec<Problem>> {
        let refused = |fix: String| vec![Problem::new("webhook.url", "\"…\"", fix)];
        let url = outbound::url(url).map_err(|fix| refused(fix.to_owned()))?;
        let max_response = usize::try_from(settings.max_answer_size.as_u64());
        let max_requests = settings.max_concurrent.min(Semaphore::MAX_PERMITS);
        let outbound = Outbound::new(Bounds {
            timeout: settings.timeout,
            max_response: max_response.unwrap_or(usize::MAX),
            max_requests,
        });
        let outbound = outbound
            .map_err(|error| refused(format!("no certificate authorities are known: {error}")))?;
        let room = max_requests.saturating_add(settings.max_waiting);
        Ok(Self {
            url,
            signer,
            outbound,
            room: Semaphore::new(room.min(Semaphore::MAX_PERMITS)),
            retry: settings.retry,
            metrics,
        })
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    /// There is none, or no room for another question.
    pub(super) async fn ask<T>(
        &self,
        question: Bytes,
        read: impl Fn(&[u8]) -> Result<Decision<T>, String>,
    ) -> Result<Decision<T>, Fault> {
        let Ok(_seat) = self.room.try_acquire() else {
            self.metrics.limited(Limit::MaxWebhookWaiting);
            return Err(self.unavailable());
        };
        let call = UnderWay::new(&self.metrics);
        let answer = self.post(question).await;
        let decision = answer.and_then(|text| read(&text).map_err(Failure::NotUnderstood));
        call.end(match &decision {
            Ok(Decision::Allowed(_)) => WebhookOutcome::Allowed,
            Ok(Decision::Denied(_)) => WebhookOutcome::Denied,
            Err(_) => WebhookOutcome::Failed,
        });
        decision.map_err(|failure| {
            self.tell(&failure);
            self.unavailable()
        })
    }

    async fn post(&self, question: Bytes) -> Result<Bytes, Failure> {
        let signed = self.signer.sign(random_id(), SystemTime::now(), &question);
        let request = signed
            .on(Request::post(&self.url))
            .header(CONTENT_TYPE, "application/json")
            .body(question)
            .expect("a checked URL, and headers of ASCII");
        let response = self.outbound.send(request).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            other => Err(Failure::Status(other)),
        }
    }

    fn unavailable(&self) -> Fault {
        Fault::from(BayeuxError::WebhookUnavailable).retry_after(self.retry)
    }

    fn tell(&self, failure: &Failure) {
        if let Some(permit) = self.metrics.may_log(Notice::Webhook) {
            tracing::warn!(
                suppressed = permit.suppressed,
                "the webhook (webhook.url) gave no answer that counts: {failure}"
            );
        }
    }
}

/// A question whose answer is waited for; dropped before its end, nobody does any more.
struct UnderWay<'m> {
    metrics: &'m Metrics,
    since: Instant,
    outcome: WebhookOutcome,
}

impl<'m> UnderWay<'m> {
    fn new(metrics: &'m Metrics) -> Self {
        metrics.webhook_calls.increment();
        Self {
            metrics,
            since: Instant::now(),
            outcome: WebhookOutcome::GivenUp,
        }
    }

    fn end(mut self, outcome: WebhookOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.metrics.webhook_calls.decrement();
        self.metrics.webhook(self.outcome);
        self.metrics.webhook_took(self.since.elapsed());
    }
}
