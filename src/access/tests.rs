//! Rules against what they should mean: tables, and chance against a reference that is plain and slow.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::settings::{All, OneOf, Word};
use super::*;
use crate::bayeux::Limits;

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text, &Limits::default()).expect(text)
}

fn pattern(text: &str) -> ChannelPattern {
    ChannelPattern::parse(text, &Limits::default()).expect(text)
}

fn rules(text: &str) -> Vec<Rule> {
    #[derive(serde::Deserialize)]
    struct File {
        access: Vec<Rule>,
    }
    toml::from_str::<File>(text).expect("rules").access
}

fn access(text: &str) -> Arc<Access> {
    Arc::new(Access::new(&rules(text)).expect("rules that can be used"))
}

fn anonymous(address: &str) -> Subject {
    Subject {
        identity: None,
        address: Some(address.parse().expect("an address")),
    }
}

fn user(user: &str, roles: &[&str]) -> Subject {
    let identity = Identity {
        user: user.to_owned(),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        ..Identity::default()
    };
    Subject {
        identity: Some(Arc::new(identity)),
        address: None,
    }
}

const SITE: &str = r#"
    [[access]]
    deny = ["handshake", "subscribe", "publish"]
    channels = ["/**"]
    who = { address = "203.0.113.0/24" }
    reason = "blocked"
    [[access]]
    deny = ["subscribe"]
    channels = ["/staff/**"]
    who = "anonymous"
    [[access]]
    allow = ["handshake", "subscribe"]
    channels = ["/**"]
    who = "anyone"
    [[access]]
    allow = ["publish"]
    channels = ["/room/{user}/**"]
    who = [{ role = ["editor", "admin"] }, { user = "root", address = "::1" }]
"#;

#[test]
fn the_first_rule_that_matches_decides() {
    let access = access(SITE);
    let (guest, blocked) = (anonymous("192.0.2.1"), anonymous("203.0.113.9"));
    let (editor, other) = (user("u1", &["editor"]), user("u1", &["reader"]));
    let cases = [
        (Asked::Handshake, &guest, true, Some(2)),
        (Asked::Handshake, &blocked, false, Some(0)),
        (Asked::Subscribe(&pattern("/a")), &guest, true, Some(2)),
        (Asked::Subscribe(&pattern("/a")), &blocked, false, Some(0)),
        (
            Asked::Subscribe(&pattern("/staff/x")),
            &guest,
            false,
            Some(1),
        ),
        (Asked::Subscribe(&pattern("/**")), &guest, false, Some(1)),
        (Asked::Subscribe(&pattern("/a/**")), &guest, true, Some(2)),
        (Asked::Subscribe(&pattern("/**")), &other, true, Some(2)),
        (Asked::Publish(&name("/room/u1/a")), &guest, false, None),
        (Asked::Publish(&name("/room/u1/a")), &other, false, None),
        (Asked::Publish(&name("/room/u1/a")), &editor, true, Some(3)),
        (Asked::Publish(&name("/room/u2/a")), &editor, false, None),
        (
            Asked::Publish(&name("/room/root/a")),
            &user("root", &[]),
            false,
            None,
        ),
        (Asked::Publish(&name("/meta/x")), &editor, false, None),
        (Asked::Subscribe(&pattern("/meta/**")), &other, false, None),
    ];
    for (asked, subject, allowed, rule) in cases {
        let decision = access.decide(asked, subject);
        assert_eq!(
            decision,
            Decision { allowed, rule },
            "{asked:?} {subject:?}"
        );
    }
    let refused = access.decide(Asked::Handshake, &blocked);
    assert_eq!(access.reason(refused), Some("blocked"));
    let refused = access.decide(Asked::Subscribe(&pattern("/staff/x")), &guest);
    assert_eq!(access.reason(refused), None);
}

#[test]
fn without_rules_everything_is_allowed_but_meta_channels() {
    let access = Arc::new(Access::default());
    let guest = anonymous("192.0.2.1");
    let granted = access.for_subject(guest.clone());
    assert!(granted.is_open());
    assert_eq!(std::mem::size_of::<Granted>(), 8);
    assert!(access.decide(Asked::Handshake, &guest).allowed);
    assert!(granted.publish(&name("/service/x")).allowed);
    assert!(granted.subscribe(&pattern("/**")).allowed);
    assert!(
        !access
            .decide(Asked::Publish(&name("/meta/x")), &guest)
            .allowed
    );
}

/// What an identity brings with it counts where no rule decides, and for patterns as rules do.
#[test]
fn grants_come_behind_the_rules() {
    let access = access(SITE);
    let grants = vec![
        Grant {
            actions: vec![Action::Publish],
            channels: vec![pattern("/news/*"), pattern("/room/u9/**")],
        },
        Grant {
            actions: vec![Action::Subscribe],
            channels: vec![pattern("/staff/**")],
        },
    ];
    let with = |address: &str| Subject {
        identity: Some(Arc::new(Identity {
            user: "u1".to_owned(),
            grants: grants.clone(),
            expires: None,
            ..Identity::default()
        })),
        address: address.parse().ok(),
    };
    let (own, blocked) = (with("192.0.2.1"), with("203.0.113.1"));
    for (channel, allowed) in [
        ("/news/a", true),
        ("/news/a/b", false),
        ("/room/u9/x", true),
    ] {
        let channel = name(channel);
        let by_granted = access.for_subject(own.clone()).publish(&channel);
        let decision = access.decide(Asked::Publish(&channel), &own);
        assert_eq!(
            decision,
            Decision {
                allowed,
                rule: None
            },
            "{channel:?}"
        );
        assert_eq!(by_granted, decision);
        let decision = access.decide(Asked::Publish(&channel), &blocked);
        assert_eq!(
            decision,
            Decision {
                allowed: false,
                rule: Some(0)
            }
        );
    }
}

#[test]
fn rules_that_make_no_sense_are_refused_with_number_key_and_fix() {
    let cases = [
        (
            "who = 'anyone'",
            "access[0].allow = []: neither allow nor deny names an action",
        ),
        (
            "allow = ['publish']\ndeny = ['publish']\nchannels = ['/a']\nwho = 'anyone'",
            "access[0].deny = [\"publish\"]: publish is in allow as well",
        ),
        (
            "allow = ['subscribe']\nwho = 'anyone'",
            "access[0].channels = []: name the channels",
        ),
        (
            "allow = ['handshake']\nchannels = ['/a']\nwho = 'anyone'",
            "access[0].channels = [\"/a\"]: a handshake has no channel",
        ),
        (
            "allow = ['publish']\nchannels = ['/a', '/a/{usr}']\nwho = 'anyone'",
            "access[0].channels = \"/a/{usr}\": a segment in braces must be {user}",
        ),
        (
            "allow = ['handshake']",
            "access[0] has no who: say whom it is about",
        ),
        (
            "allow = ['handshake']\nwho = {}",
            "access[0].who = {}: name a user, a role or an address",
        ),
        (
            "allow = ['handshake']\nwho = ['anonymous', { address = '10.0.0.1/8' }]",
            "access[0].who = [\"anonymous\",{\"address\":\"10.0.0.1/8\"}]: address \"10.0.0.1/8\" \
             has more than the first 8 bits; write \"10.0.0.0/8\"",
        ),
        (
            "deny = ['handshake']\nwho = 'anyone'\nreason = 'a:b'",
            "access[0].reason = \"a:b\": must be one line without ':'",
        ),
        (
            "deny = ['handshake']\nwho = 'anyone'\nreason = ' '",
            "access[0].reason = \" \": must say something",
        ),
    ];
    for (text, expected) in cases {
        let problems = Access::new(&rules(&format!("[[access]]\n{text}"))).expect_err(text);
        let shown = problems[0].to_string();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(shown.starts_with(expected), "{shown}\nexpected {expected}");
    }
    let one = rules("[[access]]\nallow = ['handshake']\nwho = 'anyone'");
    let many = vec![one[0].clone(); MAX_RULES + 1];
    assert!(Access::new(&many).is_err());
    assert!(Access::new(&many[1..]).is_ok());
}

/// A list is a list also where a struct could be read from one.
#[test]
fn whom_a_rule_is_about_is_read_as_it_is_written() {
    let one = |text: &str| OneOf::One(text.to_owned());
    let user = Some(OneOf::Many(vec!["a".to_owned(), "b".to_owned()]));
    let cases = [
        ("'anyone'", Some(Who::Word(Word::Anyone))),
        (
            "['anonymous']",
            Some(Who::Any(vec![Who::Word(Word::Anonymous)])),
        ),
        ("['anonymous', 'authenticated', 'x']", None),
        ("['editor']", None),
        ("[]", None),
        ("{ user = [] }", None),
        ("{ user = 'a', group = 'b' }", None),
        (
            "{ user = ['a', 'b'], role = 'r' }",
            Some(Who::All(All {
                user,
                role: Some(one("r")),
                address: None,
            })),
        ),
    ];
    for (text, expected) in cases {
        let read: Option<Rule> = toml::from_str(&format!("who = {text}")).ok();
        assert_eq!(read.and_then(|rule| rule.who), expected, "{text}");
    }
}

#[test]
fn rules_say_which_claims_they_ask_for() {
    let channels = "['/a/{claim.org}/{claim.team}', '/{claim.org}/{user}']";
    let text = format!("[[access]]\nallow = ['publish']\nchannels = {channels}\nwho = 'anyone'");
    assert_eq!(access(&text).claims(), ["org", "team"]);
}

/// What rules mean, segment by segment.
mod reference {
    use super::*;

    pub(super) fn decide(rules: &[Rule], action: Action, channel: &str, who: &Subject) -> Decision {
        for (number, rule) in rules.iter().enumerate() {
            let is_about = rule.allow.contains(&action) || rule.deny.contains(&action);
            let matches = |pattern: &String| is_match(pattern, channel, who);
            if is_about && is_one(rule.who.as_ref(), who) && rule.channels.iter().any(matches) {
                return Decision {
                    allowed: rule.allow.contains(&action),
                    rule: Some(number),
                };
            }
        }
        Decision {
            allowed: false,
            rule: None,
        }
    }

    pub(super) fn is_match(pattern: &str, channel: &str, who: &Subject) -> bool {
        let pattern: Vec<&str> = pattern.split('/').skip(1).collect();
        let channel: Vec<&str> = channel.split('/').skip(1).collect();
        let (fixed, deep) = match pattern.split_last() {
            Some((&"**", fixed)) => (fixed, true),
            _ => (&pattern[..], false),
        };
        let fits = if deep {
            channel.len() > fixed.len()
        } else {
            channel.len() == fixed.len()
        };
        fits && fixed.iter().zip(&channel).all(|(wanted, have)| {
            let identity = who.identity.as_deref();
            match *wanted {
                "*" | "{any}" => true,
                "{user}" => identity.is_some_and(|identity| identity.user == *have),
                "{claim.org}" => {
                    identity.is_some_and(|own| own.claims.iter().any(|(_, value)| value == have))
                }
                text => text == *have,
            }
        })
    }

    fn is_one(wanted: Option<&Who>, who: &Subject) -> bool {
        let identity = who.identity.as_deref();
        match wanted.expect("every rule has one") {
            Who::Word(Word::Anyone) => true,
            Who::Word(Word::Anonymous) => identity.is_none(),
            Who::Word(Word::Authenticated) => identity.is_some(),
            Who::Any(list) => list.iter().any(|wanted| is_one(Some(wanted), who)),
            Who::All(All { user, role, .. }) => identity.is_some_and(|identity| {
                let is_user = |users: &OneOf| users.all().contains(&identity.user);
                let has = |roles: &OneOf| roles.all().iter().any(|r| identity.roles.contains(r));
                user.as_ref().is_none_or(is_user) && role.as_ref().is_none_or(has)
            }),
        }
    }
}

/// Names that rules and people have, and one that they have not.
const SEGMENTS: [&str; 3] = ["a", "b", "z"];

/// All channels of up to four segments: one more than rules have before a wildcard.
fn channels() -> Vec<String> {
    let mut all = vec![String::new()];
    let mut longest = all.clone();
    for _ in 0..4 {
        longest = longest
            .iter()
            .flat_map(|base| SEGMENTS.map(|segment| format!("{base}/{segment}")))
            .collect();
        all.extend(longest.clone());
    }
    all.split_off(1)
}

fn some_pattern(segments: &'static [&'static str]) -> impl Strategy<Value = String> {
    let base = prop::collection::vec(select(segments), 0..3);
    (base, select(&["", "/*", "/**"][..])).prop_map(|(base, tail)| {
        let base: String = base.iter().map(|segment| format!("/{segment}")).collect();
        match base + tail {
            empty if empty.is_empty() => "/a".to_owned(),
            pattern => pattern,
        }
    })
}

fn some_who() -> impl Strategy<Value = Who> {
    let one = |text: &str| Some(OneOf::One(text.to_owned()));
    let all = |user, role| {
        let address = None;
        Who::All(All {
            user,
            role,
            address,
        })
    };
    select(vec![
        Who::Word(Word::Anyone),
        Who::Word(Word::Anyone),
        Who::Word(Word::Anonymous),
        Who::Word(Word::Authenticated),
        all(one("a"), None),
        all(None, one("r")),
        all(one("b"), one("r")),
        Who::Any(vec![Who::Word(Word::Anonymous), all(one("b"), None)]),
    ])
}

fn some_rule() -> impl Strategy<Value = Rule> {
    const IN_RULES: &[&str] = &["a", "b", "{any}", "{user}", "{claim.org}", "a", "b"];
    let actions = subsequence(vec![Action::Subscribe, Action::Publish], 1..=2);
    let channels = prop::collection::vec(some_pattern(IN_RULES), 1..3);
    (actions, any::<bool>(), channels, some_who()).prop_map(|(actions, allows, channels, who)| {
        let (allow, deny) = if allows {
            (actions, Vec::new())
        } else {
            (Vec::new(), actions)
        };
        Rule {
            allow,
            deny,
            channels,
            who: Some(who),
            reason: None,
        }
    })
}

fn some_subject() -> impl Strategy<Value = Subject> {
    let claims = subsequence(vec!["a", "b"], 0..=2);
    let identity = (select(&SEGMENTS[..2]), any::<bool>(), claims);
    prop::option::of(identity).prop_map(|identity| Subject {
        identity: identity.map(|(user, has_role, values)| {
            let claim = |value: &str| ("org".to_owned(), value.to_owned());
            Arc::new(Identity {
                user: user.to_owned(),
                roles: has_role.then(|| "r".to_owned()).into_iter().collect(),
                claims: values.into_iter().map(claim).collect(),
                grants: Vec::new(),
                expires: None,
            })
        }),
        address: None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Of a channel rules say what the reference says, whichever way they are asked; and a pattern that
    /// was granted delivers no channel that they refuse.
    #[test]
    fn what_is_granted_is_allowed(
        rules in prop::collection::vec(some_rule(), 1..6),
        subject in some_subject(),
        subscriptions in prop::collection::vec(some_pattern(&SEGMENTS), 1..6),
    ) {
        let access = Arc::new(Access::new(&rules).expect("rules that can be used"));
        let granted = access.for_subject(subject.clone());
        let mut allowed = Vec::new();
        for channel in channels() {
            let expected = reference::decide(&rules, Action::Publish, &channel, &subject);
            let channel_name = name(&channel);
            prop_assert_eq!(access.decide(Asked::Publish(&channel_name), &subject), expected);
            prop_assert_eq!(granted.publish(&channel_name), expected);

            let expected = reference::decide(&rules, Action::Subscribe, &channel, &subject);
            let exact = pattern(&channel);
            prop_assert_eq!(access.decide(Asked::Subscribe(&exact), &subject), expected);
            prop_assert_eq!(granted.subscribe(&exact), expected);
            allowed.push((channel, expected.allowed));
        }
        for subscription in subscriptions {
            let wanted = pattern(&subscription);
            let decision = granted.subscribe(&wanted);
            prop_assert_eq!(decision, access.decide(Asked::Subscribe(&wanted), &subject));
            let delivered = |channel: &str| reference::is_match(&subscription, channel, &subject);
            let mut delivers = allowed.iter().filter(|(channel, _)| delivered(channel));
            if decision.allowed {
                let refused = delivers.find(|(_, allowed)| !allowed);
                prop_assert_eq!(refused, None, "{} delivers it", subscription);
            } else if let Some(rule) = decision.rule {
                // Who is refused by a rule is refused for a channel that it denies.
                let denied = |channel: &str| {
                    reference::decide(&rules[rule..=rule], Action::Subscribe, channel, &subject).rule == Some(0)
                };
                prop_assert!(delivers.any(|(channel, _)| denied(channel)), "{}", subscription);
            }
        }
    }
}
