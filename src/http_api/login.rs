//! Logging in to the operator's page with a password, and out again; only the operator's listener has it.
//!
//! A browser sends the cookie whichever page of the same host asks, on whatever port. So a login counts only for requests
//! with the header `X-Requested-With`: a page of another origin may not send it before the server has agreed (CORS), which
//! this one never does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::caller::{Arrival, COOKIE};
use super::extract::{Body, Json};
use super::operator::KeyDetails;
use super::problem::{Kind, Problem};
use super::{PATH, Shared};
use crate::authentication::{Check, Fault};
use crate::bayeux::BayeuxError;
use crate::metrics::Limit;
use crate::web::cookies::{SameSite, Settings};

/// When there may be room for the check of another password.
const RETRY: Duration = Duration::from_secs(1);

/// Whether there is anything to log in with, and who has.
#[derive(Debug, Serialize)]
pub(super) struct LoginState {
    /// Whether the configuration has users with passwords.
    passwords: bool,
    /// Who has logged in.
    user: Option<String>,
}

/// What is typed in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    user: String,
    password: String,
}

/// Tells whether there is anything to log in with, and who has. It needs no key.
pub(super) async fn state(arrival: Arrival, State(shared): State<Arc<Shared>>) -> Json<LoginState> {
    let terms = shared.terms.get();
    let login = arrival.login(&shared.logins, &terms.operators);
    Json(LoginState {
        passwords: !terms.operators.is_empty(),
        user: login.map(|(login, _)| login.user.clone()),
    })
}

/// Logs in.
pub(super) async fn begin(
    arrival: Arrival,
    State(shared): State<Arc<Shared>>,
    Body(body): Body,
) -> Result<Response, Problem> {
    arrival.is_by_page()?;
    let Ok(Typed { user, password }) = serde_json::from_slice(&body) else {
        // What is wrong with it may show the password.
        let detail = r#"send {"user": "NAME", "password": "PASSWORD"}"#;
        return Err(Problem::new(Kind::Body, detail));
    };
    let Some(_place) = shared.logins.may_check() else {
        let detail = "many passwords are being checked";
        return Err(Problem::new(Kind::Unavailable, detail).retry_after(Some(RETRY)));
    };
    // As it is now: of a password that changes meanwhile the login is over as soon as it has begun.
    let (check, operator) = {
        let operators = &shared.terms.get().operators;
        let check = operators.check(&user, &password, arrival.address);
        (check, operators.find(&user).cloned())
    };
    let checked = match check {
        Check::Done(checked) => checked,
        Check::Pending(checking) => checking.await,
    };
    checked.map_err(|fault| refusal(&fault))?;
    let Some(operator) = operator else {
        return Err(refusal(&BayeuxError::PasswordInvalid.into()));
    };
    let settings = shared.terms.get().logins.clone();
    let (token, is_full) = shared
        .logins
        .begin(user, &operator, &settings, Instant::now());
    if is_full {
        shared.server.metrics().limited(Limit::MaxLogins);
    }
    let address = arrival.address.map(tracing::field::display);
    tracing::info!(
        user = operator.rights.name,
        address,
        "an operator has logged in"
    );
    let cookie = cookie(&token, settings.login_lifetime, arrival.is_secure);
    let details = KeyDetails::from(&operator.rights);
    Ok(([(header::SET_COOKIE, cookie)], Json(details)).into_response())
}

/// Logs out.
pub(super) async fn end(
    arrival: Arrival,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Problem> {
    arrival.is_by_page()?;
    for token in &arrival.tokens {
        if let Some(login) = shared.logins.end(token) {
            tracing::info!(user = login.user, "an operator has logged out");
        }
    }
    let forgotten = cookie("", Duration::ZERO, arrival.is_secure);
    let headers = [(header::SET_COOKIE, forgotten)];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

fn cookie(token: &str, max_age: Duration, secure: bool) -> HeaderValue {
    let settings = Settings {
        name: COOKIE.to_owned(),
        path: PATH.to_owned(),
        max_age: Some(max_age),
        secure,
        http_only: true,
        same_site: Some(SameSite::Strict),
        ..Settings::default()
    };
    settings.set_cookie(token)
}

fn refusal(fault: &Fault) -> Problem {
    match fault.error {
        BayeuxError::TooManyAttempts => {
            let detail = "the password was wrong too often (authentication.wrong_passwords); wait";
            Problem::new(Kind::TooManyAttempts, detail).retry_after(fault.retry)
        }
        BayeuxError::PasswordInvalid | BayeuxError::CredentialsMalformed => Problem::new(
            Kind::PasswordWrong,
            "no [[admin.user]] entry has this name and password",
        ),
        _ => Problem::new(Kind::Unavailable, "the password cannot be checked now"),
    }
}
