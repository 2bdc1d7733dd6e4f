//! What the configuration names on this machine: secrets and keys that have to be readable, and how long certificates
//! are valid.

use std::time::{SystemTime, UNIX_EPOCH};

use super::finding::Finding;
use crate::cli::check_config::said;
use crate::config::Config;
use crate::listener::tls;
use crate::run;

const READABLE: &str = "secrets";
const CERTIFICATE: &str = "certificate";
/// How long before its end a certificate should have been renewed, in days.
const RENEWED: u64 = 14;
/// The seconds of a day.
const DAY: u64 = 86_400;

/// Looks at them.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let readable = match run::check(config) {
        Ok(()) => Finding::ok(
            READABLE,
            "the secrets, keys and certificates that the configuration names can be used",
        ),
        Err(error) => Finding::wrong(
            READABLE,
            said(&error),
            "correct what is named, and let the user that runs the server read it",
        ),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let read = tls::validities(&config.tls).into_iter();
    let dates = read.map(|(key, valid)| dated(&key, valid, now));
    std::iter::once(readable).chain(dates).collect()
}

/// Judges from when on a certificate is valid and how long, at a time; all in seconds since 1970.
fn dated(key: &str, (since, until): (u64, u64), now: u64) -> Finding {
    let key = format!("{key}.certificate");
    let fix =
        format!("renew it, and have the new file where {key} says; it is read again by itself");
    if until < now {
        let days = (now - until) / DAY;
        return Finding::wrong(
            CERTIFICATE,
            format!("{key} has expired {days} days ago"),
            fix,
        );
    }
    if since > now {
        let seen = format!(
            "{key} is not valid for {} more days",
            (since - now) / DAY + 1
        );
        let fix = "set this machine's clock if it is wrong, or use another certificate until then";
        return Finding::wrong(CERTIFICATE, seen, fix);
    }
    let days = (until - now) / DAY;
    let seen = format!("{key} is valid for {days} more days");
    if days < RENEWED {
        Finding::warning(CERTIFICATE, seen, fix)
    } else {
        Finding::ok(CERTIFICATE, seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_renewed_in_time() {
        // (from when on, how long, what is said), on day 100
        let cases = [
            (
                0,
                100 + 15,
                "ok       certificate: tls.certificate is valid for 15",
            ),
            (
                0,
                100 + 13,
                "warning  certificate: tls.certificate is valid for 13",
            ),
            (0, 97, "wrong    certificate: tls.certificate has expired 3"),
            (
                101,
                200,
                "wrong    certificate: tls.certificate is not valid for 2",
            ),
        ];
        for (since, until, expected) in cases {
            let line = dated("tls", (since * DAY, until * DAY), 100 * DAY).to_string();
            assert!(line.starts_with(expected), "{line}");
        }
    }
}
