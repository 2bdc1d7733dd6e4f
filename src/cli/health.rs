//! `mirant health`: asks a server whether it is ready, for the health checks of containers, which have no curl.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio_rustls::rustls::RootCertStore;

use super::authorities::authorities;
use super::{EXIT_FAILURE, block_on, complain};
use crate::client::Url;
use crate::outbound::{Bounds, Outbound};

/// Bytes that an answer has at most.
const MAX_ANSWER: usize = 64 * 1024;

/// The arguments of `mirant health`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 it is ready; 1 it is not, or does not answer.")]
pub(super) struct Args {
    /// An address of admin.listen
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9090")]
    url: Url,
    /// How long it may take to answer
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "2s")]
    timeout: Duration,
    /// Trust the certificate authorities in this file (PEM); without it none is trusted
    #[arg(long, value_name = "FILE", value_parser = authorities)]
    ca: Option<Arc<RootCertStore>>,
}

/// Runs the subcommand.
pub(super) fn run(args: Args) -> ExitCode {
    let url = args.url.below("", "/readyz");
    let answered = block_on(async move {
        let bounds = Bounds {
            timeout: args.timeout,
            max_response: MAX_ANSWER,
            max_requests: 1,
        };
        let request = Request::get(&url).body(Bytes::new());
        let request = request.map_err(std::io::Error::other)?;
        let outbound = Outbound::trusting(
            args.ca.unwrap_or_else(|| Arc::new(RootCertStore::empty())),
            bounds,
        )?;
        let response = outbound.send(request).await;
        response.map_err(|failure| std::io::Error::other(format!("{url}: {failure}")))
    });
    match answered.flatten() {
        Ok(response) => {
            println!("{}", String::from_utf8_lossy(response.body()).trim_end());
            match response.status().is_success() {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(EXIT_FAILURE),
            }
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(EXIT_FAILURE)
        }
    }
}
