//! Sockets that a service manager has opened, and passes to the process by their names (systemd's socket activation).

use std::fmt;
use std::io;
use std::net;
use std::os::fd::RawFd;
use std::os::unix::net as unix;

use listenfd::ListenFd;

/// The first descriptor that is passed.
const FIRST: RawFd = 3;
/// The variable with the names, between colons.
const NAMES: &str = "LISTEN_FDNAMES";

/// The sockets that were passed, and nobody has taken yet.
#[derive(Debug, Default)]
pub struct Passed(Vec<Named>);

#[derive(Debug)]
struct Named {
    name: String,
    descriptor: RawFd,
    socket: Inherited,
}

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Inherited {
    Tcp(net::TcpListener),
    Unix(unix::UnixListener),
}

impl Passed {
    /// Takes those that are meant for this process; to be called once, before the program has threads.
    ///
    /// # Errors
    /// One of them is no socket that listens for streams.
    pub fn take() -> io::Result<Self> {
        let names = std::env::var(NAMES).unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let mut all = ListenFd::from_env();
        let mut passed = Vec::new();
        for (place, descriptor) in (0..all.len()).zip(FIRST..) {
            let name = names.next().unwrap_or_default();
            let tcp = all.take_tcp_listener(place).ok().flatten();
            let socket = match tcp {
                Some(tcp) => Some(Inherited::Tcp(tcp)),
                None => all.take_unix_listener(place)?.map(Inherited::Unix),
            };
            passed.extend(socket.map(|socket| Named {
                name,
                descriptor,
                socket,
            }));
        }
        Ok(Self(passed))
    }

    /// Takes those of a name, of which there may be several, or the one of a number.
    pub(super) fn named(&mut self, wanted: &str) -> Vec<Inherited> {
        let is_wanted =
            |named: &mut Named| named.name == wanted || named.descriptor.to_string() == wanted;
        self.0
            .extract_if(.., is_wanted)
            .map(|named| named.socket)
            .collect()
    }

    /// Tells whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, named) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match &*named.name {
                "" => write!(f, "{comma}fd:{}", named.descriptor)?,
                name => write!(f, "{comma}fd:{name}")?,
            }
        }
        Ok(())
    }
}
