//! A process that is killed while publishers append, again and again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use super::*;

/// Names the directory of the process that is to be killed.
const DIRECTORY: &str = "MIRANT_TEST_HISTORY_DIRECTORY";
/// How often it is.
const RUNS: &str = "HISTORY_KILLS";
const PUBLISHERS: usize = 8;

/// Starts a test of this program by itself, as another process.
pub(super) fn start(test: &str, scratch: &Scratch) -> Child {
    // A signal that is ignored remains so: without that a file's limit would end the process.
    Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$@""#, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .arg(format!("history::sqlite::tests::{test}"))
        .env(DIRECTORY, &scratch.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Returns where this process finds the store that it was started for.
pub(super) fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY)
        .expect("started by another test")
        .into()
}

/// Appends until it is killed, and says which number each message has got.
#[tokio::test]
#[ignore = "it is started, and killed, by another"]
async fn a_process_that_appends() {
    let store = open(&directory(), &settings(), policy()).unwrap();
    let mut output = std::io::stdout().lock();
    let mut next = 0;
    loop {
        let publishers: Vec<_> = (0..1 + next % PUBLISHERS).collect();
        let batch = publishers.iter().map(|publisher| {
            let kind = if publisher % 2 == 0 { "all" } else { "last" };
            entry(&format!("/{kind}/{publisher}"), &format!("{next}"))
        });
        let places = store.append(batch.collect()).await.unwrap();
        for (publisher, place) in publishers.into_iter().zip(places) {
            writeln!(output, "kept {publisher} {next} {}", place.id).unwrap();
        }
        next += 1;
        if next % 16 == 0 {
            store.trim(SystemTime::now()).await.unwrap();
        }
    }
}

/// What was said to be kept: publisher and text by number.
type Said = BTreeMap<u64, (usize, String)>;

/// Lets a process append until it has said so many messages, kills it, and returns all that it said.
fn killed(scratch: &Scratch, count: usize) -> Said {
    let mut child = start("kill::a_process_that_appends", scratch);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Said::new();
    let mut note = |line: String| {
        let fields: Vec<_> = line.split(' ').collect();
        if let ["kept", publisher, text, id] = fields[..] {
            let message = (publisher.parse().unwrap(), text.to_owned());
            assert_eq!(
                said.insert(id.parse().unwrap(), message),
                None,
                "{id} twice"
            );
        }
    };
    for line in lines.by_ref().take(count) {
        note(line.unwrap());
    }
    child.kill().unwrap();
    // The last line may have been cut.
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    for line in rest.into_iter().rev().skip(1) {
        note(line);
    }
    child.wait().unwrap();
    said
}

#[tokio::test]
async fn nothing_that_was_kept_is_missing_after_a_kill() {
    let runs = std::env::var(RUNS).map_or(6, |runs| runs.parse().unwrap());
    let scratch = Scratch::new();
    let mut all = Said::new();
    let mut epoch = None;
    for run in 0..runs {
        let highest = all.keys().next_back().copied().unwrap_or(0);
        let said = killed(&scratch, 20 + run * 137 % 900);
        assert!(
            said.keys().next().is_some_and(|first| *first > highest),
            "run {run}"
        );
        all.extend(said);
        if run % 3 == 2 {
            // The next one begins with what this one left, which was killed too.
            continue;
        }
        let store = scratch.open();
        assert_eq!(*epoch.get_or_insert_with(|| store.epoch()), store.epoch());
        check(&store, &all).await;
        if run % 2 == 0 {
            store.close().await;
        }
    }
}

async fn check(store: &SqliteStore, all: &Said) {
    let mut query = query("/**", 0);
    query.max_messages = 1000;
    let kept = read(store, query).await;
    assert!(kept.is_sorted_by(|one, other| one.place.id < other.place.id));
    let by_id: BTreeMap<_, _> = kept.iter().map(|kept| (kept.place.id, kept)).collect();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, (publisher, text)) in all {
        match by_id.get(id) {
            Some(kept) => {
                assert!(
                    kept.entry
                        .channel
                        .as_str()
                        .ends_with(&format!("/{publisher}"))
                );
                assert_eq!(kept.entry.body.data, *text);
            }
            None => {
                assert!(publisher % 2 == 1, "{id} of {publisher} is missing");
                let channel = format!("/last/{publisher}");
                let survey = store.survey(want(&channel, 0), 10).await.unwrap();
                assert!(survey.lost >= *id, "{id} is missing without a word");
            }
        }
    }
    for message in &kept {
        let channel = message.entry.channel.as_str();
        let before = last.insert(channel, message.place.id);
        if let Some(before) = before {
            assert_eq!(message.place.before, before);
        }
    }
    for publisher in (1..PUBLISHERS).step_by(2) {
        let channel = format!("/last/{publisher}");
        let ids = ids(store, &channel, 0).await;
        assert!(ids.len() <= 3, "{ids:?}");
    }
}
