//! The browser cookie: how it is set, and whom a session is bound to.

use serde_json::{Value, json};

use crate::support::{Client, Request, TestServer};

const HANDSHAKE: &str = r#"[{"channel":"/meta/handshake","version":"1.0"}]"#;

async fn is_known(client: &mut Client) -> bool {
    let reply = client.publish("/service/x", 1).await.pop().unwrap();
    assert!(reply["successful"] == true || reply["error"] == "402::session_unknown");
    reply["successful"] == true
}

#[tokio::test]
async fn a_session_is_bound_once_its_client_returned_the_cookie() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let cookie = client.cookie.take();
    assert!(!is_known(&mut client).await, "no cookie");
    client.cookie = server.client().await.cookie;
    assert!(!is_known(&mut client).await, "another's cookie");
    client.cookie = Some("0123456789abcdefghijkl".to_owned());
    assert!(!is_known(&mut client).await, "an invented cookie");
    client.cookie = cookie;
    assert!(is_known(&mut client).await);
}

#[tokio::test]
async fn a_client_that_never_returns_the_cookie_is_served_by_its_id() {
    let server = TestServer::start(&[]);
    let mut client = server.cookieless().await;
    assert!(is_known(&mut client).await);
    client.cookie = server.client().await.cookie;
    assert!(
        is_known(&mut client).await,
        "another's cookie binds nothing"
    );
    client.cookie = None;
    assert!(is_known(&mut client).await);
}

#[tokio::test]
async fn a_session_made_with_a_known_cookie_is_bound_from_the_start() {
    let server = TestServer::start(&[]);
    let mut tab = server.client().await.tab();
    tab.handshake().await;
    tab.cookie = None;
    assert!(!is_known(&mut tab).await);
}

#[tokio::test]
async fn connects_and_subscribes_are_bound_too() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.cookie = None;
    assert_eq!(
        client.subscribe("/a").await["error"],
        "402::session_unknown"
    );
    let reply = client.connect().await.pop().unwrap();
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    assert_eq!(client.disconnect().await["error"], "402::session_unknown");
    assert_eq!(server.metrics().sessions.value(), 1, "it is still there");
}

#[tokio::test]
async fn trust_client_session_switches_binding_off() {
    let server = TestServer::start(&["bayeux.trust_client_session=true"]);
    let mut client = server.client().await;
    client.cookie = None;
    assert!(is_known(&mut client).await);
    client.cookie = Some("0123456789abcdefghijkl".to_owned());
    assert!(is_known(&mut client).await);
}

#[tokio::test]
async fn tabs_share_a_cookie_and_it_is_set_once() {
    let server = TestServer::start(&[]);
    let first = server.client().await;
    let mut tab = first.tab();
    let response = tab.post(HANDSHAKE).await;
    assert_eq!(response.cookie(), None, "the browser has one");
    tab.handshake().await;
    assert!(is_known(&mut tab).await);
    assert_eq!(tab.cookie, first.cookie);
}

#[tokio::test]
async fn a_cookie_of_the_right_form_is_kept_whoever_made_it() {
    let server = TestServer::start(&[]);
    let kept = "0123456789abcdefghijkl";
    let quoted = format!("\"{kept}\"");
    let too_large = "zzzzzzzzzzzzzzzzzzzzzz";
    let cases = [
        (kept, true),
        (&quoted, true),
        (too_large, false),
        ("x", false),
        ("", false),
        ("1f6l7crdb0ccl98g8rlw1xg2", false),
    ];
    for (sent, is_kept) in cases {
        let request = Request::post(HANDSHAKE).header("Cookie", &format!("BAYEUX_BROWSER={sent}"));
        let response = server.open().await.exchange(request).await;
        match response.cookie() {
            None => assert!(is_kept, "{sent:?} is replaced"),
            Some(own) => assert!(
                !is_kept && own.len() == 22 && own != sent,
                "{sent:?}: {own}"
            ),
        }
    }
}

#[tokio::test]
async fn a_session_is_bound_to_the_cookie_that_its_handshake_brought() {
    let server = TestServer::start(&[]);
    let mut client = Client::new(server.address);
    client.cookie = Some("0123456789abcdefghijkl".to_owned());
    client.handshake().await;
    assert!(is_known(&mut client).await);
    let own = client.cookie.take();
    assert!(!is_known(&mut client).await, "no cookie");
    client.cookie = server.client().await.cookie;
    assert!(!is_known(&mut client).await, "another's cookie");
    client.cookie = own;
    assert!(is_known(&mut client).await);
}

/// Cookies know no ports: what one server sets, the browser returns to the other.
#[tokio::test]
async fn two_servers_on_one_host_share_a_cookie_jar() {
    let servers = [TestServer::start(&[]), TestServer::start(&[])];
    for round in 0..3 {
        let mut jar = None;
        let mut clients = servers.each_ref().map(|server| Client::new(server.address));
        for _ in 0..2 {
            for client in &mut clients {
                client.cookie.clone_from(&jar);
                if client.id.is_empty() {
                    client.handshake().await;
                }
                jar.clone_from(&client.cookie);
                assert!(is_known(client).await, "round {round}");
            }
        }
        // A page that is loaded again, or another one.
        for server in &servers {
            let mut tab = Client::new(server.address);
            tab.cookie.clone_from(&jar);
            tab.handshake().await;
            assert_eq!(tab.cookie, jar, "the cookie stays");
        }
        for client in &mut clients {
            client.cookie.clone_from(&jar);
            assert!(is_known(client).await, "round {round}: still bound");
        }
    }
}

#[tokio::test]
async fn the_cookie_is_found_among_others() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let cookie = client.cookie.clone().unwrap();
    let publish = json!([client.message(json!({"channel": "/service/x", "data": 1}))]).to_string();
    let lines = [
        format!("a=1; BAYEUX_BROWSER={cookie}; b=2"),
        format!("BAYEUX_BROWSER=stale; BAYEUX_BROWSER={cookie}"),
        format!("BAYEUX_BROWSER=\"{cookie}\""),
    ];
    for line in lines {
        let request = Request::post(publish.clone()).header("Cookie", &line);
        let reply: Vec<Value> = server.open().await.exchange(request).await.messages();
        assert_eq!(reply[0]["successful"], true, "{line}");
    }
    assert!(is_known(&mut client).await);
}

#[tokio::test]
async fn only_a_handshake_sets_the_cookie() {
    let server = TestServer::start(&[]);
    let mut client = server.cookieless().await;
    let message = json!([client.message(json!({"channel": "/service/x", "data": 1}))]);
    assert_eq!(client.post(message.to_string()).await.cookie(), None);
    let failed = r#"[{"channel":"/meta/handshake","supportedConnectionTypes":["x"]}]"#;
    assert_eq!(server.post(failed).await.cookie(), None);
}

#[tokio::test]
async fn the_cookie_s_attributes_are_options() {
    let cases: [(&[&str], &str, &str); 3] = [
        (&[], "BAYEUX_BROWSER=", "; Path=/; HttpOnly"),
        (
            &[
                "bayeux.browser_cookie_name=B",
                "bayeux.browser_cookie_path=/cometd",
                "bayeux.browser_cookie_http_only=false",
                "bayeux.browser_cookie_max_age=1h",
                "bayeux.browser_cookie_domain=example.com",
                "bayeux.browser_cookie_same_site=lax",
            ],
            "B=",
            "; Path=/cometd; Domain=example.com; Max-Age=3600; SameSite=Lax",
        ),
        (
            &[
                "bayeux.browser_cookie_secure=true",
                "bayeux.browser_cookie_partitioned=true",
                "bayeux.browser_cookie_same_site=none",
            ],
            "BAYEUX_BROWSER=",
            "; Path=/; Secure; HttpOnly; Partitioned; SameSite=None",
        ),
    ];
    for (settings, start, end) in cases {
        let server = TestServer::start(settings);
        let response = server.post(HANDSHAKE).await;
        let cookie = response.header("Set-Cookie").unwrap();
        assert!(cookie.starts_with(start), "{cookie}");
        assert!(cookie.ends_with(end), "{cookie}");
    }
}

#[tokio::test]
async fn a_cookie_of_another_name_is_found_by_it() {
    let server = TestServer::start(&["bayeux.browser_cookie_name=B"]);
    let response = server.post(HANDSHAKE).await;
    let (id, cookie) = (
        response.messages()[0]["clientId"].clone(),
        response.cookie().unwrap().to_owned(),
    );
    let publish = json!([{"channel": "/service/x", "clientId": id, "data": 1}]).to_string();
    for (line, successful) in [(format!("B={cookie}"), true), (String::new(), false)] {
        let request = Request::post(publish.clone()).header("Cookie", &line);
        let reply = server.open().await.exchange(request).await.messages();
        assert_eq!(reply[0]["successful"], successful, "{line:?}");
    }
}
