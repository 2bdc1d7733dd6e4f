//! Tokens that are made here: for trying out, and for programs that have no identity provider.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Header, encode};
use serde_json::{Map, Value, json};

use super::Tokens;
use super::claims::Wanted;

/// What a token is to say.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The name of the user.
    pub user: String,
    /// The roles.
    pub roles: Vec<String>,
    /// Further claims.
    pub claims: Vec<(String, String)>,
    /// Channels that it allows to subscribe to.
    pub subscribe: Vec<String>,
    /// Channels that it allows to publish on.
    pub publish: Vec<String>,
    /// How long it is valid; nothing: for ever.
    pub valid: Option<Duration>,
}

impl Tokens {
    /// Makes a token of the issuer of this name; without one, of the first that can.
    ///
    /// # Errors
    /// No issuer has that name, or none has what signs.
    pub fn create(
        &self,
        iss: Option<&str>,
        wish: &Wish,
        now: SystemTime,
    ) -> Result<String, String> {
        let issuers = self.0.issuers.iter();
        let mut named = issuers
            .filter(|issuer| iss.is_none() || issuer.iss.as_deref() == iss)
            .peekable();
        if let (Some(iss), None) = (iss, named.peek()) {
            return Err(format!("no [[issuer]] has iss = {}", json!(iss)));
        }
        let found = named.find_map(|issuer| Some((issuer, issuer.signer()?)));
        let (issuer, (key, algorithm, kid)) = found.ok_or(
            "only public keys are known here, and those sign nothing: ask the issuer for a token, \
             or add an [[issuer]] with a secret or a private_key",
        )?;
        let mut header = Header::new(algorithm);
        header.kid = kid;
        let mut claims = issuer.wanted.claims(wish, now);
        if let Some(iss) = &issuer.iss {
            claims.insert("iss".to_owned(), json!(iss));
        }
        encode(&header, &claims, key).map_err(|error| format!("the key does not sign: {error}"))
    }
}

impl Wanted {
    /// Returns the claims by which somebody is found again who is wished for.
    fn claims(&self, wish: &Wish, now: SystemTime) -> Map<String, Value> {
        let seconds = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            json!(since.as_secs())
        };
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        for (name, value) in &wish.claims {
            put(name, json!(value));
        }
        put("iat", seconds(now));
        if let Some(valid) = wish.valid {
            put("exp", seconds(now + valid));
        }
        if let [aud, ..] = &self.aud[..] {
            put("aud", json!(aud));
        }
        put(&self.user, json!(wish.user));
        if !wish.roles.is_empty() {
            put(&self.roles, json!(wish.roles));
        }
        let mut channels = Map::new();
        for (action, granted) in [("subscribe", &wish.subscribe), ("publish", &wish.publish)] {
            if !granted.is_empty() {
                channels.insert(action.to_owned(), json!(granted));
            }
        }
        if !channels.is_empty() && !self.channels.is_empty() {
            put(&self.channels, Value::Object(channels));
        }
        claims
    }
}
