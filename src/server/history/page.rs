//! The next page of what a session missed.

use std::time::Duration;

use crate::bayeux::ClientId;
use crate::history::Store;
use crate::memory::Level;
use crate::operations::Scope;

/// After which time what cannot be read now is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a session waits for its page while memory is short.
const SHORT: Duration = Duration::from_millis(200);

/// Reads the next page for a session, which has room for it, and queues it.
///
/// `scope` makes what it is done with.
pub async fn page<'s>(id: ClientId, store: &dyn Store, scope: impl Fn() -> Scope<'s>) {
    let Some(session) = scope().sessions.find(id) else {
        return;
    };
    if session.memory().level() == Level::Full {
        tokio::time::sleep(SHORT).await;
        return session.give_up_replay();
    }
    let Some((run, query)) = session.next_replay() else {
        return;
    };
    match store.read(query).await {
        Ok(page) => scope().take_page(&session, run, &page),
        Err(_) => {
            tokio::time::sleep(RETRY).await;
            session.give_up_replay();
        }
    }
}
