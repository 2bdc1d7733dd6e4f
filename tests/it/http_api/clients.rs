//! Bayeux clients that show a key.

use serde_json::{Value, json};

use super::{HASH, KEY, OTHER, ROLE};
use crate::support::{Client, Request, TestServer, only};

const RULES: &str = "access=[{ deny = ['publish'], channels = ['/closed'], who = 'anyone' }]";

fn server(allow: &str) -> TestServer {
    let key = format!(
        "api.key=[{{ name = 'app', hash = '{HASH}', allow = [{allow}], channels = ['/a', '/closed', '/service/x'] }}]"
    );
    TestServer::start(&[RULES, ROLE, &key])
}

async fn shake(server: &TestServer, token: &str) -> (Client, Value) {
    let mut client = Client::new(server.address);
    let ext = json!({"authentication": {"token": token}});
    let reply = client.handshake_with(json!({"ext": ext})).await;
    (client, reply)
}

#[tokio::test]
async fn a_key_is_who_a_client_is_and_grants_what_it_allows() {
    // (what the key allows; what may be published on, and subscribed to)
    let cases: [(&str, &[&str], &[&str]); 3] = [
        ("'publish'", &["/a", "/service/x"], &[]),
        ("'read'", &[], &["/a", "/closed", "/service/x"]),
        ("'calls'", &["/service/x"], &["/service/x"]),
    ];
    for (allow, publishes, subscribes) in cases {
        let server = server(allow);
        let (mut client, reply) = shake(&server, KEY).await;
        assert_eq!(reply["successful"], true, "{allow}: {reply}");
        for channel in ["/a", "/closed", "/service/x", "/b"] {
            let reply = client.publish(channel, 1).await.pop().unwrap();
            assert_eq!(
                reply["successful"],
                publishes.contains(&channel),
                "{allow} {reply}"
            );
            let reply = client.subscribe(channel).await;
            assert_eq!(
                reply["successful"],
                subscribes.contains(&channel),
                "{allow} {reply}"
            );
        }
    }
}

#[tokio::test]
async fn a_key_may_be_in_the_head_and_one_that_is_not_valid_is_refused() {
    let server = server("'publish'");
    let message = json!([{
        "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"],
    }]);
    for (key, expected) in [(KEY, Value::Null), (OTHER, json!("401::key_unknown"))] {
        let request = Request::post(message.to_string());
        let request = request.header("Authorization", &format!("Bearer {key}"));
        let reply = only(server.open().await.exchange(request).await.messages());
        assert_eq!(reply["error"], expected, "{reply}");
        let (_, reply) = shake(&server, key).await;
        assert_eq!(reply["error"], expected, "{reply}");
    }
    let (_, reply) = shake(&server, "a.b.c").await;
    assert_eq!(reply["error"], "401::token_issuer_unknown", "{reply}");
}
