//! What a head shows of who sent its request: what the configuration asks for, and no more.

use std::sync::Arc;

use http::header;

use crate::authentication::Shown;
use crate::bayeux::RandomId;
use crate::transports::FORM_LIMITS;
use crate::transports::settings::Shows;
use crate::web::{Head, Headers, cookies, form};

/// Who sent a request, as far as its head says.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    /// The browser cookies that have the form of this server's.
    pub cookies: Box<[RandomId]>,
    /// What it shows.
    pub shown: Option<Arc<Shown>>,
}

impl Shows {
    /// Returns what a head shows, if it shows something; of its query only if that `is_event_stream`'s.
    pub(super) fn of(&self, head: &Head, is_event_stream: bool) -> Option<Arc<Shown>> {
        let token = self
            .bearer(&head.headers)
            .or_else(|| self.cookie(&head.headers))
            .or_else(|| self.parameter(head).filter(|_| is_event_stream));
        let shown = Shown {
            token,
            headers: self.headers(&head.headers),
        };
        (shown != Shown::default()).then(|| Arc::new(shown))
    }

    fn bearer(&self, headers: &Headers) -> Option<Box<str>> {
        if !self.bearer {
            return None;
        }
        let (scheme, token) = headers.text(&header::AUTHORIZATION)?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("Bearer")
            .then(|| token.trim().into())
    }

    fn cookie(&self, headers: &Headers) -> Option<Box<str>> {
        let mut values = cookies::values(headers, self.cookie.as_deref()?);
        values.find(|value| !value.is_empty()).map(Box::from)
    }

    fn parameter(&self, head: &Head) -> Option<Box<str>> {
        let query = head.uri.query()?;
        let values = form::query_values(query, self.query_parameter.as_deref()?, FORM_LIMITS);
        let token = values.ok()?.into_iter().find(|value| !value.is_empty())?;
        str::from_utf8(&token).ok().map(Box::from)
    }

    /// Returns the headers and cookies that the webhook is told.
    fn headers(&self, headers: &Headers) -> Box<[(Box<str>, Box<str>)]> {
        let mut told: Vec<(Box<str>, Box<str>)> = Vec::new();
        for name in &self.headers {
            if let Some(value) = headers.text(name) {
                told.push((name.as_str().into(), value.into()));
            }
        }
        let pairs = self.cookies.iter().flat_map(|name| {
            cookies::values(headers, name).map(move |value| format!("{name}={value}"))
        });
        let pairs: Vec<String> = pairs.collect();
        if !pairs.is_empty() {
            told.push((header::COOKIE.as_str().into(), pairs.join("; ").into()));
        }
        told.into()
    }
}
