//! What counts at once and what does not; and that every key is one or the other.

use std::collections::BTreeMap;

use super::super::Sources;
use super::*;

const REFERENCE: &str = include_str!("../../../docs/configuration.md");
const MARK: &str = "*(restart)*";

fn loaded(file: &str) -> Loaded {
    let table: Table = file.parse().expect("TOML");
    let set = table.iter().flat_map(|(section, value)| match value {
        Value::Table(keys) => {
            let set = keys
                .iter()
                .map(|(key, value)| format!("{section}.{key}={value}"));
            set.collect::<Vec<_>>()
        }
        value => vec![format!("{section}={value}")],
    });
    let sources = Sources {
        set: set.collect(),
        ..Sources::default()
    };
    Config::load(&sources, []).expect("a configuration")
}

/// Every key there is; those of entries of lists with the list.
fn all() -> Vec<String> {
    let own = |key: String| match keys::list(&key) {
        Some(list) => {
            let names = keys::known_of(list).into_iter();
            names.map(|name| format!("{key}.{name}")).collect()
        }
        None => vec![key],
    };
    keys::known().into_iter().flat_map(own).collect()
}

#[test]
fn every_key_takes_effect_at_once_or_at_the_start() {
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    for (section, names) in AT_ONCE.iter().chain(AT_START) {
        for name in *names {
            *left.entry(format!("{section}.{name}")).or_default() += 1;
        }
    }
    for key in all() {
        assert_eq!(left.remove(&key), Some(1), "{key}");
    }
    assert!(left.is_empty(), "there are no such keys: {left:?}");
}

#[test]
fn the_reference_marks_the_keys_that_need_a_restart() {
    let mut marked = BTreeMap::new();
    for line in REFERENCE.lines() {
        let cells = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split_once("` |"));
        if let Some((key, others)) = cells {
            marked.insert(key.to_owned(), others.contains(MARK));
        }
    }
    for key in all() {
        assert_eq!(marked.get(&key), Some(&is_in(AT_START, &key)), "{key}");
    }
}

#[test]
fn what_counts_at_once_changes_and_the_rest_is_named() {
    let old = loaded(
        r#"
        http = { listen = ["127.0.0.1:1"], hosts = ["a"] }
        bayeux = { timeout = "10s" }
        hook = []
        "#,
    );
    let new = loaded(
        r#"
        http = { listen = ["127.0.0.1:2"], hosts = ["b"] }
        bayeux = { max_batch = 7 }
        rates = { max_addresses = 65536 }
        memory = { budget = "60%" }
        services = { echo = ["/service/echo"] }
        hook = [{ url = "https://example.com/", secrets = [{ env = "S" }], calls = ["/service/a"] }]
        access = [{ allow = ["handshake"], who = "anyone" }]
        "#,
    );
    let change = old.change_to(new).expect("it fits");
    assert_eq!(
        change.changed,
        ["access", "bayeux.max_batch", "bayeux.timeout", "http.hosts"]
    );
    assert_eq!(
        change.needs_restart,
        ["hook", "http.listen", "services.echo"]
    );
    let config = &change.loaded.config;
    assert_eq!(config.http.listen[0].to_string(), "127.0.0.1:1");
    assert_eq!(config.http.hosts, ["b"]);
    assert_eq!(config.bayeux.limits.max_batch, 7);
    assert_eq!(
        config.bayeux.session.timeout,
        Config::default().bayeux.session.timeout
    );
    assert_eq!((config.access.len(), config.hook.len()), (1, 0));
    assert!(config.services.echo.is_empty());
    // What waits for a restart is named again.
    let again = change
        .loaded
        .change_to(loaded("services = { echo = [\"/service/echo\"] }"));
    assert_eq!(
        again.expect("it fits").needs_restart,
        ["http.listen", "services.echo"]
    );
}

#[test]
fn of_a_channel_some_counts_at_once_and_some_does_not() {
    let old = loaded(
        r#"channel = [
            { pattern = "/a/*", history = { messages = 1 }, lazy = true },
            { pattern = "/b", resource = true },
            { pattern = "/c", lazy = true },
        ]"#,
    );
    let new = loaded(
        r#"channel = [
            { pattern = "/d", history = { messages = 2 } },
            { pattern = "/a/*", history = { messages = 3 }, max_queue = 5 },
            { pattern = "/e", presence = true, resource = true },
        ]"#,
    );
    let change = old.change_to(new).expect("it fits");
    assert_eq!(change.changed, ["channel"]);
    assert_eq!(
        change.needs_restart,
        ["channel.history", "channel.resource"]
    );
    let shown = change.loaded.config.channel.iter().map(|options| {
        let kept = options.history.and_then(|history| history.messages);
        (
            &*options.pattern,
            options.lazy,
            options.max_queue,
            kept,
            options.resource,
        )
    });
    let expected = [
        ("/a/*", None, Some(5), Some(1), None),
        ("/e", None, None, None, None),
        ("/b", None, None, None, Some(true)),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}
