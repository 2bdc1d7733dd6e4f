//! Changes to a request, most often to its head.

use super::fields::{BEFORE_TARGETS, BEHIND_TARGETS, BODIES, FIELDS, METHODS, TARGETS, VERSIONS};
use crate::support::Random;

/// A request in parts.
struct Parts {
    /// The request line and the fields, with their line ends.
    lines: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// Changes a request here and there, or not at all.
pub(super) fn mutated(random: &mut Random, request: &[u8]) -> Vec<u8> {
    let mut parts = Parts::of(request);
    for _ in 0..random.below(4) {
        parts.change(random);
    }
    let mut bytes = parts.joined();
    match random.below(24) {
        0 => {
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
        }
        1 => bytes = random.spoil(bytes),
        _ => {}
    }
    bytes
}

fn one<'t, T: ?Sized>(random: &mut Random, of: &[&'t T]) -> &'t T {
    of[random.below(of.len())]
}

fn field(random: &mut Random) -> &'static str {
    let of = FIELDS[random.below(FIELDS.len())];
    one(random, of)
}

/// The name of a field, in lower case.
fn name(line: &[u8]) -> Vec<u8> {
    let end = memchr::memchr(b':', line).unwrap_or(line.len());
    line[..end].trim_ascii().to_ascii_lowercase()
}

impl Parts {
    fn of(request: &[u8]) -> Self {
        let end = memchr::memmem::find(request, b"\r\n\r\n").expect("a head") + 2;
        let lines = request[..end].split_inclusive(|byte| *byte == b'\n');
        Self {
            lines: lines.map(<[u8]>::to_vec).collect(),
            body: request[end + 2..].to_vec(),
        }
    }

    fn joined(&self) -> Vec<u8> {
        [&self.lines.concat(), &b"\r\n"[..], &self.body].concat()
    }

    fn change(&mut self, random: &mut Random) {
        match random.below(18) {
            0..=2 => self.replace(random),
            3..=5 => self.insert(random),
            6 => self.repeat(random),
            7 => {
                let at = random.below(self.lines.len());
                self.lines.remove(at);
                if self.lines.is_empty() {
                    self.insert(random);
                }
            }
            8 | 9 => self.write_otherwise(random),
            10 => self.word(random, 0, METHODS),
            11 | 12 => self.target(random),
            13 => self.word(random, 2, VERSIONS),
            14 | 15 => self.letter(random),
            _ => self.body(random),
        }
    }

    /// Puts another field in the place of one of the same name, if there is one.
    fn replace(&mut self, random: &mut Random) {
        let field = field(random);
        let new = name(field.as_bytes());
        let old = self.lines.iter().skip(1).position(|line| name(line) == new);
        match old {
            Some(at) => self.lines[at + 1] = format!("{field}\r\n").into_bytes(),
            None => self.lines.push(format!("{field}\r\n").into_bytes()),
        }
    }

    fn insert(&mut self, random: &mut Random) {
        let mut field = format!("{}\r\n", field(random));
        if random.below(40) == 0 {
            // Below what is cached, above it, and above all bounds.
            let size = [3000, 5000, 40_000][random.below(3)];
            field = format!("Cookie: a={}\r\n", "b".repeat(size));
        } else if random.below(60) == 0 {
            // Beyond what is ordinary, and beyond the bound.
            field = field.repeat([45, 110][random.below(2)]);
        }
        let at = if self.lines.is_empty() {
            0
        } else {
            1 + random.below(self.lines.len())
        };
        self.lines.insert(at, field.into_bytes());
    }

    fn repeat(&mut self, random: &mut Random) {
        let at = random.below(self.lines.len());
        let line = self.lines[at].clone();
        let to = at + random.below(self.lines.len() - at);
        self.lines.insert(to, line);
    }

    /// Writes a field in another way, which may mean the same or nothing.
    fn write_otherwise(&mut self, random: &mut Random) {
        let at = random.below(self.lines.len());
        let line = &mut self.lines[at];
        let colon = memchr::memchr(b':', line).unwrap_or(0);
        match random.below(9) {
            0 => line[..colon].make_ascii_lowercase(),
            1 => line[..colon].make_ascii_uppercase(),
            2 => line[colon..].make_ascii_uppercase(),
            3 => line.insert(colon, b' '),
            4 => drop(line.splice(colon + 1..colon + 1, *b" \t ")),
            5 => drop(line.splice(line.len() - 2.., *b" \t\r\n")),
            6 => drop(line.splice(line.len() - 2.., *b"\n")),
            7 => drop(line.splice(line.len() - 2.., *b"\r\r\n")),
            _ => drop(line.splice(colon + 1..colon + 1, *b"\r\n ")),
        }
    }

    /// Changes a letter of a value, so that the head is as long as before.
    fn letter(&mut self, random: &mut Random) {
        let at = random.below(self.lines.len());
        let line = &mut self.lines[at];
        let value = memchr::memchr(b':', line).unwrap_or(0);
        let at = value + random.below(line.len() - value);
        if line[at].is_ascii_alphanumeric() {
            line[at] = b"0aBzX9"[random.below(6)];
        }
    }

    /// Changes the method or the version.
    fn word(&mut self, random: &mut Random, nth: usize, words: &[&str]) {
        self.words(|all| {
            if let Some(word) = all.get_mut(nth) {
                one(random, words).clone_into(word);
            }
        });
    }

    fn target(&mut self, random: &mut Random) {
        self.words(|all| {
            let Some(target) = all.get_mut(1) else { return };
            match random.below(5) {
                0 | 1 => target.insert_str(0, one(random, BEFORE_TARGETS)),
                2 | 3 => target.push_str(one(random, BEHIND_TARGETS)),
                _ => one(random, TARGETS).clone_into(target),
            }
        });
    }

    fn words(&mut self, change: impl FnOnce(&mut [String])) {
        let line = String::from_utf8_lossy(&self.lines[0]).into_owned();
        let mut words: Vec<String> = line.trim_end().split(' ').map(str::to_owned).collect();
        change(&mut words);
        self.lines[0] = format!("{}\r\n", words.join(" ")).into_bytes();
    }

    /// Changes the body, and most often says how long it is now.
    fn body(&mut self, random: &mut Random) {
        let other = one(random, BODIES);
        if random.below(4) == 0 && other.len() < self.body.len() {
            // The head stays as it is.
            self.body = format!("{other:width$}", width = self.body.len()).into_bytes();
            return;
        }
        let said = format!("Content-Length: {}\r\n", self.body.len());
        match random.below(4) {
            0 if !self.body.is_empty() => {
                let at = random.below(self.body.len());
                self.body[at] = random.byte();
            }
            1 if self.body.len() > 8 => self.body = random.spoil(std::mem::take(&mut self.body)),
            _ if random.below(12) == 0 => {
                // Longer than a body may be.
                self.body.resize(self.body.len() + 1100, b' ');
            }
            2 => self.body.truncate(random.below(self.body.len() + 1)),
            _ => self.body.extend_from_slice(b" \r\n"),
        }
        let is_said = random.below(5) > 0;
        let line = self.lines.iter_mut().find(|line| **line == said.as_bytes());
        if let Some(line) = line.filter(|_| is_said) {
            *line = format!("Content-Length: {}\r\n", self.body.len()).into_bytes();
        }
    }
}
