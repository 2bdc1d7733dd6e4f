//! Networks: addresses with the same first bits, as in `10.0.0.0/8` (CIDR).

use core::net::IpAddr;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An address, or all that begin as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Network {
    first: IpAddr,
    /// How many bits are the same.
    prefix: u32,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or an address.
    ///
    /// # Errors
    /// What to write instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let form = || {
            "must be an address or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\""
                .to_owned()
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| form())?;
        if address.to_canonical() != address {
            return Err("is an IPv4 address within IPv6; write it as IPv4".to_owned());
        }
        let width = width(address);
        let prefix = match prefix {
            None => width,
            Some(digits) => {
                let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                let prefix = digits.parse().ok().filter(|_| is_number);
                prefix.filter(|prefix| *prefix <= width).ok_or_else(form)?
            }
        };
        let first = first_of(address, prefix);
        if first != address {
            return Err(format!(
                "has more than the first {prefix} bits; write \"{first}/{prefix}\", or a longer prefix"
            ));
        }
        Ok(Self { first, prefix })
    }

    /// Tells whether an address is in it. An IPv4 address that came by IPv6 counts as IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        width(address) == width(self.first) && first_of(address, self.prefix) == self.first
    }
}

/// What counts as one address: of IPv6 the first 64 bits, since whoever has one has all that begin so.
pub(crate) fn block(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    first_of(address, width(address).min(64))
}

/// How many bits an address has.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with only its first bits.
fn first_of(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_networks_that_begin_as_it_does() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "a00::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("192.0.2.6/31", "192.0.2.7", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.7", false),
            ("::1", "::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
        ];
        for (network, address, expected) in cases {
            let parsed = Network::parse(network).expect(network);
            let is_in = parsed.contains(address.parse().expect(address));
            assert_eq!(is_in, expected, "{address} in {network}");
        }
    }

    #[test]
    fn of_ipv6_a_block_is_64_bits() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            let address: IpAddr = address.parse().expect(address);
            assert_eq!(block(address).to_string(), expected);
        }
    }

    #[test]
    fn a_mistake_is_refused_with_what_to_write() {
        let cases = [
            ("", "must be"),
            ("localhost", "must be"),
            ("10.0.0.0/", "must be"),
            ("10.0.0.0/33", "must be"),
            ("10.0.0.0/+8", "must be"),
            ("10.0.0/8", "must be"),
            ("::/129", "must be"),
            ("10.0.0.0/8/8", "must be"),
            (
                "10.0.0.1/8",
                "has more than the first 8 bits; write \"10.0.0.0/8\"",
            ),
            ("::1/0", "has more than the first 0 bits; write \"::/0\""),
            ("::ffff:10.0.0.0/104", "is an IPv4 address within IPv6"),
        ];
        for (text, expected) in cases {
            let error = Network::parse(text).expect_err(text);
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
