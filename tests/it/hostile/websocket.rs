//! WebSockets with bombs, endless messages, and floods of frames.

use futures_util::future::join_all;
use mirant::web::websocket::{CloseCode, Incoming, deflate};

use super::bystanders::Bystanders;
use crate::support::{TestServer, WebSocket, upgrade};

const MANY: usize = 20;

async fn attack_by(
    server: &TestServer,
    attack: impl AsyncFn(&mut WebSocket) -> Option<CloseCode>,
) -> Vec<Option<CloseCode>> {
    let attackers = (0..MANY).map(|_| async {
        let request = upgrade().header("Sec-WebSocket-Extensions", "permessage-deflate");
        let mut socket = WebSocket::open_with(server.address, request).await;
        attack(&mut socket).await
    });
    join_all(attackers).await
}

#[tokio::test]
async fn bombs_and_giants_are_closed() {
    let server = TestServer::start(&["bayeux.max_message_size=64KiB"]);
    let mut bystanders = Bystanders::of(&server).await;
    let bomb = deflate::deflate(&vec![b' '; 4 << 20]);
    let attack = attack_by(&server, async |socket| {
        socket.frame(0xc1, &bomb).await;
        Some(socket.closed().await)
    });
    let codes = bystanders.notice_nothing(attack).await;
    assert_eq!(codes, [Some(CloseCode::Size); MANY]);
    // The head of a text of 2^63 - 1 bytes.
    let giant = [&[0x81, 0xff, 0x7f][..], &[0xff; 7], &[1, 2, 3, 4]].concat();
    let attack = attack_by(&server, async |socket| {
        socket.bytes(&giant).await;
        Some(socket.closed().await)
    });
    let codes = bystanders.notice_nothing(attack).await;
    assert_eq!(codes, [Some(CloseCode::Size); MANY]);
}

#[tokio::test]
async fn a_message_without_end_is_closed() {
    let server = TestServer::start(&["http.body_timeout=300ms"]);
    let mut bystanders = Bystanders::of(&server).await;
    // Frames of no bytes make a message no larger, and do not end it.
    let empty = [0x00, 0x80, 1, 2, 3, 4].repeat(200);
    let attack = attack_by(&server, async |socket| {
        socket.frame(0x01, b"[").await;
        loop {
            tokio::select! {
                next = socket.next() => match next {
                    Some(Incoming::Close(code)) => return code,
                    next => panic!("{next:?}"),
                },
                () = tokio::task::yield_now() => {}
            }
            if !socket.try_bytes(&empty).await {
                return None;
            }
        }
    });
    for code in bystanders.notice_nothing(attack).await {
        // A reset may have overtaken it.
        assert!(matches!(code, None | Some(CloseCode::Policy)), "{code:?}");
    }
    crate::support::until(|| server.metrics().websockets.value() == 1).await;
}

#[tokio::test]
async fn a_flood_of_pings_is_answered() {
    let server = TestServer::start(&[]);
    let mut bystanders = Bystanders::of(&server).await;
    let pings = [0x89, 0x81, 1, 2, 3, 4, 0].repeat(500);
    let attack = attack_by(&server, async |socket| {
        for _ in 0..4 {
            socket.bytes(&pings).await;
            for _ in 0..500 {
                assert_eq!(socket.next().await, Some(Incoming::Pong));
            }
        }
        None
    });
    bystanders.notice_nothing(attack).await;
}
