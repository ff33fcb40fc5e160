//! How people speak to a running gate: a socket in the data folder.
//!
//! Knows: the questions and orders of the command line, as HTTP with JSON over a Unix socket.
//! Does not know: who a person is, beyond that the operating system let them open the socket. Only the gate's own user can.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use gate::{CaseId, Doubt, Gate, Held, Mode, Person, Target, Terms};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};

/// The socket in the data folder.
const SOCKET: &str = "lazaret.sock";
/// The largest order.
const BYTES_MAX: usize = 64 * 1024;

/// A decision about a held case.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Decision {
    /// The case.
    pub case: CaseId,
    /// Whose decision.
    pub by: String,
    /// In which roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The digest of the effect that the person looked at; an approval of anything else does not count.
    #[serde(default)]
    pub shown: Option<Digest>,
    /// What they say about it.
    #[serde(default)]
    pub note: String,
    /// Of an approval: that it is one of effects like that too, on these terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Terms>,
}

/// What was agreed for effects like one is taken back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revocation {
    /// The case in which it was agreed.
    pub case: CaseId,
    /// Whose decision.
    pub by: String,
    /// What they say about it.
    #[serde(default)]
    pub note: String,
}

impl Decision {
    fn person(&self) -> Person {
        self.roles.iter().fold(Person::named(self.by.as_str()), |person, role| person.with_role(role.as_str()))
    }
}

/// What a person knows of a case in doubt.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settlement {
    /// The case.
    pub case: CaseId,
    /// Whether what was sent has happened.
    pub happened: bool,
    /// Who says so.
    pub by: String,
    /// How they know.
    pub note: String,
}

/// Where the socket of a data folder is.
#[must_use]
pub(crate) fn socket(data: &Path) -> PathBuf {
    data.join(SOCKET)
}

/// Answers people until the process ends.
///
/// # Errors
/// When the socket cannot be made.
pub(crate) fn serve<T: Target>(data: &Path, gate: Arc<Gate<T>>) -> io::Result<()> {
    let path = socket(data);
    // What a gate that was killed left behind answers nobody.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let gate = gate.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request| {
                    let gate = gate.clone();
                    async move { Ok::<_, std::convert::Infallible>(answer(&gate, request).await) }
                });
                let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                if let Err(error) = served.await {
                    tracing::debug!(%error, "a connection of the admin socket ended");
                }
            });
        }
    });
    Ok(())
}

async fn answer<T: Target>(gate: &Arc<Gate<T>>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let told = match Limited::new(body, BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return reply(StatusCode::BAD_REQUEST, &json!({"error": error.to_string()})),
    };
    let done = match (&head.method, head.uri.path()) {
        (&Method::GET, "/pending") => Ok(gate.pending_cases().iter().map(describe).collect::<Value>()),
        (&Method::GET, "/status") => Ok(json!({
            "mode": gate.mode(),
            "inDoubt": gate.in_doubt().iter().map(|(case, title)| json!({"case": case, "title": title})).collect::<Value>(),
            "pending": gate.pending_cases().len(),
        })),
        (&Method::POST, "/approve") => decide(gate, &told, true).await,
        (&Method::POST, "/deny") => decide(gate, &told, false).await,
        (&Method::GET, "/grants") => serde_json::to_value(gate.classes()).map_err(|error| error.to_string()),
        (&Method::POST, "/revoke") => revoke(gate, &told).await,
        (&Method::POST, "/settle") => settle(gate, &told).await,
        (&Method::POST, "/mode") => set_mode(gate, &told).await,
        _ => return reply(StatusCode::NOT_FOUND, &json!({"error": "this is not asked here"})),
    };
    match done {
        Ok(value) => reply(StatusCode::OK, &value),
        Err(error) => reply(StatusCode::CONFLICT, &json!({"error": error})),
    }
}

fn reply(code: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = code;
    response
}

/// A held case as people are shown it.
pub(crate) fn describe(held: &Held) -> Value {
    json!({
        "case": held.case, "title": held.action.title(), "agent": held.action.agent, "target": held.action.target,
        "asked": held.asked, "expires": held.expires, "shown": held.shown, "ruling": *held.ruling,
        "approval": held.approval, "votes": held.votes.iter().map(|vote| &vote.by).collect::<Vec<_>>(),
        "reason": held.action.reason,
    })
}

/// A case in doubt as people are shown it.
pub(crate) fn describe_doubt(doubt: &Doubt) -> Value {
    json!({
        "case": doubt.case, "title": doubt.action.title(), "agent": doubt.action.agent, "target": doubt.action.target,
        "inDoubt": doubt.why,
    })
}

async fn decide<T: Target>(gate: &Arc<Gate<T>>, told: &[u8], approves: bool) -> Result<Value, String> {
    let decision: Decision = serde_json::from_slice(told).map_err(|error| error.to_string())?;
    let person = decision.person();
    let done = if approves {
        let shown = decision.shown.ok_or("an approval names the effect that was looked at")?;
        match decision.class {
            None => gate.approve(&decision.case, &person, shown, &decision.note).await,
            Some(terms) => gate.approve_class(&decision.case, &person, shown, &decision.note, terms).await,
        }
    } else {
        gate.deny(&decision.case, &person, &decision.note).await
    };
    done.map(|()| json!({"case": decision.case})).map_err(|error| error.to_string())
}

async fn revoke<T: Target>(gate: &Arc<Gate<T>>, told: &[u8]) -> Result<Value, String> {
    let Revocation { case, by, note } = serde_json::from_slice(told).map_err(|error| error.to_string())?;
    let revoked = gate.revoke(&case, &Person::named(by), &note).await;
    revoked.map(|()| json!({"case": case})).map_err(|error| error.to_string())
}

async fn settle<T: Target>(gate: &Arc<Gate<T>>, told: &[u8]) -> Result<Value, String> {
    let Settlement { case, happened, by, note } = serde_json::from_slice(told).map_err(|error| error.to_string())?;
    let settled = gate.settle(&case, &Person::named(by), happened, &note).await;
    settled.map(|()| json!({"case": case})).map_err(|error| error.to_string())
}

async fn set_mode<T: Target>(gate: &Arc<Gate<T>>, told: &[u8]) -> Result<Value, String> {
    #[derive(Deserialize)]
    struct Order {
        mode: Mode,
        by: String,
    }
    let order: Order = serde_json::from_slice(told).map_err(|error| error.to_string())?;
    gate.set_mode(&Person::named(order.by), order.mode).await.map_err(|error| error.to_string())?;
    Ok(json!({"mode": order.mode}))
}

/// Why a running gate did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// Nobody listens.
    #[error(
        "no gate is running on {data}: decisions are taken by a running gate, start it with 'lazaret serve'",
        data = .0.display()
    )]
    NotRunning(PathBuf),
    /// It listens, and the conversation broke.
    #[error("the gate did not answer: {0}")]
    Broken(String),
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// Asks a running gate something, or tells it to do something (`order`).
///
/// # Errors
/// [`Unanswered`] says why nothing came of it.
pub(crate) async fn ask(data: &Path, path: &str, order: Option<&Value>) -> Result<Value, Unanswered> {
    let broken = |error: &dyn std::fmt::Display| Unanswered::Broken(error.to_string());
    let stream = UnixStream::connect(socket(data)).await.map_err(|_| Unanswered::NotRunning(data.to_owned()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    tokio::spawn(connection);
    let body = order.map_or_else(Bytes::new, |order| Bytes::from(order.to_string()));
    let method = if order.is_some() { Method::POST } else { Method::GET };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "lazaret")
        .body(Full::new(body))
        .map_err(|error| broken(&error))?;
    let (head, body) = sender.send_request(request).await.map_err(|error| broken(&error))?.into_parts();
    let bytes = body.collect().await.map_err(|error| broken(&error))?.to_bytes();
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| broken(&error))?;
    if head.status.is_success() {
        Ok(value)
    } else {
        Err(Unanswered::Refused(value.get("error").and_then(Value::as_str).unwrap_or("it gave no reason").to_owned()))
    }
}
