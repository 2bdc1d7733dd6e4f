//! Reads the processor time and memory of a process from Linux's /proc.

use std::fs;
use std::io;
use std::time::Duration;

use super::Error;

/// Length of the clock tick in which /proc/PID/stat counts.
///
/// Linux shows user space 100 ticks a second on every architecture Rust builds for, whatever the
/// kernel's own rate; asking `sysconf(_SC_CLK_TCK)` would take unsafe code.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// A process on this host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    id: u32,
}

impl Process {
    /// The process of that id, which need not exist.
    pub(super) fn new(id: u32) -> Self {
        Self { id }
    }

    /// This process.
    pub(super) fn current() -> Self {
        Self::new(std::process::id())
    }

    /// User and system time so far of all threads, in steps of 10 ms.
    pub(super) fn cpu(&self) -> Result<Duration, Error> {
        self.read("stat", parse_ticks)
            .map(|ticks| TICK * u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// Resident memory, in bytes.
    pub(super) fn resident(&self) -> Result<u64, Error> {
        self.read("status", parse_resident)
    }

    fn read(&self, file: &str, parse: fn(&str) -> Option<u64>) -> Result<u64, Error> {
        let path = format!("/proc/{}/{file}", self.id);
        let found = fs::read_to_string(&path)
            .and_then(|text| parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into()));
        found.map_err(|source| Error::Process { path, source })
    }
}

/// Adds utime and stime, the 14th and 15th field; the 2nd, a name, may itself hold spaces.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(user + system)
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 31 0 0 20 0 3 0 99 1 2";
        assert_eq!(parse_ticks(stat), Some(281));
        assert_eq!(
            parse_resident("Name:\tx\nVmRSS:\t    1234 kB\n"),
            Some(1234 * 1024)
        );
        assert_eq!(parse_resident("Name:\tx\n"), None);
    }

    #[test]
    fn reads_this_process_and_names_the_file_of_another() {
        let own = Process::current();
        assert!(own.resident().unwrap() > 100_000);
        own.cpu().unwrap();
        let error = Process::new(u32::MAX).cpu().unwrap_err();
        assert!(error.to_string().contains("/proc/4294967295/stat"));
    }
}
