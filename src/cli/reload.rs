//! `mirant reload`: has a server read its configuration anew, and says what came of it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, StatusCode};
use serde::Deserialize;
use tokio_rustls::rustls::RootCertStore;

use super::authorities::authorities;
use super::block_on;
use super::harmless::shown;
use super::remote::{Error, say_error};
use super::secret::secret;
use crate::client::fault::excerpt;
use crate::client::{Secret, Url};
use crate::http_api;
use crate::outbound::{Bounds, Failure, Outbound};

/// Bytes that an answer has at most.
const MAX_ANSWER: usize = 1024 * 1024;

/// The arguments of `mirant reload`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server reads its configuration from where it did at its start. What can change while it runs counts at once; what
cannot is named. If the configuration is wrong nothing changes, and it is said what `mirant check-config` would say.

Exit codes: 0 it was read; 1 it is wrong, or the server does not do it; 2 wrong arguments; 3 no answer within --timeout;
4 there is no way to the server.")]
pub(super) struct Args {
    /// An address of admin.listen or api.listen
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9090")]
    url: Url,
    /// A key that allows `admin`; may be given as @FILE or in `MIRANT_KEY`
    #[arg(long, value_name = "KEY|@FILE", env = "MIRANT_KEY", hide_env_values = true, value_parser = secret)]
    key: Secret,
    /// How long it may take to answer
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "30s")]
    timeout: Duration,
    /// Trust the certificate authorities in this file (PEM) instead of the system's
    #[arg(long, value_name = "FILE", value_parser = authorities)]
    ca: Option<Arc<RootCertStore>>,
}

/// What a server answers that has read it.
#[derive(Deserialize)]
struct Reloaded {
    changed: Vec<String>,
    needs_restart: Vec<String>,
}

/// What one answers that has not.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

/// Runs the subcommand.
pub(super) fn run(args: Args) -> ExitCode {
    let reloaded = block_on(reload(args)).map_err(Error::from).flatten();
    match reloaded {
        Ok(Reloaded {
            changed,
            needs_restart,
        }) => {
            match changed.is_empty() {
                true => println!("nothing has changed"),
                false => println!("changed: {}", shown(&changed.join(", "))),
            }
            if !needs_restart.is_empty() {
                println!("needs a restart: {}", shown(&needs_restart.join(", ")));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            say_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn reload(args: Args) -> Result<Reloaded, Error> {
    let url = args.url.below(http_api::PATH, "/reload");
    let mut authorization = HeaderValue::try_from(format!("Bearer {}", args.key.reveal()))
        .map_err(|_| Error::Usage("--key holds what no key does".to_owned()))?;
    authorization.set_sensitive(true);
    let bounds = Bounds {
        timeout: args.timeout,
        max_response: MAX_ANSWER,
        max_requests: 1,
    };
    let outbound = match args.ca {
        Some(authorities) => Outbound::trusting(authorities, bounds)?,
        None if url.starts_with("http:") => {
            Outbound::trusting(Arc::new(RootCertStore::empty()), bounds)?
        }
        None => Outbound::new(bounds)?,
    };
    let request = Request::post(&url)
        .header(AUTHORIZATION, authorization)
        .body(Bytes::new())
        .map_err(|error| Error::Usage(error.to_string()))?;
    let response = outbound.send(request).await.map_err(|failure| {
        let text = format!("{url}: {failure}");
        match failure {
            Failure::Timeout(_) => Error::TimedOut(text),
            Failure::Unconnected(_) => Error::Unreachable(text),
            Failure::TooLarge { .. } | Failure::Broken(_) => Error::Failed(text),
        }
    })?;
    let (status, body) = (response.status(), response.body());
    if status == StatusCode::OK
        && let Ok(reloaded) = serde_json::from_slice(body)
    {
        return Ok(reloaded);
    }
    Err(Error::Failed(
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => {
                let lines: Vec<String> = problem.detail.lines().map(shown).collect();
                lines.join("\n")
            }
            Err(_) => format!("{url} answered {} {}", status.as_u16(), excerpt(body)),
        },
    ))
}
