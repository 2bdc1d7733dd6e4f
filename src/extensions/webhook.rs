//! Asks the webhook about subscribes and publishes before they are done. About handshakes it is asked where
//! it is found who a client is.

use std::borrow::Cow;

use futures_util::TryFutureExt;
use serde_json::value::RawValue;

use super::{Extension, MessageInfo, Refusal, Wait};
use crate::access::Action;
use crate::authentication::webhook::{Asked, Request, Webhook};
use crate::bayeux::{ChannelKind, ChannelName, ChannelPattern, Limits, Message, meta, text};

/// The webhook as an extension.
#[derive(Debug)]
pub struct AskingWebhook(Webhook);

impl AskingWebhook {
    /// Makes one, if there is a webhook that decides about subscribes or publishes.
    #[must_use]
    pub fn boxed(webhook: Option<&Webhook>) -> Option<Box<dyn Extension>> {
        let decides = |webhook: &&Webhook| {
            [Action::Subscribe, Action::Publish]
                .iter()
                .any(|action| webhook.decides(*action))
        };
        let webhook = webhook.filter(decides)?;
        Some(Box::new(Self(webhook.clone())))
    }
}

impl Extension for AskingWebhook {
    fn may_wait(&self) -> bool {
        true
    }

    fn admit(&self, message: &Message<'_>, info: &MessageInfo) -> Option<Wait> {
        // That is about clients.
        if info.is_backend {
            return None;
        }
        let (action, channels) = asked(message, self.0.limits())?;
        if !self.0.decides(action) {
            return None;
        }
        let asked = self.0.ask(Request {
            action,
            channels: &channels,
            data: message.data.as_deref(),
            ext: message.ext.as_deref(),
            identity: info.identity.as_deref(),
            shown: info.shown.as_deref(),
            address: info.address,
        });
        match asked {
            Asked::Answered(Ok(())) => None,
            Asked::Answered(Err(fault)) => Some(Box::pin(std::future::ready(Err(fault.into())))),
            Asked::Pending(answer) => Some(Box::pin(answer.map_err(Refusal::from))),
        }
    }
}

/// Finds what a message asks for, channels as they are when it is done; nothing if that is nothing, or
/// nothing that can succeed.
fn asked(message: &Message<'_>, limits: &Limits) -> Option<(Action, Vec<String>)> {
    if message.is_on(meta::SUBSCRIBE) {
        let texts = texts(message.subscription?)?;
        let patterns = texts.iter().map(|text| ChannelPattern::parse(text, limits));
        let patterns: Vec<ChannelPattern> = patterns.collect::<Result<_, _>>().ok()?;
        let channels = patterns.iter().map(|pattern| pattern.as_str().to_owned());
        return (!patterns.is_empty()).then_some((Action::Subscribe, channels.collect()));
    }
    if message.meta.is_some() {
        return None;
    }
    let channel = ChannelName::parse(&message.channel_text()?, limits).ok()?;
    let is_meta = channel.kind() == ChannelKind::Meta;
    (!is_meta).then(|| (Action::Publish, vec![channel.as_str().to_owned()]))
}

/// Reads a text, or a list of texts.
fn texts(raw: &RawValue) -> Option<Vec<Cow<'_, str>>> {
    if raw.get().starts_with('"') {
        return text(raw).map(|text| vec![text]);
    }
    let elements: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    elements.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_succeed_is_asked_about() {
        let subscribe = |channels: &[&str]| {
            let channels = channels.iter().map(|&channel| channel.to_owned());
            Some((Action::Subscribe, channels.collect()))
        };
        let publish = |channel: &str| Some((Action::Publish, vec![channel.to_owned()]));
        let cases = [
            (
                r#"{"channel":"/meta/subscribe","subscription":"/a"}"#,
                subscribe(&["/a"]),
            ),
            (
                r#"{"channel":"/meta/subscribe","subscription":["/a","/b/**"]}"#,
                subscribe(&["/a", "/b/**"]),
            ),
            (
                r#"{"channel":"\/meta\/subscribe","subscription":"\/a"}"#,
                subscribe(&["/a"]),
            ),
            (r#"{"channel":"/meta/subscribe","subscription":[]}"#, None),
            (r#"{"channel":"/meta/subscribe","subscription":7}"#, None),
            (r#"{"channel":"/meta/subscribe"}"#, None),
            (
                r#"{"channel":"/meta/unsubscribe","subscription":"/a"}"#,
                None,
            ),
            (r#"{"channel":"/meta/connect"}"#, None),
            (r#"{"channel":"/meta/other"}"#, None),
            (r#"{"channel":"/a","data":1}"#, publish("/a")),
            (
                r#"{"channel":"/service/a","data":1}"#,
                publish("/service/a"),
            ),
            (r#"{"channel":"/metal","data":1}"#, publish("/metal")),
            (r#"{"channel":"/a/","data":1}"#, publish("/a")),
            (r#"{"channel":"a","data":1}"#, None),
            (r#"{"channel":"/a/*","data":1}"#, None),
            (
                r#"{"channel":"/meta/subscribe","subscription":"/a/**/"}"#,
                subscribe(&["/a/**"]),
            ),
            (
                r#"{"channel":"/meta/subscribe","subscription":["/a","b"]}"#,
                None,
            ),
            (r#"{"data":1}"#, None),
        ];
        for (text, expected) in cases {
            let message: Message<'_> = serde_json::from_str(text).expect(text);
            assert_eq!(asked(&message, &Limits::default()), expected, "{text}");
        }
    }
}
