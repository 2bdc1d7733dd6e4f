//! A server with an extension and a service of its own.
//!
//! `cargo run --example extension`. The extension lets in who says a name in the handshake, and puts
//! the name on all that they publish; the service tells the time:
//!
//! ```sh
//! curl http://127.0.0.1:8080/cometd -d '{"channel":"/meta/handshake","version":"1.0",
//!   "ext":{"name":"Turold"}}'
//! ```

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mirant::bayeux::{ChannelPattern, Limits, Message};
use mirant::config::Config;
use mirant::extensions::{Begun, Extension, MessageInfo, Refusal};
use mirant::run::{Additions, StartError, bind_with};
use mirant::services::{Call, Handler};
use serde_json::value::{RawValue, to_raw_value};

/// Asks every client for its name.
#[derive(Debug)]
struct Names;

impl Extension for Names {
    fn begin(&self, handshake: &Message<'_>, begun: &mut Begun) {
        let name = name(handshake).unwrap_or(RawValue::NULL).to_owned();
        begun.extensions.push(Box::new(Signature { name }));
        // Who has a name may be away for a minute.
        begun.max_interval = Some(Duration::from_secs(60));
    }

    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        let is_handshake = message.channel_text().as_deref() == Some("/meta/handshake");
        if is_handshake && name(message).is_none() {
            return Err(Refusal::Failed("403::say_your_name".into()));
        }
        Ok(())
    }
}

fn name<'m>(handshake: &'m Message<'_>) -> Option<&'m RawValue> {
    let name = handshake.extension("name")?;
    name.get().starts_with('"').then_some(name)
}

/// Puts one client's name on what it publishes.
#[derive(Debug)]
struct Signature {
    name: Box<RawValue>,
}

impl Extension for Signature {
    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        message.custom.retain(|(name, _)| name != "from");
        if message.data.is_some() {
            let from = std::borrow::Cow::Owned(self.name.clone());
            message.custom.push(("from".into(), from));
        }
        Ok(())
    }
}

/// Tells the time, in seconds.
#[derive(Debug)]
struct Clock;

impl Handler for Clock {
    fn handle(&self, call: Call) -> Result<(), Call> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        match now.map(|now| to_raw_value(&now.as_secs())) {
            Ok(Ok(seconds)) => call.reply(&seconds),
            _ => call.fail(RawValue::NULL),
        };
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let pattern = ChannelPattern::parse("/service/time", &Limits::default());
    let additions = Additions {
        extensions: vec![Box::new(Names)],
        handlers: vec![(pattern.expect("a channel"), Arc::new(Clock))],
    };
    let bound = bind_with(Config::default(), false, additions)?;
    for address in bound.addresses() {
        println!("{}", address.url("/cometd"));
    }
    bound
        .run(async {
            // Without signals to wait for it would run for ever.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
