//! A server that is killed while clients publish: what it has acknowledged is there again, and nothing else has its
//! number.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::program::Serving;
use crate::support::{Http, Random, Request};

/// How often it is killed, if `MIRANT_KILLS` does not say otherwise.
const KILLS: u64 = 4;
const PUBLISHERS: u64 = 4;
const CHANNELS: usize = 3;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("mirant-crash-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&directory);
        Self(directory)
    }

    fn serve(&self) -> Serving {
        let directory = format!("history.directory={}", self.0.display());
        let channel = "channel=[{pattern = '/s/**', history = {messages = 1000000}}]";
        let direct = "bayeux.publish_without_session=true";
        Serving::start(&["--set", &directory, "--set", channel, "--set", direct])
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Publishes until the server is gone; returns what was acknowledged, and what may have been kept.
async fn publish(
    address: SocketAddr,
    publisher: u64,
    from: u64,
    mut random: Random,
) -> (Vec<u64>, u64) {
    let mut acknowledged = Vec::new();
    let mut http = Http::open(address).await;
    let mut number = from;
    loop {
        let size = 1 + random.below(3) as u64;
        let messages: Vec<Value> = (number..number + size)
            .map(|number| {
                let channel = format!("/s/{}", random.below(CHANNELS));
                json!({"channel": channel, "data": [publisher, number]})
            })
            .collect();
        let numbers = number..number + size;
        number += size;
        let request = Request::post(Value::from(messages).to_string());
        if !http.try_send(&request.bytes()).await {
            return (acknowledged, number);
        }
        let Some(response) = http.try_response().await else {
            return (acknowledged, number);
        };
        let replies = response.messages();
        assert!(
            replies.iter().all(|reply| reply["successful"] == true),
            "{replies:?}"
        );
        acknowledged.extend(numbers);
    }
}

/// Reads all that is kept: by its number, its channel, what was sent, and the number before it.
async fn all(address: SocketAddr) -> BTreeMap<u64, (String, Value, u64)> {
    let mut http = Http::open(address).await;
    let mut all = BTreeMap::new();
    let mut after = String::new();
    loop {
        let target = format!("/history/s/**?limit=1000{after}");
        let part = http.exchange(Request::new("GET", &target)).await;
        let part: Value = serde_json::from_slice(&part.body).unwrap();
        assert_eq!(part["complete"], true, "{part}");
        for message in part["messages"].as_array().unwrap() {
            let channel = message["channel"].as_str().unwrap().to_owned();
            let before = message["before"].as_u64().unwrap();
            let id = message["id"].as_u64().unwrap();
            let known = all.insert(id, (channel, message["data"].clone(), before));
            assert_eq!(known, None, "{id} twice");
        }
        if part["end"] == true {
            return all;
        }
        after = format!("&after={}", part["next"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_kills_and_no_number_is_given_twice() {
    let kills = std::env::var("MIRANT_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let directory = Directory::new();
    let mut random = Random::of(7);
    let mut acknowledged: Vec<Vec<u64>> = vec![Vec::new(); PUBLISHERS as usize];
    let mut next = vec![0; PUBLISHERS as usize];
    let mut seen = BTreeMap::new();
    for kill in 0..=kills {
        let server = directory.serve();
        let now = all(server.address()).await;
        for (id, message) in &seen {
            assert_eq!(now.get(id), Some(message), "{id} after {kill} kills");
        }
        check(&now, &acknowledged);
        let last = seen.keys().last().copied().unwrap_or(0);
        assert!(
            now.keys().all(|id| *id > last || seen.contains_key(id)),
            "a number came again"
        );
        seen = now;
        if kill == kills {
            break;
        }
        let mut publishers = JoinSet::new();
        for publisher in 0..PUBLISHERS {
            let from = next[publisher as usize];
            let own = Random::of(kill * PUBLISHERS + publisher);
            let address = server.address();
            publishers
                .spawn(async move { (publisher, publish(address, publisher, from, own).await) });
        }
        // It is killed when so much is kept, which is at another moment each time.
        let enough = seen.len() + 20 + random.below(200);
        while all(server.address()).await.len() < enough {}
        server.signal("KILL");
        while let Some(done) = publishers.join_next().await {
            let (publisher, (numbers, until)) = done.unwrap();
            acknowledged[publisher as usize].extend(numbers);
            next[publisher as usize] = until;
        }
    }
    assert!(seen.len() as u64 > 20 * kills);
}

/// What was acknowledged is there, once, in the order of each publisher; and no message is missing on a channel.
fn check(now: &BTreeMap<u64, (String, Value, u64)>, acknowledged: &[Vec<u64>]) {
    let mut last = BTreeMap::new();
    let mut of_publisher: Vec<Vec<u64>> = vec![Vec::new(); acknowledged.len()];
    for (id, (channel, data, before)) in now {
        let known = last.insert(channel, *id).unwrap_or(0);
        assert_eq!(*before, known, "before {id} on {channel}");
        let publisher = data[0].as_u64().unwrap();
        of_publisher[publisher as usize].push(data[1].as_u64().unwrap());
    }
    for (numbers, acknowledged) in of_publisher.iter().zip(acknowledged) {
        assert!(
            numbers.is_sorted_by(|one, other| one < other),
            "{numbers:?}"
        );
        for number in acknowledged {
            assert!(numbers.binary_search(number).is_ok(), "{number} is missing");
        }
    }
}
