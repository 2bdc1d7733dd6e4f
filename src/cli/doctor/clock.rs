//! Whether two clocks agree.

use std::time::{Duration, SystemTime};

use super::finding::Finding;

const CLOCK: &str = "clock";
/// Clocks that are kept by the network are closer than this, however badly; `Date` has whole seconds.
const CLOSE: Duration = Duration::from_secs(3);

/// Judges somebody's time of day by ours at the same moment; what is further apart than `most` does not work.
pub(super) fn judge(whose: &str, theirs: SystemTime, ours: SystemTime, most: Duration) -> Finding {
    let (apart, direction) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, "behind"),
        Err(behind) => (behind.duration(), "ahead of"),
    };
    if apart < CLOSE {
        return Finding::ok(CLOCK, format!("that of {whose} agrees with this machine's"));
    }
    let seen = format!(
        "this machine's is {}s {direction} that of {whose}",
        apart.as_secs()
    );
    let fix = "keep both by NTP: timedatectl set-ntp true";
    if apart > most {
        Finding::wrong(CLOCK, seen, fix)
    } else {
        Finding::warning(CLOCK, seen, fix)
    }
}
