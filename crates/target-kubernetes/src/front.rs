//! The gate's front door: a Kubernetes API to agents.
//!
//! Knows: who may knock, how large a request may be, how an answer or a refusal goes back.
//! Does not know: production, or how a verdict comes about.

use std::net::SocketAddr;
use std::sync::Arc;

use cluster::Schema;
use cluster::apiserver::{self, Output, Status, Verb};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use model::AgentId;
use rustls::ServerConfig;

use crate::decode::{self, Asked};
use crate::listen::{self, Handler, Listening};
use crate::message::{self, BODY_BYTES_MAX, Body};
use crate::serve::{bearer, unauthorized};

/// Knows agents by their tokens.
pub trait Authenticate: Send + Sync + 'static {
    /// Whose token this is; none if it is nobody's, or expired.
    fn agent(&self, token: &str) -> Option<AgentId>;

    /// What the holder of a token that was good once may be told of its end; nothing to anybody else.
    fn ended(&self, _token: &str) -> Option<String> {
        None
    }
}

/// What lies behind the door.
pub trait Passage: Send + Sync + 'static {
    /// The types that production serves: requests are decoded by them.
    fn schema(&self) -> Schema;

    /// Carries an agent's call to production and its answer back. A refusal is an answer too.
    fn pass(&self, agent: AgentId, asked: Asked) -> impl Future<Output = Response<Body>> + Send;
}

/// Opens the door.
///
/// # Errors
/// If the address cannot be had.
pub async fn open<A: Authenticate, P: Passage>(
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    agents: A,
    passage: P,
) -> std::io::Result<Listening> {
    listen::listen(address, tls, listen::stop_signal(), Arc::new(Front { agents, passage: Arc::new(passage) })).await
}

struct Front<A, P> {
    agents: A,
    passage: Arc<P>,
}

impl<A: Authenticate, P: Passage> Handler for Front<A, P> {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        // Before anything else is looked at: who is not known learns nothing, not even what a path would have answered.
        let token = bearer(request.headers());
        let Some(agent) = token.and_then(|token| self.agents.agent(token)) else {
            let ended = token.and_then(|token| self.agents.ended(token));
            return status(&ended.map_or_else(unauthorized, |why| Status::new(401, "Unauthorized", why)));
        };
        let zip = message::takes_gzip(request.headers());
        let received = match message::receive(request, BODY_BYTES_MAX).await {
            Ok(received) => received,
            Err(unreadable) => return status(&unreadable.to_status()),
        };
        let schema = self.passage.schema();
        // A body of three megabytes takes a while to be parsed.
        let asked = tokio::task::spawn_blocking(move || decode::decode(&schema, &received)).await;
        match asked {
            Ok(Ok(asked)) => {
                // What is forwarded has no strangers in it any more, so production cannot tell of them.
                let strangers = asked.call.faults.clone();
                let zip = zip && asked.call.verb != Verb::Watch;
                let mut response = self.passage.pass(agent, asked).await;
                strangers.iter().for_each(|stranger| warn(&mut response, stranger));
                if zip { message::zip_as_it_comes(response).await } else { response }
            }
            Ok(Err(refused)) => status(&refused),
            Err(error) => {
                tracing::error!(%error, "a request broke the decoder");
                status(&Status::new(500, "InternalError", "Internal error occurred: this request cannot be decoded"))
            }
        }
    }
}

/// A Status as an answer.
#[must_use]
pub fn status(status: &Status) -> Response<Body> {
    let encoded = apiserver::encode(&Err(status.clone()), &Output::default());
    let bytes = match encoded.body {
        apiserver::Body::Bytes(bytes) => bytes,
        apiserver::Body::Watch(_) => bytes::Bytes::new(),
    };
    let mut response = Response::new(message::whole(bytes));
    *response.status_mut() = StatusCode::from_u16(encoded.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    message::append_headers(response.headers_mut(), encoded.headers);
    response
}

/// Adds a sentence that kubectl and client-go print: `Warning: …`.
pub fn warn(response: &mut Response<Body>, sentence: &str) {
    // RFC 9110 quotes, and nothing that could end the header.
    let plain: String = sentence.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let quoted = plain.replace('\\', "\\\\").replace('"', "\\\"");
    if let Ok(value) = HeaderValue::try_from(format!("299 - \"{quoted}\"")) {
        response.headers_mut().append(http::header::WARNING, value);
    }
}
