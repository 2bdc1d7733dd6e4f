//! A WebSocket echo server on Mirant's framing, for conformance suites such as Autobahn's:
//!
//! ```sh
//! cargo run --release --example websocket_echo 127.0.0.1:9001
//! ```

use std::io;

use bytes::BytesMut;
use mirant::web::websocket::{
    Accepted, CloseCode, FrameKind, Incoming, Reader, Side, accept, close, deflate, encode,
};
use mirant::web::{Head, Persistence};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The largest message of the suites.
const MAX_MESSAGE: usize = 32 * 1024 * 1024;
/// More headers than they send.
const MAX_HEADERS: usize = 32;

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001")).await?;
    println!("echoing on ws://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(stream).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut arrived = BytesMut::new();
    let head = read_head(&mut stream, &mut arrived).await?;
    let accepted = accept(&head.headers, true).map_err(io::Error::other)?;
    let Accepted { response, deflates } = accepted;
    let persistence = Persistence::of(&head);
    stream.write_all(&response.encode(persistence)).await?;

    let mut reader = Reader::new(Side::Server, deflates, MAX_MESSAGE);
    let mut out = Vec::new();
    let mut is_open = true;
    while is_open {
        match reader.next(&mut arrived) {
            Ok(Some(incoming)) => is_open = answer(incoming, deflates, &mut out),
            Ok(None) => {
                stream.write_all(&out).await?;
                out.clear();
                if stream.read_buf(&mut arrived).await? == 0 {
                    return Ok(());
                }
            }
            Err(failure) => {
                close(failure.code, failure.reason, &mut out);
                is_open = false;
            }
        }
    }
    stream.write_all(&out).await?;
    stream.shutdown().await?;
    // Closing before the client did would reset the connection, and the last frame with it.
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Echoes what came; false if it was the last.
fn answer(incoming: Incoming, deflates: bool, out: &mut Vec<u8>) -> bool {
    match incoming {
        Incoming::Text(text) if deflates => {
            encode(FrameKind::DeflatedText, &deflate::deflate(&text), None, out);
        }
        Incoming::Text(text) => encode(FrameKind::Text, &text, None, out),
        Incoming::Binary(bytes) => encode(FrameKind::Binary, &bytes, None, out),
        Incoming::Ping(payload) => encode(FrameKind::Pong, &payload, None, out),
        Incoming::Pong => {}
        Incoming::Close(code) => {
            close(code.unwrap_or(CloseCode::Normal), "", out);
            return false;
        }
    }
    true
}

/// Reads the head of the request.
async fn read_head(stream: &mut TcpStream, arrived: &mut BytesMut) -> io::Result<Head> {
    let end = loop {
        if let Some(end) = arrived.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(arrived).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let text = arrived.split_to(end + 4).freeze();
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(&text).map_err(io::Error::other)?;
    Head::parsed(&request, &text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
