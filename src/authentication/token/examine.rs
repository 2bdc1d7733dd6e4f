//! A token looked at by whoever wants to know why it is accepted or not.

use serde_json::{Map, Value};

use super::Tokens;
use super::parse::Token;
use crate::authentication::Fault;

/// What is in a token, genuine or not.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The algorithm that it names.
    pub algorithm: String,
    /// The name of its key.
    pub kid: Option<String>,
    /// What it claims.
    pub claims: Map<String, Value>,
    /// Who has signed it, if that is known.
    pub signer: Option<Signer>,
}

/// Who has signed a token.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The number of the issuer, from 0.
    pub issuer: usize,
    /// The name of the key, if it has one.
    pub kid: Option<String>,
    /// Which keys the issuer had.
    pub(super) generation: u64,
}

impl Tokens {
    /// Looks at a token with the keys that are known.
    ///
    /// # Errors
    /// It is none.
    pub fn examine(&self, token: &str) -> Result<Examined, Fault> {
        let token = Token::parse(token)?;
        Ok(Examined {
            signer: self.0.signer(&token).ok(),
            algorithm: token.names,
            kid: token.kid,
            claims: token.claims,
        })
    }
}
