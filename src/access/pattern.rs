//! Patterns of channels with variables: which channels they match, and how they relate to what is
//! subscribed to.

use super::identity::Identity;
use crate::bayeux::{ChannelKind, ChannelPattern, Limits};

/// A pattern of a rule.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    steps: Box<[Step]>,
    tail: Tail,
}

/// What a channel has to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// These segments, each behind its slash.
    Text(Box<str>),
    /// A segment that is the user's name.
    User,
    /// A segment that is a value of this claim.
    Claim(Box<str>),
    /// Any segment.
    Any,
}

/// What a channel has to end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Nothing more.
    Nothing,
    /// One segment more.
    One,
    /// One segment more, or several.
    Many,
}

impl Tail {
    /// Tells whether all that is left of a subscription is as it has to be: `rest`, and what goes on from
    /// there.
    fn covers(self, rest: &str, further: Self) -> bool {
        match self {
            Self::Nothing => rest.is_empty() && further == Self::Nothing,
            Self::One => match further {
                Self::Nothing => !rest.is_empty() && !rest[1..].contains('/'),
                Self::One => rest.is_empty(),
                Self::Many => false,
            },
            Self::Many => !rest.is_empty() || further != Self::Nothing,
        }
    }
}

/// How far a channel, or what stands before a wildcard, goes along with a pattern's steps.
enum Walk<'c> {
    /// It is another.
    Apart,
    /// It ends before the steps do, which are these segments longer.
    Short(usize),
    /// Through all steps; this is left of it.
    Through(&'c str),
}

impl Pattern {
    /// Reads a pattern of a rule.
    ///
    /// # Errors
    /// What to write instead.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let bounds = Limits {
            max_channel_length: usize::MAX,
            max_channel_segments: usize::MAX,
            ..Limits::default()
        };
        // To the grammar of channels a variable is a segment like any other.
        let pattern = ChannelPattern::parse(text, &bounds).map_err(|_| {
            "must be a channel such as \"/chat/demo\", or a pattern such as \"/chat/*\" or \"/chat/**\""
        })?;
        if pattern.kind() == ChannelKind::Meta {
            return Err("rules are not about meta channels; see handshake and subscribe");
        }
        let (base, tail) = parts(pattern.as_str());
        let mut steps = steps(base)?;
        let tail = match (steps.last(), tail) {
            // So that it is known for as general as `*`.
            (Some(Step::Any), Tail::Nothing) => {
                steps.pop();
                Tail::One
            }
            (_, tail) => tail,
        };
        let steps = steps.into();
        Ok(Self { steps, tail })
    }

    /// Returns the claims it asks for.
    pub(super) fn claims(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match step {
            Step::Claim(name) => Some(&**name),
            Step::Text(_) | Step::User | Step::Any => None,
        })
    }

    /// Tells whether all its variables have a value.
    pub(super) fn is_known(&self, identity: Option<&Identity>) -> bool {
        self.steps.iter().all(|step| step.is_known(identity))
    }

    /// Tells whether it matches a channel.
    pub(super) fn matches(&self, channel: &str, identity: Option<&Identity>) -> bool {
        let walk = self.walk(channel, identity);
        matches!(walk, Walk::Through(rest) if self.tail.covers(rest, Tail::Nothing))
    }

    /// Tells whether it matches every channel that a subscription's pattern does.
    pub(super) fn covers(&self, subscription: &str, identity: Option<&Identity>) -> bool {
        let (base, tail) = parts(subscription);
        // Where steps are left some channel goes on otherwise.
        let walk = self.walk(base, identity);
        matches!(walk, Walk::Through(rest) if self.tail.covers(rest, tail))
    }

    /// Tells whether it matches a channel that a subscription's pattern does as well.
    pub(super) fn overlaps(&self, subscription: &str, identity: Option<&Identity>) -> bool {
        let (base, tail) = parts(subscription);
        if tail == Tail::Nothing {
            return self.matches(base, identity);
        }
        match self.walk(base, identity) {
            Walk::Apart => false,
            Walk::Short(segments) => {
                tail == Tail::Many || (segments == 1 && self.tail == Tail::Nothing)
            }
            Walk::Through(rest) => match self.tail {
                Tail::Nothing => false,
                Tail::One => rest.is_empty(),
                Tail::Many => true,
            },
        }
    }

    fn walk<'c>(&self, path: &'c str, identity: Option<&Identity>) -> Walk<'c> {
        let mut rest = path;
        for (index, step) in self.steps.iter().enumerate() {
            let longer = match step.take(rest, identity) {
                Ok(after) => {
                    rest = after;
                    continue;
                }
                Err(None) => return Walk::Apart,
                Err(Some(longer)) => longer,
            };
            let further = &self.steps[index + 1..];
            if !further.iter().all(|step| step.is_known(identity)) {
                return Walk::Apart;
            }
            let segments = further.iter().map(Step::segments).sum::<usize>();
            return Walk::Short(longer + segments);
        }
        Walk::Through(rest)
    }
}

impl Step {
    /// Takes it from the front of a path; if the path is another: nothing, or if the path ends within
    /// the step, how many segments it lacks.
    fn take<'c>(
        &self,
        path: &'c str,
        identity: Option<&Identity>,
    ) -> Result<&'c str, Option<usize>> {
        if let Self::Text(text) = self {
            return match path.strip_prefix(&**text) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => Ok(rest),
                Some(_) => Err(None),
                None => match text.strip_prefix(path) {
                    Some(lacking) if lacking.starts_with('/') => Err(Some(segments(lacking))),
                    _ => Err(None),
                },
            };
        }
        let Some(path) = path.strip_prefix('/') else {
            return Err(self.is_known(identity).then_some(1));
        };
        let end = path.find('/').unwrap_or(path.len());
        let (segment, rest) = path.split_at(end);
        let is_it = match self {
            Self::User => identity.is_some_and(|identity| identity.user == segment),
            Self::Claim(name) => {
                identity.is_some_and(|identity| identity.claim(name).any(|value| value == segment))
            }
            Self::Any | Self::Text(_) => true,
        };
        if is_it { Ok(rest) } else { Err(None) }
    }

    fn is_known(&self, identity: Option<&Identity>) -> bool {
        match self {
            Self::Text(_) | Self::Any => true,
            Self::User => identity.is_some(),
            Self::Claim(name) => {
                identity.is_some_and(|identity| identity.claim(name).next().is_some())
            }
        }
    }

    fn segments(&self) -> usize {
        match self {
            Self::Text(text) => segments(text),
            Self::User | Self::Claim(_) | Self::Any => 1,
        }
    }
}

fn segments(path: &str) -> usize {
    path.matches('/').count()
}

/// Parts what stands before a wildcard from what that stands for.
fn parts(pattern: &str) -> (&str, Tail) {
    if let Some(base) = pattern.strip_suffix("/**") {
        (base, Tail::Many)
    } else if let Some(base) = pattern.strip_suffix("/*") {
        (base, Tail::One)
    } else {
        (pattern, Tail::Nothing)
    }
}

/// Parts texts and variables.
fn steps(path: &str) -> Result<Vec<Step>, &'static str> {
    let mut steps: Vec<Step> = Vec::new();
    for segment in path.split('/').skip(1) {
        let step = match segment {
            "{user}" => Step::User,
            "{any}" => Step::Any,
            _ => match claim(segment) {
                Some(name) => Step::Claim(name.into()),
                None if segment.contains(['{', '}']) => {
                    return Err(
                        "a segment in braces must be {user}, {claim.NAME} or {any}, and nothing beside it",
                    );
                }
                None => Step::Text(format!("/{segment}").into()),
            },
        };
        match (steps.last_mut(), step) {
            (Some(Step::Text(before)), Step::Text(more)) => {
                *before = format!("{before}{more}").into()
            }
            (_, step) => steps.push(step),
        }
    }
    Ok(steps)
}

fn claim(segment: &str) -> Option<&str> {
    let name = segment.strip_prefix("{claim.")?.strip_suffix('}')?;
    (!name.is_empty() && !name.contains(['{', '}'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let claim = |value: &str| ("org".to_owned(), value.to_owned());
        Identity {
            user: "u1".to_owned(),
            claims: vec![claim("a"), claim("b")],
            ..Identity::default()
        }
    }

    /// A rule's pattern, what is subscribed to, and whether it covers that, or overlaps it at least.
    #[test]
    fn a_pattern_covers_overlaps_or_is_apart() {
        const COVERS: (bool, bool) = (true, true);
        const OVERLAPS: (bool, bool) = (false, true);
        const APART: (bool, bool) = (false, false);
        let cases = [
            ("/a/b", "/a/b", COVERS),
            ("/a/b", "/a/c", APART),
            ("/a/b", "/a", APART),
            ("/a", "/ab", APART),
            ("/ab", "/a", APART),
            ("/a/*", "/a/b", COVERS),
            ("/a/*", "/a", APART),
            ("/a/*", "/a/b/c", APART),
            ("/a/**", "/a/b/c", COVERS),
            ("/a/**", "/a", APART),
            ("/**", "/a", COVERS),
            ("/*", "/a", COVERS),
            ("/*", "/a/b", APART),
            ("/**", "/**", COVERS),
            ("/**", "/*", COVERS),
            ("/**", "/a/*", COVERS),
            ("/*", "/*", COVERS),
            ("/*", "/**", OVERLAPS),
            ("/*", "/a/*", APART),
            ("/*", "/a/**", APART),
            ("/a/**", "/**", OVERLAPS),
            ("/a/**", "/*", APART),
            ("/a/**", "/b/**", APART),
            ("/a/**", "/ab/**", APART),
            ("/ab/**", "/a/**", APART),
            ("/a/*", "/a/*", COVERS),
            ("/a/*", "/a/**", OVERLAPS),
            ("/a/*", "/a/b/*", APART),
            ("/a", "/*", OVERLAPS),
            ("/a", "/**", OVERLAPS),
            ("/a", "/a/**", APART),
            ("/a/b/c", "/a/*", APART),
            ("/a/b/c", "/a/**", OVERLAPS),
            ("/a/b/c", "/a/b/*", OVERLAPS),
            ("/{any}", "/a", COVERS),
            ("/{any}", "/a/b", APART),
            ("/{any}", "/*", COVERS),
            ("/{any}", "/**", OVERLAPS),
            ("/{any}/b", "/a/b", COVERS),
            ("/{any}/b", "/a/*", OVERLAPS),
            ("/{any}/b", "/*", APART),
            ("/{any}/b", "/**", OVERLAPS),
            ("/{any}/**", "/a/**", COVERS),
            ("/{any}/**", "/a/*", COVERS),
            ("/{any}/**", "/**", OVERLAPS),
            ("/{any}/**", "/*", APART),
            ("/{any}/{any}", "/a/*", COVERS),
            ("/a/{any}/*", "/a/**", OVERLAPS),
            ("/r/{user}/**", "/r/u1/**", COVERS),
            ("/r/{user}/**", "/r/u2/**", APART),
            ("/r/{user}/**", "/r/**", OVERLAPS),
            ("/r/{user}", "/r/*", OVERLAPS),
            ("/r/{user}", "/r/u1", COVERS),
            ("/r/{user}", "/r/u11", APART),
            ("/o/{claim.org}/x", "/o/b/x", COVERS),
            ("/o/{claim.org}/x", "/o/c/x", APART),
            ("/o/{claim.org}/x", "/o/c/*", APART),
            ("/o/{claim.org}/x", "/o/a/*", OVERLAPS),
            ("/o/{claim.none}/x", "/o/a/x", APART),
            ("/o/{claim.none}/x", "/o/**", APART),
            ("/o/x/{claim.none}", "/**", APART),
        ];
        for (pattern, subscription, expected) in cases {
            let parsed = Pattern::parse(pattern).expect(pattern);
            let found = (
                parsed.covers(subscription, Some(&identity())),
                parsed.overlaps(subscription, Some(&identity())),
            );
            assert_eq!(found, expected, "{pattern} and {subscription}");
            if !pattern.contains('{') {
                let plain = ChannelPattern::parse(pattern, &Limits::default()).expect(pattern);
                assert_eq!(
                    plain.covers(subscription),
                    expected.0,
                    "{pattern} {subscription}"
                );
            }
        }
    }

    /// A name that would be more than a segment, or a wildcard, is no way in.
    #[test]
    fn a_variable_is_one_segment_whatever_it_holds() {
        let pattern = Pattern::parse("/r/{user}/x").expect("a pattern");
        for user in ["a/b", "*", "**", "", "/", "{any}", "a/b/x"] {
            let identity = Identity {
                user: user.to_owned(),
                ..Identity::default()
            };
            for channel in ["/r/a/b/x", "/r/c/x", "/r/x", "/r/a/x", "/r/a/b/x/x"] {
                assert!(
                    !pattern.matches(channel, Some(&identity)),
                    "{user} {channel}"
                );
            }
            for subscription in ["/r/*", "/r/**", "/r/a/*"] {
                assert!(!pattern.covers(subscription, Some(&identity)), "{user}");
            }
        }
        let pattern = Pattern::parse("/r/{user}").expect("a pattern");
        let star = Identity {
            user: "**".to_owned(),
            ..Identity::default()
        };
        assert!(!pattern.covers("/r/**", Some(&star)));
        assert!(!pattern.matches("/r/x", None), "nobody has no name");
        assert!(!pattern.overlaps("/r/*", None));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let cases = [
            ("chat", "must be a channel"),
            ("/", "must be a channel"),
            ("/a//b", "must be a channel"),
            ("/a/*/b", "must be a channel"),
            ("/**/b", "must be a channel"),
            ("/meta/**", "rules are not about meta channels"),
            ("/a/{usr}", "a segment in braces"),
            ("/a/x{user}", "a segment in braces"),
            ("/a/{claim.}", "a segment in braces"),
            ("/a/{claim}", "a segment in braces"),
            ("/a/{*}", "a segment in braces"),
            ("/{user", "a segment in braces"),
        ];
        for (text, expected) in cases {
            let fix = Pattern::parse(text).expect_err(text);
            assert!(fix.starts_with(expected), "{text}: {fix}");
        }
        for text in [
            "/**",
            "/a",
            "/a/",
            "/meta",
            "/service/**",
            "/{claim.a.b}/{any}/*",
        ] {
            assert!(Pattern::parse(text).is_ok(), "{text}");
        }
    }
}
