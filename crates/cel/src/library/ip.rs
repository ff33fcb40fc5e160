//! IP addresses.
//!
//! Knows: which texts are addresses (no zeros before a number, no zones, no v4 in v6), and what kinds of addresses there are.
//! Does not know: networks.

use std::net::IpAddr;

use super::{Entry, mismatch};
use crate::error::Error;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Entry] = &[
    ("ip", "(string) -> ip", |_, args| match args {
        [Value::String(text)] => read(text).map(Value::Ip).map_err(Error::new),
        _ => mismatch(),
    }),
    ("isIP", "(string) -> bool", |_, args| match args {
        [Value::String(text)] => Ok(Value::Bool(read(text).is_ok())),
        _ => mismatch(),
    }),
    ("ip.isCanonical", "(string) -> bool", |_, args| match args {
        [Value::String(text)] => {
            read(text).map(|address| Value::Bool(address.to_string() == text.as_str())).map_err(Error::new)
        }
        _ => mismatch(),
    }),
    ("family", "ip.() -> int", |_, args| match args {
        [Value::Ip(address)] => Ok(Value::Int(if address.is_ipv4() { 4 } else { 6 })),
        _ => mismatch(),
    }),
    ("isUnspecified", "ip.() -> bool", |_, args| is(args, IpAddr::is_unspecified)),
    ("isLoopback", "ip.() -> bool", |_, args| is(args, IpAddr::is_loopback)),
    ("isLinkLocalMulticast", "ip.() -> bool", |_, args| {
        is(args, |address| match address {
            IpAddr::V4(four) => matches!(four.octets(), [224, 0, 0, _]),
            IpAddr::V6(six) => matches!(six.octets(), [0xff, scope, ..] if scope & 0x0f == 2),
        })
    }),
    ("isLinkLocalUnicast", "ip.() -> bool", |_, args| {
        is(args, |address| match address {
            IpAddr::V4(four) => four.is_link_local(),
            IpAddr::V6(six) => six.is_unicast_link_local(),
        })
    }),
    ("isGlobalUnicast", "ip.() -> bool", |_, args| {
        is(args, |address| {
            let link_local = match address {
                IpAddr::V4(four) => four.is_link_local() || four.is_broadcast(),
                IpAddr::V6(six) => six.is_unicast_link_local(),
            };
            !(link_local || address.is_unspecified() || address.is_loopback() || address.is_multicast())
        })
    }),
];

fn is(args: &[Value], test: fn(&IpAddr) -> bool) -> Result<Value, Error> {
    match args {
        [Value::Ip(address)] => Ok(Value::Bool(test(address))),
        _ => mismatch(),
    }
}

/// Reads an address.
pub(super) fn read(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    let address: IpAddr = text.parse().map_err(|_| {
        format!(
            "IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): unable to parse IP"
        )
    })?;
    match address {
        IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        address => Ok(address),
    }
}
