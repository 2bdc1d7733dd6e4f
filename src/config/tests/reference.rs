//! The comments of `default.toml` are the meanings of `docs/configuration.md`, as plain text: there is one source.

use std::collections::BTreeMap;

use super::DEFAULT_TEXT;

const REFERENCE: &str = include_str!("../../../docs/configuration.md");
/// With this in the environment the test writes the comments instead of comparing them.
const WRITE: &str = "MIRANT_WRITE_DEFAULTS";
const WIDTH: usize = 108;

#[test]
fn the_comments_of_the_defaults_are_the_reference() {
    let expected = with_comments(DEFAULT_TEXT, &meanings());
    if std::env::var_os(WRITE).is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/default.toml");
        return std::fs::write(path, expected).unwrap();
    }
    for (ours, theirs) in DEFAULT_TEXT.lines().zip(expected.lines()) {
        assert_eq!(
            ours, theirs,
            "the comment differs from docs/configuration.md: run `{WRITE}=1 cargo test --lib reference`"
        );
    }
    assert_eq!(DEFAULT_TEXT, expected);
}

#[test]
fn what_a_table_says_is_plain_text_in_a_comment() {
    let cases = [
        ("A [`link`](a.md#b), `code`.", "A link, code."),
        ("`[[access]]` and [`more`](c.md)", "[[access]] and more"),
        ("See [Limits](a.md#limits).", "See Limits in docs/a.md."),
        ("One. *(restart)*", "One. (restart)"),
        ("a \\| b", "a | b"),
    ];
    for (markdown, text) in cases {
        assert_eq!(plain(markdown), text);
    }
}

#[test]
fn no_line_of_a_comment_looks_like_a_key() {
    let words = "w ".repeat(WIDTH / 2) + "sync = \"os\" or [[access]] entries";
    for line in comment(&words) {
        let text = line.trim_start_matches("# ");
        assert!(
            !text.starts_with("sync") && !text.starts_with('['),
            "{line}"
        );
    }
}

/// The meaning of every key.
fn meanings() -> BTreeMap<String, String> {
    let rows = REFERENCE.lines().filter_map(|line| {
        let (key, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (_, meaning) = rest.strip_suffix(" |")?.split_once(" | ")?;
        Some((key.to_owned(), plain(meaning)))
    });
    rows.filter(|(key, _)| key.contains('.')).collect()
}

/// The text of a table's cell, without what is for Markdown; of a guide to see it names the file.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut is_code = false;
    let mut link = 0;
    let markdown = markdown
        .replace("*(restart)*", "(restart)")
        .replace("\\|", "|");
    let mut rest = markdown.chars();
    while let Some(next) = rest.next() {
        match next {
            '`' => is_code = !is_code,
            '[' if !is_code => link = text.len(),
            ']' if !is_code => {
                let target: String = rest
                    .by_ref()
                    .skip(1)
                    .take_while(|&end| end != ')')
                    .collect();
                let (guide, _) = target.split_once('#').unwrap_or((&target, ""));
                if text[..link].to_lowercase().ends_with("see ") {
                    text.push_str(" in docs/");
                    text.push_str(guide);
                }
            }
            _ => text.push(next),
        }
    }
    text
}

/// The configuration with the comments above keys made anew; whatever else stands in it stays.
fn with_comments(defaults: &str, meanings: &BTreeMap<String, String>) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut section = String::new();
    for line in defaults.lines() {
        if let Some(name) = header(line) {
            name.clone_into(&mut section);
        } else if let Some(meaning) =
            key(line).and_then(|key| meanings.get(&format!("{section}.{key}")))
        {
            let is_comment = |last: &String| {
                last.starts_with("# ") && header(last).is_none() && key(last).is_none()
            };
            while lines.last().is_some_and(is_comment) {
                lines.pop();
            }
            lines.extend(comment(meaning));
        }
        lines.push(line.to_owned());
    }
    lines.join("\n") + "\n"
}

/// The name in the header of a section or a list.
fn header(line: &str) -> Option<&str> {
    let line = line.strip_prefix("# ").unwrap_or(line);
    let name = line.trim_start_matches('[').trim_end_matches(']');
    let is_header = line.starts_with('[') && line.ends_with(']');
    (is_header
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'.'))
    .then_some(name)
}

/// The key that a line sets, or gives an example of.
fn key(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(is_name).then_some(name)
}

/// The lines of a comment, none of which looks like a key or a header.
fn comment(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let mut lines = vec!["#".to_owned()];
    for (at, word) in words.iter().enumerate() {
        let is_bound = word.starts_with('[') || words.get(at + 1) == Some(&"=") || *word == "=";
        let last = lines.last_mut().expect("there is one");
        if last.chars().count() + word.chars().count() >= WIDTH && !is_bound {
            lines.push(format!("# {word}"));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines
}
