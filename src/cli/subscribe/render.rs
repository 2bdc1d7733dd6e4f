//! How a message looks: as it came, on one line; or spread over several; and with colours. Its numbers, strings
//! and order are never touched.

use crate::cli::harmless::push_harmless;

const KEY: &str = "\x1b[34m";
const STRING: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// Levels up to which lines are indented: a message is as deep as its sender likes.
const MAX_INDENT: usize = 64;

/// How messages look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    /// Over several lines.
    pub(super) is_pretty: bool,
    /// Names and strings are told apart.
    pub(super) has_colour: bool,
    /// For eyes: what would act on a terminal, or deceive who looks at it, is escaped as JSON allows.
    pub(super) is_terminal: bool,
}

/// Adds a message, which is valid JSON, and the end of its line.
pub(super) fn render(message: &str, style: Style, out: &mut String) {
    let mut depth = 0;
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let token = match first {
            '"' => string_end(rest),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(token);
        rest = after;
        match first {
            '"' => string(token, rest, style, out),
            '\n' | '\r' if !style.is_pretty => out.push(' '),
            ' ' | '\t' | '\n' | '\r' if style.is_pretty => {}
            '{' | '[' if style.is_pretty => {
                out.push(first);
                let inner = rest.trim_start();
                if let Some(after) = inner.strip_prefix(['}', ']']) {
                    out.push_str(&inner[..1]);
                    rest = after;
                } else {
                    depth += 1;
                    indent(depth, out);
                }
            }
            '}' | ']' if style.is_pretty => {
                depth = depth.saturating_sub(1);
                indent(depth, out);
                out.push(first);
            }
            ',' if style.is_pretty => {
                out.push(first);
                indent(depth, out);
            }
            ':' if style.is_pretty => out.push_str(": "),
            _ => out.push_str(token),
        }
    }
    out.push('\n');
}

fn indent(depth: usize, out: &mut String) {
    out.push('\n');
    for _ in 0..depth.min(MAX_INDENT) {
        out.push_str("  ");
    }
}

/// Where the string ends that a text begins with.
fn string_end(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().enumerate().skip(1).find(|(_, byte)| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

fn string(token: &str, rest: &str, style: Style, out: &mut String) {
    if style.has_colour {
        out.push_str(match rest.trim_start().starts_with(':') {
            true => KEY,
            false => STRING,
        });
    }
    if style.is_terminal {
        push_harmless(token, out);
    } else {
        out.push_str(token);
    }
    if style.has_colour {
        out.push_str(PLAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRETTY: Style = Style {
        is_pretty: true,
        has_colour: false,
        is_terminal: false,
    };
    const COLOUR: Style = Style {
        is_pretty: false,
        has_colour: true,
        is_terminal: true,
    };

    fn rendered(message: &str, style: Style) -> String {
        let mut out = String::new();
        render(message, style, &mut out);
        out
    }

    #[test]
    fn a_message_is_one_line_as_it_came() {
        for (message, expected) in [
            (
                r#"{"data":1.10,"channel":"/a"}"#,
                r#"{"data":1.10,"channel":"/a"}"#,
            ),
            (
                "{\"data\":{\r\n\t\"b\": [1e400,\n\"\\\"\\n\"]}}",
                "{\"data\":{  \t\"b\": [1e400, \"\\\"\\n\"]}}",
            ),
            (
                "{\"data\":\"\u{9b}\u{202e}\"}",
                "{\"data\":\"\u{9b}\u{202e}\"}",
            ),
        ] {
            assert_eq!(rendered(message, Style::default()), format!("{expected}\n"));
        }
    }

    #[test]
    fn a_message_is_spread_out() {
        let message = r#"{"channel":"/a{,","data":{"x": [1.10, {} ,[ ]],"y":"\"]"}}"#;
        let expected = r#"{
  "channel": "/a{,",
  "data": {
    "x": [
      1.10,
      {},
      []
    ],
    "y": "\"]"
  }
}
"#;
        assert_eq!(rendered(message, PRETTY), expected);
    }

    #[test]
    fn names_and_strings_have_colours() {
        let expected = "{\x1b[34m\"data\"\x1b[0m:[\x1b[32m\"a\"\x1b[0m,1]}\n";
        assert_eq!(rendered(r#"{"data":["a",1]}"#, COLOUR), expected);
    }

    #[test]
    fn a_terminal_is_not_acted_upon() {
        let seen = Style {
            has_colour: false,
            ..COLOUR
        };
        let message = "{\"data\":\"a\u{7f}\u{9b}2J\u{202e}ü\"}";
        let expected = "{\"data\":\"a\\u007f\\u009b2J\\u202eü\"}\n";
        assert_eq!(rendered(message, seen), expected);
    }

    #[test]
    fn the_deepest_message_is_no_wider_than_others() {
        let deep = 10_000;
        let message = format!("{}1{}", "[".repeat(deep), "]".repeat(deep));
        let most = (2 * deep + 1) * (2 * MAX_INDENT + 2);
        assert!(rendered(&message, PRETTY).len() < most);
    }
}
