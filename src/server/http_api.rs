//! Messages of application servers that have no session: those of one request, through the extensions that may
//! let them wait.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::FutureExt;

use super::BayeuxServer;
use super::admit::size;
use super::delivering::{Sent, To, deliver};
use super::verdicts::Verdicts;
use super::waits::{Asked, Waits};
use crate::bayeux::{ChannelName, Message};
use crate::cluster::Once;
use crate::extensions::Wait;
use crate::operations::http_api::{self, NotSent};
use crate::operations::{Actor, Denied, Publishing, Scope};
use crate::sequence::{NotSequenced, Sequenced, Sequencing};

/// The messages of one request, while they are sent. They are known by their numbers.
pub struct Sending<'s> {
    server: &'s BayeuxServer,
    actor: Actor<'s>,
    refused: Vec<(usize, Denied)>,
    unsettled: Asked,
    /// What the messages that wait take.
    bytes: usize,
    work: usize,
    /// What the next message is to be published only once under.
    once: Option<Once>,
}

/// A wait of messages for extensions: which of them these refuse. Dropped, it is given up.
#[derive(Debug)]
#[must_use = "the messages go on when it is over"]
pub struct Refusals(Waits);

impl Future for Refusals {
    type Output = Vec<(usize, Denied)>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let verdicts = self.0.poll(context);
        verdicts.map(|verdicts| {
            let refused = verdicts.into_iter();
            refused
                .map(|(index, refusal)| (index, refusal.into()))
                .collect()
        })
    }
}

impl BayeuxServer {
    /// Begins to send the messages of a request.
    #[must_use]
    pub fn sending<'s>(&'s self, actor: Actor<'s>) -> Sending<'s> {
        Sending {
            server: self,
            actor,
            refused: Vec::new(),
            unsettled: Asked::default(),
            bytes: 0,
            work: 0,
            once: None,
        }
    }
}

impl Sending<'_> {
    /// Finds whether messages have to wait before they are sent; mostly they have not.
    ///
    /// To be called within a Tokio runtime.
    pub fn admission<'m>(
        &mut self,
        messages: impl Iterator<Item = (usize, &'m Message<'m>)>,
        now: Instant,
    ) -> Option<Refusals> {
        let core = &self.server.core;
        if !core.shared.extensions.may_wait() {
            return None;
        }
        let info = core.scope(now).info(None, &self.actor);
        let mut asked = Asked::default();
        let mut bytes = 0;
        for (index, message) in messages {
            bytes += size(std::slice::from_ref(message));
            asked.note(index, core.shared.extensions.admit(message, &info));
        }
        self.wait(asked, bytes, now)
    }

    /// Takes what the extensions have said.
    pub fn admitted(&mut self, refused: Vec<(usize, Denied)>) {
        self.refused = refused;
    }

    /// Has the next message published only once, on all nodes of a cluster.
    pub fn once(&mut self, once: Option<Once>) {
        self.once = once;
    }

    /// Publishes a message on a broadcast channel.
    ///
    /// # Errors
    /// An extension refuses it, or there is no memory.
    pub fn publish(
        &mut self,
        index: usize,
        message: &mut Message<'_>,
        channel: &ChannelName,
        now: Instant,
    ) -> Result<Sent, NotSent> {
        let publishing = self.send(index, message, now, |message, actor, scope| {
            http_api::publish(message, channel, actor, scope)
        })?;
        Ok(match publishing {
            Publishing::Done(reached) => Sent::Done(reached),
            Publishing::Local(reached) => Sent::Local(reached),
            Publishing::Pending(sequencing) => {
                Sent::Later(self.sequenced(channel, sequencing).boxed())
            }
        })
    }

    /// Sends a message to sessions.
    ///
    /// # Errors
    /// An extension refuses it, there is no memory, or there is no such session.
    pub fn deliver(
        &mut self,
        to: To<'_>,
        message: &mut Message<'_>,
        channel: &ChannelName,
        now: Instant,
    ) -> Result<Sent, NotSent> {
        let core = &self.server.core;
        self.send(0, message, now, |message, actor, scope| {
            http_api::deliver(message, channel, actor, scope, |event, scope| {
                deliver(core, to, channel, event, scope)
            })
        })
    }

    fn send<T>(
        &mut self,
        index: usize,
        message: &mut Message<'_>,
        now: Instant,
        operation: impl FnOnce(
            &mut Message<'_>,
            &Actor<'_>,
            &Scope<'_>,
        ) -> Result<(T, Vec<Wait>), NotSent>,
    ) -> Result<T, NotSent> {
        if let Some((_, denied)) = self.refused.iter().find(|(refused, _)| *refused == index) {
            return Err(NotSent::Denied(denied.clone()));
        }
        let scope = self.server.core.scope(now);
        scope.once.replace(self.once.take());
        let sent = operation(message, &self.actor, &scope);
        self.work += scope.work.get();
        let (sent, waits) = sent?;
        if !waits.is_empty() {
            self.bytes += size(std::slice::from_ref(message));
        }
        self.unsettled.note(index, waits);
        Ok(sent)
    }

    /// Waits until a message is kept and sent, at most as long as messages may wait; it fails if it could not be
    /// kept, or that takes too long.
    fn sequenced(
        &self,
        channel: &ChannelName,
        sequencing: Sequencing,
    ) -> impl Future<Output = Result<Sequenced, NotSent>> + Send + use<> {
        let max = self.server.waiting.max_wait();
        let channel = channel.clone();
        let unavailable = self.server.core.scope(Instant::now()).unavailable();
        async move {
            let sequenced = tokio::time::timeout(max, sequencing).await;
            match sequenced {
                Ok(Ok(Ok(sequenced))) => Ok(sequenced),
                Ok(Ok(Err(NotSequenced::Reused))) => Err(NotSent::Reused),
                Ok(Ok(Err(_)) | Err(_)) | Err(_) => Err(http_api::not_kept(&channel, unavailable)),
            }
        }
    }

    /// Returns what the receipts have to wait for, if there is something: that what was sent is stored.
    pub fn unsettled(&mut self, now: Instant) -> Option<Refusals> {
        let (asked, bytes) = (std::mem::take(&mut self.unsettled), self.bytes);
        self.wait(asked, bytes, now)
    }

    /// Returns how much was done so far.
    #[must_use]
    pub fn work(&self) -> usize {
        self.work
    }

    fn wait(&self, asked: Asked, bytes: usize, now: Instant) -> Option<Refusals> {
        let waiting = &self.server.waiting;
        (!asked.is_empty()).then(|| Refusals(waiting.enter(asked, Verdicts::default(), bytes, now)))
    }
}
