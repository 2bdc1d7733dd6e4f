//! Reading one cookie, and writing one; knows nothing of sessions.

use std::fmt::Write;
use std::time::Duration;

use http::header::{COOKIE, HeaderValue};
use serde::{Deserialize, Serialize};

use super::Headers;

/// Returns every value of the named cookie: a browser sends one for each path or domain that set it.
pub fn values<'a>(headers: &'a Headers, name: &str) -> impl Iterator<Item = &'a str> {
    // Bytes, because one cookie that is not ASCII must not hide the others.
    headers
        .get_all(&COOKIE)
        .flat_map(|header| header.split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let after_name = pair.trim_ascii_start().strip_prefix(name.as_bytes())?;
            let value = after_name.trim_ascii_start().strip_prefix(b"=")?;
            let value = str::from_utf8(value.trim_ascii()).ok()?;
            let unquoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            Some(unquoted.unwrap_or(value))
        })
}

/// The `SameSite` attribute (RFC 6265bis).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// Sent with same-site requests only.
    Strict,
    /// Sent with same-site requests and top-level navigations.
    Lax,
    /// Sent always; browsers accept it only together with `Secure`.
    None,
}

/// The name and attributes of the browser cookie.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// The cookie's name.
    #[serde(rename = "browser_cookie_name")]
    pub name: String,
    /// `Domain`; absent: the host that set it.
    #[serde(rename = "browser_cookie_domain")]
    pub domain: Option<String>,
    /// `Path`.
    #[serde(rename = "browser_cookie_path")]
    pub path: String,
    /// `Max-Age`; absent: until the browser closes.
    #[serde(rename = "browser_cookie_max_age", with = "humantime_serde")]
    pub max_age: Option<Duration>,
    /// `Secure`.
    #[serde(rename = "browser_cookie_secure")]
    pub secure: bool,
    /// `HttpOnly`.
    #[serde(rename = "browser_cookie_http_only")]
    pub http_only: bool,
    /// `SameSite`; absent: the browser's default.
    #[serde(rename = "browser_cookie_same_site")]
    pub same_site: Option<SameSite>,
    /// `Partitioned` (CHIPS).
    #[serde(rename = "browser_cookie_partitioned")]
    pub partitioned: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "BAYEUX_BROWSER".to_owned(),
            domain: None,
            path: "/".to_owned(),
            max_age: None,
            secure: false,
            http_only: true,
            same_site: None,
            partitioned: false,
        }
    }
}

impl Settings {
    /// Returns the `Set-Cookie` header for a value of letters, digits, `-` and `_`.
    ///
    /// # Panics
    ///
    /// If the value or the settings hold control characters, which validation refuses.
    pub fn set_cookie(&self, value: &str) -> HeaderValue {
        let mut cookie = format!("{}={value}; Path={}", self.name, self.path);
        if let Some(domain) = &self.domain {
            cookie.push_str("; Domain=");
            cookie.push_str(domain);
        }
        if let Some(max_age) = self.max_age {
            // Rounded up, because 0 would delete the cookie.
            let seconds = max_age.as_secs() + u64::from(max_age.subsec_nanos() > 0);
            write!(cookie, "; Max-Age={seconds}").expect("a String takes all that is written");
        }
        for (is_set, attribute) in [
            (self.secure, "; Secure"),
            (self.http_only, "; HttpOnly"),
            (self.partitioned, "; Partitioned"),
        ] {
            if is_set {
                cookie.push_str(attribute);
            }
        }
        cookie.push_str(match self.same_site {
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
            None => "",
        });
        HeaderValue::try_from(cookie).expect("checked settings hold no control characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found() {
        let cases: &[(&[&[u8]], &[&str])] = &[
            (&[], &[]),
            (&[b""], &[]),
            (&[b"b=1"], &["1"]),
            (&[b"a=0; b=1; c=2"], &["1"]),
            (&[b"a=0;b=1 ;c"], &["1"]),
            (&[b"a=0", b"", b"b=1"], &["1"]),
            (&[b"b=1; b=2", b"b=3"], &["1", "2", "3"]),
            (&[b"b=\"x y\""], &["x y"]),
            (&[b"b=\""], &["\""]),
            (&[b"b="], &[""]),
            (&[b"b=x=y=="], &["x=y=="]),
            (&[b"bb=1; B=2; b; =3"], &[]),
            (&[b"a=\xE9; b=1; b=\xE9"], &["1"]),
        ];
        for (lines, expected) in cases {
            let fields = lines.iter().map(|line| (b"Cookie".as_slice(), *line));
            let headers: Headers = fields.collect();
            let found: Vec<_> = values(&headers, "b").collect();
            assert_eq!(found, *expected);
        }
    }

    #[test]
    fn cookies_are_written() {
        let cookie = Settings::default().set_cookie("x1");
        assert_eq!(cookie, "BAYEUX_BROWSER=x1; Path=/; HttpOnly");
        let mut settings = Settings {
            name: "b".to_owned(),
            domain: Some("example.com".to_owned()),
            path: "/cometd".to_owned(),
            max_age: Some(Duration::from_millis(1500)),
            secure: true,
            http_only: false,
            same_site: Some(SameSite::None),
            partitioned: true,
        };
        assert_eq!(
            settings.set_cookie("v"),
            "b=v; Path=/cometd; Domain=example.com; Max-Age=2; Secure; Partitioned; SameSite=None"
        );
        settings.max_age = Some(Duration::ZERO);
        settings.same_site = Some(SameSite::Strict);
        let cookie = settings.set_cookie("v");
        let text = cookie.to_str().unwrap();
        assert!(text.contains("Max-Age=0;") && text.ends_with("SameSite=Strict"));
    }
}
