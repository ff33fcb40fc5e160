//! Networks.
//!
//! Knows: how they are written, and what is in one.
//! Does not know: who is reached through one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Entry, ip, mismatch};
use crate::error::Error;
use crate::value::Value;

/// An address and how much of it is the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

pub(super) const FUNCTIONS: &[Entry] = &[
    ("cidr", "(string) -> cidr", |_, args| match args {
        [Value::String(text)] => Cidr::read(text).map(Value::Cidr).map_err(Error::new),
        _ => mismatch(),
    }),
    ("isCIDR", "(string) -> bool", |_, args| match args {
        [Value::String(text)] => Ok(Value::Bool(Cidr::read(text).is_ok())),
        _ => mismatch(),
    }),
    ("containsIP", "cidr.(string) -> bool; cidr.(ip) -> bool", |_, args| match args {
        [Value::Cidr(network), Value::Ip(address)] => Ok(Value::Bool(network.contains(*address))),
        [Value::Cidr(network), Value::String(text)] => {
            ip::read(text).map(|address| Value::Bool(network.contains(address))).map_err(|_| Error::no_overload())
        }
        _ => mismatch(),
    }),
    ("containsCIDR", "cidr.(string) -> bool; cidr.(cidr) -> bool", |_, args| {
        let (network, other) = match args {
            [Value::Cidr(network), Value::Cidr(other)] => (network, *other),
            [Value::Cidr(network), Value::String(text)] => (network, Cidr::read(text).map_err(Error::new)?),
            _ => return mismatch(),
        };
        Ok(Value::Bool(network.bits <= other.bits && network.contains(other.address)))
    }),
    ("ip", "cidr.() -> ip", |_, args| match args {
        [Value::Cidr(network)] => Ok(Value::Ip(network.address)),
        _ => mismatch(),
    }),
    ("masked", "cidr.() -> cidr", |_, args| match args {
        [Value::Cidr(network)] => Ok(Value::Cidr(Cidr { address: network.first(network.address), ..*network })),
        _ => mismatch(),
    }),
    ("prefixLength", "cidr.() -> int", |_, args| match args {
        [Value::Cidr(network)] => Ok(Value::Int(i64::from(network.bits))),
        _ => mismatch(),
    }),
];

impl Cidr {
    /// Reads a network.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        const WHAT: &str = "network address parse error during conversion from string";
        // The real library says it twice.
        let wrong = || format!("{WHAT}: {WHAT}: netip.ParsePrefix({text:?})");
        let (address, bits) = text.split_once('/').ok_or_else(|| format!("{}: no '/'", wrong()))?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        if let IpAddr::V6(six) = address
            && six.to_ipv4_mapped().is_some()
        {
            return Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"));
        }
        let plain = bits.bytes().all(|byte| byte.is_ascii_digit()) && !(bits.len() > 1 && bits.starts_with('0'));
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| plain && *bits <= most).ok_or_else(wrong)?;
        Ok(Self { address, bits })
    }

    /// The first address of the network of this size that an address is in.
    fn first(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(four) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits.min(32))).unwrap_or(0);
                Ipv4Addr::from(u32::from(four) & mask).into()
            }
            IpAddr::V6(six) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits.min(128))).unwrap_or(0);
                Ipv6Addr::from(u128::from(six) & mask).into()
            }
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && self.first(self.address) == self.first(address)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}
