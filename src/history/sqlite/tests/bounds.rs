//! The directory is bounded, and so are the channels that are known.

use super::*;
use crate::history::Failed;

fn size(scratch: &Scratch) -> u64 {
    let files = fs::read_dir(&scratch.0).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

#[tokio::test]
async fn the_directory_does_not_grow_beyond_its_bound_and_the_oldest_go() {
    let scratch = Scratch::new();
    let settings = Settings {
        max_bytes: ByteSize::mib(2),
        ..settings()
    };
    let store = scratch.open_with(&settings, policy());
    let text = format!("\"{}\"", "x".repeat(998));
    let names: Vec<_> = (0..50).map(|number| format!("/a/{number}")).collect();
    let mut last = 0;
    for round in 0..150 {
        let batch = names.iter().map(|name| entry(name, &text)).collect();
        last = store.append(batch).await.unwrap().last().unwrap().id;
        assert!(size(&scratch) <= 2 << 20, "{}", size(&scratch));
        if round % 10 == 0 {
            store.trim(SystemTime::now()).await.unwrap();
        }
    }
    let ids = ids(&store, "/**", 0).await;
    assert_eq!(ids.last(), Some(&last));
    // What is kept are the last ones, and not much fewer than there is room for.
    assert_eq!(ids[0], last + 1 - ids.len() as u64);
    assert!(ids.len() > 800, "{}", ids.len());
    let survey = store.survey(want("/**", 0), 10_000).await.unwrap();
    assert_eq!(survey.lost, ids[0] - 1);
    assert_eq!(store.figures().messages, ids.len() as u64);
    assert_eq!(store.figures().bytes, size(&scratch));
    drop(store);
    let store = scratch.open_with(&settings, policy());
    assert_eq!(super::ids(&store, "/**", 0).await, ids);
}

#[tokio::test]
async fn a_batch_that_is_larger_than_the_bound_allows_is_refused() {
    let scratch = Scratch::new();
    let settings = Settings {
        max_bytes: ByteSize::mib(1),
        ..settings()
    };
    let store = scratch.open_with(&settings, policy());
    let first = append(&store, &["/a"]).await[0].id;
    let large = format!("\"{}\"", "x".repeat(200_000));
    assert_eq!(
        store.append(vec![entry("/a", &large)]).await,
        Err(Failed::Full)
    );
    assert_eq!(store.health(), Err(Failed::Full));
    assert!(append(&store, &["/a"]).await[0].id > first);
    assert_eq!(store.health(), Ok(()));
}

#[tokio::test]
async fn channels_are_forgotten_those_without_messages_first() {
    let scratch = Scratch::new();
    let settings = Settings {
        max_channels: 3,
        ..settings()
    };
    let store = scratch.open_with(&settings, policy());
    let places = append(&store, &["/a", "/b", "/c"]).await;
    store.remove(want("/b", 0).pattern, u64::MAX).await.unwrap();
    append(&store, &["/d"]).await;
    assert_eq!(store.figures().channels, 3);
    assert_eq!(ids(&store, "/a", 0).await, [places[0].id]);
    let survey = store.survey(want("/b", 0), 1).await.unwrap();
    assert_eq!(survey.lost, places[1].id);
    // Now one with messages has to go.
    let place = append(&store, &["/b"]).await[0];
    assert_eq!(place.before, 0);
    assert_eq!(ids(&store, "/a", 0).await, [0; 0]);
    assert_eq!(ids(&store, "/b", 0).await, [place.id]);
    drop(store);
    let store = scratch.open_with(&settings, policy());
    assert_eq!(store.figures().channels, 3);
    assert_eq!(store.figures().messages, 3);
    assert_eq!(ids(&store, "/**", 0).await.len(), 3);
}

#[tokio::test]
async fn what_is_kept_may_be_configured_anew() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let places = append(&store, &["/a"; 300]).await;
    drop(store);
    let policy = Policy::new(|_| Retention {
        messages: Some(1),
        ..Retention::default()
    });
    let store = scratch.open_with(&settings(), policy);
    assert_eq!(ids(&store, "/a", 0).await, [places[299].id]);
    let survey = store.survey(want("/a", 0), 10).await.unwrap();
    assert_eq!(survey.lost, places[298].id);
}

#[tokio::test]
async fn two_processes_do_not_share_a_directory() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let error = open(&scratch.0, &settings(), policy()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("history.directory: ") && text.ends_with("another process"),
        "{text}"
    );
    store.close().await;
    drop(store);
    scratch.open();
}

#[tokio::test]
async fn a_channel_without_history_for_a_while_has_lost_something() {
    let without = || {
        Policy::new(|name| match name.as_str() {
            "/a" => Retention::default(),
            name => policy().of(&ChannelName::parse(name, &Limits::default()).unwrap()),
        })
    };
    let scratch = Scratch::new();
    let store = scratch.open();
    let places = append(&store, &["/b", "/a", "/b", "/a"]).await;
    let last = places[3].id;
    let epoch = store.epoch();
    drop(store);
    let store = scratch.open_with(&settings(), without());
    assert_eq!(ids(&store, "/**", 0).await, [places[0].id, places[2].id]);
    let survey = store.survey(want("/a", last), 10).await.unwrap();
    assert!(survey.lost > last && survey.lost <= survey.head);
    store.trim(SystemTime::now()).await.unwrap();
    // It is let go once.
    let again = store.survey(want("/a", last), 10).await.unwrap();
    assert_eq!((again.lost, again.head), (survey.lost, survey.head));
    drop(store);
    let store = scratch.open();
    assert_eq!(store.epoch(), epoch);
    let after = store.survey(want("/a", last), 10).await.unwrap();
    assert_eq!(after.lost, survey.lost);
    let of_other = store.survey(want("/b", last), 10).await.unwrap();
    assert!(of_other.lost <= last);
    let place = append(&store, &["/a"]).await[0];
    assert!(place.id > survey.lost);
    assert_eq!(ids(&store, "/a", 0).await, [place.id]);
}
