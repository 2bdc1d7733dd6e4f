//! The command line; its options are named as those of `mirant bench`.

use std::net::SocketAddr;
use std::time::Duration;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// One publisher, one channel, in lockstep.
    FanOut,
    /// Subscribers that wait.
    Idle,
}

/// What was asked for.
pub(crate) struct Options {
    pub(crate) scenario: Scenario,
    pub(crate) address: SocketAddr,
    pub(crate) is_websocket: bool,
    pub(crate) clients: usize,
    pub(crate) messages: usize,
    pub(crate) payload: usize,
    pub(crate) pid: u32,
    pub(crate) idle: Duration,
}

impl Options {
    /// Reads `fan-out` or `idle`, and pairs of a name and a value.
    pub(crate) fn from_arguments(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Self, String> {
        let scenario = match arguments.next().as_deref() {
            Some("fan-out") => Scenario::FanOut,
            Some("idle") => Scenario::Idle,
            _ => return Err("usage: nchan-load fan-out|idle --pid PID [--NAME VALUE]...".into()),
        };
        let mut options = Self {
            scenario,
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            is_websocket: false,
            clients: 1000,
            messages: 100,
            payload: 100,
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
            "--messages" => self.messages = value.parse().ok()?,
            "--payload" => self.payload = value.parse().ok()?,
            "--pid" => self.pid = value.parse().ok()?,
            "--idle" => self.idle = Duration::from_secs(value.strip_suffix('s')?.parse().ok()?),
            _ => return None,
        }
        Some(())
    }
}
