//! Refusals, in the words and codes that Kubernetes clients act on.
//!
//! Knows: what kubectl prints, and which answers client-go sends again by itself: 429, and 5xx with Retry-After.
//! Does not know: why anything is refused.

use cluster::apiserver::Status;
use cluster::{Value, doc};
use gate::Refusal;
use http::Response;
use model::Because;

use crate::front::{status, warn};
use crate::message::Body;

/// A refusal as an answer. What production itself said goes out as it is.
#[must_use]
pub fn refuse(refusal: Refusal<Response<Body>>) -> Response<Body> {
    let text = refusal.text();
    let seconds = refusal.retry_after_ms().map(|ms| u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1));
    let mut said = match refusal {
        Refusal::Refused { said, .. } => return said,
        Refusal::NotDecoded(_) => Status::bad_request(text),
        Refusal::Denied { ref why, .. } => Status::new(403, "Forbidden", text).because(causes(why)),
        Refusal::Held { ref why, .. } => Status::new(429, "TooManyRequests", text).because(causes(why)),
        Refusal::Rejected { .. } | Refusal::Foreseen { .. } => Status::new(403, "Forbidden", text),
        Refusal::Contended { .. } => Status::new(429, "TooManyRequests", text),
        Refusal::Stale { .. } | Refusal::Unavailable { .. } => Status::new(503, "ServiceUnavailable", text),
        // Without Retry-After, so that nothing is sent again by itself.
        Refusal::InDoubt { .. } => Status::new(504, "Timeout", text),
    };
    let held = said.code == 429;
    if let Some(seconds) = seconds {
        said = said.retry_after(seconds);
    }
    let mut response = status(&said);
    if held {
        // A client that waits by itself shows nothing of the answer but this.
        warn(&mut response, &said.message);
    }
    response
}

fn causes(why: &[Because]) -> Vec<Value> {
    why.iter().map(|because| doc!({"reason": (&because.policy), "message": (&because.text)})).collect()
}
