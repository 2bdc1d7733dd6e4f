//! What fuzzers do to what nodes say to each other, and to what they prove it with.

use bytes::BytesMut;
use http::HeaderValue;

use super::inbox::{Whole, framed, take_whole};
use super::proof::{Claim, HEADER, Secret, Signature, digest_of};
use crate::fuzzing::target::{Target, in_pieces};

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "cluster_frame",
        check: frame,
        seeds: &[b"\0\0\0\x02hisw", b"\0\0\0\0n"],
    },
    Target {
        name: "cluster_proof",
        check: proof,
        seeds: &[GENUINE],
    },
];

/// What a node shows that knows the secret.
const GENUINE: &[u8] = b"deadbeef 00000007 1800000000 00000010000000000000000000000000 3 \
    j0NDRmSPa5bfid2pAcUXaxCm2Dlh3TwayItZstwyeqQ ZxiTXIBFvTkhmM3ctdMGg-4oosbDww0V51MkhSMASXs";

/// What is sent whole is the same in whatever pieces it comes, and what is behind it is left.
fn frame(bytes: &[u8]) -> bool {
    let read = |mut pieces: std::slice::Chunks<'_, u8>| {
        let mut arrived = BytesMut::new();
        while let Some(piece) = pieces.next() {
            arrived.extend_from_slice(piece);
            match take_whole(&mut arrived) {
                Whole::Here(whole) => {
                    pieces.for_each(|piece| arrived.extend_from_slice(piece));
                    return Some((whole, arrived));
                }
                Whole::Partial => {}
                Whole::TooLarge => return None,
            }
        }
        None
    };
    let Some((whole, behind)) = in_pieces(bytes, read) else {
        return false;
    };
    assert_eq!([&*framed(&whole), &*behind].concat(), bytes);
    true
}

/// Nothing is proven but by the one header that proves it; a claim is written as it was read.
fn proof(bytes: &[u8]) -> bool {
    let Ok(header) = str::from_utf8(bytes) else {
        return false;
    };
    let secret = Secret::new(b"a secret");
    let proven = secret.verify("/pass", header);
    assert_eq!(proven.is_some(), bytes == GENUINE, "{HEADER}");
    assert!(proven.is_none_or(|claim| claim.said == digest_of(b"hi")));
    let said = header.rsplit_once(' ').map_or(header, |(claim, _)| claim);
    if let Ok(claim) = said.parse::<Claim>() {
        assert_eq!(claim.to_string().parse(), Ok(claim));
        let genuine = secret.prove("/pass", &claim);
        assert_eq!(secret.verify("/pass", &genuine), Some(claim));
    }
    // As the proof of an answer it proves nothing.
    let request = HeaderValue::from_static("a request");
    if let Ok(answer) = HeaderValue::from_bytes(bytes) {
        let signature = Signature::new(&secret, request.clone(), Some(&answer));
        assert!(!signature.holds(b"hi"));
        let genuine = secret.sign(&request, bytes);
        assert!(Signature::new(&secret, request, Some(&genuine)).holds(bytes));
    }
    proven.is_some()
}
