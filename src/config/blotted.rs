//! The configuration as it may be shown: without hashes, and without what URLs hold of passwords and parameters. Other
//! secrets never stand in it: it says where they are.

use serde_json::Value;

use super::Config;

/// What stands for what is not shown.
const BLOT: &str = "…";

/// The keys whose texts are not shown, wherever they stand.
const HIDDEN: [&str; 2] = ["hash", "password_hash"];

impl Config {
    /// Returns it as JSON, as it may be shown.
    #[must_use]
    pub fn blotted(&self) -> Value {
        let mut all = serde_json::to_value(self).unwrap_or_default();
        blot("", &mut all);
        all
    }
}

fn blot(key: &str, value: &mut Value) {
    match value {
        Value::String(text) if HIDDEN.contains(&key) => BLOT.clone_into(text),
        Value::String(text) => blot_url(text),
        Value::Array(items) => items.iter_mut().for_each(|item| blot(key, item)),
        Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| blot(key, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Blots out who logs in by a URL, and its parameters.
fn blot_url(text: &mut String) {
    let Some((scheme, rest)) = text.split_once("://") else {
        return;
    };
    let (rest, has_more) = match rest.find(['?', '#']) {
        Some(end) => (&rest[..end], true),
        None => (rest, false),
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, has_login) = match authority.rsplit_once('@') {
        Some((_, host)) => (host, true),
        None => (authority, false),
    };
    let login = if has_login { "…@" } else { "" };
    let more = if has_more { "?…" } else { "" };
    *text = format!("{scheme}://{login}{host}{path}{more}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_who_logs_in_and_their_parameters() {
        for (text, expected) in [
            ("https://a.example/hook", "https://a.example/hook"),
            ("https://u:p@a.example:8/h?x=1", "https://…@a.example:8/h?…"),
            ("redis://:p@ss@r:6379/0", "redis://…@r:6379/0"),
            ("https://a.example#x", "https://a.example?…"),
            ("https://a.example/x@y", "https://a.example/x@y"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("/**", "/**"),
        ] {
            let mut text = text.to_owned();
            blot_url(&mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn hashes_are_not_shown_wherever_they_stand() {
        let mut config = Config::default();
        config.user.push(crate::authentication::passwords::User {
            name: "u1".to_owned(),
            password_hash: "$argon2id$planted".to_owned(),
            ..Default::default()
        });
        config.api.key.push(crate::authentication::api_keys::Key {
            name: "shop".to_owned(),
            hash: Some("sha256:planted".to_owned()),
            ..Default::default()
        });
        let text = config.blotted().to_string();
        assert!(!text.contains("planted"), "{text}");
        assert!(text.contains("u1") && text.contains("shop"), "{text}");
    }
}
