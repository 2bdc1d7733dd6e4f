//! Work that is done once however many wait for it, and to its end even if none does any more.

use std::collections::HashMap;
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::bayeux::ClientId;
use crate::session::IdHasher;

/// How much is done at once.
const MOST: usize = 10_000;

type Waiting<T> = HashMap<ClientId, watch::Receiver<Option<T>>, BuildHasherDefault<IdHasher>>;

/// Work for sessions, one each at a time.
#[derive(Debug)]
pub(in crate::server) struct Joint<T>(Arc<Mutex<Waiting<T>>>);

impl<T> Default for Joint<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + Sync + 'static> Joint<T> {
    /// Tells whether there is work for a session.
    #[cfg(test)]
    pub(in crate::server) fn has(&self, id: ClientId) -> bool {
        self.waiting(|waiting| waiting.contains_key(&id))
    }

    /// Does some work for a session unless that is done already, and returns what it leads to; nothing if there is
    /// too much.
    pub(in crate::server) async fn work<F>(
        &self,
        id: ClientId,
        work: impl FnOnce() -> F,
    ) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut done = self.begin(id, work)?;
        // It fails if the work has panicked.
        let done = done.wait_for(Option::is_some).await;
        done.ok().and_then(|done| done.clone())
    }

    /// Waits until all is done that is going on now.
    pub(in crate::server) async fn settled(&self) {
        let all: Vec<_> = self.waiting(|waiting| waiting.values().cloned().collect());
        for mut done in all {
            // It fails if the work has panicked: then it is over, too.
            let _ = done.wait_for(Option::is_some).await;
        }
    }

    fn begin<F>(&self, id: ClientId, work: impl FnOnce() -> F) -> Option<watch::Receiver<Option<T>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (tell, done) = watch::channel(None);
        let begun = self.waiting(|waiting| match waiting.get(&id) {
            Some(going_on) => Err(Some(going_on.clone())),
            None if waiting.len() >= MOST => Err(None),
            None => {
                waiting.insert(id, done.clone());
                Ok(())
            }
        });
        if let Err(going_on) = begun {
            return going_on;
        }
        let end = End(Self(Arc::clone(&self.0)), id);
        let work = work();
        tokio::spawn(async move {
            let result = work.await;
            // First, so that who hears of it finds nothing going on.
            drop(end);
            tell.send_replace(Some(result));
        });
        Some(done)
    }

    fn waiting<R>(&self, look: impl FnOnce(&mut Waiting<T>) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The end of some work, also by a panic.
struct End<T: Clone + Send + Sync + 'static>(Joint<T>, ClientId);

impl<T: Clone + Send + Sync + 'static> Drop for End<T> {
    fn drop(&mut self) {
        self.0.waiting(|waiting| waiting.remove(&self.1));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    use super::*;
    use crate::bayeux::RandomId;

    #[tokio::test(start_paused = true)]
    async fn work_is_done_once_and_to_its_end() {
        let joint = Joint::default();
        let id = ClientId(RandomId::from_random([1; 16]));
        let count = Arc::new(AtomicUsize::new(0));
        let work = || {
            let count = Arc::clone(&count);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                count.fetch_add(1, SeqCst) + 1
            }
        };
        let gone = tokio::time::timeout(Duration::from_millis(1), joint.work(id, work)).await;
        assert!(gone.is_err() && joint.has(id));
        joint.settled().await;
        assert_eq!(count.load(SeqCst), 1);
        let _ = tokio::time::timeout(Duration::from_millis(1), joint.work(id, work)).await;
        assert!(joint.has(id));
        assert_eq!(joint.work(id, work).await, Some(2));
        assert!(!joint.has(id));
        assert_eq!(joint.work(id, work).await, Some(3));
    }
}
