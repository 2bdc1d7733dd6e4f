//! Envelopes: from the bytes of a request to messages.

use std::fmt::Write;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use mirant::bayeux::{Limits, parse_batches};

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const CLIENT_ID: &str = "1k2Q7wXyZ0aBcDeFgHiJkL";

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("parse");
    let batch: Vec<String> = (0..100)
        .map(|_| publish(&quoted(&"x".repeat(98))))
        .collect();
    let bodies = [
        ("connect", connect()),
        ("publish_100", publish(&quoted(&"x".repeat(98)))),
        ("publish_10k", publish(&quoted(&"x".repeat(9_998)))),
        ("publish_10k_of_fields", publish(&fields())),
        ("batch_of_100", batch.join(",")),
        ("escapes_in_data", publish(&quoted(&r"\\".repeat(5_000)))),
        ("escapes_in_envelope", escaped_envelope()),
        ("nested", publish(&nested(120))),
        ("many_fields", publish(&format!("1,{}", unknown_fields()))),
    ];
    let limits = Limits::default();
    for (name, body) in bodies {
        let body = [Bytes::from(format!("[{body}]"))];
        assert!(parse_batches(&body, &limits).is_ok(), "{name}");
        group.throughput(Throughput::Bytes(body[0].len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| parse_batches(black_box(&body), &limits).map(|batch| batch.len()));
        });
    }
    group.finish();
    criterion.final_summary();
}

fn connect() -> String {
    format!(
        r#"{{"id":"7","channel":"/meta/connect","connectionType":"long-polling","clientId":"{CLIENT_ID}"}}"#
    )
}

fn publish(data: &str) -> String {
    format!(r#"{{"id":"8","channel":"/stocks/nyse/ibm","clientId":"{CLIENT_ID}","data":{data}}}"#)
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// Data as an application has it: an array of small objects, 10 KB of them.
fn fields() -> String {
    let fields: Vec<String> = (0..200)
        .map(|row| format!(r#"{{"row":{row:04},"text":"abc","is":true,"sum":1.25}}"#))
        .map(|object| object.replace(":0", ":1"))
        .collect();
    format!("[{}]", fields.join(","))
}

/// An envelope in which every character of every name and text is an escape of six bytes.
fn escaped_envelope() -> String {
    let pairs = [
        ("channel", "/stocks/nyse/ibm"),
        ("clientId", CLIENT_ID),
        ("data", "some data"),
        ("id", "8"),
    ];
    let pairs = pairs.map(|(name, text)| format!("{}:{}", escaped(name), escaped(text)));
    format!("{{{}}}", pairs.join(","))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        write!(escaped, r"\u{byte:04x}").expect("a String takes every write");
    }
    quoted(&escaped)
}

/// Arrays in each other, nearly as deep as a batch may be.
fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// A thousand fields that Bayeux does not know.
fn unknown_fields() -> String {
    let fields: Vec<String> = (0..1000)
        .map(|field| format!(r#""field{field}":{field}"#))
        .collect();
    fields.join(",")
}
