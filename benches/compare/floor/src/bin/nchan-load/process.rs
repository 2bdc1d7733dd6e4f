//! Reads the processor time and memory of a process from Linux's /proc.

use std::fs;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// The clock tick in which /proc/PID/stat counts.
const TICK: Duration = Duration::from_millis(10);

/// A process on this host.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    id: u32,
}

impl Process {
    /// The process of that id.
    pub(crate) fn of(id: u32) -> Self {
        Self { id }
    }

    /// This process.
    pub(crate) fn own() -> Self {
        Self::of(std::process::id())
    }

    /// User and system time so far.
    pub(crate) fn cpu(self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id))?;
        let ticks = || {
            // The 2nd field, a name, may itself hold spaces; the 14th and 15th are the times.
            let (_, after_name) = stat.rsplit_once(')')?;
            let mut times = after_name.split_whitespace().skip(11);
            Some(times.next()?.parse::<u32>().ok()? + times.next()?.parse::<u32>().ok()?)
        };
        let ticks = ticks().ok_or(ErrorKind::InvalidData)?;
        Ok(TICK * ticks)
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
            .ok_or(ErrorKind::InvalidData)?;
        Ok(kibibytes * 1024)
    }
}
