//! What an error of Redis means: that of a command, of a connection, or of what an operator has to change; and whether
//! a Redis can be used at all.

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};

/// The oldest Redis that has all commands that are used.
const OLDEST: (u32, u32) = (6, 2);

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// An operator has to change something.
    Refused(String),
    /// It may be there later.
    Away(String),
}

/// Tells whether Redis does not know the script.
pub(super) fn is_unknown<T>(answer: &RedisResult<T>) -> bool {
    let is_unknown = |error: &RedisError| {
        error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
            || error.code() == Some("NOSCRIPT")
    };
    answer.as_ref().err().is_some_and(is_unknown)
}

/// Tells whether an error is one of the connection, or of a server that cannot be written to, and not of a command.
pub(super) fn is_lasting(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::BusyLoading
            )
        )
}

pub(super) fn trouble(error: &RedisError) -> Trouble {
    let is_wrong = matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::RESP3NotSupported
            | ErrorKind::Server(ServerErrorKind::NoPerm)
    ) || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
    let why = error.to_string();
    if is_wrong {
        Trouble::Refused(why)
    } else {
        Trouble::Away(why)
    }
}

pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = info.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

pub(super) fn check_version(info: &str) -> Result<(), Trouble> {
    let text = field(info, "redis_version").unwrap_or("unknown");
    let mut words = text.split('.').map_while(|word| word.parse::<u32>().ok());
    let version = (words.next().unwrap_or(0), words.next().unwrap_or(0));
    if version >= OLDEST {
        return Ok(());
    }
    let (major, minor) = OLDEST;
    Err(Trouble::Refused(format!(
        "it is Redis {text}, and has to be {major}.{minor} or newer"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared() {
        for (version, is_known) in [
            ("6.2.0", true),
            ("6.0.16", false),
            ("7.0.15", true),
            ("10.1", true),
            ("5.9", false),
            ("x", false),
        ] {
            let info = format!("# Server\r\nredis_version:{version}\r\nrun_id:ab\r\n");
            assert_eq!(check_version(&info).is_ok(), is_known, "{version}");
        }
        assert!(check_version("").is_err());
    }
}
