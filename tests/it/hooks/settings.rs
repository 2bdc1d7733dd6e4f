//! Where hooks may be, and what check-config says of them.

use serde_json::json;

use super::application::Application;
use crate::support::program::{ConfigFile, run};
use crate::support::{TestServer, only};

fn check(name: &str, text: &str) -> (Option<i32>, String) {
    let file = ConfigFile::new(name, text);
    let output = run(&["check-config", file.path()]);
    let error = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), error)
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_the_fix() {
    let application = Application::new().await;
    let private = "is at a private address; set allow_private = true in this [[hook]]";
    let events = "events = ['subscribed']";
    let cases = [
        (application.entry(events), ""),
        (application.entry_at("http://127.0.0.1", events), private),
        (application.entry_at("https://localhost:8443", events), private),
        (application.entry_at("https://[::ffff:10.0.0.1]", events), private),
        (application.entry_at("https://169.254.169.254", events), private),
        (application.entry_at("https://app.example.com", events), ""),
        (application.entry(""), "hook[0].events = []: name the events"),
        (
            application.entry("calls = ['/orders']"),
            "hook[0].calls = \"/orders\": must name service channels",
        ),
        (
            application.entry("channels = ['chat']"),
            "hook[0].channels = \"chat\": must start with '/'",
        ),
        (
            application.entry("events = ['subscribe']"),
            "expected a list in which each item is one of `session_begun`",
        ),
        (
            application.entry("calls = ['/service/a'], max_baf = 1"),
            "unknown key hook[0].max_baf; did you mean max_batch?",
        ),
        (
            "{ secrets = [{ env = 'A' }] }".to_owned(),
            "hook[0] has no url; say where it is",
        ),
        (
            "{ url = 'https://a.example/', secrets = ['hunter2'], events = ['vacated'] }".to_owned(),
            "hook[0].secrets: expected",
        ),
        (
            "{ url = 'https://a.example/', secrets = [{ file = '/hunter2/../no' }], events = ['vacated'] }"
                .to_owned(),
            "the first is of no use",
        ),
    ];
    for (index, (entry, expected)) in cases.iter().enumerate() {
        let (code, error) = check(&format!("hook-{index}"), &format!("hook = [{entry}]"));
        let expected_code = if expected.is_empty() { 0 } else { 2 };
        assert_eq!(code, Some(expected_code), "{entry}: {error}");
        assert!(error.contains(expected), "{entry}: {error}");
        let is_path = entry.contains("/hunter2");
        assert!(is_path || !error.contains("hunter2"), "{error}");
    }
}

/// How `getaddrinfo` reads numbers; to a URL they are names.
#[tokio::test]
async fn names_of_private_addresses_are_not_connected_to() {
    let application = Application::new().await;
    let port = application.address.port();
    let more = "calls = ['/service/**'], min_backoff = '1ms', max_backoff = '1ms'";
    for (host, is_allowed) in [
        ("2130706433", false),
        ("0x7f.1", false),
        ("2130706433", true),
    ] {
        let base = format!("http://{host}:{port}");
        let entry = application.entry_at(&base, &format!("{more}, allow_private = {is_allowed}"));
        let server = TestServer::start(&[&format!("hook=[{entry}]")]);
        let mut client = server.client().await;
        client.publish("/service/x", 1).await;
        let answer = only(client.events().await);
        assert_eq!(answer["successful"], json!(is_allowed), "{answer}");
        assert_eq!(application.asked(), usize::from(is_allowed), "{host}");
    }
}
