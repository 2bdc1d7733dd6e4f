//! What the machine allows: file descriptors, and connections that wait to be accepted.

use std::fs;
use std::path::Path;

use super::finding::Finding;
use crate::listener::{BACKLOG, RESERVED_DESCRIPTORS, Settings};

const FILES: &str = "files";
const BACKLOGS: &str = "backlog";
const HAND_OVER: &str = "hand-over";
/// Below so many connections a machine is hardly meant to serve.
const FEW: u64 = 4096;
/// What is proposed where nothing says how many there are to be.
const USUAL: u64 = 65_536;
/// Where the kernel's settings are.
const KERNEL: &str = "/proc/sys";

/// Looks at the limits of this machine, and of the process: a service may have others.
pub(super) fn check(http: &Settings) -> Vec<Finding> {
    let limit = rlimit::Resource::NOFILE.get_hard().unwrap_or(1024);
    let kernel = |name: &str| {
        let text = fs::read_to_string(Path::new(KERNEL).join(name)).ok()?;
        text.trim().parse().ok()
    };
    let mut findings = vec![files(limit, http.max_connections), backlog(kernel)];
    if http.reuse_port {
        findings.push(hand_over(kernel("net/ipv4/tcp_migrate_req")));
    }
    findings
}

/// Judges what becomes of connections that wait at a server which stops, while another listens beside it.
fn hand_over(migrates: Option<u64>) -> Finding {
    let name = "net.ipv4.tcp_migrate_req";
    match migrates {
        Some(1..) => {
            let seen = format!("{name} is on: what waits at a server that stops goes to the next");
            Finding::ok(HAND_OVER, seen)
        }
        Some(0) => {
            let seen = format!("{name} is off: what waits at a server that stops is reset");
            Finding::warning(HAND_OVER, seen, format!("sysctl -w {name}=1"))
        }
        None => {
            let seen = format!("{name} cannot be read: what waits at a server that stops is reset");
            let fix = "Linux 5.14 or later, or http.listen = [\"fd:http\"] and a .socket unit";
            Finding::warning(HAND_OVER, seen, fix)
        }
    }
}

/// Judges the limit of file descriptors, up to which the server raises its own, by the connections there may be.
fn files(limit: u64, wanted: Option<usize>) -> Finding {
    let room = limit.saturating_sub(RESERVED_DESCRIPTORS);
    let fix = |count: u64| {
        format!(
            "LimitNOFILE={} in the service (systemctl edit mirant), or `ulimit -n` where it is started",
            count.saturating_add(RESERVED_DESCRIPTORS)
        )
    };
    let seen = format!("{limit} file descriptors allow {room} connections");
    match wanted.map(|wanted| u64::try_from(wanted).unwrap_or(u64::MAX)) {
        Some(wanted) if wanted > room => {
            let seen = format!("{seen}, and http.max_connections is {wanted}");
            Finding::wrong(FILES, seen, fix(wanted))
        }
        Some(wanted) => Finding::ok(FILES, format!("{seen}; http.max_connections is {wanted}")),
        None if room < FEW => Finding::warning(FILES, seen, fix(USUAL)),
        None => Finding::ok(FILES, seen),
    }
}

/// Judges how many connections the kernel lets wait, which many clients that come at once need.
fn backlog(kernel: impl Fn(&str) -> Option<u64>) -> Finding {
    let least = u64::from(BACKLOG);
    let whole = ("net.core.somaxconn", "net/core/somaxconn");
    let half = (
        "net.ipv4.tcp_max_syn_backlog",
        "net/ipv4/tcp_max_syn_backlog",
    );
    // With cookies the kernel keeps nothing of a connection that is only half open.
    let has_cookies = kernel("net/ipv4/tcp_syncookies").is_some_and(|value| value != 0);
    let mut seen = Vec::new();
    let mut low = Vec::new();
    for (name, path) in [whole, half] {
        let Some(value) = kernel(path) else {
            seen.push(format!("{name} cannot be read"));
            continue;
        };
        seen.push(format!("{name} is {value}"));
        if value < least && (name == whole.0 || !has_cookies) {
            low.push(format!("{name}={least}"));
        }
    }
    let seen = format!(
        "{}; the server asks for {BACKLOG} connections that wait",
        seen.join(", ")
    );
    if low.is_empty() {
        Finding::ok(BACKLOGS, seen)
    } else {
        Finding::warning(BACKLOGS, seen, format!("sysctl -w {}", low.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    #[test]
    fn files_have_to_suffice_for_connections() {
        // (limit, http.max_connections, what is said, the fix)
        let cases = [
            (1_048_576, None, State::Ok, ""),
            (1024, None, State::Warning, "LimitNOFILE=65600 "),
            (1064, Some(1000), State::Ok, ""),
            (1063, Some(1000), State::Wrong, "LimitNOFILE=1064 "),
            (0, Some(usize::MAX), State::Wrong, "LimitNOFILE=1844"),
        ];
        for (limit, wanted, state, fix) in cases {
            let finding = files(limit, wanted);
            assert_eq!(finding.state, state, "{finding}");
            assert!(finding.to_string().contains(fix), "{finding}");
        }
    }

    #[test]
    fn a_hand_over_needs_the_kernel() {
        for (migrates, state, fix) in [
            (Some(1), State::Ok, ""),
            (
                Some(0),
                State::Warning,
                "; fix: sysctl -w net.ipv4.tcp_migrate_req=1",
            ),
            (None, State::Warning, "Linux 5.14 or later"),
        ] {
            let finding = hand_over(migrates);
            assert_eq!(finding.state, state, "{finding}");
            assert!(finding.to_string().contains(fix), "{finding}");
        }
    }

    #[test]
    fn a_backlog_that_is_cut_is_told() {
        // (somaxconn, tcp_max_syn_backlog, tcp_syncookies, the fix)
        let cases = [
            (Some(4096), Some(4096), Some(0), None),
            (Some(4096), Some(512), Some(1), None),
            (
                Some(4096),
                Some(512),
                Some(0),
                Some("sysctl -w net.ipv4.tcp_max_syn_backlog=4096"),
            ),
            (
                Some(128),
                Some(512),
                None,
                Some("sysctl -w net.core.somaxconn=4096 net.ipv4.tcp_max_syn_backlog=4096"),
            ),
            (None, None, None, None),
        ];
        for (whole, half, cookies, fix) in cases {
            let finding = backlog(|name| match name {
                "net/core/somaxconn" => whole,
                "net/ipv4/tcp_max_syn_backlog" => half,
                _ => cookies,
            });
            let line = finding.to_string();
            match fix {
                None => assert_eq!(finding.state, State::Ok, "{line}"),
                Some(fix) => assert!(line.ends_with(&format!("; fix: {fix}")), "{line}"),
            }
        }
    }
}
