//! A client that sends exactly what it is told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::PATIENCE;

/// Speaks to one server, with one token.
#[derive(Clone)]
pub struct Client {
    address: String,
    config: Arc<ClientConfig>,
    pub token: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answered {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// What a Status says.
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub fn new(server: &str, ca: &[u8], token: &str) -> Self {
        target_kubernetes::tls::install_default();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let address = server.strip_prefix("https://").unwrap().trim_end_matches('/').to_owned();
        Self { address, config: Arc::new(config), token: token.to_owned() }
    }

    /// A connection, on which the protocol is agreed.
    pub async fn tls(&self, protocol: &str) -> TlsStream<TcpStream> {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(&self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// Sends these bytes and gives all that comes back until the server hangs up, or is silent for as long as `silence`.
    pub async fn raw(&self, bytes: &[u8], silence: Duration) -> String {
        let mut stream = self.tls("http/1.1").await;
        // A server that has heard enough may hang up before it has heard everything.
        let _ = stream.write_all(bytes).await;
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(Ok(count @ 1..)) = tokio::time::timeout(silence, stream.read(&mut buffer)).await {
            answer.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A request with the client's token.
    pub fn request(&self, method: &str, path: &str, kind: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        request.body(Full::new(body.into())).unwrap()
    }

    /// Sends a request on a connection of its own; the answer's body is still to come. `Err` if the connection broke.
    pub async fn open(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        self.connect().await.open(request).await
    }

    /// Sends a request on a connection of its own and reads the answer.
    pub async fn try_send(&self, request: Request<Full<Bytes>>) -> Result<Answered, String> {
        self.connect().await.send(request).await
    }

    /// The same, where there must be an answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answered {
        self.try_send(request).await.unwrap()
    }

    /// Over HTTP/2.
    pub async fn send_h2(&self, mut request: Request<Full<Bytes>>) -> Result<Answered, String> {
        let stream = TokioIo::new(self.tls("h2").await);
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), stream).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        request.headers_mut().remove("host");
        *request.uri_mut() = format!("https://localhost{}", request.uri()).parse().unwrap();
        let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.expect("no answer");
        whole(answer.map_err(|error| error.to_string())?).await
    }

    pub async fn get(&self, path: &str) -> Answered {
        self.send(self.request("GET", path, "", "")).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answered {
        self.send(self.request("POST", path, "application/json", body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Answered {
        self.send(self.request("DELETE", path, "", "")).await
    }

    /// A merge patch.
    pub async fn patch(&self, path: &str, body: &Value) -> Answered {
        self.send(self.request("PATCH", path, MERGE, body.to_string())).await
    }

    /// A connection that stays, over HTTP/1.1.
    pub async fn connect(&self) -> Connection {
        let stream = TokioIo::new(self.tls("http/1.1").await);
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Connection { sender }
    }
}

/// The content type of a merge patch.
pub const MERGE: &str = "application/merge-patch+json";

/// A connection that stays.
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Connection {
    pub async fn open(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        let answer = tokio::time::timeout(PATIENCE, async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        });
        answer.await.expect("no answer").map_err(|error| error.to_string())
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answered, String> {
        whole(self.open(request).await?).await
    }
}

async fn whole(response: Response<Incoming>) -> Result<Answered, String> {
    let (head, body) = response.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the answer does not end");
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    Ok(Answered { code: head.status.as_u16(), headers: head.headers, body })
}
