//! The ways that requests arrive in. The general one is that of a request whose first byte comes alone:
//! hyper reads it, and nothing that was known before is asked. All others have to lead to its answers.

use std::net::SocketAddr;

use super::answers::Answer;
use super::connection::{Connection, Outcome};
use super::embedded;
use super::samples::{Sample, fresh};
use crate::support::Random;

/// A request that shows where the one before it ends: its answer comes if that has no bytes too many or
/// too few. Without its first byte it has another answer.
const MARK: &[u8] = b"OPTIONS /cometd/mark HTTP/1.1\r\nHost: h\r\n\r\n";

/// A mutated request.
pub(super) struct Mutant {
    pub(super) bytes: Vec<u8>,
    /// The sample that it is made of.
    pub(super) of: usize,
}

/// Mutated requests of a few samples.
pub(super) struct Batch<'s> {
    pub(super) server: SocketAddr,
    pub(super) samples: &'s [Sample],
    pub(super) mutants: Vec<Mutant>,
    pub(super) seed: u64,
}

impl Batch<'_> {
    /// Sends all in the general way. Behind one that ends the connection the mark was sent.
    pub(super) async fn general(&self, mark: &Answer) -> Vec<Outcome> {
        let mut all = Vec::new();
        let mut open = None;
        for mutant in self.fresh(0) {
            let mut connection = self.connection(&mut open).await;
            let (first, rest) = mutant.split_at(1);
            connection.send(&[first, &[rest, MARK].concat()]).await;
            let mut outcome = connection.so_far();
            let is_marked = outcome.answers.len() > 1 && outcome.answers.last() == Some(mark);
            if is_marked && !outcome.ends {
                outcome.answers.pop();
                connection.forget();
                open = Some(connection);
            } else {
                outcome.answers = connection.finish().await;
                outcome.ends = true;
            }
            all.push(outcome);
        }
        all
    }

    /// Sends one after the other, each cut as it is told.
    pub(super) async fn one_by_one(
        &self,
        way: usize,
        expected: &[Outcome],
        mut cut: impl FnMut(&[u8]) -> Vec<usize>,
    ) {
        let mut open = None;
        for (mutant, expected) in self.fresh(way).iter().zip(expected) {
            let bytes = if expected.ends {
                [mutant, MARK].concat()
            } else {
                mutant.clone()
            };
            let pieces = cut(&bytes);
            let mut connection = self.connection(&mut open).await;
            connection.send(&split(&bytes, &pieces)).await;
            let found = connection.so_far();
            if !expected.ends && found == *expected {
                connection.forget();
                open = Some(connection);
                continue;
            }
            let found = connection.finish().await;
            let way = format!("alone, cut at {pieces:?}");
            self.check(&way, &bytes, &found, &expected.answers);
            assert!(expected.ends, "seed {}: {way} it ended", self.seed);
        }
    }

    /// Sends as many as a connection takes at once.
    pub(super) async fn pipelined(
        &self,
        expected: &[Outcome],
        mut cut: impl FnMut(&[u8]) -> Vec<usize>,
    ) {
        let mutants = self.fresh(3);
        let mut at = 0;
        while at < mutants.len() {
            let last = expected[at..].iter().position(|expected| expected.ends);
            let end = last.map_or(mutants.len(), |last| at + last + 1);
            let bytes = [&mutants[at..end].concat(), MARK].concat();
            let answers = self.exchange(&bytes, &cut(&bytes)).await;
            let expected = expected[at..end].iter();
            let expected: Vec<&Answer> = expected.flat_map(|expected| &expected.answers).collect();
            let shown = answers.len().min(expected.len());
            let is_same = answers[..shown]
                .iter()
                .eq(expected[..shown].iter().copied());
            // Behind the last, if that ends nothing, is the mark's.
            let is_same = is_same && answers.len() == expected.len() + usize::from(last.is_none());
            if !is_same {
                let expected: Vec<Answer> = expected.into_iter().cloned().collect();
                self.check("one behind the other", &bytes, &answers, &expected);
            }
            at = end;
        }
    }

    /// Sends each behind its sample, which was sent before so that its head is known, and then so that
    /// its own head is.
    pub(super) async fn repeated(
        &self,
        expected: &[Outcome],
        of_samples: &[Vec<Answer>],
        mut cut: impl FnMut(&[u8]) -> Vec<usize>,
    ) {
        let mutants = self.fresh(4);
        let mut done: Vec<usize> = Vec::new();
        for of in self.mutants.iter().map(|mutant| mutant.of) {
            if self.samples[of].is_of_resource || done.contains(&of) {
                continue;
            }
            done.push(of);
            let sample = (self.samples[of].bytes.as_slice(), of_samples[of].as_slice());
            if sample.1.is_empty() {
                continue;
            }
            let before = [sample; 3];
            let of_it = (0..mutants.len()).filter(|at| self.mutants[*at].of == of);
            let all = of_it.map(|at| (mutants[at].as_slice(), &expected[at]));
            let (last, others): (Vec<_>, Vec<_>) = all.partition(|(_, outcome)| outcome.ends);
            let others = others
                .into_iter()
                .map(|(bytes, outcome)| (bytes, outcome.answers.as_slice()));
            let others: Vec<(&[u8], &[Answer])> = others.collect();
            let mut chain = before.to_vec();
            chain.extend(others.iter().flat_map(|other| [*other, sample]));
            chain.extend(others.iter().flat_map(|other| [*other; 3]));
            self.chain(chain, &mut cut).await;
            for (bytes, outcome) in last {
                let marked = [bytes, MARK].concat();
                let mut chain = before.to_vec();
                chain.push((&marked, &outcome.answers));
                self.chain(chain, &mut cut).await;
            }
        }
    }

    async fn chain(
        &self,
        chain: Vec<(&[u8], &[Answer])>,
        cut: &mut impl FnMut(&[u8]) -> Vec<usize>,
    ) {
        let bytes = chain
            .iter()
            .map(|(bytes, _)| *bytes)
            .collect::<Vec<_>>()
            .concat();
        let answers = self.exchange(&bytes, &cut(&bytes)).await;
        let mut rest = answers.as_slice();
        for (nth, (bytes, expected)) in chain.iter().enumerate() {
            let (found, behind) = rest.split_at(expected.len().min(rest.len()));
            let before: Vec<_> = chain[..nth].iter().rev().take(3).rev().collect();
            if found != *expected {
                let before = before
                    .iter()
                    .map(|(bytes, _)| *bytes)
                    .collect::<Vec<_>>()
                    .concat();
                let way = format!("behind {nth} others, the last {}", before.escape_ascii());
                self.check(&way, bytes, found, expected);
            }
            rest = behind;
        }
        assert!(rest.is_empty(), "seed {}: {rest:?}", self.seed);
    }

    /// Sends those that are answered alone in the body of another; how many.
    pub(super) async fn embedded(
        &self,
        expected: &[Outcome],
        mut cut: impl FnMut(&[u8]) -> Vec<usize>,
    ) -> usize {
        let mutants = self.fresh(5);
        let mut all: Vec<(&[u8], embedded::Expected)> = Vec::new();
        let mut has_all_changes = true;
        for (at, bytes) in mutants.iter().enumerate() {
            let is_of_resource = self.samples[self.mutants[at].of].is_of_resource;
            let expected = embedded::expected(bytes, &expected[at]);
            // What a resource is depends on all that came before.
            let is_same = matches!(expected, Some(embedded::Expected::Same(_)));
            let expected = expected.filter(|_| has_all_changes || !is_of_resource);
            all.extend(expected.map(|expected| (bytes.as_slice(), expected)));
            has_all_changes &= is_same || !is_of_resource;
        }
        let body = all
            .iter()
            .map(|(bytes, _)| *bytes)
            .collect::<Vec<_>>()
            .concat();
        let head = format!(
            "POST /cometd HTTP/1.1\r\nHost: h\r\nContent-Type: message/http\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let bytes = [head.as_bytes(), &body].concat();
        let mut connection = Connection::open(self.server).await;
        connection.send(&split(&bytes, &cut(&bytes))).await;
        let answers = embedded::answers(&connection.finish_raw().await);
        for (at, (bytes, expected)) in all.iter().enumerate() {
            let found = answers.get(at);
            let is_it = found.is_some_and(|found| expected.is(found));
            assert!(
                is_it,
                "seed {}, embedded: {}\n   found {found:?}\nexpected {expected:?}",
                self.seed,
                bytes.escape_ascii()
            );
        }
        assert_eq!(answers.len(), all.len(), "seed {}", self.seed);
        all.len()
    }

    /// The requests with names that were not used in another way.
    fn fresh(&self, way: usize) -> Vec<Vec<u8>> {
        let number = usize::try_from(self.seed).unwrap() * 8 + way;
        let mutants = self.mutants.iter();
        mutants.map(|mutant| fresh(&mutant.bytes, number)).collect()
    }

    async fn connection(&self, open: &mut Option<Connection>) -> Connection {
        match open.take() {
            Some(connection) => connection,
            None => Connection::open(self.server).await,
        }
    }

    async fn exchange(&self, bytes: &[u8], cuts: &[usize]) -> Vec<Answer> {
        let mut connection = Connection::open(self.server).await;
        connection.send(&split(bytes, cuts)).await;
        connection.finish().await
    }

    fn check(&self, way: &str, bytes: &[u8], found: &[Answer], expected: &[Answer]) {
        assert!(
            found == expected,
            "seed {}, {way}: {}\n   found {found:#?}\nexpected {expected:#?}",
            self.seed,
            bytes.escape_ascii()
        );
    }
}

/// Sends a request as the only one; its answers, or none if it ends its connection.
pub(super) async fn alone(server: SocketAddr, bytes: &[u8]) -> Vec<Answer> {
    let mut connection = Connection::open(server).await;
    connection.send(&[bytes]).await;
    let outcome = connection.so_far();
    if outcome.ends {
        Vec::new()
    } else {
        outcome.answers
    }
}

/// The answer to the mark.
pub(super) async fn mark(server: SocketAddr) -> Answer {
    alone(server, MARK).await.remove(0)
}

fn split<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    for &cut in cuts {
        pieces.push(&bytes[begin..cut]);
        begin = cut;
    }
    pieces.push(&bytes[begin..]);
    pieces
}

/// Where bytes are cut: at a few places, most of them next to a line's end or in a name, or rarely
/// everywhere.
pub(super) fn cuts(random: &mut Random, bytes: &[u8]) -> Vec<usize> {
    if bytes.len() < 2 {
        return Vec::new();
    }
    if bytes.len() < 400 && random.below(50) == 0 {
        return (1..bytes.len()).collect();
    }
    let mut cuts: Vec<usize> = (0..=random.below(4))
        .map(|_| {
            let at = 1 + random.below(bytes.len() - 1);
            let line_end = memchr::memchr(b'\r', &bytes[at..]).map(|end| at + end);
            match (line_end, random.below(4)) {
                (Some(end), 0) => end,
                (Some(end), 1) => end + 1,
                (Some(end), 2) => end + 2,
                _ => at,
            }
        })
        .map(|at| at.min(bytes.len() - 1))
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}
