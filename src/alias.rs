//! What a session is called in the hearing of others than its client.
//!
//! Who knows a client id may use its session. Its alias is the client id encrypted with a key of the process: it
//! tells nothing, is always the same, and nothing has to be kept to find the session of one. The key goes with the
//! sessions to the next process, if they do.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use aws_lc_rs::cipher::{
    AES_128, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;

use crate::bayeux::{ClientId, NotAnId, RandomId};

/// The name of a session that others may hear.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias(RandomId);

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Alias {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Alias {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Alias {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        text.parse().map(Self)
    }
}

/// The way from client ids to aliases, and back; of a random key, unless it is given one before the first is
/// asked for.
#[derive(Default)]
pub struct Aliases(OnceLock<Keys>);

struct Keys {
    key: [u8; 16],
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
}

impl Keys {
    fn new(key: [u8; 16]) -> Self {
        // Blocks are encrypted one by one: each is random, and there is only one of each.
        let keys = || -> Result<Self, Unspecified> {
            Ok(Self {
                key,
                encrypting: EncryptingKey::ecb(UnboundCipherKey::new(&AES_128, &key)?)?,
                decrypting: DecryptingKey::ecb(UnboundCipherKey::new(&AES_128, &key)?)?,
            })
        };
        keys().expect("a key of 128 bits is one of AES-128")
    }

    fn random() -> Self {
        let mut key = [0; 16];
        getrandom::fill(&mut key).expect("the operating system gives random bytes");
        Self::new(key)
    }
}

impl Aliases {
    fn keys(&self) -> &Keys {
        self.0.get_or_init(Keys::random)
    }

    /// Returns the key, which others may not know.
    #[must_use]
    pub fn key(&self) -> RandomId {
        RandomId::from_random(self.keys().key)
    }

    /// Goes on with the key of another process; does nothing if there is a key already.
    pub fn go_on(&self, key: RandomId) {
        self.0.get_or_init(|| Keys::new(key.to_bytes()));
    }

    /// Returns the alias of a session.
    #[must_use]
    pub fn of(&self, id: ClientId) -> Alias {
        let mut block = id.0.to_bytes();
        let encrypted = self.keys().encrypting.encrypt(&mut block);
        encrypted.expect("a block is encrypted");
        Alias(RandomId::from_random(block))
    }

    /// Returns the client id of the session that would have this alias.
    #[must_use]
    pub fn client(&self, alias: Alias) -> ClientId {
        let mut block = alias.0.to_bytes();
        let decrypting = &self.keys().decrypting;
        let decrypted = decrypting.decrypt(&mut block, DecryptionContext::None);
        decrypted.expect("a block is decrypted");
        ClientId(RandomId::from_random(block))
    }
}

impl fmt::Debug for Aliases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aliases")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_leads_back_to_its_session_with_the_same_key_only() {
        let (aliases, next) = (Aliases::default(), Aliases::default());
        next.go_on(aliases.key());
        next.go_on(RandomId::from_random([2; 16]));
        let others = Aliases::default();
        for byte in 0..=u8::MAX {
            let id = ClientId(RandomId::from_random([byte; 16]));
            let alias = aliases.of(id);
            assert_ne!(alias.0, id.0);
            assert_eq!(aliases.client(alias), id);
            assert_eq!(next.of(id), alias);
            assert_eq!(alias.to_string().parse(), Ok(alias));
            assert_ne!(others.client(alias), id);
        }
    }

    #[test]
    fn it_is_shown_whole_and_its_key_is_not() {
        let aliases = Aliases::default();
        let alias = aliases.of(ClientId(RandomId::from_random([7; 16])));
        assert_eq!(format!("{alias:?}"), alias.to_string());
        assert_eq!(alias.to_string().len(), 22);
        assert_eq!(format!("{aliases:?}"), "Aliases");
        assert_eq!("x".parse::<Alias>(), Err(NotAnId));
    }
}
