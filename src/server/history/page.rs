//! The next page of what a session missed.

use std::sync::Arc;
use std::time::Duration;

use crate::bayeux::ClientId;
use crate::history::Store;
use crate::memory::Level;
use crate::operations::Scope;
use crate::session::Session;

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
        return ask_again(session, SHORT);
    }
    let Some((run, query)) = session.next_replay() else {
        return;
    };
    match store.read(query).await {
        Ok(page) => scope().take_page(&session, run, &page.without_deletions()),
        Err(_) => ask_again(session, RETRY),
    }
}

/// Lets a session ask again for its page, later; nobody else waits for that.
fn ask_again(session: Arc<Session>, after: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        session.give_up_replay();
    });
}
