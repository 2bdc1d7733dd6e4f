//! The order in which extensions are asked, and what they can do.

use std::sync::Mutex;

use super::*;
use crate::bayeux::{ChannelName, Limits, RandomId};

/// Notes that it was asked; refuses, or keeps an event back, if that names it.
#[derive(Debug)]
struct Noting {
    name: &'static str,
    asked: Arc<Mutex<Vec<&'static str>>>,
}

impl Noting {
    fn note(&self) {
        self.asked.lock().expect("no panic").push(self.name);
    }
}

impl Extension for Noting {
    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        self.note();
        if message.extension(self.name).is_some() {
            return Err(Refusal::Failed(self.name.into()));
        }
        Ok(())
    }

    fn reply(&self, _: &mut Reply<'_>, _: &Message<'_>, _: &MessageInfo) {
        self.note();
    }

    fn publish(&self, event: &mut Draft<'_>, _: SystemTime) {
        self.note();
        event.set("by", &format!("\"{}\"", self.name));
    }

    fn sees_deliveries(&self) -> bool {
        true
    }

    fn deliver(&self, event: Arc<Event>, _: ClientId, _: Instant) -> Option<Arc<Event>> {
        self.note();
        (self.name != "b").then_some(event)
    }
}

fn info() -> MessageInfo {
    MessageInfo {
        identity: None,
        shown: None,
        client_id: None,
        address: None,
        is_backend: false,
        at: Instant::now(),
        clocks: || (Instant::now(), SystemTime::UNIX_EPOCH),
    }
}

fn message(text: &str) -> Message<'_> {
    serde_json::from_str(text).expect("a message")
}

#[test]
fn what_comes_in_goes_down_the_row_and_what_goes_out_up() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let row = ["a", "b", "c"].map(|name| -> Box<dyn Extension> {
        let asked = Arc::clone(&asked);
        Box::new(Noting { name, asked })
    });
    let row = Pipeline::from(Vec::from(row));
    let took = || std::mem::take(&mut *asked.lock().expect("no panic"));

    let mut plain = message(r#"{"channel":"/x","data":1}"#);
    assert_eq!(row.incoming(&mut plain, &info()), Ok(()));
    assert_eq!(took(), ["a", "b", "c"]);

    let mut refused = message(r#"{"channel":"/x","ext":{"b":1}}"#);
    let refusal = Refusal::Failed("b".into());
    assert_eq!(row.incoming(&mut refused, &info()), Err(refusal));
    assert_eq!(took(), ["a", "b"]);

    row.reply(&mut Reply::to(&plain), &plain, &info());
    assert_eq!(took(), ["c", "b", "a"]);

    let channel = ChannelName::parse("/x", &Limits::default()).expect("a channel");
    let mut draft = Draft::new(&channel, serde_json::value::RawValue::TRUE);
    row.publish(&mut draft, || SystemTime::UNIX_EPOCH);
    assert_eq!(took(), ["c", "b", "a"]);
    let event = Arc::new(draft.encode());
    assert_eq!(
        event.json().as_ref(),
        br#"{"channel":"/x","data":true,"by":"a"}"#
    );

    let to = ClientId(RandomId::from_random([1; 16]));
    assert!(row.deliver(event, to, Instant::now()).is_none());
    assert_eq!(
        took(),
        ["c", "b"],
        "the rest does not see what is kept back"
    );
}

#[test]
fn a_message_came_in_before_now() {
    let info = info();
    let (received, ago) = info.received();
    assert_eq!(received + ago, info.now());
}
