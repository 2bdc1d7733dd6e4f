//! Who may read the files, and what happens if they are taken away.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_may_read_what_is_kept() {
    let scratch = Scratch::new();
    let directory = scratch.0.join("history");
    let names = [
        "history.db",
        "history.db-wal",
        "history.db-shm",
        "history.lock",
    ];
    let check = |expected| {
        for name in names {
            assert_eq!(mode(&directory.join(name)), expected, "{name}");
        }
    };
    let store = open(&directory, &settings(), policy()).unwrap();
    append(&store, &["/a"]).await;
    assert_eq!(mode(&directory), 0o700);
    check(0o600);
    for name in names {
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    drop(store);
    // Those of an earlier version are for all to read.
    let store = open(&directory, &settings(), policy()).unwrap();
    append(&store, &["/a"]).await;
    check(0o600);
    fs::write(directory.join("history.db"), "x".repeat(10_000)).unwrap();
    drop(store);
    drop(open(&directory, &settings(), policy()).unwrap());
    assert_eq!(mode(&directory.join("damaged")), 0o700);
    assert_eq!(mode(&directory.join("damaged/history.db")), 0o600);
}

#[tokio::test]
async fn files_that_are_taken_away_are_noticed_and_a_new_store_begins() {
    type Taking = fn(&Path);
    let cases: [(&str, Taking); 3] = [
        ("the directory", |path| fs::remove_dir_all(path).unwrap()),
        ("the file", |path| {
            fs::remove_file(path.join("history.db")).unwrap()
        }),
        ("another file", |path| {
            // As somebody does who puts an older copy in its place.
            fs::copy(path.join("copy"), path.join("copied")).unwrap();
            fs::rename(path.join("copied"), path.join("history.db")).unwrap();
            for end in ["-wal", "-shm"] {
                fs::remove_file(path.join(format!("history.db{end}"))).unwrap();
            }
        }),
    ];
    for (name, take_away) in cases {
        let scratch = Scratch::new();
        let directory = scratch.0.join("history");
        drop(open(&directory, &settings(), policy()).unwrap());
        fs::copy(directory.join("history.db"), directory.join("copy")).unwrap();
        let store = open(&directory, &settings(), policy()).unwrap();
        let last = append(&store, &["/a"; 3]).await[2].id;
        let epoch = store.epoch();
        take_away(&directory);
        let failed = store.trim(SystemTime::now()).await.unwrap_err();
        assert!(failed.to_string().contains("gone"), "{name}: {failed}");
        assert_eq!(store.health(), Err(failed), "{name}");
        let place = append(&store, &["/a"]).await[0];
        assert_eq!(store.health(), Ok(()), "{name}");
        assert!(place.id > last, "{name}");
        assert_ne!(store.epoch(), epoch, "{name}");
        let survey = store.survey(want("/a", last), 10).await.unwrap();
        assert!(survey.lost > last, "{name}");
        store.trim(SystemTime::now()).await.unwrap();
        assert!(open(&directory, &settings(), policy()).is_err(), "{name}");
        drop(store);
        let store = open(&directory, &settings(), policy()).unwrap();
        assert_eq!(ids(&store, "/a", 0).await, [place.id], "{name}");
    }
}
