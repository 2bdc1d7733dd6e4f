//! `mirant subscribe`: prints what is published on channels, a line of JSON for each message.

mod printer;
mod render;

use std::io::{ErrorKind, IsTerminal, stdout};
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use self::printer::{Printer, unread};
use self::render::{Style, render};
use super::harmless::shown;
use super::remote::{EXIT_TIMEOUT, Error, PATIENCE, Remote, channel, say, say_error, takes_colour};
use super::{block_on, with_causes};
use crate::client::{Fault, News, Receiver, Recoveries, Since};

/// The arguments of `mirant subscribe`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  mirant subscribe https://comet.example.com '/chat/**'
  mirant subscribe --count 1 --timeout 10s http://127.0.0.1:8080 /chat/demo | jq .data

Each message is printed as it came, as one line of JSON; line breaks between its tokens become spaces. When the
connection breaks, the session goes on over another one: nothing is lost or repeated if the server acknowledges
(as Mirant does by default). When the session is gone, another one begins. It goes on after the last message that
had a number (ext.replay), if the server keeps a history of the channels; what was published in between is lost
otherwise. Standard error says so. With --since it ends if the server refuses to go on there (replay_expired).

{}

Exit codes: 0 --count is reached, or it was interrupted or nobody reads its output; 1 the server refuses;
2 wrong arguments; 3 --timeout is over; 4 there is no way to the server from the start.", super::remote::SECRETS))]
pub(super) struct Args {
    #[command(flatten)]
    remote: Remote,
    /// The channels or patterns to subscribe to
    #[arg(required = true, value_name = "CHANNEL", value_parser = channel)]
    channels: Vec<String>,
    /// Have what was published since then, as far as the server keeps it: since a message by its number (ext.replay),
    /// since EPOCH:NUMBER, all there is, or only what is new
    // Epochs may begin with a hyphen.
    #[arg(long, value_name = "all|new|NUMBER", allow_hyphen_values = true)]
    since: Option<Since>,
    /// Print each message over several lines
    #[arg(long)]
    pretty: bool,
    /// End after so many messages
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time, whatever has come, such as 30s or 5m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Say nothing about connections, only errors
    #[arg(long, short)]
    quiet: bool,
}

/// Why it is over.
enum Ending {
    /// All that was asked for has been printed.
    Complete,
    /// The user wants no more.
    Interrupted,
    /// Nobody reads the output.
    Closed,
    /// The time is over.
    TimedOut,
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> ExitCode {
    let ended = block_on(subscribe(args)).unwrap_or_else(|error| Err(error.into()));
    match ended {
        Ok(Ending::Complete | Ending::Interrupted | Ending::Closed) => ExitCode::SUCCESS,
        Ok(Ending::TimedOut) => {
            if !args.quiet {
                say("the time is over (--timeout)");
            }
            ExitCode::from(EXIT_TIMEOUT)
        }
        Err(error) => {
            say_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn subscribe(args: &Args) -> Result<Ending, Error> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let over = async {
        match args.timeout {
            Some(timeout) => sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let mut receiver = None;
    let ending = tokio::select! {
        _ = interrupt.recv() => Ok(Ending::Interrupted),
        _ = terminate.recv() => Ok(Ending::Interrupted),
        () = over => Ok(Ending::TimedOut),
        () = unread() => Ok(Ending::Closed),
        ended = listen(args, &mut receiver) => ended,
    };
    if let Some(receiver) = receiver {
        // How much was read of what nobody reads any more is not known.
        let is_known = !matches!(ending, Err(_) | Ok(Ending::Closed));
        let is_told = args.since.is_some() && is_known && !args.quiet;
        if let Some(position) = receiver.position().filter(|_| is_told) {
            say(&format!(
                "--since {} goes on from here",
                shown(&position.to_string())
            ));
        }
        receiver.leave().await;
    }
    ending
}

/// Prints what comes, until that is enough.
async fn listen(args: &Args, receiver: &mut Option<Receiver>) -> Result<Ending, Error> {
    let approach = args.remote.approach(PATIENCE).await?;
    let receiver = receiver.insert(Receiver::new(
        approach,
        args.channels.clone(),
        args.since.clone(),
    ));
    let printer = Printer::start()?;
    let style = Style {
        is_pretty: args.pretty,
        has_colour: takes_colour(&stdout()),
        is_terminal: stdout().is_terminal(),
    };
    let mut left = args.count.unwrap_or(u64::MAX);
    loop {
        let heard = receiver.next().await?;
        if let Some(news) = heard.news.filter(|_| !args.quiet) {
            for line in told(news, args) {
                say(&line);
            }
        }
        if !heard.missing.is_empty() && !args.quiet {
            let channels = shown(&heard.missing.join(", "));
            say(&format!("messages of {channels} may be missing here"));
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX);
        let count = count.min(heard.events.len());
        let events = &heard.events[..count];
        left -= count as u64;
        let mut lines = String::new();
        for event in events {
            render(&event.text, style, &mut lines);
        }
        match printer.print(lines).await {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Ending::Closed),
            printed => printed?,
        }
        for event in events {
            receiver.had(event);
        }
        if left == 0 {
            return Ok(Ending::Complete);
        }
    }
}

/// What the user is told.
fn told(news: News, args: &Args) -> Vec<String> {
    let at = &args.remote.url;
    match news {
        News::Connected { by, refused } => {
            let why = refused.map(|fault| format!("no WebSocket: {}", with_causes(&fault)));
            let connected = format!("connected to {at} by {}", by.name());
            why.into_iter().chain([connected]).collect()
        }
        News::Subscribed { past } => {
            let subscribed = format!("subscribed to {}", args.channels.join(", "));
            [subscribed].into_iter().chain(lost(&past, args)).collect()
        }
        News::Lost { fault, wait } => {
            let why = match fault {
                Fault::Closed(_) => "it was closed".to_owned(),
                fault => with_causes(&fault),
            };
            vec![format!(
                "the connection is lost ({why}); next attempt in {wait:.1?}"
            )]
        }
        News::Resumed => vec!["connected again; the session goes on".to_owned()],
        News::SessionGone { error, wait, loses } => vec![format!(
            "the session is gone ({}){}; the next begins in {wait:.1?}",
            shown(&error),
            match loses {
                true => ", and with it what was not received",
                false => "",
            }
        )],
        News::Expired { error } => vec![format!(
            "what was published meanwhile is lost ({})",
            shown(&error)
        )],
        News::SubscriptionLost { error } => vec![format!(
            "the server has taken a subscription back ({}); it is asked again",
            shown(&error)
        )],
        News::Postponed { error, wait } => {
            vec![format!(
                "the server wants to be asked later ({}); next attempt in {wait:.1?}",
                shown(&error)
            )]
        }
    }
}

/// What does not come of what was asked for.
fn lost(past: &Recoveries, args: &Args) -> Vec<String> {
    let wants_past = !matches!(args.since, None | Some(Since::New));
    if past.is_empty() && wants_past {
        return vec!["the server says nothing of what was published before (--since)".to_owned()];
    }
    let missed = past.iter().filter(|(_, recovery)| !recovery.recovered);
    missed
        .map(|(channel, recovery)| {
            let reason = recovery.reason.as_deref().unwrap_or("no reason is given");
            // Nothing is kept where it is none.
            let from = match recovery.after {
                0 => String::new(),
                after => format!("; it goes on after {after}"),
            };
            format!(
                "not all that was missed on {} can be had ({}){from}",
                shown(channel),
                shown(reason)
            )
        })
        .collect()
}
