//! Publishing by the HTTP API: each batch is a request with a key of its own, under which the server takes it once
//! however often it comes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Request, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::cli::harmless::shown;
use crate::cli::remote::{Error, Remote};
use crate::client::fault::excerpt;
use crate::client::{Message, Outcome, Secret, backoff, chance};
use crate::outbound::{Bounds, Failure, Outbound};

/// Bytes of an answer.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// The longest wait that a server can ask for before the next attempt.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// What publishes on one channel by the HTTP API.
pub(super) struct Api {
    outbound: Outbound,
    url: String,
    authorization: HeaderValue,
    channel: Value,
    patience: Duration,
    has_begun: bool,
}

/// What a server says of the messages of a request.
#[derive(Deserialize)]
struct Receipts {
    receipts: Vec<Receipt>,
}

#[derive(Deserialize)]
struct Receipt {
    accepted: bool,
    error: Option<Problem>,
}

/// What is wrong, as RFC 9457 has it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    status: u16,
    title: String,
    detail: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [&*self.title, &self.detail];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        write!(f, "{} {}", self.status, shown(&parts.join(": ")))
    }
}

/// Why an attempt led to nothing.
enum Attempt {
    /// The next may do better, after this wait at least.
    Passing(Error, Duration),
    /// No other will.
    Final(Error),
}

impl Api {
    /// Prepares requests; makes none.
    pub(super) fn open(
        remote: &Remote,
        channel: &str,
        key: &Secret,
        patience: Duration,
    ) -> Result<Self, Error> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.reveal()))
            .map_err(|_| Error::Usage("--key holds what no key does".to_owned()))?;
        authorization.set_sensitive(true);
        let bounds = Bounds {
            timeout: patience,
            max_response: MAX_ANSWER,
            max_requests: 1,
        };
        Ok(Self {
            outbound: match &remote.ca {
                Some(authorities) => Outbound::trusting(Arc::clone(authorities), bounds)?,
                None => Outbound::new(bounds)?,
            },
            url: remote.url.below("/api/v1", "/publish"),
            authorization,
            channel: channel.into(),
            patience,
            has_begun: false,
        })
    }

    /// Publishes messages in their order, and tells what became of each, and why it stopped if it did.
    pub(super) async fn publish(&mut self, batch: &[Message]) -> (Vec<Outcome>, Option<Error>) {
        let request = match self.request(batch) {
            Ok(request) => request,
            Err(error) => return (vec![Outcome::Unsent; batch.len()], Some(error)),
        };
        let give_up = Instant::now() + self.patience;
        let mut failures = 0;
        loop {
            let attempt = self.attempt(request.clone(), batch.len()).await;
            let (error, wait) = match attempt {
                Ok(outcomes) => return (outcomes, None),
                Err(Attempt::Final(error)) => {
                    return (vec![Outcome::Unsent; batch.len()], Some(error));
                }
                Err(Attempt::Passing(error, wait)) => (error, wait),
            };
            failures += 1;
            let wait = backoff(failures, chance()).max(wait);
            if Instant::now() + wait > give_up {
                return (vec![Outcome::Unknown; batch.len()], Some(error));
            }
            sleep(wait).await;
        }
    }

    fn request(&self, batch: &[Message]) -> Result<Request<Bytes>, Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(std::io::Error::other)?;
        let key = format!("{:032x}", u128::from_ne_bytes(key));
        let channel = &self.channel;
        let messages: Vec<String> = batch
            .iter()
            .map(|message| format!(r#"{{"channel":{channel},"data":{}}}"#, message.data.get()))
            .collect();
        Request::post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, &self.authorization)
            .header("Idempotency-Key", key)
            .body(format!("[{}]", messages.join(",")).into())
            .map_err(|error| Error::Usage(error.to_string()))
    }

    async fn attempt(
        &mut self,
        request: Request<Bytes>,
        count: usize,
    ) -> Result<Vec<Outcome>, Attempt> {
        let response = self.outbound.send(request).await;
        let response = response.map_err(|failure| self.failed(&failure))?;
        self.has_begun = true;
        if !response.status().is_success() {
            return Err(self.refused(&response));
        }
        let body = response.body();
        match serde_json::from_slice::<Receipts>(body) {
            Ok(Receipts { receipts }) if receipts.len() == count => {
                Ok(receipts.into_iter().map(Receipt::outcome).collect())
            }
            _ => {
                let text = format!("{} answered without receipts: {}", self.url, excerpt(body));
                Err(Attempt::Final(Error::Failed(text)))
            }
        }
    }

    /// What a request without a response leads to.
    fn failed(&self, failure: &Failure) -> Attempt {
        let (error, is_unreachable) = match failure {
            Failure::Timeout(_) => {
                let text = format!("{}: {failure}", self.url);
                return Attempt::Passing(Error::TimedOut(text), Duration::ZERO);
            }
            Failure::TooLarge { .. } => {
                return Attempt::Final(Error::Failed(format!("{}: {failure}", self.url)));
            }
            Failure::Unconnected(_) => {
                let text = format!("nothing answers at {} ({failure})", self.url);
                (Error::Unreachable(text), true)
            }
            Failure::Broken(_) => {
                let text = format!("{}: {failure}", self.url);
                (Error::Failed(text), false)
            }
        };
        // Who mistyped the URL need not wait.
        match is_unreachable && !self.has_begun {
            true => Attempt::Final(error),
            false => Attempt::Passing(error, Duration::ZERO),
        }
    }

    /// What a response that is no success leads to.
    fn refused(&self, response: &Response<Bytes>) -> Attempt {
        let status = response.status().as_u16();
        let problem = serde_json::from_slice::<Problem>(response.body());
        let said = match problem {
            Ok(problem) if problem.status == status => problem.to_string(),
            _ => format!("{status} {}", excerpt(response.body())),
        };
        let hint = match status {
            404 => " (URL is to be that of the API, without /cometd)",
            _ => "",
        };
        let error = Error::Failed(format!("{} answered {said}{hint}", self.url));
        let asked = response.headers().get(RETRY_AFTER);
        let asked = asked.and_then(|wait| wait.to_str().ok()?.parse().ok());
        match status {
            408 | 409 | 429 | 500.. => {
                let wait = Duration::from_secs(asked.unwrap_or_default()).min(MAX_WAIT);
                Attempt::Passing(error, wait)
            }
            _ => Attempt::Final(error),
        }
    }
}

impl Receipt {
    fn outcome(self) -> Outcome {
        match (self.accepted, self.error) {
            (true, _) => Outcome::Accepted,
            (false, Some(problem)) => Outcome::Refused(problem.to_string()),
            (false, None) => Outcome::Refused("it does not say why".to_owned()),
        }
    }
}
