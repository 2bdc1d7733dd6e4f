//! What a session is called in the hearing of others than its client.
//!
//! Who knows a client id may use its session. Its alias is the client id encrypted with a key of the process: it
//! tells nothing, is always the same, and nothing has to be kept to find the session of one.

use std::fmt;
use std::str::FromStr;

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

impl FromStr for Alias {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        text.parse().map(Self)
    }
}

/// The way from client ids to aliases, and back.
pub struct Aliases {
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
}

impl Aliases {
    /// Makes the aliases of a key.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        // Blocks are encrypted one by one: each is random, and there is only one of each.
        let keys = || -> Result<Self, Unspecified> {
            Ok(Self {
                encrypting: EncryptingKey::ecb(UnboundCipherKey::new(&AES_128, &key)?)?,
                decrypting: DecryptingKey::ecb(UnboundCipherKey::new(&AES_128, &key)?)?,
            })
        };
        keys().expect("a key of 128 bits is one of AES-128")
    }

    /// Returns the alias of a session.
    #[must_use]
    pub fn of(&self, id: ClientId) -> Alias {
        let mut block = id.0.to_bytes();
        let encrypted = self.encrypting.encrypt(&mut block);
        encrypted.expect("a block is encrypted");
        Alias(RandomId::from_random(block))
    }

    /// Returns the client id of the session that would have this alias.
    #[must_use]
    pub fn client(&self, alias: Alias) -> ClientId {
        let mut block = alias.0.to_bytes();
        let decrypted = self.decrypting.decrypt(&mut block, DecryptionContext::None);
        decrypted.expect("a block is decrypted");
        ClientId(RandomId::from_random(block))
    }
}

impl Default for Aliases {
    /// Makes the aliases of a random key.
    fn default() -> Self {
        let mut key = [0; 16];
        getrandom::fill(&mut key).expect("the operating system gives random bytes");
        Self::new(key)
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
        let (aliases, others) = (Aliases::new([1; 16]), Aliases::new([2; 16]));
        for byte in 0..=u8::MAX {
            let id = ClientId(RandomId::from_random([byte; 16]));
            let alias = aliases.of(id);
            assert_ne!(alias.0, id.0);
            assert_eq!(aliases.client(alias), id);
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
