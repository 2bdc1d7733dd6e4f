//! One request without a body, and what its response says of who has made it.

use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::http::Connection;
use crate::client::fault::{Fault, excerpt};

/// A response.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    /// The program that has answered, or stands before that one; not all say so.
    pub(crate) program: Option<String>,
    /// Its time of day.
    pub(crate) date: Option<SystemTime>,
    pub(crate) body: Vec<u8>,
}

impl Fetched {
    /// Asks by a connection, which is closed then; the response must come within `limit`.
    pub(super) async fn over(
        mut http: Connection,
        authority: &str,
        target: &str,
        limit: Duration,
    ) -> Result<Self, Fault> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        let exchange = async {
            http.send(request.as_bytes()).await?;
            http.next().await
        };
        let Ok(answered) = timeout(limit, exchange).await else {
            let answer = excerpt(http.arrived());
            return Err(Fault::TimedOut { limit, answer });
        };
        answered?;
        let response = http.response();
        let text = |name| {
            let value = response.headers(name).next()?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        Ok(Self {
            status: response.status,
            program: text("server"),
            date: text("date").and_then(|date| httpdate::parse_http_date(&date).ok()),
            body: response.body.to_vec(),
        })
    }
}
