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
