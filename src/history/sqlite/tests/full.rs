//! A file system without room, and one that does not work; both get well again.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rlimit::Resource;

use super::*;
use crate::history::Failed;
use crate::history::sqlite::writer::QUIET;

/// A small file system, while it is there.
struct Small(Scratch);

impl Small {
    /// Mounts one, if that is allowed.
    fn mount(mebibytes: u64) -> Option<Self> {
        let scratch = Scratch::new();
        let size = format!("size={mebibytes}m");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &size, "none"])
            .arg(&scratch.0);
        mount
            .status()
            .is_ok_and(|status| status.success())
            .then_some(Self(scratch))
    }

    fn directory(&self) -> &Path {
        &self.0.0
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.directory())
            .status();
    }
}

#[tokio::test]
async fn a_full_file_system_refuses_and_recovers() {
    let Some(small) = Small::mount(4) else {
        eprintln!("LEFT OUT: no file system may be mounted here");
        return;
    };
    let directory = small.directory().join("history");
    let store = open(&directory, &settings(), policy()).unwrap();
    let mut all = Vec::new();
    all.extend(
        append(&store, &["/a"; 10])
            .await
            .iter()
            .map(|place| place.id),
    );
    let filler = small.directory().join("filler");
    // Writes until there is no room at all.
    assert!(fs::write(&filler, vec![0; 4 << 20]).is_err());
    let text = format!("\"{}\"", "x".repeat(10_000));
    let mut refused = 0;
    for _ in 0..30 {
        let start = Instant::now();
        match store
            .append(vec![entry("/a", &text), entry("/b", &text)])
            .await
        {
            Ok(places) => all.push(places[0].id),
            Err(failed) => {
                assert_eq!(failed, Failed::Full);
                assert_eq!(store.health(), Err(Failed::Full));
                assert_eq!(ids(&store, "/a", 0).await, all);
                // What is written to try it may find room; that does not say that all is well.
                let _ = store.trim(SystemTime::now()).await;
                let health = store.health();
                assert!(health.is_err() || start.elapsed() >= QUIET);
                refused += 1;
            }
        }
    }
    assert!(refused > 10, "{refused}");
    fs::remove_file(&filler).unwrap();
    while store.health().is_err() {
        store.trim(SystemTime::now()).await.unwrap();
        tokio::task::yield_now().await;
    }
    let place = append(&store, &["/a"]).await[0];
    assert_eq!(place.before, *all.last().unwrap());
    all.push(place.id);
    assert!(all.is_sorted_by(|one, other| one < other));
    assert_eq!(ids(&store, "/a", 0).await, all);
    let epoch = store.epoch();
    drop(store);
    let store = open(&directory, &settings(), policy()).unwrap();
    assert_eq!(store.epoch(), epoch);
    assert_eq!(ids(&store, "/a", 0).await, all);
}

/// Gives files of this process a size that they cannot grow beyond: writes behind that are errors.
fn limit_files(bytes: u64) {
    let (_, hard) = Resource::FSIZE.get().unwrap();
    Resource::FSIZE.set(bytes.min(hard), hard).unwrap();
}

#[tokio::test]
#[ignore = "it is started by another, in a process that may limit its files"]
async fn a_process_whose_writes_fail() {
    let directory = kill::directory();
    let store = open(&directory, &settings(), policy()).unwrap();
    let epoch = store.epoch();
    let mut all = Vec::new();
    for round in 0..5 {
        for _ in 0..30 {
            all.extend(
                append(&store, &["/a", "/b"])
                    .await
                    .iter()
                    .map(|place| place.id),
            );
        }
        limit_files(4096 * round);
        for _ in 0..3 {
            let failed = store.append(vec![entry("/a", "1"), entry("/b", "1")]).await;
            assert!(matches!(failed, Err(Failed::Io(_))), "{failed:?}");
            assert!(matches!(store.health(), Err(Failed::Io(_))));
            assert!(store.trim(SystemTime::now()).await.is_err());
        }
        limit_files(u64::MAX);
        // What failed is not there, and its numbers are not used again.
        let places = append(&store, &["/b", "/a"]).await;
        assert!(places[0].id > all[all.len() - 1] + 2);
        assert_eq!(places[0].before, all[all.len() - 1]);
        assert_eq!(places[1].before, all[all.len() - 2]);
        all.extend(places.iter().map(|place| place.id));
        // In the same order as before.
        let places = append(&store, &["/a", "/b"]).await;
        all.extend(places.iter().map(|place| place.id));
        assert_eq!(store.health(), Ok(()));
        assert_eq!(ids(&store, "/**", 0).await, all);
    }
    assert_eq!(store.epoch(), epoch);
    drop(store);
    let store = open(&directory, &settings(), policy()).unwrap();
    assert_eq!(ids(&store, "/**", 0).await, all);
    println!("all of it");
}

#[test]
fn writes_that_fail_are_told_and_leave_nothing() {
    let scratch = Scratch::new();
    let child = kill::start("full::a_process_whose_writes_fail", &scratch);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("all of it"),
        "{text}"
    );
}
