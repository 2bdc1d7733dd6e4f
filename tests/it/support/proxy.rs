//! A proxy between clients and a server, which says whom it speaks for.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

/// What a proxy says of its client, and where.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// In lines that it adds to the head of every request.
    InHeads(String),
    /// In bytes that it sends before all else.
    First(Vec<u8>),
}

/// A header of the PROXY protocol, version 1, of a client at this address.
pub(crate) fn proxy_v1(client: &str) -> Vec<u8> {
    let family = if client.contains(':') { 6 } else { 4 };
    format!("PROXY TCP{family} {client} {client} 4711 80\r\n").into_bytes()
}

/// The same in version 2, with a TLV behind it.
pub(crate) fn proxy_v2(client: &str) -> Vec<u8> {
    let (family, address) = match client.parse().unwrap() {
        IpAddr::V4(v4) => (0x11, v4.octets().to_vec()),
        IpAddr::V6(v6) => (0x21, v6.octets().to_vec()),
    };
    let ports: &[u8] = &[0x12, 0x67, 0, 80];
    let tlv: &[u8] = &[1, 0, 2, b'h', b'2'];
    let rest = [&address, &address, ports, tlv].concat();
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n".as_slice(),
        &[0x21, family],
        &length,
        &rest,
    ]
    .concat()
}

/// Begins to hand connections on to a server; returns where the proxy takes them.
pub(crate) fn proxy_to(server: SocketAddr, says: Says) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let says = says.clone();
            tokio::spawn(async move {
                if let Ok(server) = TcpStream::connect(server).await {
                    let _ = hand_on(client, server, says).await;
                }
            });
        }
    });
    address
}

async fn hand_on(client: TcpStream, server: TcpStream, says: Says) -> std::io::Result<()> {
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forth = async {
        if let Says::First(bytes) = &says {
            to_server.write_all(bytes).await?;
        }
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return to_server.shutdown().await;
            }
            let bytes = match &says {
                Says::InHeads(lines) => with_lines(&buffer[..read], lines),
                Says::First(_) => buffer[..read].to_vec(),
            };
            to_server.write_all(&bytes).await?;
        }
    };
    let back = async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(forth, back).map(drop)
}

/// Adds lines to the head with which a client's bytes begin, if they do: these tests' clients send a head at
/// once.
fn with_lines(bytes: &[u8], lines: &str) -> Vec<u8> {
    let is_head = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count()
        >= 3;
    let end = bytes.windows(2).position(|two| two == b"\r\n");
    match end.filter(|_| is_head) {
        Some(at) => [&bytes[..at + 2], lines.as_bytes(), &bytes[at + 2..]].concat(),
        None => bytes.to_vec(),
    }
}
