//! What each field of a result means, for `--help`.

/// The fields, in their order, and their meanings; a name ends in its unit.
pub(super) const FIELDS: &[(&str, &str)] = &[
    ("scenario", "what was measured"),
    ("url", "the values of --url"),
    ("transport", "the value of --transport"),
    ("http", "the version of HTTP, with --http2"),
    ("clients", "simulated clients"),
    ("concurrency", "the value of --concurrency"),
    ("timeout_s", "the value of --timeout"),
    (
        "channels",
        "channels (rooms) that the clients are spread over",
    ),
    ("pairs", "clients that ask, each with one that answers"),
    ("batch", "the value of --batch"),
    ("pipeline", "the value of --pipeline"),
    ("cuts", "how often all clients were cut off"),
    ("away_s", "the value of --away"),
    (
        "all_back_ms",
        "from when clients may come back until all are connected, the longest",
    ),
    ("payload_bytes", "the value of --payload"),
    ("messages_planned", "messages that were to be published"),
    ("rate_per_s", "the value of --rate, if given"),
    ("setup_s", "time until all clients were parked"),
    (
        "handshakes_per_s",
        "clients set up a second: handshake, first connect, subscription, held connect",
    ),
    (
        "server_setup_cpu_us_per_client",
        "the server's CPU time for that (with --pid)",
    ),
    ("server_resident_before_bytes", "its memory before"),
    (
        "server_resident_parked_bytes",
        "its memory when all were parked",
    ),
    (
        "server_resident_bytes_per_client",
        "the difference, per client",
    ),
    ("server_idle_cpu_ms", "its CPU time in the idle time"),
    (
        "server_idle_cpu_percent",
        "the same, as a share of one processor",
    ),
    (
        "bench_setup_cpu_us_per_client",
        "this program's CPU time to set a client up",
    ),
    ("idle_s", "how long the parked clients were watched"),
    ("idle_reconnects", "connects that were sent in that time"),
    ("messages", "messages published"),
    (
        "deliveries",
        "messages received, by all clients together, repeated ones not counted",
    ),
    ("elapsed_s", "from the first publish to the last delivery"),
    ("messages_per_s", "messages in that time"),
    ("deliveries_per_s", "deliveries in that time"),
    ("server_cpu_ms", "the server's CPU time in it (with --pid)"),
    ("server_cpu_us_per_delivery", "the same, per delivery"),
    (
        "bench_cpu_us_per_delivery",
        "this program's own CPU time, per delivery",
    ),
    ("cpu_resolution_us_per_delivery", "how exact the two are"),
    (
        "sent_late_p99_us",
        "how late messages left here (with --rate); part of their latency",
    ),
    ("sent_late_max_us", "the same, at most"),
    ("lost", "messages that a client was to get and did not"),
    ("repeated", "messages that a client got again"),
    ("reordered", "messages that a client got after a later one"),
    ("stopped", "why the run ended early, if it did"),
    (
        "latency_p50_us",
        "from publish (with --rate: from when it was due) to delivery; also _p90_, _p99_, _p99_9_, _max_",
    ),
    (
        "round_trip_p50_us",
        "from a question (with --rate: from when it was due) to its answer; also _p90_ and so on",
    ),
    (
        "return_p50_us",
        "from when clients may come back until each is connected; also _p90_ and so on",
    ),
    (
        "histogram",
        "these durations: [{up_to_us, count}], each count above the bar before",
    ),
];

/// The list of fields as text.
pub(super) fn help() -> String {
    let mut help = String::from("Fields of the result:\n");
    for (name, meaning) in FIELDS {
        help.push_str(&format!("  {name}: {meaning}\n"));
    }
    help
}

#[cfg(test)]
/// Whether a field is in the list.
pub(super) fn is_documented(field: &str) -> bool {
    let quantiles = ["p90", "p99_9", "p99", "max"];
    let field = match quantiles
        .iter()
        .find(|name| field.contains(&format!("_{name}_us")))
    {
        Some(name) if !field.starts_with("sent_late") => field.replace(name, "p50"),
        _ => field.to_owned(),
    };
    FIELDS.iter().any(|(name, _)| *name == field)
}
