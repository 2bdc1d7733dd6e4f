//! What others wrote, made fit for a terminal: nothing in it acts there, or turns the direction of what follows.

use std::fmt::Write;

/// How much of a text is shown in a line of an error.
const MAX_LETTERS: usize = 1000;

/// Whether a letter does no harm.
pub(super) fn is_harmless(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !letter.is_control() && !turns
}

/// Adds a text with what might do harm escaped as JSON has it.
pub(super) fn push_harmless(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            letter if is_harmless(letter) => out.push(letter),
            letter => write!(out, "\\u{:04x}", u32::from(letter)).expect("it is a String"),
        }
    }
}

/// The beginning of a text, for a line of an error.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::new();
    match text.char_indices().nth(MAX_LETTERS) {
        Some((end, _)) => {
            push_harmless(&text[..end], &mut out);
            out.push('…');
        }
        None => push_harmless(text, &mut out),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_line_and_no_longer_than_it_may_be() {
        assert_eq!(
            shown("a\n\x1b[2J\u{202e}\"ü\\"),
            "a\\u000a\\u001b[2J\\u202e\"ü\\"
        );
        assert_eq!(shown(&"ü".repeat(1000)), "ü".repeat(1000));
        assert_eq!(shown(&"ü".repeat(1001)), "ü".repeat(1000) + "…");
    }
}
