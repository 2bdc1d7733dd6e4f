//! Files that are not what was written to them, and stores that were not closed.

use std::io::{Seek, SeekFrom, Write};

use super::*;

/// Makes a store with messages, and has it closed; returns its epoch and last number.
async fn filled(scratch: &Scratch) -> (String, u64) {
    let store = scratch.open();
    let mut last = 0;
    for _ in 0..60 {
        last = append(&store, &["/a", "/b", "/c", "/d/e"]).await[3].id;
    }
    let epoch = store.epoch().to_string();
    store.close().await;
    (epoch, last)
}

/// What is done to the files.
type Damage = fn(&Scratch);

fn file(scratch: &Scratch) -> PathBuf {
    scratch.0.join("history.db")
}

fn overwrite(scratch: &Scratch, start: u64, bytes: &[u8]) {
    let mut file = fs::File::options().write(true).open(file(scratch)).unwrap();
    file.seek(SeekFrom::Start(start)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Checks that a store has begun anew, and what was there is kept aside.
async fn is_new(scratch: &Scratch, store: &SqliteStore, (epoch, last): (String, u64)) {
    assert_ne!(*store.epoch(), *epoch);
    assert!(scratch.0.join("damaged/history.db").exists());
    let survey = store.survey(want("/**", last), 10).await.unwrap();
    assert_eq!((survey.first, survey.last), (None, None));
    assert!(survey.lost > last);
    let place = append(store, &["/a"]).await[0];
    assert!(place.id > last && place.before == 0);
    assert_eq!(ids(store, "/**", 0).await, [place.id]);
    assert_eq!(store.health(), Ok(()));
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_moved_aside() {
    let cases: [(&str, Damage); 4] = [
        ("no database", |scratch| {
            fs::write(file(scratch), "x".repeat(10_000)).unwrap()
        }),
        ("short", |scratch| {
            let file = fs::File::options().write(true).open(file(scratch)).unwrap();
            let len = file.metadata().unwrap().len();
            file.set_len(len - 5000).unwrap();
        }),
        ("another program's", |scratch| {
            overwrite(scratch, 68, b"None")
        }),
        ("without a head", |scratch| overwrite(scratch, 0, &[0; 200])),
    ];
    for (name, damage) in cases {
        let scratch = Scratch::new();
        let before = filled(&scratch).await;
        damage(&scratch);
        let store = open(&scratch.0, &settings(), policy()).expect(name);
        is_new(&scratch, &store, before).await;
    }
}

#[tokio::test]
async fn every_torn_page_is_noticed_or_makes_no_difference() {
    let pristine = Scratch::new();
    let (epoch, _) = filled(&pristine).await;
    let bytes = fs::read(file(&pristine)).unwrap();
    let expected = {
        let store = pristine.open();
        read(&store, query("/**", 0)).await
    };
    let mut noticed = 0;
    for page in 0..bytes.len() / 4096 {
        let scratch = Scratch::new();
        let mut bytes = bytes.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0);
        fs::write(file(&scratch), bytes).unwrap();
        let store = scratch.open();
        // Either it is seen at the start, or by who reads, or nothing is missing.
        let mut is_noticed = *store.epoch() != *epoch;
        for pattern in ["/**", "/a", "/b", "/c", "/d/*"] {
            match store.read(query(pattern, 0)).await {
                Ok(page) if !is_noticed => {
                    let pattern = want(pattern, 0).pattern;
                    let all = expected
                        .iter()
                        .filter(|kept| pattern.matches(&kept.entry.channel));
                    assert!(page.messages.iter().eq(all.take(page.messages.len())));
                }
                Ok(_) => {}
                Err(_) => is_noticed = true,
            }
        }
        if is_noticed {
            noticed += 1;
            // The writer has heard of it before it does what is asked now.
            append(&store, &["/a"]).await;
            assert_ne!(*store.epoch(), *epoch);
            assert!(scratch.0.join("damaged/history.db").exists());
            assert_eq!(store.health(), Ok(()));
        }
    }
    assert!(noticed > 3, "{noticed}");
}

/// Copies the files of a store that is open: as they are after a loss of power, if all had been written.
fn copy(from: &Scratch) -> Scratch {
    let to = Scratch::new();
    for name in ["history.db", "history.db-wal"] {
        fs::copy(from.0.join(name), to.0.join(name)).unwrap();
    }
    to
}

/// Has the files say that they are of another start of the machine.
fn restart(scratch: &Scratch) {
    let connection = rusqlite::Connection::open(file(scratch)).unwrap();
    // Or the file beside it would go.
    let other = rusqlite::Connection::open(file(scratch)).unwrap();
    other
        .query_row("SELECT count(*) FROM mark", [], |row| row.get::<_, i64>(0))
        .unwrap();
    let sql = "UPDATE mark SET value = 'another' WHERE name = 'boot'";
    connection.execute(sql, []).unwrap();
    let log = scratch.0.join("history.db-wal");
    drop((connection, other));
    if !log.exists() {
        fs::write(log, "").unwrap();
    }
}

#[tokio::test]
async fn an_epoch_ends_if_something_may_be_lost() {
    let cases = [
        (Sync::Always, false, false),
        (Sync::Always, true, false),
        (Sync::Interval, false, false),
        (Sync::Interval, true, true),
        (Sync::Os, false, false),
        (Sync::Os, true, true),
    ];
    for (sync, is_restarted, is_new) in cases {
        let scratch = Scratch::new();
        let settings = Settings { sync, ..settings() };
        let store = scratch.open_with(&settings, policy());
        let last = append(&store, &["/a"; 30]).await[29].id;
        let copy = copy(&scratch);
        if is_restarted {
            restart(&copy);
        }
        let opened = copy.open_with(&settings, policy());
        let case = format!("{sync:?}, {is_restarted}");
        assert_eq!(opened.epoch() != store.epoch(), is_new, "{case}");
        assert_eq!(ids(&opened, "/a", 0).await.len(), 30, "{case}");
        let survey = opened.survey(want("/a", 0), 100).await.unwrap();
        assert_eq!(survey.lost > last, is_new, "{case}");
        assert!(append(&opened, &["/a"]).await[0].id > last + 1, "{case}");
    }
}

#[tokio::test]
async fn without_the_latest_changes_a_new_epoch_begins() {
    let scratch = Scratch::new();
    let store = scratch.open();
    append(&store, &["/a"; 30]).await;
    let copy = copy(&scratch);
    fs::remove_file(copy.0.join("history.db-wal")).unwrap();
    assert_ne!(copy.open().epoch(), store.epoch());
}

#[tokio::test]
async fn a_log_that_is_cut_gives_the_messages_before_and_no_number_twice() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let mut all = Vec::new();
    for _ in 0..20 {
        all.extend(append(&store, &["/a"]).await.iter().map(|place| place.id));
    }
    let len = fs::metadata(scratch.0.join("history.db-wal"))
        .unwrap()
        .len();
    for part in 0..10 {
        let copy = copy(&scratch);
        let log = fs::File::options()
            .write(true)
            .open(copy.0.join("history.db-wal"))
            .unwrap();
        log.set_len(len * part / 10).unwrap();
        let opened = copy.open();
        let left = ids(&opened, "/a", 0).await;
        assert_eq!(left, all[..left.len()]);
        assert!(append(&opened, &["/a"]).await[0].id > all[19]);
    }
}
