//! Whether a connect comes back by itself after it was held for as long as the server holds it.

use std::time::{Duration, Instant};

use super::directives::{Cause, Program, fix};
use crate::cli::doctor::finding::Finding;
use crate::cli::with_causes;
use crate::client::incoming::find_reply;
use crate::client::messages::CONNECT;
use crate::client::{Fault, Server, Session};

const IDLE: &str = "idle";
/// How much later than the server says the answer may come.
const LATE: Duration = Duration::from_secs(5);

/// Has a connect held, and waits for its answer.
pub(super) async fn check(
    session: &mut Session,
    server: &Server,
    proxy: Option<Program>,
) -> Finding {
    let hold = match session.connect(server).await {
        Ok(reply) => reply.hold,
        Err(fault) => return untold(&fault),
    };
    let Some(hold) = hold else {
        return Finding::ok(IDLE, "the server does not say how long it holds a connect");
    };
    if let Err(fault) = session.leave_held(server).await {
        return untold(&fault);
    }
    let start = Instant::now();
    let answered = session.connection().receive_within(hold + LATE).await;
    let answered = answered.and_then(|batch| find_reply(batch, CONNECT));
    let after = humantime::format_duration(Duration::from_millis(
        u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    ));
    let held = humantime::format_duration(hold);
    match answered {
        Ok(reply) if reply.is_successful => Finding::ok(
            IDLE,
            format!("a held connect came back by itself after {after}"),
        ),
        Ok(reply) => {
            let seen = format!("a held connect failed after {after}: {}", reply.error);
            Finding::warning(IDLE, seen, "ask again; the session may have been ended")
        }
        Err(fault) => {
            let why = match fault {
                Fault::Status { status, .. } => format!("status {status}"),
                fault => with_causes(&fault),
            };
            Finding::wrong(
                IDLE,
                format!(
                    "a held connect was cut after {after}, before bayeux.timeout ({held}): {why}"
                ),
                fix(Cause::CutsIdle(hold), proxy),
            )
        }
    }
}

fn untold(fault: &Fault) -> Finding {
    let seen = format!("it could not be told: {}", with_causes(fault));
    Finding::warning(IDLE, seen, "see what else is wrong, and ask again")
}
