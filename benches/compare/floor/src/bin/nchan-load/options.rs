//! The command line; its options are named as those of `mirant bench`.

use std::net::SocketAddr;
use std::time::Duration;

const USAGE: &str = "usage: nchan-load fan-out|rooms|idle --pid PID [--NAME VALUE]...";

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// One publisher, one channel.
    FanOut,
    /// One publisher, the subscribers spread over channels.
    Rooms,
    /// Subscribers that wait.
    Idle,
}

/// What was asked for.
pub(crate) struct Options {
    pub(crate) scenario: Scenario,
    pub(crate) address: SocketAddr,
    pub(crate) is_websocket: bool,
    pub(crate) clients: usize,
    /// Channels that the subscribers are spread over, in turns.
    pub(crate) rooms: usize,
    pub(crate) messages: usize,
    pub(crate) payload: usize,
    /// Messages in a second; without it, each when all have the last.
    pub(crate) rate: Option<f64>,
    pub(crate) pid: u32,
    pub(crate) idle: Duration,
}

impl Options {
    /// Reads a scenario, and pairs of a name and a value.
    pub(crate) fn from_arguments(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Self, String> {
        let (scenario, rooms) = match arguments.next().as_deref() {
            Some("fan-out") => (Scenario::FanOut, 1),
            Some("rooms") => (Scenario::Rooms, 100),
            Some("idle") => (Scenario::Idle, 1),
            _ => return Err(USAGE.into()),
        };
        let mut options = Self {
            scenario,
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            is_websocket: false,
            clients: 1000,
            rooms,
            messages: 100,
            payload: 100,
            rate: None,
            pid: std::process::id(),
            idle: Duration::from_secs(5),
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().unwrap_or_default();
            options
                .set(&name, &value)
                .ok_or_else(|| format!("{name} {value} makes no sense"))?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "--address" => self.address = value.parse().ok()?,
            "--transport" => self.is_websocket = value == "websocket",
            "--clients" => self.clients = value.parse().ok()?,
            "--rooms" => self.rooms = value.parse().ok().filter(|&rooms| rooms > 0)?,
            "--messages" => self.messages = value.parse().ok()?,
            "--payload" => self.payload = value.parse().ok()?,
            "--rate" => self.rate = Some(value.parse().ok().filter(|&rate| rate > 0.0)?),
            "--pid" => self.pid = value.parse().ok()?,
            "--idle" => self.idle = Duration::from_secs(value.strip_suffix('s')?.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// The name of the transport.
    pub(crate) fn transport(&self) -> &'static str {
        if self.is_websocket {
            "websocket"
        } else {
            "long-polling"
        }
    }
}
