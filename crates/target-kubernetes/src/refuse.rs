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

#[cfg(test)]
mod tests {
    use gate::CaseId;
    use http_body_util::BodyExt;

    use super::*;

    fn because(text: &str) -> Vec<Because> {
        vec![serde_json::from_value(serde_json::json!({"policy": "availability-floor", "text": text})).unwrap()]
    }

    fn case() -> CaseId {
        "7q3k".parse().unwrap()
    }

    async fn read(refusal: Refusal<Response<Body>>) -> (u16, Vec<String>, Value) {
        let (head, body) = refuse(refusal).into_parts();
        let header = |name: &str| head.headers.get(name).map(|value| format!("{name}: {}", value.to_str().unwrap()));
        let headers = ["retry-after", "warning"].into_iter().filter_map(header).collect();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), headers, Value::from_json(&body).unwrap())
    }

    #[tokio::test]
    async fn what_is_held_is_asked_again_by_the_client_itself_and_told_to_the_person() {
        let why = because("service shop/cart would have \"0\" of 3 endpoints");
        let title = "scale Deployment/shop/cart".to_owned();
        let (code, headers, status) = read(Refusal::Held { case: case(), title, why, retry_after_ms: 4200 }).await;
        assert_eq!((code, headers[0].as_str()), (429, "retry-after: 5"));
        assert!(
            headers[1].starts_with("warning: 299 - \"scale Deployment/shop/cart is held for a person: "),
            "{headers:?}"
        );
        assert!(headers[1].contains(r#"have \"0\" of 3"#) && headers[1].contains("lazaret show 7q3k"), "{headers:?}");
        assert_eq!(status.at(&["details", "retryAfterSeconds"]).as_int(), Some(5));
        assert_eq!(*status.at(&["details", "causes"]).items()[0].at(&["reason"]), *"availability-floor");
    }

    #[tokio::test]
    async fn what_may_have_happened_is_never_sent_again_by_itself() {
        let (title, cause) = ("delete Pod/shop/a".to_owned(), "no answer".to_owned());
        let (code, headers, status) = read(Refusal::InDoubt { case: case(), title, cause }).await;
        assert_eq!((code, headers), (504, vec![]));
        assert!(status.at(&["message"]).str_or_empty().contains("Do not repeat it"), "{status}");
    }

    #[tokio::test]
    async fn what_production_said_goes_out_as_it_is() {
        let said = status(&Status::not_found("pods", "a"));
        let (code, _, status) = read(Refusal::Refused { case: case(), said }).await;
        assert_eq!((code, status.at(&["message"]).str_or_empty()), (404, "pods \"a\" not found"));
    }
}
