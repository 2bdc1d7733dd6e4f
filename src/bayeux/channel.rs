//! Channel names and patterns: parsed once, trusted afterwards (specification section 2.1).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Limits;

/// The text is not a channel name or pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a channel name")]
pub struct InvalidChannel;

/// The three kinds of channels, told apart by their first segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    /// `/meta/…`: the protocol's own.
    Meta,
    /// `/service/…`: from one client to the server.
    Service,
    /// Everything else: from a publisher to all subscribers.
    Broadcast,
}

/// A channel one can publish to: it holds no wildcard.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ChannelName(Arc<str>);

/// What one can subscribe to: a channel, or all that `/*` or `/**` at its end matches.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelPattern(Arc<str>);

impl ChannelName {
    /// Parses the name of a channel.
    ///
    /// # Errors
    /// The text is no channel name, holds a wildcard segment, or is longer or deeper than allowed.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, InvalidChannel> {
        let (text, wildcard) = checked(text, limits)?;
        if wildcard {
            return Err(InvalidChannel);
        }
        Ok(Self(text.into()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns which kind of channel this is.
    #[must_use]
    pub fn kind(&self) -> ChannelKind {
        kind(&self.0)
    }

    /// Calls `visit` with every pattern text that matches this channel, the most specific first:
    /// the name itself, `/a/b/*`, `/a/b/**`, `/a/**`, `/**`.
    pub fn each_pattern(&self, visit: impl FnMut(&str)) {
        each_covering(&self.0, true, visit);
    }
}

impl ChannelPattern {
    /// Parses a channel name or a pattern.
    ///
    /// # Errors
    /// The text is neither, or is longer or deeper than allowed.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, InvalidChannel> {
        checked(text, limits).map(|(text, _)| Self(text.into()))
    }

    /// Returns the pattern of all service channels.
    #[must_use]
    pub fn services() -> Self {
        Self("/service/**".into())
    }

    /// Returns the pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns which kind of channels this matches.
    #[must_use]
    pub fn kind(&self) -> ChannelKind {
        kind(&self.0)
    }
}

impl ChannelPattern {
    /// Returns the channel that it is, if it matches only that.
    #[must_use]
    pub fn channel(&self) -> Option<ChannelName> {
        let is_wild = self.0.ends_with("/*") || self.0.ends_with("/**");
        (!is_wild).then(|| ChannelName(Arc::clone(&self.0)))
    }

    /// Calls `visit` with every pattern text that covers this channel or pattern, the most specific first:
    /// of `/a/b/*` itself, `/a/b/**`, `/a/**`, `/**`.
    pub fn each_covering(&self, visit: impl FnMut(&str)) {
        let is_channel = !self.0.ends_with("/*") && !self.0.ends_with("/**");
        each_covering(&self.0, is_channel, visit);
    }

    /// Tells whether it matches every channel that another does, or this channel.
    #[must_use]
    pub fn covers(&self, other: &str) -> bool {
        if let Some(base) = self.0.strip_suffix("/**") {
            let rest = other.strip_prefix(base);
            rest.is_some_and(|rest| rest.starts_with('/'))
        } else if let Some(base) = self.0.strip_suffix("/*") {
            let rest = other.strip_prefix(base);
            let segment = rest.and_then(|rest| rest.strip_prefix('/'));
            segment.is_some_and(|segment| segment != "**" && !segment.contains('/'))
        } else {
            *self.0 == *other
        }
    }

    /// Tells whether a channel is one of those it names.
    #[must_use]
    pub fn matches(&self, channel: &ChannelName) -> bool {
        let mut matches = false;
        channel.each_pattern(|pattern| matches |= pattern == self.as_str());
        matches
    }
}

/// A channel is the pattern of itself alone.
impl From<ChannelName> for ChannelPattern {
    fn from(name: ChannelName) -> Self {
        Self(name.0)
    }
}

impl Serialize for ChannelPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// One that was known before: its length was checked then.
impl<'de> Deserialize<'de> for ChannelPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text, &Limits::of_known_channels()).map_err(de::Error::custom)
    }
}

impl std::borrow::Borrow<str> for ChannelPattern {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Calls `visit` with every pattern text that matches a channel, as [`ChannelName::each_pattern`] does.
pub fn each_pattern(channel: &str, visit: impl FnMut(&str)) {
    each_covering(channel, true, visit);
}

/// Visits a text and the patterns above it; `/*` of its own segment only if it is a channel.
fn each_covering(text: &str, is_channel: bool, mut visit: impl FnMut(&str)) {
    visit(text);
    let mut buffer = String::with_capacity(text.len() + 3);
    let mut parent = text;
    while let Some(end) = parent.rfind('/') {
        let direct = parent.len() == text.len();
        parent = &text[..end];
        for (wildcard, applies) in [("/*", direct && is_channel), ("/**", true)] {
            if applies {
                buffer.clear();
                buffer.push_str(parent);
                buffer.push_str(wildcard);
                visit(&buffer);
            }
        }
    }
}

fn kind(text: &str) -> ChannelKind {
    if text.starts_with("/meta/") {
        ChannelKind::Meta
    } else if text.starts_with("/service/") {
        ChannelKind::Service
    } else {
        ChannelKind::Broadcast
    }
}

/// Checks the text and returns it without a trailing slash, and whether it ends in a wildcard.
fn checked<'a>(text: &'a str, limits: &Limits) -> Result<(&'a str, bool), InvalidChannel> {
    if text.len() > limits.max_channel_length || !text.bytes().all(is_channel_byte) {
        return Err(InvalidChannel);
    }
    let path = text.strip_prefix('/').ok_or(InvalidChannel)?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut wildcard = false;
    for (index, segment) in path.split('/').enumerate() {
        let too_deep = index >= limits.max_channel_segments;
        if segment.is_empty() || wildcard || too_deep {
            return Err(InvalidChannel);
        }
        wildcard = matches!(segment, "*" | "**");
    }
    Ok((&text[..=path.len()], wildcard))
}

/// The characters CometD accepts, which are more than the specification's grammar names.
fn is_channel_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" !#$()*+-./@_{}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            max_channel_length: 40,
            max_channel_segments: 4,
            ..Limits::default()
        }
    }

    #[test]
    fn names_and_patterns() {
        let cases = [
            ("/a", Some("/a"), Some("/a")),
            ("/a/b-c.d/~e", Some("/a/b-c.d/~e"), Some("/a/b-c.d/~e")),
            ("/s/", Some("/s"), Some("/s")),
            ("/ba*", Some("/ba*"), Some("/ba*")),
            ("/{var}/x y", Some("/{var}/x y"), Some("/{var}/x y")),
            ("/*", None, Some("/*")),
            ("/**", None, Some("/**")),
            ("/a/*", None, Some("/a/*")),
            ("/a/**/", None, Some("/a/**")),
            ("/a/*/b", None, None),
            ("/**/b", None, None),
            ("", None, None),
            ("/", None, None),
            ("//", None, None),
            ("/a//b", None, None),
            ("/a/b//", None, None),
            ("a", None, None),
            ("/a\"b", None, None),
            ("/a%20", None, None),
            ("/é", None, None),
            ("/a/b/c/d", Some("/a/b/c/d"), Some("/a/b/c/d")),
            ("/a/b/c/d/e", None, None),
            ("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", None, None),
        ];
        for (text, name, pattern) in cases {
            let parsed = ChannelName::parse(text, &limits()).ok();
            assert_eq!(parsed.as_ref().map(ChannelName::as_str), name, "{text}");
            let parsed = ChannelPattern::parse(text, &limits()).ok();
            assert_eq!(
                parsed.as_ref().map(ChannelPattern::as_str),
                pattern,
                "{text}"
            );
        }
    }

    #[test]
    fn kinds_need_a_second_segment() {
        let cases = [
            ("/meta/connect", ChannelKind::Meta),
            ("/service/x", ChannelKind::Service),
            ("/meta", ChannelKind::Broadcast),
            ("/service", ChannelKind::Broadcast),
            ("/metadata/x", ChannelKind::Broadcast),
        ];
        for (text, kind) in cases {
            assert_eq!(
                ChannelName::parse(text, &limits()).map(|name| name.kind()),
                Ok(kind)
            );
        }
    }

    #[test]
    fn a_channel_has_depth_plus_two_patterns_the_most_specific_first() {
        let name = ChannelName::parse("/a/b/c", &limits()).expect("valid");
        let mut seen = Vec::new();
        name.each_pattern(|pattern| seen.push(pattern.to_owned()));
        assert_eq!(seen, ["/a/b/c", "/a/b/*", "/a/b/**", "/a/**", "/**"]);
    }

    #[test]
    fn what_covers_a_pattern_is_the_most_specific_first_and_nothing_else() {
        let all = [
            "/a/b", "/a/b/*", "/a/b/**", "/a/*", "/a/**", "/*", "/**", "/b/*", "/a/bc",
        ];
        let cases: [(&str, &[&str]); 4] = [
            ("/a/b", &["/a/b", "/a/*", "/a/**", "/**"]),
            ("/a/*", &["/a/*", "/a/**", "/**"]),
            ("/a/b/**", &["/a/b/**", "/a/**", "/**"]),
            ("/**", &["/**"]),
        ];
        for (text, expected) in cases {
            let pattern = ChannelPattern::parse(text, &limits()).expect(text);
            let mut seen = Vec::new();
            pattern.each_covering(|covering| seen.push(covering.to_owned()));
            seen.dedup();
            assert_eq!(seen, expected, "{text}");
            for other in all {
                let covers = ChannelPattern::parse(other, &limits())
                    .expect(other)
                    .covers(text);
                assert_eq!(covers, expected.contains(&other), "{other} and {text}");
            }
        }
    }
}
