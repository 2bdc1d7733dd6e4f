//! What checks what clients show, by what that is.

use core::net::IpAddr;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::value::RawValue;

use super::api_keys::{self, ApiKeys, NotValid};
use super::passwords::Passwords;
use super::token::Tokens;
use super::webhook::Webhook;
use super::{Check, Fault, Known, Shown};
use crate::access::Action;
use crate::bayeux::{AUTHENTICATION, BayeuxError, Message, fields, text};

/// What checks what clients show; without anything to check by it is off, and everybody is anonymous.
#[derive(Debug, Default)]
pub struct Authenticator {
    keys: ApiKeys,
    tokens: Option<Tokens>,
    passwords: Option<Passwords>,
    /// Who decides about handshakes instead.
    webhook: Option<Webhook>,
}

/// What a message shows.
#[derive(Debug, PartialEq, Eq)]
enum Credentials<'a> {
    Token(Cow<'a, str>),
    Password(Cow<'a, str>, Cow<'a, str>),
}

impl Authenticator {
    /// Makes one that checks keys if there are any, tokens if there are issuers, and passwords if there are
    /// users, and asks the webhook if that decides about handshakes.
    #[must_use]
    pub fn new(
        keys: ApiKeys,
        tokens: Tokens,
        passwords: Passwords,
        webhook: Option<Webhook>,
    ) -> Self {
        Self {
            keys,
            webhook: webhook.filter(|webhook| webhook.decides(Action::Handshake)),
            tokens: (!tokens.is_empty()).then_some(tokens),
            passwords: (!passwords.is_empty()).then_some(passwords),
        }
    }

    /// Tells whether there is anything to check by.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.keys.is_empty()
            || self.tokens.is_some()
            || self.passwords.is_some()
            || self.webhook.is_some()
    }

    /// Goes on with what another one has found out: keys that were fetched, and who was wrong too often.
    #[must_use]
    pub fn going_on_from(mut self, before: &Self) -> Self {
        if let (Some(tokens), Some(before)) = (&self.tokens, &before.tokens) {
            tokens.go_on_from(before);
        }
        if let (Some(passwords), Some(before)) = (&mut self.passwords, &before.passwords) {
            passwords.go_on_from(before);
        }
        self
    }

    /// Fetches the keys of issuers in the background, within a Tokio runtime.
    pub fn prepare(&self) {
        if let Some(tokens) = &self.tokens {
            tokens.fetch_keys();
        }
    }

    /// Checks what a handshake shows, or if it shows nothing the head of its request; nothing if neither
    /// does. If the webhook decides, it is asked instead, whatever is shown but a key: that is told to nobody.
    /// `address` is its client's.
    #[must_use]
    pub fn handshake(
        &self,
        message: &Message<'_>,
        shown: Option<&Shown>,
        address: Option<IpAddr>,
    ) -> Option<Check> {
        let credentials = credentials(message);
        if let Some(check) = self.key_of(credentials.as_ref(), shown) {
            return Some(check);
        }
        if let Some(webhook) = &self.webhook {
            return Some(webhook.handshake(message, shown, address));
        }
        match credentials {
            None => self.request(shown?),
            Some(Ok(Credentials::Token(token))) => Some(self.token(&token)),
            Some(Ok(Credentials::Password(user, password))) => Some(match &self.passwords {
                Some(passwords) => passwords.check(&user, &password, address),
                None => Fault::from(BayeuxError::PasswordInvalid).into(),
            }),
            Some(Err(error)) => Some(Fault::from(error).into()),
        }
    }

    /// Returns what a later message of a session shows, as it is; nothing if it shows nothing that counts.
    #[must_use]
    pub fn shown_by<'m>(&self, message: &'m Message<'_>) -> Option<&'m str> {
        self.tokens.as_ref()?;
        Some(message.extension(AUTHENTICATION)?.get())
    }

    /// Checks the token that a later message of a session shows; nothing if it shows none. A password counts
    /// in handshakes only.
    #[must_use]
    pub fn message(&self, message: &Message<'_>) -> Option<Check> {
        self.tokens.as_ref()?;
        match credentials(message)? {
            Ok(Credentials::Token(token)) => Some(self.token(&token)),
            Ok(Credentials::Password(..)) => None,
            Err(error) => Some(Fault::from(error).into()),
        }
    }

    /// Checks the token that the head of a request shows; nothing if it shows none.
    #[must_use]
    pub fn request(&self, shown: &Shown) -> Option<Check> {
        shown.token.as_deref().map(|token| self.token(token))
    }

    /// Checks the key that a handshake shows, or if it shows nothing the head of its request.
    fn key_of(
        &self,
        credentials: Option<&Result<Credentials<'_>, BayeuxError>>,
        shown: Option<&Shown>,
    ) -> Option<Check> {
        if self.keys.is_empty() {
            return None;
        }
        match credentials {
            None => self.key(shown?.token.as_deref()?),
            Some(Ok(Credentials::Token(token))) => self.key(token),
            Some(Ok(Credentials::Password(..)) | Err(_)) => None,
        }
    }

    /// Checks a key; nothing if it is none, or at least does not look like one.
    fn key(&self, shown: &str) -> Option<Check> {
        match self.keys.find(shown, SystemTime::now()) {
            Ok(key) => Some(Check::Done(Ok(Known {
                identity: Arc::clone(&key.rights.identity),
                ext: Vec::new(),
            }))),
            Err(NotValid::Expired) => Some(Fault::from(BayeuxError::TokenExpired).into()),
            Err(NotValid::Unknown) if self.keys.is_empty() => None,
            Err(NotValid::Unknown) => shown
                .starts_with(api_keys::PREFIX)
                .then(|| Fault::from(BayeuxError::KeyUnknown).into()),
        }
    }

    fn token(&self, token: &str) -> Check {
        if let Some(check) = self.key(token) {
            return check;
        }
        match &self.tokens {
            Some(tokens) => tokens.check(token, SystemTime::now()),
            None => Fault::from(BayeuxError::TokenIssuerUnknown).into(),
        }
    }
}

/// Reads what a message shows; nothing if it shows nothing.
fn credentials<'a>(message: &'a Message<'_>) -> Option<Result<Credentials<'a>, BayeuxError>> {
    let shown = message.extension(AUTHENTICATION)?;
    Some(read(shown).ok_or(BayeuxError::CredentialsMalformed))
}

fn read(shown: &RawValue) -> Option<Credentials<'_>> {
    match fields(shown, ["token", "user", "password"])? {
        [Some(token), ..] => text(token).map(Credentials::Token),
        [None, Some(user), Some(password)] => {
            Some(Credentials::Password(text(user)?, text(password)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_a_token_or_a_user_and_a_password() {
        let token = |text: &'static str| Some(Ok(Credentials::Token(text.into())));
        let malformed = || Some(Err(BayeuxError::CredentialsMalformed));
        let cases = [
            ("{}", None),
            (r#"{"ext":{}}"#, None),
            (r#"{"ext":7}"#, None),
            (r#"{"ext":{"authentication":null}}"#, None),
            (
                r#"{"ext":{"authentication":{"token":"a.b.c"}}}"#,
                token("a.b.c"),
            ),
            (
                r#"{"ext":{"authentication":{"token":"a\u002eb","user":7}}}"#,
                token("a.b"),
            ),
            (
                r#"{"ext":{"authentication":{"user":"u","password":"p","x":1}}}"#,
                Some(Ok(Credentials::Password("u".into(), "p".into()))),
            ),
            (r#"{"ext":{"authentication":{"user":"u"}}}"#, malformed()),
            (
                r#"{"ext":{"authentication":{"user":"u","password":7}}}"#,
                malformed(),
            ),
            (r#"{"ext":{"authentication":{"token":7}}}"#, malformed()),
            (
                r#"{"ext":{"authentication":{"token":"\ud800"}}}"#,
                malformed(),
            ),
            (r#"{"ext":{"authentication":{}}}"#, malformed()),
            (r#"{"ext":{"authentication":"a.b.c"}}"#, malformed()),
        ];
        for (text, expected) in cases {
            let message: Message<'_> = serde_json::from_str(text).expect("a message");
            assert_eq!(credentials(&message), expected, "{text}");
        }
    }
}
