//! A server that asks another service before it admits a client.
//!
//! `cargo run --example admission [ADDRESS]`. A handshake has to bring a token, which the extension
//! presents to a service by HTTP. Here that is a stand-in within the program, which takes 300 ms and knows
//! one token. Meanwhile the handshake waits, and nobody else does:
//!
//! ```sh
//! curl http://127.0.0.1:8080/cometd -d '{"channel":"/meta/handshake","version":"1.0",
//!   "ext":{"token":"sesame"}}'
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use mirant::bayeux::{Message, meta};
use mirant::config::Config;
use mirant::extensions::{Extension, MessageInfo, Refusal, Wait};
use mirant::run::{Additions, bind_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The only token that the service knows.
const TOKEN: &str = "sesame";
/// How long the service takes.
const DELAY: Duration = Duration::from_millis(300);
/// The longest token it is asked about.
const MAX_TOKEN: usize = 128;

/// Asks a service about the token of each handshake.
#[derive(Debug)]
struct Tokens {
    service: SocketAddr,
}

impl Extension for Tokens {
    fn may_wait(&self) -> bool {
        true
    }

    fn admit(&self, message: &Message<'_>, _: &MessageInfo) -> Option<Wait> {
        if !message.is_on(meta::HANDSHAKE) {
            return None;
        }
        let (service, token) = (self.service, token(message));
        Some(Box::pin(async move {
            let token = token.ok_or(refused("403::token_missing"))?;
            match knows(service, &token).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(refused("403::token_unknown")),
                // What the service cannot be asked about is not admitted.
                Err(_) => Err(refused("503::token_service_failed")),
            }
        }))
    }
}

fn refused(error: &'static str) -> Refusal {
    Refusal::Failed(error.into())
}

/// Reads the token, if it is one that can stand in a request as it is.
fn token(handshake: &Message<'_>) -> Option<String> {
    let token = handshake.extension("token")?;
    let token: String = serde_json::from_str(token.get()).ok()?;
    let is_plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_plain && (1..=MAX_TOKEN).contains(&token.len())).then_some(token)
}

/// Asks the service. How long that may take at most is `extensions.max_wait`.
async fn knows(service: SocketAddr, token: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(service).await?;
    let request =
        format!("GET /tokens/{token} HTTP/1.1\r\nHost: {service}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(&status == b"HTTP/1.1 200")
}

/// The stand-in: 200 for the one token, 404 for others, after a while.
async fn serve_tokens(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut request = [0; 1024];
            let size = stream.read(&mut request).await?;
            tokio::time::sleep(DELAY).await;
            let wanted = format!("GET /tokens/{TOKEN} ");
            let response: &[u8] = if request[..size].starts_with(wanted.as_bytes()) {
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            } else {
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
            };
            stream.write_all(response).await
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::default();
    if let Some(address) = std::env::args().nth(1) {
        config.http.listen = vec![address.parse()?];
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let additions = Additions {
        extensions: vec![Box::new(Tokens {
            service: listener.local_addr()?,
        })],
        ..Additions::default()
    };
    tokio::spawn(serve_tokens(listener));
    let bound = bind_with(config, false, additions)?;
    for address in bound.addresses() {
        println!("http://{address}/cometd");
    }
    bound
        .run(async {
            // Without signals to wait for it would run for ever.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
