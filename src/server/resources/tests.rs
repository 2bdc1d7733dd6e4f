//! Resources of channels with history, over an end of the process.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytesize::ByteSize;

use super::*;
use crate::bayeux::{ChannelPattern, Limits};
use crate::history::{Body, Entry, History, Settings, SqliteStore, Store, Sync, Want};
use crate::router::{ChannelOptions, Router, Settings as RouterSettings, history_policy};
use crate::server::Parts;

fn channels() -> Vec<ChannelOptions> {
    let history = Some(crate::history::Retention {
        messages: Some(10),
        ..crate::history::Retention::default()
    });
    let of = |pattern: &str, resource| ChannelOptions {
        pattern: pattern.to_owned(),
        resource,
        history,
        ..ChannelOptions::default()
    };
    vec![of("/r/*", Some(true)), of("/h/*", None)]
}

fn channel(text: &str) -> ChannelName {
    ChannelName::parse(text, &Limits::default()).expect(text)
}

fn entry(name: &str, data: &'static str) -> Entry {
    Entry {
        channel: channel(name),
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        body: Body {
            data: data.into(),
            ext: None,
            custom: None,
        },
    }
}

fn server(store: &Arc<dyn Store>) -> BayeuxServer {
    BayeuxServer::new(Parts {
        router: Router::new(RouterSettings::default(), &channels()),
        history: History::new(Arc::clone(store), Settings::default()),
        ..Parts::default()
    })
}

fn current(server: &BayeuxServer, name: &str) -> Option<Current> {
    let actor = Actor::default();
    let current = server.resource(&channel(name), &actor, Instant::now());
    current.expect("nobody refuses it")
}

#[tokio::test]
async fn the_last_message_of_a_resource_is_taken_up_and_deleting_it_forgets_it() {
    let directory = std::env::temp_dir().join(format!("mirant-resources-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("made");
    let settings = Settings {
        sync: Sync::Os,
        max_bytes: ByteSize::mib(64),
        ..Settings::default()
    };
    let policy = history_policy(&channels());
    let store = SqliteStore::open(&directory, &settings, policy, Arc::default());
    let store = store.expect("opened");
    let store: Arc<dyn Store> = Arc::new(store);
    let entries = [("/r/a", "1"), ("/h/a", "2"), ("/r/a", "3"), ("/r/b", "4")];
    let entries = entries.map(|(name, data)| entry(name, data));
    let places = store.append(entries.into()).await.expect("appended");
    let server = self::server(&store);
    assert_eq!(current(&server, "/r/a"), None);
    server.take_up_resources().await;
    let taken = current(&server, "/r/a").expect("it is there");
    assert_eq!(taken.data.as_deref(), Some(&b"3"[..]));
    assert_eq!(taken.version.number(), places[2].id);
    assert_eq!(current(&server, "/h/a"), None);
    // By another server it has the same version.
    let other = self::server(&store);
    other.take_up_resources().await;
    let again = current(&other, "/r/a").expect("it is there");
    assert_eq!(again.version.to_string(), taken.version.to_string());
    let running = Arc::clone(&server.core);
    let running = tokio::spawn(async move { crate::server::history::run(&running).await });
    let deleted = server.delete_resource(
        &channel("/r/a"),
        &Conditions::default(),
        &Actor::default(),
        Instant::now(),
    );
    let Ok(Changed::Unsettled(unsettled)) = deleted else {
        panic!("{deleted:?}");
    };
    let written = unsettled.await.expect("it is deleted");
    running.abort();
    let want = |name: &str| Want {
        pattern: ChannelPattern::from(channel(name)),
        after: 0,
    };
    let survey = store.survey(want("/r/a"), 10).await.expect("surveyed");
    // Only that it is deleted is known.
    let deletion = written.version.number();
    assert_eq!(
        (survey.first, survey.last),
        (Some(deletion), Some(deletion))
    );
    assert_eq!(survey.lost, places[2].id);
    let past = server.past(channel("/r/a").into()).expect("history");
    let past = past.read(None, None, 10).await.expect("read");
    assert_eq!((past.messages, past.is_end), (Vec::new(), true));
    let survey = store.survey(want("/r/b"), 10).await.expect("surveyed");
    assert_eq!(survey.last, Some(places[3].id));
    let third = self::server(&store);
    third.take_up_resources().await;
    let gone = current(&third, "/r/a").expect("it is known");
    assert_eq!(gone.data, None);
    assert_eq!(gone.version.number(), deletion);
    assert!(current(&third, "/r/b").is_some());
    store.close().await;
    let _ = std::fs::remove_dir_all(&directory);
}
