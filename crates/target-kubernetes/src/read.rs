//! What an agent may see of production: everything, as it comes, but for secret values.
//!
//! Knows: which answers hold secrets, and that all others go out as they come in, byte for byte.
//! Does not know: who asks, or why.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use cluster::Value;
use cluster::apiserver::{Call, Encoding, Form, Status, Verb};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WARNING};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::client::Body as Stream;

use crate::front::status;
use crate::mask::{Mask, Passing};
use crate::message::{self, Body, BoxError};
use crate::upstream::{PATIENCE, Unanswered, Upstream, request};

/// The largest answer about one object with secrets in it: it is held in memory to be masked.
const MASKED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The largest line of a watch.
const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What of production's headers goes on to the agent. Everything else is about a connection that is not the agent's.
const PASSED: &[HeaderName] = &[CONTENT_TYPE, CACHE_CONTROL, RETRY_AFTER, WARNING, http::header::ETAG];

/// Fetches what a call asks for, with every secret in it masked.
///
/// # Errors
/// [`Unanswered`] if production cannot be reached.
pub async fn read(upstream: &Upstream, call: &Call, mask: &Mask) -> Result<Response<Body>, Unanswered> {
    if let Some(refusal) = beyond(call) {
        return Ok(status(&refusal));
    }
    if !Mask::concerns(call) {
        let (head, body) = upstream.send(request(call)?, PATIENCE).await?.into_parts();
        return Ok(answer(head.status, &head.headers, body.map_err(Into::into).boxed_unsync()));
    }
    let call = readable(call);
    let (head, body) = upstream.send(request(&call)?, PATIENCE).await?.into_parts();
    if call.verb == Verb::Watch && head.status.is_success() {
        return Ok(answer(head.status, &head.headers, watch(body, call, mask.clone())));
    }
    if call.verb == Verb::List && head.status.is_success() {
        return Ok(answer(head.status, &head.headers, list(body, mask.clone())));
    }
    let body = message::collect(body, MASKED_BYTES_MAX).await.map_err(|error| Unanswered::Lost(error.to_string()))?;
    Ok(masked(head.status, &head.headers, body, &call, mask))
}

/// What of a pod, node or service lies beyond what a twin can know: sessions, proxies, logs.
#[must_use]
pub fn beyond(call: &Call) -> Option<Status> {
    let what = match (call.verb, call.on.subresource.as_str()) {
        (Verb::Connect, _) | (_, "exec" | "attach" | "portforward" | "proxy") => {
            "opens a session that no one can judge"
        }
        (_, "log") => "shows text that no one has masked",
        _ => return None,
    };
    let (resource, name) = (call.resource(), &call.on.name);
    let why = format!("{} {what}; Lazaret lets none through", call.on.subresource);
    Some(Status::forbidden(&resource, name, &why))
}

/// The same call, answered in JSON, which is what can be masked.
#[must_use]
pub fn readable(call: &Call) -> Call {
    let mut call = call.clone();
    call.output.encoding = Encoding::Json;
    call.output.accept = match (call.output.form, call.verb) {
        (Form::Object, _) => "application/json",
        (Form::Table, _) => "application/json;as=Table;v=v1;g=meta.k8s.io",
        (Form::Metadata, Verb::List) => "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        (Form::Metadata, _) => "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    }
    .to_owned();
    call
}

/// An answer with the secrets in it masked. What cannot be read cannot be masked, and does not go out.
#[must_use]
pub fn masked(code: http::StatusCode, headers: &HeaderMap, body: Bytes, call: &Call, mask: &Mask) -> Response<Body> {
    match Value::from_json(&body) {
        Ok(mut document) => {
            mask.answer(call, &mut document);
            answer(code, headers, message::whole(document.to_json_bytes()))
        }
        Err(_) if code.is_success() => {
            let why = "production's answer may hold secrets and cannot be read, so it is not passed on";
            status(&Status::new(502, "BadGateway", why))
        }
        Err(_) => status(&Status::new(code.as_u16(), "", format!("production answered {code}"))),
    }
}

/// An answer with those headers of production's that concern the agent.
#[must_use]
pub fn answer(code: http::StatusCode, headers: &HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    for name in PASSED {
        for value in headers.get_all(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    response
}

/// A list with the secrets in each element masked.
fn list(body: Stream, mask: Mask) -> Body {
    let frames = stream::unfold(Some((body, Passing::new(mask))), |list| async move {
        let (mut body, mut passing) = list?;
        let passed: Result<Vec<u8>, BoxError> = match body.frame().await {
            None if passing.is_over() => return None,
            None => Err("the list broke off".into()),
            Some(Err(error)) => Err(error.into()),
            Some(Ok(frame)) => passing.pass(frame.data_ref().map_or(&[], |data| data)).map_err(Into::into),
        };
        match passed {
            Ok(bytes) => Some((Ok(Frame::data(Bytes::from(bytes))), Some((body, passing)))),
            Err(error) => Some((Err(error), None)),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// A watch with the secrets in each event masked.
fn watch(body: Stream, call: Call, mask: Mask) -> Body {
    let lines = Lines { body, call, mask, buffer: BytesMut::new(), ready: VecDeque::new() };
    let frames = stream::unfold(Some(lines), |lines| async move {
        let mut lines = lines?;
        match lines.next().await {
            Ok(Some(line)) => Some((Ok(Frame::data(line)), Some(lines))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

struct Lines {
    body: Stream,
    call: Call,
    mask: Mask,
    buffer: BytesMut,
    ready: VecDeque<Bytes>,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line));
            }
            let Some(frame) = self.body.frame().await.transpose()? else { return Ok(None) };
            let Some(data) = frame.data_ref() else { continue };
            self.buffer.extend_from_slice(data);
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                let mut event = Value::from_json(&line)?;
                self.mask.answer(&self.call, &mut event);
                let mut line = event.to_json_bytes();
                line.push(b'\n');
                self.ready.push_back(line.into());
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err("an event of the watch is too large".into());
            }
        }
    }
}
