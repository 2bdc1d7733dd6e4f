//! A token as it comes, `header.claims.signature`: taken apart, and nothing in it believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::authentication::Fault;
use crate::bayeux::BayeuxError;

/// A token, taken apart.
#[derive(Debug)]
pub(super) struct Token<'t> {
    /// The algorithm that it names.
    pub(super) names: String,
    /// The same, if it is one that we know.
    pub(super) algorithm: Option<Algorithm>,
    /// The name of its key.
    pub(super) kid: Option<String>,
    /// What it claims.
    pub(super) claims: Map<String, Value>,
    /// What is signed.
    pub(super) signed: &'t str,
    /// The signature, in base64.
    pub(super) signature: &'t str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Value,
}

impl<'t> Token<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// It is not one; or it demands by `crit` what we do not know.
    pub(super) fn parse(text: &'t str) -> Result<Self, Fault> {
        let (signed, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let header: Header = decoded(header)?;
        if header.crit != Value::Null {
            return Err(malformed().because("crit"));
        }
        let claims = decoded(claims)?;
        // An empty one is no signature, which the algorithm will tell.
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
        Ok(Self {
            algorithm: header.alg.parse().ok(),
            names: header.alg,
            kid: header.kid,
            claims,
            signed,
            signature,
        })
    }
}

/// Reads a part: base64 without padding, in which there is a JSON object.
fn decoded<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Fault> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed())?;
    serde_json::from_slice(&json).map_err(|_| malformed())
}

fn malformed() -> Fault {
    BayeuxError::CredentialsMalformed.into()
}
