//! What became of the messages of a batch before it is processed.

use std::collections::VecDeque;

use crate::authentication::Known;
use crate::extensions::Refusal;
use crate::operations::{Extra, Who};

/// What a verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The request that a batch came by: what its head shows.
    Request,
    /// All its messages: their session, which was not here.
    Session,
    /// A message, by its index in the batch.
    Message(usize),
}

/// What became of the messages of a batch that had to wait or show who their client is: those that are not
/// named may go on. Mostly there is nothing to say: then it is one word.
#[derive(Debug, Default)]
pub struct Verdicts(Option<Box<Reached>>);

#[derive(Debug, Default)]
struct Reached {
    /// The messages have been counted.
    is_paced: bool,
    /// What the request's head and the messages show has been checked.
    is_identified: bool,
    /// The extensions have been asked too.
    is_complete: bool,
    /// The session was fetched.
    is_fetched: bool,
    /// Why the session is not here, although it may be elsewhere.
    absent: Option<Refusal>,
    /// Whom the request's head shows, or why nobody knows.
    request: Option<Result<Known, Refusal>>,
    /// Whom messages show.
    known: Vec<(usize, Known)>,
    /// Those that are refused, in the order of the messages.
    refused: VecDeque<(usize, Refusal)>,
    /// What replies tell besides, by their messages.
    extras: Vec<(usize, Extra)>,
}

impl Verdicts {
    /// Notes a refusal.
    pub(super) fn refuse(&mut self, place: Place, refusal: Refusal) {
        let reached = self.0.get_or_insert_default();
        match place {
            Place::Request => reached.request = Some(Err(refusal)),
            Place::Session => reached.absent = Some(refusal),
            Place::Message(index) => {
                let refused = &mut reached.refused;
                let at = refused.partition_point(|(other, _)| *other <= index);
                refused.insert(at, (index, refusal));
            }
        }
    }

    /// Notes who a client is.
    pub(super) fn know(&mut self, place: Place, known: Known) {
        let reached = self.0.get_or_insert_default();
        match place {
            Place::Request | Place::Session => reached.request = Some(Ok(known)),
            Place::Message(index) => reached.known.push((index, known)),
        }
    }

    /// Notes what a reply is to tell.
    pub(super) fn add(&mut self, place: Place, extra: Extra) {
        if let Place::Message(index) = place {
            let reached = self.0.get_or_insert_default();
            reached.extras.push((index, extra));
        }
    }

    /// Takes what replies are to tell.
    pub(super) fn take_extras(&mut self) -> Vec<(usize, Extra)> {
        let reached = self.0.as_mut();
        reached.map_or_else(Vec::new, |reached| std::mem::take(&mut reached.extras))
    }

    /// Notes that the session was looked for elsewhere.
    pub(super) fn set_fetched(&mut self) {
        self.0.get_or_insert_default().is_fetched = true;
    }

    pub(super) fn are_fetched(&self) -> bool {
        self.0.as_ref().is_some_and(|reached| reached.is_fetched)
    }

    /// Tells whether the session cannot be had now.
    pub(super) fn is_absent(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|reached| reached.absent.is_some())
    }

    /// Tells whether a message is refused already.
    pub(super) fn is_refused(&self, index: usize) -> bool {
        if self.is_absent() {
            return true;
        }
        let mut refused = self.0.iter().flat_map(|reached| &reached.refused);
        refused.any(|(other, _)| *other == index)
    }

    /// Notes that the messages have been counted.
    pub(super) fn set_paced(&mut self) {
        self.0.get_or_insert_default().is_paced = true;
    }

    pub(super) fn are_paced(&self) -> bool {
        self.0.as_ref().is_some_and(|reached| reached.is_paced)
    }

    /// Notes that all is checked that the request and the messages show.
    pub(super) fn set_identified(&mut self) {
        self.0.get_or_insert_default().is_identified = true;
    }

    pub(super) fn are_identified(&self) -> bool {
        self.0.as_ref().is_some_and(|reached| reached.is_identified)
    }

    /// Notes that all have been asked.
    pub(super) fn set_complete(&mut self) {
        let reached = self.0.get_or_insert_default();
        (reached.is_identified, reached.is_complete) = (true, true);
    }

    pub(super) fn are_complete(&self) -> bool {
        self.0.as_ref().is_some_and(|reached| reached.is_complete)
    }

    /// Returns who sends a message: whom it shows itself, or the head of its request.
    pub(super) fn who(&self, index: usize) -> Who<'_> {
        let Some(reached) = &self.0 else {
            return Who::Anonymous;
        };
        let mut known = reached.known.iter();
        match known.find(|(other, _)| *other == index) {
            Some((_, known)) => Who::Known(known),
            None => reached.request.as_ref().map(Result::as_ref).into(),
        }
    }

    /// Takes whom the request's head shows, or why nobody knows.
    pub(super) fn take_request(&mut self) -> Option<Result<Known, Refusal>> {
        self.0.as_mut()?.request.take()
    }

    /// Returns the first refusal, for a request that is served only if all its messages may go on, and whom
    /// its head shows.
    pub(super) fn into_parts(mut self) -> (Result<(), Refusal>, Option<Result<Known, Refusal>>) {
        let request = self.take_request();
        (self.into_result(), request)
    }

    /// Takes that on a message; they are asked for in order.
    pub(super) fn take(&mut self, index: usize) -> Result<(), Refusal> {
        let Some(reached) = &mut self.0 else {
            return Ok(());
        };
        if let Some(absent) = &reached.absent {
            return Err(absent.clone());
        }
        let refused = &mut reached.refused;
        match refused.front() {
            Some((at, _)) if *at == index => refused.pop_front().map_or(Ok(()), |it| Err(it.1)),
            _ => Ok(()),
        }
    }

    /// Takes whom a message shows.
    pub(super) fn take_known(&mut self, index: usize) -> Option<Known> {
        let known = &mut self.0.as_mut()?.known;
        let at = known.iter().position(|(other, _)| *other == index)?;
        Some(known.swap_remove(at).1)
    }

    /// Returns the first refusal, for a request that is served only if all its messages may go on.
    ///
    /// # Errors
    /// One of them is refused.
    pub(super) fn into_result(mut self) -> Result<(), Refusal> {
        if let Some(absent) = self.0.as_mut().and_then(|reached| reached.absent.take()) {
            return Err(absent);
        }
        self.into_iter().next().map_or(Ok(()), |it| Err(it.1))
    }
}

impl IntoIterator for Verdicts {
    type Item = (usize, Refusal);
    type IntoIter = std::collections::vec_deque::IntoIter<(usize, Refusal)>;

    /// Goes through the refusals, in the order of the messages.
    fn into_iter(self) -> Self::IntoIter {
        let refused = self.0.map(|reached| reached.refused);
        refused.unwrap_or_default().into_iter()
    }
}
