//! `mirant call`: one remote call, and its answer.

use std::io::{ErrorKind, Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::timeout;

use super::block_on;
use super::harmless::shown;
use super::remote::{Error, Remote, SECRETS, channel, json, say_error};
use crate::client::{Answer, Caller};

/// The arguments of `mirant call`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  mirant call https://comet.example.com /service/echo '{{\"text\":\"hi\"}}'
  mirant call --user u1 --timeout 1m http://127.0.0.1:8080 /service/report '\"2026-11\"' > report.json

The data of the answer are printed as they came. If the call fails, standard error says why. It is made once: if
the connection breaks before the answer has come, it may have been taken or not.

{SECRETS}

Exit codes: 0 the answer is printed; 1 the call failed or is refused; 2 wrong arguments; 3 no answer within
--timeout; 4 there is no way to the server."))]
pub(super) struct Args {
    #[command(flatten)]
    remote: Remote,
    /// The service channel, such as /service/echo
    #[arg(value_name = "CHANNEL", value_parser = service)]
    channel: String,
    /// What to ask, as JSON
    #[arg(value_name = "DATA", allow_negative_numbers = true, value_parser = json)]
    data: Box<RawValue>,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Reads the name of a service channel.
fn service(text: &str) -> Result<String, String> {
    let name = channel(text)?;
    if name.starts_with("/service/") {
        Ok(name)
    } else {
        Err("calls are made on service channels, such as /service/echo".to_owned())
    }
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> ExitCode {
    let called = block_on(call(args)).unwrap_or_else(|error| Err(error.into()));
    match called {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn call(args: &Args) -> Result<(), Error> {
    let mut caller = None;
    let answered = timeout(args.timeout, async {
        let approach = args.remote.approach(args.timeout).await?;
        let caller = caller.insert(Caller::open(approach).await?);
        Ok::<_, Error>(caller.call(&args.channel, &args.data).await?)
    });
    let answered = match answered.await {
        Ok(Ok(Answer::Data(data))) => print(&data),
        Ok(Ok(Answer::Failed(error))) => Err(Error::Failed(format!(
            "the call failed: {}",
            match &*error {
                "" => "the server does not say why".to_owned(),
                error => shown(error),
            }
        ))),
        Ok(Err(error)) => return Err(error),
        Err(_) => Err(Error::TimedOut(format!(
            "no answer within {} (--timeout)",
            humantime::format_duration(args.timeout)
        ))),
    };
    if let Some(caller) = caller {
        caller.leave().await;
    }
    answered
}

fn print(data: &str) -> Result<(), Error> {
    match writeln!(stdout(), "{data}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}
