//! Addresses of the web, as Go's `url.ParseRequestURI` reads them.
//!
//! Knows: their parts.
//! Does not know: how anything is reached.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Context, Entry, mismatch, tenth};
use crate::error::Error;
use crate::value::{Key, Value};

/// An address in its parts, escapes undone where Go undoes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    host: String,
    path: String,
    query: String,
}

pub(super) const FUNCTIONS: &[Entry] = &[
    ("url", "(string) -> url", |context, args| {
        read(context, args)?.map(|url| Value::Url(Arc::new(url))).map_err(Error::new)
    }),
    ("isURL", "(string) -> bool", |context, args| Ok(Value::Bool(read(context, args)?.is_ok()))),
    ("getScheme", "url.() -> string", |_, args| part(args, |url| url.scheme.clone())),
    ("getHost", "url.() -> string", |_, args| part(args, |url| url.host.clone())),
    ("getHostname", "url.() -> string", |_, args| part(args, |url| url.name_and_port().0.to_owned())),
    ("getPort", "url.() -> string", |_, args| part(args, |url| url.name_and_port().1.to_owned())),
    ("getEscapedPath", "url.() -> string", |_, args| part(args, |url| escaped(&url.path))),
    ("getQuery", "url.() -> map(string, list(string))", |_, args| match args {
        [Value::Url(url)] => {
            let mut query: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for pair in url.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                if let (Some(name), Some(value)) = (unescaped(name, true), unescaped(value, true)) {
                    query.entry(name).or_default().push(Value::from(value));
                }
            }
            Ok(Value::map(query.into_iter().map(|(name, values)| (Key::String(name.into()), Value::list(values)))))
        }
        _ => mismatch(),
    }),
];

fn part(args: &[Value], get: fn(&Url) -> String) -> Result<Value, Error> {
    match args {
        [Value::Url(url)] => Ok(Value::from(get(url))),
        _ => mismatch(),
    }
}

fn read(context: &mut Context<'_>, args: &[Value]) -> Result<Result<Url, String>, Error> {
    let [Value::String(text)] = args else { return Err(Error::no_overload()) };
    context.meter.spend(tenth(text.len()))?;
    let failed = |why| format!("URL parse error during conversion from string: parse {text:?}: {why}");
    Ok(Url::read(text).map_err(failed))
}

impl Url {
    /// Whether text is an address.
    #[must_use]
    pub fn is(text: &str) -> bool {
        Self::read(text).is_ok()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("empty url");
        }
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err("net/url: invalid control character in URL");
        }
        if text.starts_with(':') {
            return Err("missing protocol scheme");
        }
        let (scheme, rest) = match text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) {
            Some((scheme, rest)) => (scheme.to_lowercase(), rest),
            None => (String::new(), text),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !rest.starts_with('/') {
            // `mailto:x`: absolute, though of no path.
            if scheme.is_empty() {
                return Err("invalid URI for request");
            }
            return Ok(Self { scheme, host: String::new(), path: String::new(), query: query.to_owned() });
        }
        let after = rest.strip_prefix("//").filter(|after| !scheme.is_empty() || !after.starts_with('/'));
        let (authority, path) = match after {
            Some(after) => after.split_at_checked(after.find('/').unwrap_or(after.len())).unwrap_or((after, "")),
            None => ("", rest),
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = unescaped(host, false).ok_or("invalid URL escape")?;
        if host.contains([' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}']) {
            return Err("invalid character in host name");
        }
        let port = match host.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or("missing ']' in host")?.1,
            None => host.find(':').and_then(|at| host.get(at..)).unwrap_or(""),
        };
        let digits = port.strip_prefix(':').unwrap_or(port);
        if (!port.is_empty() && !port.starts_with(':')) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("invalid port after host");
        }
        let path = unescaped(path, false).ok_or("invalid URL escape")?;
        Ok(Self { scheme, host, path, query: query.to_owned() })
    }

    fn name_and_port(&self) -> (&str, &str) {
        match self.host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, port)) => (name, port.strip_prefix(':').unwrap_or("")),
            None => self.host.rsplit_once(':').unwrap_or((&self.host, "")),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Escapes undone; none if one is broken. In a query a plus is a space.
fn unescaped(text: &str, query: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'+' if query => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A path with what may not stand in one escaped.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!'()*".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
