//! `mirant publish`: publishes one message, or a message for each line of standard input.

mod api;
mod input;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use self::api::Api;
use self::input::{Batch, message};
use super::block_on;
use super::harmless::shown;
use super::remote::{Error, Remote, SECRETS, channel, say, say_error};
use super::secret::secret;
use crate::client::{KEEP, Message, Outcome, Publisher, Secret};

/// The arguments of `mirant publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  mirant publish https://comet.example.com /chat/demo '{{\"text\":\"hi\"}}'
  mirant publish http://127.0.0.1:8080 /chat/demo '\"a string\"'
  tail -f log.jsonl | mirant publish http://127.0.0.1:8080 /log
  mirant publish --key @key http://127.0.0.1:8081 /chat/demo 7

Lines are published in their order. Each is acknowledged by the server, in batches of what has been read; a line
that is not JSON, or refused, is reported by its number, and those behind it are published all the same. With
--key the HTTP API publishes (URL is that of the API then): an attempt that failed is repeated, and nothing is
published twice. Without, what was under way when a connection broke may be published or not: that ends the
command, and it says so.

{SECRETS}
A key may be given as @FILE or in MIRANT_KEY; it goes before a token, and --user before both.

Exit codes: 0 all is accepted; 1 something is refused, or its fate is unknown; 2 wrong arguments; 3 no answer
within --timeout; 4 there is no way to the server."))]
pub(super) struct Args {
    #[command(flatten)]
    remote: Remote,
    /// The channel
    #[arg(value_name = "CHANNEL", value_parser = channel)]
    channel: String,
    /// The message, as JSON; without it, or with -, each line of standard input is one
    #[arg(value_name = "DATA", allow_negative_numbers = true)]
    data: Option<String>,
    /// Publish by the HTTP API, with a key of it
    #[arg(long, value_name = "KEY|@FILE", env = "MIRANT_KEY", hide_env_values = true,
          value_parser = secret)]
    key: Option<Secret>,
    /// How long to wait for an answer, and to go on trying
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// How messages are published.
enum Way {
    Bayeux(Box<Publisher>),
    Api(Box<Api>),
}

/// How many messages there were, and how many of them were accepted.
#[derive(Debug, Default)]
struct Count {
    all: u64,
    accepted: u64,
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> ExitCode {
    let published = block_on(publish(args)).unwrap_or_else(|error| Err(error.into()));
    match published {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn publish(args: &Args) -> Result<(), Error> {
    let data = args.data.as_deref().filter(|data| *data != "-");
    let data = data.map(|data| message(1, data.as_bytes()));
    let only = data
        .transpose()
        .map_err(|error| Error::Usage(format!("DATA is {error}")))?;
    let mut way = Way::open(args).await?;
    let mut count = Count::default();
    let published = match only {
        Some(message) => {
            let (outcomes, error) = way.publish(&[message]).await;
            count.take(&outcomes, |_, _| String::new());
            error.map_or(Ok(()), Err)
        }
        None => publish_lines(&mut way, &mut count).await,
    };
    let is_known = !matches!(&published, Err(Error::Fault(_) | Error::TimedOut(_)));
    if let (Way::Bayeux(publisher), true) = (way, is_known) {
        publisher.leave().await;
    }
    match published {
        Ok(()) if count.accepted == count.all => Ok(()),
        Ok(()) if count.all == 1 => Err(Error::Failed("the message is not published".to_owned())),
        published => {
            if count.all > 1 {
                say(&format!(
                    "{} of {} messages are published",
                    count.accepted, count.all
                ));
            }
            published?;
            Err(Error::Failed("not all messages are published".to_owned()))
        }
    }
}

/// Publishes the lines of standard input, a batch of those that have been read at a time.
async fn publish_lines(way: &mut Way, count: &mut Count) -> Result<(), Error> {
    if std::io::stdin().is_terminal() {
        say("a message a line, as JSON; ^D ends");
    }
    let (give, mut batches) = mpsc::channel(1);
    let reader = move || input::read(std::io::stdin(), |batch| give.blocking_send(batch).is_ok());
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(reader)?;
    loop {
        let Ok(batch) = timeout(KEEP, batches.recv()).await else {
            way.keep().await;
            continue;
        };
        let Some(Batch { messages, problems }) = batch else {
            return Ok(());
        };
        for (line, problem) in &problems {
            say(&format!("line {line} is {problem}"));
        }
        count.all += problems.len() as u64;
        if messages.is_empty() {
            continue;
        }
        let (outcomes, error) = way.publish(&messages).await;
        let line = |at: usize| &messages[at].id;
        count.take(&outcomes, |first, last| match first == last {
            true => format!("line {}: ", line(first)),
            false => format!("lines {} to {}: ", line(first), line(last)),
        });
        if let Some(error) = error {
            return Err(error);
        }
    }
}

impl Way {
    async fn open(args: &Args) -> Result<Self, Error> {
        let remote = &args.remote;
        match &args.key {
            Some(key) if remote.who.user.is_none() => {
                let api = Api::open(remote, &args.channel, key, args.timeout)?;
                Ok(Self::Api(Box::new(api)))
            }
            _ => {
                let approach = remote.approach(args.timeout).await?;
                let publisher = Publisher::open(approach, args.channel.clone(), args.timeout);
                Ok(Self::Bayeux(Box::new(publisher.await?)))
            }
        }
    }

    /// Publishes messages in their order; tells why it stopped, if it did.
    async fn publish(&mut self, messages: &[Message]) -> (Vec<Outcome>, Option<Error>) {
        match self {
            Self::Bayeux(publisher) => {
                let (outcomes, fault) = publisher.publish(messages).await;
                (outcomes, fault.map(Error::Fault))
            }
            Self::Api(api) => api.publish(messages).await,
        }
    }

    /// Keeps a session while there is nothing to publish.
    async fn keep(&mut self) {
        if let Self::Bayeux(publisher) = self {
            publisher.keep().await;
        }
    }
}

impl Count {
    /// Counts what became of messages, and tells of those that were not accepted.
    fn take(&mut self, outcomes: &[Outcome], place: impl Fn(usize, usize) -> String) {
        self.all += outcomes.len() as u64;
        let mut rest = outcomes;
        while let [outcome, ..] = rest {
            let at = outcomes.len() - rest.len();
            let same = rest.iter().take_while(|other| *other == outcome).count();
            rest = &rest[same..];
            let what = match outcome {
                Outcome::Accepted => {
                    self.accepted += same as u64;
                    continue;
                }
                Outcome::Refused(error) => format!("refused: {}", shown(error)),
                Outcome::Unknown => "no answer came: it may be published or not".to_owned(),
                Outcome::Unsent => "not sent".to_owned(),
            };
            say(&format!("{}{what}", place(at, at + same - 1)));
        }
    }
}
