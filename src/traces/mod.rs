//! Traces for OpenTelemetry: what the HTTP API is asked, what is asked of webhooks and hooks, and what nodes of a cluster ask
//! each other. A span says who asked whom, for how long and with what outcome; never what was said.
//!
//! With the feature `opentelemetry` they are sent to a collector once [`start`] was called; without it nothing of this
//! does anything. Contexts are carried by `traceparent` (W3C Trace Context).

#[cfg(feature = "opentelemetry")]
mod exporting;
#[cfg(not(feature = "opentelemetry"))]
#[path = "missing.rs"]
mod exporting;
pub mod settings;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

pub use exporting::{IS_THERE, start, stop};
pub use settings::Settings;

/// The header that carries the context of a request (W3C Trace Context section 3.2).
pub const HEADER: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    /// The context in which this task works.
    static CURRENT: HeaderValue;
}

/// What sends a request to the collector.
pub type Send = Arc<dyn Fn(Request<Bytes>) -> Sending + std::marker::Send + Sync>;

/// The wait for its response.
pub type Sending =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, String>> + std::marker::Send>>;

/// Traces cannot be sent as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("traces.endpoint: {0}")]
pub struct NotTraced(pub String);

/// On which side of an exchange a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Somebody asks this server.
    Server,
    /// This server asks somebody.
    Client,
}

/// Something that takes time, until it is dropped.
#[derive(Debug)]
pub struct Span(Option<exporting::Span>);

impl Span {
    /// Begins a span below the one of another process, if `parent` is its header, or of the task.
    #[must_use]
    pub fn begin(side: Side, name: impl FnOnce() -> String, parent: Option<&HeaderValue>) -> Self {
        if !exporting::is_on() {
            return Self(None);
        }
        let current = CURRENT.try_with(HeaderValue::clone).ok();
        Self(exporting::Span::begin(
            side,
            name(),
            parent.or(current.as_ref()),
        ))
    }

    /// Adds something that is known of it.
    pub fn set(&self, key: &'static str, value: impl Into<String>) {
        if let Some(span) = &self.0 {
            span.set(key, value.into());
        }
    }

    /// Says with which status it was answered; as a failure from 500 on, and for who has asked from 400 on.
    pub fn answered(&self, side: Side, status: u16) {
        if let Some(span) = &self.0 {
            span.set("http.response.status_code", status.to_string());
            let least = if side == Side::Server { 500 } else { 400 };
            if status >= least {
                span.fail(String::new());
            }
        }
    }

    /// Says that it failed, and why.
    pub fn fail(&self, why: &impl ToString) {
        if let Some(span) = &self.0 {
            span.fail(why.to_string());
        }
    }

    /// Adds its context to the headers of a request.
    pub fn carry(&self, headers: &mut HeaderMap) {
        if let Some(context) = self.context() {
            headers.insert(HEADER, context);
        }
    }

    /// Has a future work below it.
    pub async fn around<F: Future>(&self, future: F) -> F::Output {
        match self.context() {
            Some(context) => CURRENT.scope(context, future).await,
            None => future.await,
        }
    }

    fn context(&self) -> Option<HeaderValue> {
        self.0.as_ref()?.context()
    }
}
