//! A server that acknowledges a publish when it is on disk, and delays those of one channel.
//!
//! `cargo run --example durable_publishes FILE [ADDRESS]`. Each publish is appended to the file, a line of
//! JSON each, and its reply leaves when the file is synced. Subscribers do not wait for that. A publish on
//! `/slow` is delayed by a second before anything is done for it, and with it the batch that it is in.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use mirant::bayeux::{ChannelKind, ChannelName, Limits, Message};
use mirant::config::Config;
use mirant::extensions::{Extension, MessageInfo, Refusal, Wait};
use mirant::run::{Additions, bind_with};
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// The channel that is slow, and how much.
const SLOW: &str = "/slow";
const DELAY: Duration = Duration::from_secs(1);

/// A line to append, and who waits for it.
struct Append {
    line: String,
    stored: oneshot::Sender<()>,
}

/// Stores publishes.
#[derive(Debug)]
struct Log {
    /// Not bounded by itself: what waits in it is what `extensions.max_waiting` lets wait.
    appends: Sender<Append>,
}

impl Extension for Log {
    fn may_wait(&self) -> bool {
        true
    }

    fn admit(&self, message: &Message<'_>, _: &MessageInfo) -> Option<Wait> {
        if message.channel_text()? != SLOW {
            return None;
        }
        Some(Box::pin(async {
            tokio::time::sleep(DELAY).await;
            Ok(())
        }))
    }

    fn settle(&self, message: &Message<'_>, _: &MessageInfo) -> Option<Wait> {
        let line = line(message)?;
        let (stored, is_stored) = oneshot::channel();
        // Here, not in the future, so that the lines stand in the order of the messages. If the thread has
        // ended the sender is dropped.
        let _ = self.appends.send(Append { line, stored });
        Some(Box::pin(async {
            let lost = |_| Refusal::Failed("500::not_stored".into());
            is_stored.await.map_err(lost)
        }))
    }
}

/// Makes the line of a publish on a broadcast channel; nothing of another message.
fn line(message: &Message<'_>) -> Option<String> {
    let name = ChannelName::parse(&message.channel_text()?, &Limits::default()).ok()?;
    if name.kind() != ChannelKind::Broadcast {
        return None;
    }
    let (channel, data) = (message.channel?, message.data.as_deref()?);
    let json = |value: &RawValue| value.get().replace(['\r', '\n'], " ");
    let (channel, data) = (json(channel), json(data));
    Some(format!("{{\"channel\":{channel},\"data\":{data}}}\n"))
}

/// Appends what comes, and syncs once for all that has come meanwhile. After an error nothing more is
/// stored: a file that failed to sync cannot be trusted.
fn append(mut file: File, appends: &Receiver<Append>) -> io::Result<()> {
    while let Ok(first) = appends.recv() {
        let mut waiting = Vec::new();
        for Append { line, stored } in std::iter::once(first).chain(appends.try_iter()) {
            file.write_all(line.as_bytes())?;
            waiting.push(stored);
        }
        file.sync_data()?;
        for stored in waiting {
            // Nobody waits if the client has gone.
            let _ = stored.send(());
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: durable_publishes FILE [ADDRESS]")?;
    let mut config = Config::default();
    if let Some(address) = arguments.next() {
        config.http.listen = vec![address.parse()?];
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let (appends, received) = channel();
    let appending = spawn_blocking(move || append(file, &received));
    let additions = Additions {
        extensions: vec![Box::new(Log { appends })],
        ..Additions::default()
    };
    let bound = bind_with(config, false, additions)?;
    for address in bound.addresses() {
        println!("http://{address}/cometd");
    }
    bound
        .run(async {
            // Without signals to wait for it would run for ever.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    // The server is gone, and with it the sender: the last lines are written.
    appending.await??;
    Ok(())
}
