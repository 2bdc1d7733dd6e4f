//! One signed POST to a hook.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response, Uri};

use super::settings::Hook;
use crate::authentication::Problem;
use crate::outbound::{self, Bounds, Failure, Outbound, Signer};

/// Where requests of a hook go, and how.
#[derive(Debug)]
pub(super) struct Post {
    /// What the log calls the hook.
    pub(super) name: String,
    url: Uri,
    signer: Signer,
    outbound: Outbound,
}

impl Post {
    /// Reads the secrets of a hook whose settings were checked.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn new(index: usize, hook: &Hook) -> Result<Self, Problem> {
        let name = format!("hook[{index}]");
        let url = outbound::url(&hook.url)
            .map_err(|fix| Problem::new(format!("{name}.url"), "\"…\"", fix))?;
        let refused = |nth: usize, fix: String| {
            let key = format!("{name}.secrets");
            Problem::new(key, "{ … }", format!("the {} {fix}", ordinal(nth)))
        };
        let secrets = hook.secrets.iter().enumerate().map(|(nth, secret)| {
            let secret = secret.read();
            secret.map_err(|fix| refused(nth, format!("is of no use: {fix}")))
        });
        let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
        let signer = Signer::new(&secrets)
            .map_err(|(nth, fix)| refused(nth, format!("is of no use: {fix}")))?;
        let max_response = usize::try_from(hook.max_answer_size.as_u64());
        let bounds = Bounds {
            timeout: hook.timeout,
            max_response: max_response.unwrap_or(usize::MAX),
            // Calls have their own bound, and one batch of events is on its way beside them.
            max_requests: hook.max_concurrent.saturating_add(1),
        };
        let outbound = Outbound::to(hook.destinations(), bounds).map_err(|error| {
            let fix = format!("no certificate authorities are known: {error}");
            Problem::new(format!("{name}.url"), "\"…\"", fix)
        })?;
        Ok(Self {
            name,
            url,
            signer,
            outbound,
        })
    }

    /// Sends a body; an id that was used before says that it was sent before.
    pub(super) async fn send(&self, id: &str, body: Bytes) -> Result<Response<Bytes>, Failure> {
        let signed = self.signer.sign(id.to_owned(), SystemTime::now(), &body);
        let request = signed
            .on(Request::post(&self.url))
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .expect("a checked URL, and headers of ASCII");
        self.outbound.send(request).await
    }
}

fn ordinal(index: usize) -> String {
    match index {
        0 => "first".to_owned(),
        1 => "second".to_owned(),
        _ => format!("{}th", index + 1),
    }
}
