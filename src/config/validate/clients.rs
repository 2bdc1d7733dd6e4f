//! Checks of who clients are, what they may do, how much of it, and which applications hear of it.

use super::forms::{form_fix, service_fix};
use super::{Checks, shown};
use crate::access::{Access, Rule};
use crate::authentication::api_keys::{self, Permission};
use crate::authentication::operators;
use crate::authentication::passwords::Passwords;
use crate::authentication::token::{self, settings::Issuer};
use crate::config::Config;
use crate::hooks::{self, Hook};
use crate::rates::Settings as Rates;

/// What a millionth of a second still tells apart.
const MAX_RATE: u32 = 1_000_000;
/// What takes some 300 MB.
const MAX_ADDRESSES: usize = 1 << 24;

impl Checks {
    /// The counts of `[authentication]`.
    pub(super) fn credentials(&mut self, config: &Config) {
        let passwords = &config.authentication.passwords;
        let tokens = &config.authentication.tokens;
        let counts = [
            (
                "authentication.max_password_checks",
                passwords.max_password_checks,
            ),
            (
                "authentication.max_password_length",
                passwords.max_password_length,
            ),
            (
                "authentication.max_wrong_passwords",
                passwords.max_wrong_passwords,
            ),
            (
                "authentication.wrong_passwords",
                passwords.wrong_passwords as usize,
            ),
            ("authentication.max_token_claims", tokens.max_token_claims),
            (
                "authentication.max_checked_tokens",
                tokens.max_checked_tokens,
            ),
            ("authentication.max_jwks_keys", tokens.max_jwks_keys),
        ];
        for (key, count) in counts {
            self.require(count >= 1, key, "must be 1 or more");
        }
    }

    pub(super) fn rates(&mut self, rates: &Rates) {
        let pairs = [
            (
                "rates.messages_per_session",
                rates.messages_per_session,
                rates.messages_per_session_burst,
            ),
            (
                "rates.messages_per_address",
                rates.messages_per_address,
                rates.messages_per_address_burst,
            ),
            (
                "rates.handshakes_per_address",
                rates.handshakes_per_address,
                rates.handshakes_per_address_burst,
            ),
        ];
        for (key, rate, burst) in pairs {
            let burst_key = format!("{key}_burst");
            for (key, number) in [(key, rate), (&burst_key, burst)] {
                let fits = number.is_none_or(|number| (1..=MAX_RATE).contains(&number));
                self.require(fits, key, "must be 1 to 1000000");
            }
            let fix = format!("does nothing without {key}");
            self.require(burst.is_none() || rate.is_some(), &burst_key, &fix);
        }
        self.require(
            (1..=MAX_ADDRESSES).contains(&rates.max_addresses),
            "rates.max_addresses",
            "must be 1 to 16777216",
        );
    }

    /// A browser sends a cookie that shows who its user is whatever page asks: it is not to be any page.
    pub(super) fn shared_cookies(&mut self, config: &Config) {
        let is_any = |origin: &String| origin == "*";
        let serves_any = config.http.allowed_origins.iter().any(is_any)
            || config.bayeux.transports.callback_without_origin;
        let keys = [
            (
                "authentication.cookie",
                config.authentication.sources.cookie.is_some(),
            ),
            ("webhook.cookies", !config.webhook.cookies.is_empty()),
        ];
        for (key, is_set) in keys {
            self.require(
                !(is_set && serves_any),
                key,
                "any page could act for whoever is logged in: list the origins in http.allowed_origins, without \
                 \"*\", and leave bayeux.callback_without_origin off",
            );
        }
    }

    pub(super) fn access(&mut self, rules: &[Rule]) {
        for problem in Access::new(rules).err().unwrap_or_default() {
            let key = format!("access[{}].{}", problem.index, problem.name);
            self.refuse(&key, problem.value, &problem.fix);
        }
    }

    pub(super) fn users(&mut self, config: &Config) {
        let problems = Passwords::problems(&config.user, &config.authentication.passwords);
        for problem in problems {
            self.refuse(&problem.key, problem.value, &problem.fix);
        }
    }

    pub(super) fn webhook(&mut self, config: &Config) {
        for problem in config.webhook.problems() {
            self.refuse(&problem.key, problem.value, &problem.fix);
        }
        self.require(
            config.webhook.url.is_none()
                || config.webhook.timeout <= config.extensions.waits.max_wait,
            "webhook.timeout",
            "must not be above extensions.max_wait, which ends all waits",
        );
        let counts = [
            ("webhook.max_concurrent", config.webhook.max_concurrent),
            ("webhook.max_waiting", config.webhook.max_waiting),
            ("webhook.max_cached", config.webhook.max_cached),
        ];
        for (key, count) in counts {
            self.require(count >= 1, key, "must be 1 or more");
        }
    }

    pub(super) fn api_keys(&mut self, config: &Config) {
        for problem in api_keys::settings::problems(&config.api.key, &config.bayeux.limits) {
            self.refuse(&problem.key, problem.value, &problem.fix);
        }
    }

    pub(super) fn operators(&mut self, config: &Config) {
        let passwords = &config.authentication.passwords;
        let limits = &config.bayeux.limits;
        for problem in operators::problems(&config.admin.user, passwords, limits) {
            self.refuse(&problem.key, problem.value, &problem.fix);
        }
    }

    pub(super) fn backends(&mut self, config: &Config) {
        let backends = &config.backends;
        for (index, key) in config.api.key.iter().enumerate() {
            if key.allow.contains(&Permission::Calls) && backends.role.is_none() {
                let fix =
                    "name in backends.role the role of those who take calls, such as \"backend\"";
                self.refuse(
                    &format!("api.key[{index}].allow"),
                    "\"calls\"".to_owned(),
                    fix,
                );
            }
        }
        let key = "backends.role";
        self.require(
            backends.role.as_deref() != Some(""),
            key,
            "must not be empty",
        );
        let Some(channel) = &backends.events_channel else {
            return;
        };
        let key = "backends.events_channel";
        if let Some(fix) = service_fix(channel) {
            self.refuse(key, shown(channel), fix);
        } else if channel.contains('*') {
            self.refuse(
                key,
                shown(channel),
                "must be one channel, such as \"/service/events\"",
            );
        } else if backends.role.is_none() {
            let fix = "name in backends.role whom it is for";
            self.refuse(key, shown(channel), fix);
        }
    }

    pub(super) fn hooks(&mut self, hooks: &[Hook]) {
        for problem in hooks::settings::problems(hooks) {
            self.refuse(&problem.key, problem.value, &problem.fix);
        }
        for (index, hook) in hooks.iter().enumerate() {
            let calls = hook
                .calls
                .iter()
                .map(|text| ("calls", text, service_fix(text)));
            let channels = hook
                .channels
                .iter()
                .map(|text| ("channels", text, form_fix(text)));
            for (name, text, fix) in calls.chain(channels) {
                if let Some(fix) = fix {
                    self.refuse(&format!("hook[{index}].{name}"), shown(text), fix);
                }
            }
        }
    }

    pub(super) fn issuers(&mut self, issuers: &[Issuer]) {
        for problem in token::settings::problems(issuers) {
            self.refuse(&problem.key, problem.value, &problem.fix);
        }
    }
}
