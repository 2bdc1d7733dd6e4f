//! Who may issue tokens, as an operator writes it: the `[[issuer]]` entries, and what all have in common.

use std::time::Duration;

use bytesize::ByteSize;
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::authentication::Problem;
use crate::authentication::secret::{Secret, single};
use crate::outbound;

/// How many issuers there may be.
pub const MAX_ISSUERS: usize = 100;

/// More than this is no difference between clocks.
const MAX_LEEWAY: Duration = Duration::from_secs(60 * 60);

/// What holds for tokens of all issuers: keys of `[authentication]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Bytes of a token; above it: `401::token_too_long`.
    pub max_token_length: ByteSize,
    /// How many roles, how many channels, and how many values of other claims a token may bring.
    pub max_token_claims: usize,
    /// How many tokens are known without another look at their signature.
    pub max_checked_tokens: usize,
    /// How long a fetch of keys may take.
    #[serde(with = "humantime_serde")]
    pub jwks_timeout: Duration,
    /// Bytes of a set of keys at a URL.
    pub max_jwks_size: ByteSize,
    /// How many keys of a set there may be that can be used.
    pub max_jwks_keys: usize,
    /// How old keys may be before they are fetched again.
    #[serde(with = "humantime_serde")]
    pub jwks_max_age: Duration,
    /// How old they may be if they cannot be fetched.
    #[serde(with = "humantime_serde")]
    pub jwks_max_stale: Duration,
    /// The time from one fetch of keys to the next, at least.
    #[serde(with = "humantime_serde")]
    pub jwks_min_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_token_length: ByteSize::kib(8),
            max_token_claims: 100,
            max_checked_tokens: 10_000,
            jwks_timeout: Duration::from_secs(3),
            max_jwks_size: ByteSize::kib(256),
            max_jwks_keys: 100,
            jwks_max_age: Duration::from_secs(10 * 60),
            jwks_max_stale: Duration::from_secs(24 * 60 * 60),
            jwks_min_interval: Duration::from_secs(10),
        }
    }
}

/// One `[[issuer]]` entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Issuer {
    /// What its tokens say in `iss`; nothing: anything, or no `iss` at all.
    pub iss: Option<String>,
    /// What its tokens say in `aud`, one of these; empty: they must not say anything.
    pub aud: Vec<String>,
    /// A secret for HS256, HS384 and HS512.
    pub secret: Option<Secret>,
    /// A private key as PEM, for tokens that this program makes.
    pub private_key: Option<Secret>,
    /// A public key as PEM.
    pub public_key: Option<Secret>,
    /// Public keys as JWK or JWKS.
    pub jwks: Option<Jwks>,
    /// The name of a key that is none of a set.
    pub kid: Option<String>,
    /// The algorithms that its keys are for; empty: all that their kinds allow.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may be apart.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
    /// Whether a token without `exp` is refused.
    pub require_expiry: bool,
    /// The claim that names the user.
    pub user_claim: String,
    /// The claim with the roles.
    pub roles_claim: String,
    /// The claim with the channels that a token grants; empty: none does.
    pub channels_claim: String,
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            iss: None,
            aud: Vec::new(),
            secret: None,
            private_key: None,
            public_key: None,
            jwks: None,
            kid: None,
            algorithms: Vec::new(),
            leeway: Duration::from_secs(30),
            require_expiry: true,
            user_claim: "sub".to_owned(),
            roles_claim: "roles".to_owned(),
            channels_claim: "channels".to_owned(),
        }
    }
}

/// Where public keys are: `{ url = "https://…" }`, `{ file = "/path" }` or `{ env = "NAME" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Jwks {
    /// They are fetched, and again now and then.
    There {
        /// The URL.
        url: String,
    },
    /// They are read once.
    Here(Secret),
}

impl<'de> Deserialize<'de> for Jwks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match single(deserializer) {
            Some((key, url)) if key == "url" => Ok(Self::There { url }),
            Some((key, value)) if key == "env" => Ok(Self::Here(Secret::Env(value))),
            Some((key, value)) if key == "file" => Ok(Self::Here(Secret::File(value.into()))),
            _ => Err(de::Error::custom(
                "expected { url = \"https://…\" }, { file = \"/path\" } or { env = \"NAME\" }",
            )),
        }
    }
}

/// Finds what is wrong with entries before any key is read.
#[must_use]
pub fn problems(issuers: &[Issuer]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if issuers.len() > MAX_ISSUERS {
        problems.push(Problem {
            key: format!("issuer[{MAX_ISSUERS}]"),
            value: "…".to_owned(),
            fix: format!("there may be at most {MAX_ISSUERS} issuers"),
        });
    }
    let numbered = issuers.iter().enumerate().take(MAX_ISSUERS);
    problems.extend(numbered.flat_map(|(index, issuer)| issuer.problems(index)));
    problems
}

impl Issuer {
    fn problems(&self, index: usize) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, name: &str, value: &dyn Fn() -> String, fix: &str| {
            if !holds {
                problems.push(Problem {
                    key: format!("issuer[{index}].{name}"),
                    value: value(),
                    fix: fix.to_owned(),
                });
            }
        };
        let sources = self.sources();
        require(
            !sources.is_empty(),
            "secret",
            &|| "(unset)".to_owned(),
            "say how its tokens are checked: set secret, private_key, public_key or jwks",
        );
        require(
            sources.len() <= 1,
            sources.last().copied().unwrap_or_default(),
            &|| "…".to_owned(),
            &format!(
                "{} is set as well; make two [[issuer]] of it, which may have the same iss",
                sources.first().copied().unwrap_or_default()
            ),
        );
        let texts = [("iss", self.iss.as_ref()), ("kid", self.kid.as_ref())];
        for (name, text) in texts {
            require(
                text.is_none_or(|text| !text.is_empty()),
                name,
                &|| shown(&text),
                "must not be empty; leave it out instead",
            );
        }
        require(
            self.aud.iter().all(|aud| !aud.is_empty()),
            "aud",
            &|| shown(&self.aud),
            "must not name an empty audience",
        );
        require(
            self.kid.is_none() || self.jwks.is_none(),
            "kid",
            &|| shown(&self.kid),
            "the keys of a jwks have their own; leave it out",
        );
        require(
            self.leeway <= MAX_LEEWAY,
            "leeway",
            &|| humantime::format_duration(self.leeway).to_string(),
            "must be at most \"1h\"",
        );
        if let Some((shown, fix)) = self.url_problem() {
            require(false, "jwks", &|| shown.clone(), fix);
        }
        for (name, claim) in [
            ("user_claim", &self.user_claim),
            ("roles_claim", &self.roles_claim),
        ] {
            require(
                !claim.is_empty(),
                name,
                &|| shown(claim),
                "must name a claim, such as \"sub\" or \"realm_access.roles\"",
            );
        }
        problems
    }

    /// Finds what is wrong with the URL of its keys, which is shown unless a password may stand in it.
    fn url_problem(&self) -> Option<(String, &'static str)> {
        let Some(Jwks::There { url }) = &self.jwks else {
            return None;
        };
        let fix = outbound::url(url).err()?;
        let shown = match url.contains('@') {
            true => "…".to_owned(),
            false => self.shown("jwks"),
        };
        Some((shown, fix))
    }

    /// Shows the value of a key, as it would stand in a file.
    pub(super) fn shown(&self, name: &str) -> String {
        let table = toml::Table::try_from(self).unwrap_or_default();
        table.get(name).map(ToString::to_string).unwrap_or_default()
    }

    /// Returns the key that says where its keys are.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.sources().first().copied().unwrap_or_default()
    }

    /// Lists the keys that say where keys are.
    fn sources(&self) -> Vec<&'static str> {
        let sources = [
            ("secret", self.secret.is_some()),
            ("private_key", self.private_key.is_some()),
            ("public_key", self.public_key.is_some()),
            ("jwks", self.jwks.is_some()),
        ];
        let set = sources.into_iter().filter(|(_, is_set)| *is_set);
        set.map(|(name, _)| name).collect()
    }
}

fn shown(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
