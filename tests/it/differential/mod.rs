//! Tens of thousands of requests, most of them mutated: the answers are the same however the bytes arrive,
//! and whatever came before on the connection. A failure names its seed: `DIFFERENTIAL_SEED=N` repeats that
//! run, `DIFFERENTIAL_RUNS=N` tries more seeds.

mod answers;
mod connection;
mod embedded;
mod fields;
mod mutations;
mod purposes;
mod samples;
mod ways;

use std::ops::RangeInclusive;

use serde_json::json;

use self::mutations::mutated;
use self::purposes::Seen;
use self::samples::{Sample, is_stale, samples};
use self::ways::{Batch, Mutant, alone, cuts, mark};
use crate::support::{Client, Random, TestServer};

/// So many requests are mutated by a seed, of so many samples.
const MUTANTS: usize = 24;
const SAMPLES: usize = 3;
/// So many seeds each server has.
const RUNS: u64 = 110;

/// The seeds of this run, and whether there are as many of them as usual.
fn seeds() -> (RangeInclusive<u64>, bool) {
    let set = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse().expect("a number"))
    };
    match (set("DIFFERENTIAL_SEED"), set("DIFFERENTIAL_RUNS")) {
        (Some(seed), _) => (seed..=seed, false),
        (None, runs) => (
            1..=runs.unwrap_or(RUNS),
            runs.is_none_or(|runs| runs >= RUNS),
        ),
    }
}

fn batch<'s>(
    server: &TestServer,
    samples: &'s [Sample],
    random: &mut Random,
    seed: u64,
) -> Batch<'s> {
    let mut few = vec![random.below(samples.len())];
    while few.len() < SAMPLES {
        let another = random.below(samples.len());
        // Resources are among themselves: what one request makes another changes.
        if samples[another].is_of_resource == samples[few[0]].is_of_resource {
            few.push(another);
        }
    }
    let mutants = (0..MUTANTS).map(|_| {
        let of = few[random.below(few.len())];
        let mut bytes = mutated(random, &samples[of].bytes);
        if is_stale(&bytes) {
            bytes.clone_from(&samples[of].bytes);
        }
        Mutant { bytes, of }
    });
    let mutants = mutants.collect();
    Batch {
        server: server.address,
        samples,
        mutants,
        seed,
    }
}

/// Sends mutated requests to a server in all ways, which all have to have the same answers; `unseen` is
/// what none of them is for.
fn all_ways_lead_to_the_same(set: &[&str], embeds: bool, unseen: &[&str]) {
    // The runtime asks the kernel after each turn, so that a few turns are enough for an answer.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(1)
        .build();
    runtime.unwrap().block_on(async {
        let set = [
            &[
                "bayeux.max_interval=10m",
                "bayeux.max_unknown_delay=0s",
                "http.gzip_threshold=1KiB",
                "bayeux.max_message_size=1KiB",
                "bayeux.reconnect_rate=1000000",
            ],
            set,
        ];
        let server = TestServer::start(&set.concat());
        let samples = samples(&server).await;
        let mark = mark(server.address).await;
        let mut of_samples = Vec::new();
        for sample in &samples {
            of_samples.push(alone(server.address, &sample.bytes).await);
        }
        let (seeds, is_usual) = seeds();
        let (mut seen, mut embedded) = (Seen::default(), 0);
        for seed in seeds {
            let mut random = Random::of(seed);
            let batch = batch(&server, &samples, &mut random, seed);
            let expected = batch.general(&mark).await;
            for (mutant, expected) in batch.mutants.iter().zip(&expected) {
                seen.note(&mutant.bytes, &expected.answers);
            }
            let mut sometimes = Random::of(!seed);
            let mut in_few = |bytes: &[u8]| {
                let is_cut = sometimes.below(4) == 0;
                if is_cut {
                    cuts(&mut sometimes, bytes)
                } else {
                    Vec::new()
                }
            };
            batch.one_by_one(1, &expected, |_| Vec::new()).await;
            batch
                .one_by_one(2, &expected, |bytes| cuts(&mut random, bytes))
                .await;
            batch.pipelined(&expected, &mut in_few).await;
            batch.repeated(&expected, &of_samples, &mut in_few).await;
            if embeds {
                embedded += batch.embedded(&expected, &mut in_few).await;
            }
        }
        if is_usual {
            seen.all_but(unseen);
            assert!(!embeds || embedded > MUTANTS, "{embedded} were embedded");
        }
        crate::support::until(|| server.metrics().connections.value() == 0).await;
    });
}

const RESOURCES: &str = "channel=[{pattern=\"/r/*\",resource=true}]";
const TRANSPORTS_OFF: [&str; 5] = [
    "the message-http transport is off",
    "the websocket transport is off",
    "the eventsource transport is off",
    "the callback-polling transport is off",
    "the long-polling transport is off",
];

#[test]
fn a_server_of_all_transports_is_the_same_in_all_ways() {
    let unseen = [
        "is not served here",
        "messages of another origin",
        "a preflight",
    ];
    all_ways_lead_to_the_same(&[RESOURCES], true, &[&unseen[..], &TRANSPORTS_OFF].concat());
}

#[test]
fn a_server_of_some_hosts_and_origins_is_the_same_in_all_ways() {
    let hosts = "http.hosts=[\"h\",\"localhost\",\"*.h.example\"]";
    let origins = "http.allowed_origins=[\"http://a.example\",\"https://*.b.example\"]";
    all_ways_lead_to_the_same(&[RESOURCES, hosts, origins], true, &TRANSPORTS_OFF);
}

/// What a server of one transport or two has not, whatever these are.
const FEW: [&str; 17] = [
    "a frame's page",
    "an event stream",
    "a session's event stream",
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "PATCH",
    "DELETE",
    "a resource's changes",
    "requests",
    "a preflight",
    "messages of another origin",
    "nothing at this path that answers embedded requests",
    "may not be compressed",
    "open an event stream by GET",
    "is not served here",
];

#[test]
fn a_server_of_long_polling_only_is_the_same_in_all_ways() {
    let unseen = [
        "a script",
        "a WebSocket",
        "long-polling transport",
        "has to say where",
    ];
    let unseen = [&FEW[..], &unseen].concat();
    all_ways_lead_to_the_same(&["bayeux.transports=[\"long-polling\"]"], false, &unseen);
}

#[test]
fn a_server_without_posts_is_the_same_in_all_ways() {
    let unseen = [
        "messages",
        "websocket transport",
        "callback-polling transport",
        "the Content-Encoding of a body",
    ];
    let unseen = [&FEW[..], &unseen].concat();
    let transports = "bayeux.transports=[\"websocket\",\"callback-polling\"]";
    all_ways_lead_to_the_same(&[transports], false, &unseen);
}

async fn server() -> (TestServer, Client) {
    let server = TestServer::start(&[
        "bayeux.max_interval=10m",
        "channel=[{pattern=\"/r/*\",resource=true}]",
    ]);
    let mut client = server.client().await;
    // From now on the session is bound to its cookie.
    client.publish("/a", 1).await;
    (server, client)
}

/// A bystander is served as ever.
async fn still_serves(server: &TestServer, mut client: Client) {
    let messages = client.publish("/z", 1).await;
    assert_eq!(messages[0]["successful"], true);
    crate::support::until(|| server.metrics().connections.value() <= 2).await;
}

/// Sends what no client sends; the answers, if any, are refusals or what was asked for.
async fn survives(server: &TestServer, bytes: &[u8], shown: &str) {
    let mut http = server.open().await;
    if http.try_send(bytes).await {
        http.try_half_close().await;
    }
    let answer = http.rest().await;
    let status = answer.get(9..12);
    let is_fine =
        answer.is_empty() || status.is_some_and(|s| matches!(s[0], b'1' | b'2' | b'3' | b'4'));
    assert!(is_fine, "{shown}: {}", answer.escape_ascii());
}

#[tokio::test]
async fn frames_resources_and_batches_that_are_none_hurt_nobody() {
    let (server, client) = server().await;
    let upgrade =
        b"GET /cometd HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let message = client.message(json!({"channel": "/meta/connect", "advice": {"timeout": 0}}));
    let batch = json!([
        message,
        client.message(json!({"channel": "/a", "data": [1, {"b": null}]}))
    ]);
    let batch = batch.to_string().into_bytes();
    let length = u8::try_from(batch.len() / 256).unwrap();
    let low = u8::try_from(batch.len() % 256).unwrap();
    // Frames with a mask of zeros: a text, a ping, a close.
    let frames = [
        &[0x81, 0xfe, length, low, 0, 0, 0, 0][..],
        &batch,
        &[0x89, 0x80, 0, 0, 0, 0],
        &[0x88, 0x82, 0, 0, 0, 0, 3, 0xe8],
    ]
    .concat();
    let put =
        b"PUT /resources/r/a HTTP/1.1\r\nHost: h\r\nIf-Match: \"x\"\r\nContent-Length: 9\r\n\r\n\
        {\"a\":[1]}PATCH /resources/r/a HTTP/1.1\r\nHost: h\r\nContent-Range: bytes 1-2/9\r\n\
        Content-Length: 2\r\n\r\n\"bGET /resources/r/a HTTP/1.1\r\nHost: h\r\n\
        When-Modified-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
    for seed in 1..=360u64 {
        let mut random = Random::of(seed ^ 0xf7a3e5);
        let bytes = match seed % 3 {
            0 => [upgrade.as_slice(), &random.spoil(frames.clone())].concat(),
            1 => random.spoil(put.to_vec()),
            _ => {
                let body = random.spoil(batch.clone());
                let head = format!(
                    "POST /cometd HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                [head.as_bytes(), &body].concat()
            }
        };
        survives(
            &server,
            &bytes,
            &format!("seed {seed}: {}", bytes.escape_ascii()),
        )
        .await;
    }
    still_serves(&server, client).await;
}
