//! Standard input as batches of messages: a message a line, and in each batch what has been read.

use std::io::{BufRead, BufReader, Read};

use crate::cli::remote::json;
use crate::client::Message;

/// Bytes of a line.
const MAX_LINE: usize = 1024 * 1024;
/// Messages in a batch.
const MAX_MESSAGES: usize = 100;
/// Bytes of a batch of more than one message; servers bound the size of requests.
const MAX_BATCH: usize = 32 * 1024;
/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;

/// What has been read.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The messages; their ids are the numbers of their lines.
    pub(super) messages: Vec<Message>,
    /// What is wrong with other lines, by their numbers.
    pub(super) problems: Vec<(u64, String)>,
}

/// Reads batches until the input ends or nobody takes them.
pub(super) fn read(input: impl Read, mut give: impl FnMut(Batch) -> bool) {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut batch = Batch::default();
    let mut bytes = 0;
    let mut number = 0;
    let mut line = Vec::new();
    loop {
        let is_waiting = !input.buffer().contains(&b'\n');
        let is_full = batch.messages.len() >= MAX_MESSAGES || batch.problems.len() >= MAX_MESSAGES;
        let next = next_length(input.buffer());
        let has_some = !batch.messages.is_empty() || !batch.problems.is_empty();
        if has_some && (is_waiting || is_full || bytes + next > MAX_BATCH) {
            if !give(std::mem::take(&mut batch)) {
                return;
            }
            bytes = 0;
        }
        number += 1;
        match read_line(&mut input, &mut line) {
            Ok(Line::Whole) if line.trim_ascii().is_empty() => {}
            Ok(Line::Whole) => match message(number, &line) {
                Ok(message) => {
                    bytes += line.len();
                    batch.messages.push(message);
                }
                Err(problem) => batch.problems.push((number, problem)),
            },
            Ok(Line::TooLong) => {
                let problem = format!("longer than {MAX_LINE} bytes");
                batch.problems.push((number, problem));
            }
            Ok(Line::End) => break,
            Err(error) => {
                batch
                    .problems
                    .push((number, format!("not readable: {error}")));
                break;
            }
        }
    }
    if !batch.messages.is_empty() || !batch.problems.is_empty() {
        give(batch);
    }
}

fn next_length(buffer: &[u8]) -> usize {
    let end = buffer.iter().position(|byte| *byte == b'\n');
    end.unwrap_or_default()
}

enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads a line; of one that is too long nothing is kept.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Line> {
    line.clear();
    let mut length = 0_usize;
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        length = length.saturating_add(part.len());
        if length <= MAX_LINE {
            line.extend_from_slice(part);
        } else {
            line.clear();
        }
        let is_over = end.is_some() || buffer.is_empty();
        let is_end = buffer.is_empty() && length == 0;
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if is_over {
            return Ok(match length {
                _ if is_end => Line::End,
                0..=MAX_LINE => Line::Whole,
                _ => Line::TooLong,
            });
        }
    }
}

/// Makes a message of what stands in a line.
///
/// # Errors
/// It is not JSON; what is wrong, as a sentence that goes on after "is".
pub(super) fn message(number: u64, text: &[u8]) -> Result<Message, String> {
    let text = std::str::from_utf8(text).map_err(|_| "no UTF-8".to_owned())?;
    let data = json(text)?;
    Ok(Message {
        id: number.to_string(),
        data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives what it holds in parts, as a pipe does.
    struct Parts(Vec<Vec<u8>>);

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let part = self.0.remove(0);
            buffer[..part.len()].copy_from_slice(&part);
            Ok(part.len())
        }
    }

    fn batches(input: impl Read) -> Vec<Batch> {
        let mut batches = Vec::new();
        read(input, |batch| {
            batches.push(batch);
            true
        });
        batches
    }

    fn said(batch: &Batch) -> Vec<(&str, &str)> {
        let messages = batch.messages.iter();
        messages
            .map(|message| (&*message.id, message.data.get()))
            .collect()
    }

    #[test]
    fn a_batch_is_what_has_been_read() {
        let parts = ["1\n2\n\"", "x\"\n", "\n \n{\"a\":\r", "1}\r\n[", "]"];
        let parts = parts.map(|part| part.as_bytes().to_vec());
        let batches = batches(Parts(parts.into()));
        let all: Vec<_> = batches.iter().map(said).collect();
        let expected = [
            vec![("1", "1"), ("2", "2")],
            vec![("3", "\"x\"")],
            vec![("6", "{\"a\":\r1}")],
            vec![("7", "[]")],
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn batches_are_bounded() {
        let many = "1\n".repeat(250);
        let sizes = |input: &str| -> Vec<usize> {
            let batches = batches(input.as_bytes());
            batches.iter().map(|batch| batch.messages.len()).collect()
        };
        assert_eq!(sizes(&many), [100, 100, 50]);
        let long = format!("\"{}\"\n", "x".repeat(15_000));
        assert_eq!(sizes(&long.repeat(4)), [2, 2]);
        let longer = format!("\"{}\"\n", "x".repeat(40_000));
        assert_eq!(sizes(&longer.repeat(2)), [1, 1]);
    }

    #[test]
    fn a_line_that_is_none_hides_no_other() {
        let long = "x".repeat(MAX_LINE + 1);
        let input = [b"1\nhello\n", long.as_bytes(), b"\n\xff\n2"].concat();
        let batches = batches(&*input);
        let problems: Vec<_> = batches.iter().flat_map(|batch| &batch.problems).collect();
        let expected = [
            (
                2,
                "not JSON (expected value at line 1 column 1); a string is quoted: '\"hello\"'",
            ),
            (3, "longer than 1048576 bytes"),
            (4, "no UTF-8"),
        ];
        for ((number, problem), expected) in problems.iter().zip(expected) {
            assert_eq!((*number, &**problem), expected);
        }
        assert_eq!(problems.len(), 3);
        let messages: Vec<_> = batches.iter().flat_map(said).collect();
        assert_eq!(messages, [("1", "1"), ("5", "2")]);
        let longest = format!("\"{}\"", "x".repeat(MAX_LINE - 2));
        assert_eq!(
            super::tests::batches(longest.as_bytes())[0].messages.len(),
            1
        );
    }
}
