//! What a client's handshakes show of who it is.

use serde_json::{Value, json};

/// A secret, which nothing prints.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Hides a text.
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Who a client says to be.
#[derive(Debug, Clone, Default)]
pub(crate) enum Credentials {
    /// Nobody.
    #[default]
    None,
    /// Whom a token or a key says.
    Token(Secret),
    /// A user, who has a password.
    Password {
        /// The name of the user.
        user: String,
        /// The password.
        password: Secret,
    },
}

impl Credentials {
    /// What goes with a handshake, as `ext.authentication`; nothing of nobody.
    pub(super) fn authentication(&self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Token(token) => Some(json!({ "token": token.reveal() })),
            Self::Password { user, password } => {
                Some(json!({ "user": user, "password": password.reveal() }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shown_to_the_server_and_nobody_else() {
        let password = Credentials::Password {
            user: "u1".to_owned(),
            password: Secret::new("p\"w".to_owned()),
        };
        let token = Credentials::Token(Secret::new("t0".to_owned()));
        for (credentials, expected) in [
            (Credentials::None, None),
            (token, Some(json!({"token": "t0"}))),
            (password, Some(json!({"user": "u1", "password": "p\"w"}))),
        ] {
            assert_eq!(credentials.authentication(), expected);
            let shown = format!("{credentials:?}");
            assert!(!shown.contains("t0") && !shown.contains("p\""), "{shown}");
        }
    }
}
