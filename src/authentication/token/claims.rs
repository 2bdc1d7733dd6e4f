//! What a token says of its bearer, once it is known to be genuine.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::settings::Issuer;
use crate::access::{Action, Grant, Identity};
use crate::authentication::Fault;
use crate::bayeux::{BayeuxError, ChannelKind, ChannelPattern, Limits};
use crate::metrics::{Limit, Metrics};

/// Bytes of a user's name: what a log line can bear.
const MAX_USER: usize = 256;

/// The end of the year 9999, in seconds: later than any time that is meant.
const MAX_TIME: f64 = 253_402_300_799.0;

/// What is looked for in claims.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) aud: Vec<String>,
    leeway: Duration,
    require_expiry: bool,
    pub(super) user: String,
    pub(super) roles: String,
    pub(super) channels: String,
    /// Further claims, for which rules ask.
    others: Vec<String>,
    max_claims: usize,
    limits: Limits,
    metrics: Arc<Metrics>,
}

impl Wanted {
    pub(super) fn new(
        issuer: &Issuer,
        others: &[&str],
        max_claims: usize,
        limits: &Limits,
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            aud: issuer.aud.clone(),
            leeway: issuer.leeway,
            require_expiry: issuer.require_expiry,
            user: issuer.user_claim.clone(),
            roles: issuer.roles_claim.clone(),
            channels: issuer.channels_claim.clone(),
            others: others.iter().map(|&name| name.to_owned()).collect(),
            max_claims,
            limits: limits.clone(),
            metrics: Arc::clone(metrics),
        }
    }

    /// Finds who it is.
    ///
    /// # Errors
    /// Its time is over or has yet to begin; it is meant for others; a claim has another form than it must.
    pub(super) fn identity(
        &self,
        claims: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<Identity, Fault> {
        let expires = self.time(claims, now)?;
        self.audience(claims)?;
        Ok(Identity {
            user: self.user(claims)?,
            roles: self.roles(claims)?,
            claims: self.others(claims)?,
            grants: self.grants(claims)?,
            expires,
        })
    }

    /// Returns when its time is over.
    fn time(
        &self,
        claims: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, Fault> {
        let expires = date(claims, "exp")?.map(|exp| exp + self.leeway);
        if expires.is_none() && self.require_expiry {
            return Err(invalid("exp"));
        }
        if expires.is_some_and(|expires| expires <= now) {
            return Err(BayeuxError::TokenExpired.into());
        }
        for name in ["nbf", "iat"] {
            if date(claims, name)?.is_some_and(|begin| begin > now + self.leeway) {
                return Err(BayeuxError::TokenNotYetValid.into());
            }
        }
        Ok(expires)
    }

    /// A token that names its audience is for no other (RFC 7519 section 4.1.3).
    fn audience(&self, claims: &Map<String, Value>) -> Result<(), Fault> {
        let named = match claims.get("aud") {
            None => Vec::new(),
            Some(value) => texts(value).ok_or_else(|| invalid("aud"))?,
        };
        let is_ours = |named: &&str| self.aud.iter().any(|own| own == named);
        if (named.is_empty() && self.aud.is_empty()) || named.iter().any(is_ours) {
            Ok(())
        } else {
            Err(BayeuxError::TokenAudienceInvalid.into())
        }
    }

    fn user(&self, claims: &Map<String, Value>) -> Result<String, Fault> {
        let user = found(claims, &self.user).and_then(scalar);
        user.filter(|user| (1..=MAX_USER).contains(&user.len()) && !user.contains(char::is_control))
            .ok_or_else(|| invalid(&self.user))
    }

    /// Its roles: a list, or a text in which spaces part them, as in `scope`.
    fn roles(&self, claims: &Map<String, Value>) -> Result<Vec<String>, Fault> {
        let roles = match found(claims, &self.roles) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::String(text)) => text.split_whitespace().collect(),
            Some(list) => texts(list).ok_or_else(|| invalid(&self.roles))?,
        };
        self.bounded(roles.len(), &self.roles)?;
        Ok(roles.into_iter().map(str::to_owned).collect())
    }

    /// Checks how many values a claim has.
    fn bounded(&self, count: usize, claim: &str) -> Result<(), Fault> {
        if count > self.max_claims {
            self.metrics.limited(Limit::MaxTokenClaims);
            return Err(invalid(claim));
        }
        Ok(())
    }

    fn others(&self, claims: &Map<String, Value>) -> Result<Vec<(String, String)>, Fault> {
        let mut all = Vec::new();
        for name in &self.others {
            let values: Vec<String> = match found(claims, name) {
                Some(Value::Array(list)) => list.iter().filter_map(scalar).collect(),
                Some(value) => scalar(value).into_iter().collect(),
                None => Vec::new(),
            };
            all.extend(values.into_iter().map(|value| (name.clone(), value)));
            self.bounded(all.len(), name)?;
        }
        Ok(all)
    }

    /// What it grants: `{"subscribe": ["/a/**"], "publish": "/b"}`.
    fn grants(&self, claims: &Map<String, Value>) -> Result<Vec<Grant>, Fault> {
        let invalid = || invalid(&self.channels);
        let granted = match found(claims, &self.channels) {
            _ if self.channels.is_empty() => return Ok(Vec::new()),
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Object(granted)) => granted,
            Some(_) => return Err(invalid()),
        };
        let mut grants = Vec::new();
        let mut count = 0;
        for (action, channels) in granted {
            let action = match action.as_str() {
                "subscribe" => Action::Subscribe,
                "publish" => Action::Publish,
                _ => return Err(invalid()),
            };
            let channels = texts(channels).ok_or_else(invalid)?;
            count += channels.len();
            self.bounded(count, &self.channels)?;
            let channels = channels.into_iter().map(|text| {
                let pattern = ChannelPattern::parse(text, &self.limits).ok();
                pattern.filter(|pattern| pattern.kind() != ChannelKind::Meta)
            });
            grants.push(Grant {
                actions: vec![action],
                channels: channels.collect::<Option<_>>().ok_or_else(invalid)?,
            });
        }
        Ok(grants)
    }
}

/// Says which claim is missing or has another form. A name that would part the fields of an error is left
/// out.
fn invalid(claim: &str) -> Fault {
    let fault = Fault::from(BayeuxError::TokenClaimInvalid);
    if claim.contains([':', ',']) {
        fault
    } else {
        fault.because(Cow::Owned(claim.to_owned()))
    }
}

/// Finds a claim by its name, or one within others by a path such as `realm_access.roles`. A name may hold
/// dots itself, as that of a URL does.
fn found<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let inner = claims.get(&path[..dot])?.as_object()?;
        found(inner, &path[dot + 1..])
    })
}

/// Returns a text, or the text of a number or a truth value.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns a text, or all texts of a list that holds nothing else.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// Returns the time of a claim: seconds since 1970, maybe with a fraction.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<SystemTime>, Fault> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_f64().ok_or_else(|| invalid(name))?;
    if !(0.0..=MAX_TIME).contains(&seconds) {
        return Err(invalid(name));
    }
    Ok(Some(
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds),
    ))
}
