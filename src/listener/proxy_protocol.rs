//! The PROXY protocol, versions 1 and 2: what a proxy says before a connection's first request, which is whose
//! connection it is. What has arrived behind it stays for whoever reads on.

use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use proxy_header::{Error, ParseConfig, ProxyHeader};

use super::Shared;
use crate::metrics::Limit;
use crate::web::Socket;

/// What headers of either version begin with.
const BEGINNINGS: [&[u8]; 2] = [b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];

/// Why a connection has no such header that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// What came first is none.
    #[error("it does not begin with a header of the PROXY protocol (http.proxy_protocol)")]
    Malformed,
    /// It is too large.
    #[error("its PROXY protocol header is larger than http.max_header_size")]
    TooLarge,
    /// It took too long.
    #[error("its PROXY protocol header did not arrive within http.header_timeout")]
    Late,
    /// The connection ended before its header did.
    #[error("it ended within its PROXY protocol header")]
    Cut,
    /// The connection ended, or the server stops, before anything has arrived: nobody needs to know.
    #[error("nothing has arrived")]
    Nothing,
}

impl Fault {
    /// Returns the bound that was reached, if one was.
    pub(super) fn limit(self) -> Option<Limit> {
        match self {
            Self::TooLarge => Some(Limit::MaxHeaderSize),
            Self::Late => Some(Limit::HeaderTimeout),
            Self::Malformed | Self::Cut | Self::Nothing => None,
        }
    }
}

/// Reads the header of a connection: who the client is; nothing if it does not tell an address, as for a
/// connection of the proxy's own.
///
/// # Errors
/// There is none that can be read.
pub(super) async fn read(
    socket: &mut Socket,
    shared: &Shared,
) -> Result<Option<SocketAddr>, Fault> {
    let max = shared.bounds().max_head;
    let read = async {
        loop {
            if let Some(client) = take(socket.arrived_bytes(), max)? {
                return Ok(client);
            }
            if !poll_fn(|context| socket.poll_fill(context)).await {
                return Err(match socket.has_ahead() {
                    true => Fault::Cut,
                    false => Fault::Nothing,
                });
            }
        }
    };
    let mut stopping = shared.stopping.clone();
    tokio::select! {
        client = read => client,
        () = tokio::time::sleep(shared.settings.header_timeout) => Err(Fault::Late),
        _ = stopping.wait_for(|stopping| *stopping) => Err(Fault::Nothing),
    }
}

/// Takes the header off what has arrived, if it is whole.
pub(super) fn take(
    arrived: &mut BytesMut,
    max: usize,
) -> Result<Option<Option<SocketAddr>>, Fault> {
    // The parser takes any byte for the space of version 1.
    if !may_begin(arrived) {
        return Err(Fault::Malformed);
    }
    // What else it tells in version 2 (TLVs) is passed over.
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    let parsed = ProxyHeader::parse(arrived, config).map(|(header, length)| {
        let client = header.proxied_address().map(|address| address.source);
        (client, length)
    });
    match parsed {
        Ok((_, length)) if length > max => Err(Fault::TooLarge),
        Ok((client, length)) => {
            arrived.advance(length);
            Ok(Some(client))
        }
        Err(Error::BufferTooShort) if arrived.len() >= max => Err(Fault::TooLarge),
        Err(Error::BufferTooShort) => Ok(None),
        Err(_) => Err(Fault::Malformed),
    }
}

/// Tells whether bytes are the beginning of such a header, or begin as it does.
fn may_begin(bytes: &[u8]) -> bool {
    BEGINNINGS.iter().any(|beginning| {
        let size = beginning.len().min(bytes.len());
        bytes[..size] == beginning[..size]
    })
}

/// Tells whether bytes begin as such a header does.
pub(super) fn is_begun(bytes: &[u8]) -> bool {
    BEGINNINGS
        .iter()
        .any(|beginning| bytes.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1000;

    /// A header of version 2: command and version, family, and what follows.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short");
        [
            BEGINNINGS[1],
            &[command, family],
            &length.to_be_bytes(),
            rest,
        ]
        .concat()
    }

    fn v4() -> Vec<u8> {
        vec![203, 0, 113, 7, 192, 0, 2, 1, 0x12, 0x67, 0, 80]
    }

    fn v6() -> Vec<u8> {
        let mut addresses = vec![0; 36];
        addresses[..2].copy_from_slice(&[0x20, 0x01]);
        addresses[15] = 7;
        addresses[33] = 80;
        addresses
    }

    /// What is understood of bytes that come whole, or one by one, with a request behind them.
    fn taken(header: &[u8]) -> String {
        let rest = b"GET / HTTP/1.1\r\n\r\n";
        let mut arrived = BytesMut::from(&[header, rest].concat()[..]);
        let whole = take(&mut arrived, MAX);
        if let Ok(Some(_)) = whole {
            assert_eq!(arrived, &rest[..], "what is behind it stays");
        }
        let mut arrived = BytesMut::new();
        let mut bytes = header.iter();
        let slowly = loop {
            match take(&mut arrived, MAX) {
                Ok(None) => match bytes.next() {
                    Some(byte) => arrived.extend_from_slice(&[*byte]),
                    None => break Ok(None),
                },
                done => break done,
            }
        };
        match (whole, slowly) {
            (Ok(Some(client)), slowly) => {
                assert_eq!(slowly, Ok(Some(client)), "{header:?}");
                client.map_or("none".to_owned(), |client| client.to_string())
            }
            (Ok(None), _) => "more".to_owned(),
            (Err(fault), _) => format!("{fault:?}"),
        }
    }

    #[test]
    fn a_header_says_whose_connection_it_is_however_it_arrives() {
        let with_tlvs = |mut addresses: Vec<u8>| {
            addresses.extend_from_slice(&[1, 0, 2, b'h', b'2', 0xee, 0xff, 0xff]);
            addresses
        };
        let cases: [(&[u8], &str); 25] = [
            (
                b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n",
                "203.0.113.7:4711",
            ),
            (b"PROXY TCP6 2001::7 ::1 4711 80\r\n", "[2001::7]:4711"),
            (b"PROXY UNKNOWN\r\n", "none"),
            (b"PROXY!UNKNOWN\r\n", "Malformed"),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "none"),
            (b"PROXY TCP4 203.0.113.7 192.0.2.1 4711\r\n", "Malformed"),
            (
                b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80000\r\n",
                "Malformed",
            ),
            (b"PROXY TCP4 2001::7 ::1 4711 80\r\n", "Malformed"),
            (b"PROXY UDP4 203.0.113.7 192.0.2.1 4711 80\r\n", "Malformed"),
            (b"", "Malformed"),
            (b"POST / HTTP/1.1\r\n", "Malformed"),
            (b"\x16\x03\x01", "Malformed"),
            (&v2(0x21, 0x11, &v4()), "203.0.113.7:4711"),
            (&v2(0x21, 0x11, &with_tlvs(v4())), "203.0.113.7:4711"),
            (&v2(0x21, 0x21, &v6()), "[2001::7]:80"),
            (&v2(0x21, 0x21, &with_tlvs(v6())), "[2001::7]:80"),
            (&v2(0x20, 0x00, &[]), "none"),
            (&v2(0x20, 0x11, &v4()), "none"),
            (&v2(0x21, 0x00, &[1, 2, 3]), "none"),
            (&v2(0x21, 0x31, &[b'/'; 216]), "none"),
            (&v2(0x21, 0x31, &[b'/'; 215]), "Malformed"),
            (&v2(0x21, 0x11, &v4()[..11]), "Malformed"),
            (&v2(0x22, 0x11, &v4()), "Malformed"),
            (&v2(0x11, 0x11, &v4()), "Malformed"),
            (&v2(0x21, 0x00, &[0; MAX]), "TooLarge"),
        ];
        for (header, expected) in cases {
            assert_eq!(taken(header), expected, "{}", header.escape_ascii());
        }
    }

    #[test]
    fn what_is_too_large_is_not_waited_for() {
        for header in [
            [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 300]].concat(),
            v2(0x21, 0x00, &[0; 2 * MAX])[..MAX].to_vec(),
        ] {
            let fault = take(&mut BytesMut::from(&header[..]), MAX);
            assert!(fault.is_err(), "{fault:?}");
        }
    }

    #[test]
    fn bytes_at_random_are_no_panic() {
        let mut state = 1_u64;
        for round in 0_usize..20_000 {
            let mut bytes = BEGINNINGS[round % 2].to_vec();
            for _ in 0..round % 60 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                bytes.push(state.to_be_bytes()[0]);
            }
            let _ = take(&mut BytesMut::from(&bytes[..]), MAX);
        }
    }
}
