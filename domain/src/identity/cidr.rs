//! Ranges of addresses, as allow-lists name them.

use core::{net::IpAddr, str::FromStr};

/// A range of addresses such as `10.0.0.0/8` or `2001:db8::/32`; one address is a range too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    prefix: u32,
    v6: bool,
}

/// The text is no range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no range of addresses such as 10.0.0.0/8")]
pub struct NotCidr;

impl FromStr for Cidr {
    type Err = NotCidr;

    fn from_str(text: &str) -> Result<Self, NotCidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => {
                let plain = prefix.len() <= 3 && prefix.bytes().all(|digit| digit.is_ascii_digit());
                (address, Some(prefix.parse::<u32>().ok().filter(|_| plain).ok_or(NotCidr)?))
            }
            None => (text, None),
        };
        let (bits, v6) = bits(address.parse().map_err(|_| NotCidr)?);
        let width = if v6 { 128 } else { 32 };
        let prefix = prefix.unwrap_or(width);
        if prefix > width {
            return Err(NotCidr);
        }
        Ok(Cidr { network: masked(bits, prefix, width), prefix, v6 })
    }
}

impl Cidr {
    /// Whether an address is in the range. An IPv4 address that is written as an IPv6 one is what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, v6) = bits(address.to_canonical());
        let width = if v6 { 128 } else { 32 };
        v6 == self.v6 && masked(bits, self.prefix, width) == self.network
    }
}

/// Whether an address is in one of these ranges. What is no range has no address in it.
pub fn is_within(ranges: &[String], address: IpAddr) -> bool {
    ranges.iter().any(|range| range.parse::<Cidr>().is_ok_and(|range| range.contains(address)))
}

fn bits(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), false),
        IpAddr::V6(address) => (address.to_bits(), true),
    }
}

fn masked(bits: u128, prefix: u32, width: u32) -> u128 {
    bits.checked_shr(width - prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(range: &str, address: &str) -> bool {
        is_within(&[range.to_owned()], address.parse().unwrap())
    }

    #[test]
    fn a_range_has_the_addresses_with_its_prefix() {
        assert!(within("10.1.0.0/16", "10.1.255.1") && !within("10.1.0.0/16", "10.2.0.1"));
        assert!(within("2001:db8::/32", "2001:db8:7::1") && !within("2001:db8::/32", "2001:db9::1"));
        assert!(within("192.0.2.7", "192.0.2.7") && !within("192.0.2.7", "192.0.2.8"));
        assert!(within("0.0.0.0/0", "203.0.113.1") && !within("0.0.0.0/0", "2001:db8::1"));
        assert!(within("::/0", "2001:db8::1") && within("10.0.0.0/8", "::ffff:10.0.0.1"));
    }

    #[test]
    fn what_is_no_range_has_nobody_in_it() {
        for text in ["", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0/8", "::/129", "10.0.0.0/8/8"] {
            assert!(text.parse::<Cidr>().is_err() && !within(text, "10.0.0.1"), "{text}");
        }
    }
}
