//! From an agent's request to a call.
//!
//! Knows: what of a request could be read in two ways, or could smuggle something past the judge.
//! Does not know: whether the call is wise.
//!
//! What comes out is all that production will ever see of the request: it is encoded anew from the call.

use cluster::Schema;
use cluster::apiserver::{self, Call, Request, Status, Verb};
use http::Method;
use http::header::UPGRADE;
use serde::{Deserialize, Serialize};

use crate::mask;
use crate::message::Received;

/// The header in which an agent may say why it asks.
pub const REASON: &str = "lazaret-reason";

/// Longer reasons are cut off: people read them.
const REASON_CHARS_MAX: usize = 1000;

/// What an agent asked, decoded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// What is to be done.
    pub call: Call,
    /// Why, in the agent's own words.
    pub reason: Option<String>,
}

/// Decodes a request, or says what about it has to be mended.
///
/// # Errors
/// The answer to give.
pub fn decode(schema: &Schema, received: &Received) -> Result<Asked, Status> {
    let headers = &received.head.headers;
    if received.head.method == Method::CONNECT || !received.head.uri.path().starts_with('/') {
        return Err(Status::bad_request("this is an API server, not a proxy: ask for a path"));
    }
    if let Some(header) = headers.keys().find(|name| name.as_str().starts_with("impersonate-")) {
        let why = format!("an agent acts as itself: the header {header} is not allowed");
        return Err(Status::new(403, "Forbidden", why));
    }
    let pairs: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| {
            let value =
                value.to_str().map_err(|_| Status::bad_request(format!("the header {name} is no plain text")))?;
            Ok((name.to_string(), value.to_owned()))
        })
        .collect::<Result<_, Status>>()?;
    let call = apiserver::decode(
        schema,
        &Request {
            method: received.head.method.as_str(),
            path: received.head.uri.path(),
            query: received.head.uri.query().unwrap_or_default(),
            headers: &pairs,
            body: &received.body,
        },
    )?;
    // A GET with an upgrade is a session in disguise, whatever its path says.
    if headers.contains_key(UPGRADE) && call.verb != Verb::Connect {
        return Err(Status::bad_request("this path has nothing to upgrade to: leave out the Upgrade header"));
    }
    if let Some(fault) = call.faults.iter().find(|fault| !fault.starts_with("unknown field")) {
        // What is forwarded says each field once, so production could not say this any more.
        return Err(Status::bad_request(format!("strict decoding error: {fault}")));
    }
    if let Some(field) = mask::find_mark(&call.body) {
        let why = format!(
            "{field} holds a mask, not a value: Lazaret shows no secret values, and stores no masks. Leave the field \
             out to keep what is there (a patch can), or send the real value"
        );
        return Err(Status::new(422, "Invalid", why));
    }
    let reason = headers.get(REASON).and_then(|reason| reason.to_str().ok());
    Ok(Asked { call, reason: reason.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect()) })
}
