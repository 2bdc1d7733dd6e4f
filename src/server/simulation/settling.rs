//! Batches of the simulation whose replies wait: a publish that is stored first, alone or with a connect.

use super::tools::context;
use super::*;
use crate::extensions::{Extension, MessageInfo, Wait};

/// Lets the reply to a message wait that says so, for as long as it is not looked at.
#[derive(Debug)]
pub(super) struct Storing;

impl Extension for Storing {
    fn may_wait(&self) -> bool {
        true
    }

    fn settle(&self, message: &Message<'_>, _: &MessageInfo) -> Option<Wait> {
        message.extension("store")?;
        Some(Box::pin(std::future::ready(Ok(()))))
    }
}

/// Replies that wait.
pub(super) struct Unsettled {
    settlement: Box<Settlement>,
    /// Whether one is to a connect.
    connects: bool,
}

impl World {
    /// A client publishes what is stored before its reply leaves, and may connect with it. What waits
    /// from before is over, or is given up.
    pub(super) fn publish_stored(&mut self, client: usize) {
        self.conclude(client);
        if !self.is_alive(client) {
            return;
        }
        let (channel, number) = self.next_event();
        let id = &self.clients[client].id;
        let mut text = format!(
            r#"[{{"channel":"/{channel}","clientId":"{id}","data":{number},"ext":{{"store":1}}}}"#
        );
        let connects = self.dice.is(60);
        if connects {
            text = format!("{text},{}", self.connect_text(client));
        }
        text.push(']');
        let before = self.alive();
        let mut batch: Vec<Message<'_>> = serde_json::from_str(&text).expect("a batch");
        let outcome = self.server.process(&mut batch, request(), self.now);
        assert!(outcome.replies.is_empty() && outcome.events.is_empty());
        self.promise(channel, number, &before);
        if connects {
            self.give_up_connects(client);
        }
        self.clients[client].unsettled = outcome.unsettled.map(|settlement| Unsettled {
            settlement,
            connects,
        });
    }

    /// The replies leave, and arrive or not; or their client is gone.
    pub(super) fn conclude(&mut self, client: usize) {
        let Some(mut unsettled) = self.clients[client].unsettled.take() else {
            return;
        };
        if self.dice.is(15) {
            return;
        }
        let settlement = std::pin::Pin::new(&mut unsettled.settlement);
        let Poll::Ready(settled) = settlement.poll(&mut context()) else {
            panic!("{}: what is over is waited for", self.seed);
        };
        let outcome = self.server.conclude(settled, &|| false, None, self.now);
        let number = number(&written(outcome.replies.last().expect("a reply")));
        let taken = Taken {
            events: outcome.events,
            in_flight: outcome.in_flight,
            ..Taken::default()
        };
        if unsettled.connects {
            self.reply(client, taken, number);
        } else {
            let fate = self.fate();
            self.receive(client, taken, None, fate);
        }
    }
}
