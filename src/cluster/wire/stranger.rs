//! Who connects and has not shown yet that it is a node: few of them are kept, and little of what they send is heard.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// How many connections of them may be open.
const MAX: usize = 64;
/// How many bytes are read of each: what comes before the first request of a node, and its head, are less.
const MAX_BYTES: u64 = 16 * 1024;

/// All of them, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    all: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
}

/// One of them; dropped, it is none any more.
#[derive(Debug)]
pub(super) struct Stranger {
    all: Arc<Strangers>,
    number: u64,
    displaced: oneshot::Receiver<()>,
}

impl Strangers {
    /// Lets one in. If there are too many one has to go: of the address that has most, the one that came first.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Stranger {
        let mut entries = self.lock();
        if entries.all.len() >= MAX {
            entries.displace();
        }
        let number = entries.next;
        entries.next += 1;
        let (keep, displaced) = oneshot::channel();
        entries.all.insert(number, (address, keep));
        drop(entries);
        Stranger {
            all: Arc::clone(self),
            number,
            displaced,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn displace(&mut self) {
        let mut counts = HashMap::<IpAddr, usize>::new();
        for (address, _) in self.all.values() {
            *counts.entry(*address).or_default() += 1;
        }
        let most = counts.values().max().copied();
        let mut all = self.all.iter();
        let first = all.find(|(_, (address, _))| counts.get(address).copied() == most);
        if let Some(number) = first.map(|(number, _)| *number) {
            self.all.remove(&number);
        }
    }
}

impl Stranger {
    /// Waits until it has to go.
    pub(super) async fn displaced(&mut self) {
        // The other end is dropped then.
        let _ = (&mut self.displaced).await;
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.all.lock().all.remove(&self.number);
    }
}

/// Whether who has connected has shown that it is a node.
#[derive(Debug, Default)]
pub(super) struct Proven {
    is_so: AtomicBool,
    reader: AtomicWaker,
}

impl Proven {
    /// Notes that it has.
    pub(super) fn note(&self) {
        if !self.is_so.swap(true, SeqCst) {
            self.reader.wake();
        }
    }
}

/// A connection of which little is read until who has connected has shown that it is a node.
#[derive(Debug)]
pub(super) struct Unproven {
    stream: Take<TcpStream>,
    proven: Arc<Proven>,
    is_proven: bool,
}

impl Unproven {
    pub(super) fn new(stream: TcpStream, proven: Arc<Proven>) -> Self {
        Self {
            stream: stream.take(MAX_BYTES),
            proven,
            is_proven: false,
        }
    }

    /// Waits until something may be read.
    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_proven {
            return Poll::Ready(());
        }
        self.proven.reader.register(context.waker());
        if self.proven.is_so.load(SeqCst) {
            self.is_proven = true;
            self.stream.set_limit(u64::MAX);
        }
        if self.stream.limit() > 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl AsyncRead for Unproven {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.poll_heard(context) {
            Poll::Ready(()) => Pin::new(&mut self.stream).poll_read(context, buffer),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Unproven {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream.get_mut()).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream.get_mut()).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_has_most_makes_room() {
        let strangers = Arc::<Strangers>::default();
        let address = |last| IpAddr::from([10, 0, 0, last]);
        let mut node = strangers.enter(address(1));
        let mut crowd: Vec<_> = (1..MAX).map(|_| strangers.enter(address(2))).collect();
        let mut more = vec![strangers.enter(address(3))];
        crowd[0].displaced().await;
        for _ in 0..10 {
            more.push(strangers.enter(address(2)));
        }
        crowd[10].displaced().await;
        assert_eq!(strangers.lock().all.len(), MAX);
        assert!(node.displaced.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        assert!(crowd[11].displaced.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        drop((node, crowd, more));
        assert!(strangers.lock().all.is_empty());
    }
}
