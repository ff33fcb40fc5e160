//! What the tests of this crate share: a served cluster, and a client that sends exactly what it is told.
#![allow(dead_code, unreachable_pub)] // each test uses a part of it

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::{Cluster, Schema, Value};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use target_kubernetes::serve::{self, Options, Served};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use twin::Time;

/// Nothing in these tests takes longer unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that is gone when it goes out of scope.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let name = format!("lazaret-test-{}", target_kubernetes::message::random_word().unwrap());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An empty cluster with the namespace `shop`.
pub fn empty_cluster() -> Cluster {
    let mut cluster = Cluster::new(Schema::default(), Time::from_millis(1_790_000_000_000), 1);
    for name in ["default", "shop"] {
        let namespace = cluster::doc!({
            "apiVersion": "v1", "kind": "Namespace", "status": {"phase": "Active"}, "spec": {"finalizers": ["kubernetes"]},
            "metadata": {"name": (name), "uid": (format!("uid-{name}")), "resourceVersion": "1"},
        });
        cluster.load(cluster::ObjectKey::new("namespaces", "", name), namespace);
    }
    cluster
}

/// A served cluster.
pub struct Production {
    pub served: Served,
    pub folder: Folder,
}

pub async fn production(change: impl FnOnce(&mut Options)) -> Production {
    production_of(empty_cluster(), change).await
}

pub async fn production_of(cluster: Cluster, change: impl FnOnce(&mut Options)) -> Production {
    target_kubernetes::tls::install_default();
    let folder = Folder::new();
    let mut options = Options::new(&folder.0);
    change(&mut options);
    let served = serve::serve(cluster, options).await.unwrap();
    Production { served, folder }
}

impl Production {
    pub fn client(&self) -> Client {
        Client::new(&self.served.server, &std::fs::read(&self.served.ca).unwrap(), &self.served.token)
    }
}

/// Sends what it is told.
#[derive(Clone)]
pub struct Client {
    address: String,
    config: Arc<ClientConfig>,
    pub token: String,
}

/// An answer, read to its end.
pub struct Answered {
    pub code: u16,
    pub head: http::response::Parts,
    pub body: Bytes,
}

impl Answered {
    pub fn json(&self) -> Value {
        Value::from_json(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub fn message(&self) -> String {
        self.json().at(&["message"]).str_or_empty().to_owned()
    }
}

impl Client {
    pub fn new(server: &str, ca: &[u8], token: &str) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let address = server.strip_prefix("https://").unwrap().to_owned();
        Self { address, config: Arc::new(config), token: token.to_owned() }
    }

    pub async fn tls(&self, protocol: &str) -> TlsStream<TcpStream> {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        stream
    }

    /// Sends these bytes and gives all that comes back until the server hangs up or has been silent for a while.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.tls("http/1.1").await;
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(Ok(count @ 1..)) = tokio::time::timeout(Duration::from_millis(700), stream.read(&mut buffer)).await
        {
            answer.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn request(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        request.header("content-type", "application/json").body(Full::new(body.into())).unwrap()
    }

    /// Sends a request on a connection of its own; the answer's body is still to come.
    pub async fn open<B>(&self, request: Request<B>) -> Response<Incoming>
    where
        B: hyper::body::Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = TokioIo::new(self.tls("http/1.1").await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap()
    }

    pub async fn open_h2(&self, mut request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TokioIo::new(self.tls("h2").await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        request.headers_mut().remove("host");
        let path = request.uri().to_string();
        *request.uri_mut() = format!("https://localhost{path}").parse().unwrap();
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap()
    }

    pub async fn send<B>(&self, request: Request<B>) -> Answered
    where
        B: hyper::body::Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        whole(self.open(request).await).await
    }

    pub async fn get(&self, path: &str) -> Answered {
        self.send(self.request("GET", path, "")).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answered {
        self.send(self.request("POST", path, body.to_json_bytes())).await
    }

    pub async fn delete(&self, path: &str) -> Answered {
        self.send(self.request("DELETE", path, "")).await
    }
}

pub async fn whole(response: Response<Incoming>) -> Answered {
    let (head, body) = response.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes();
    Answered { code: head.status.as_u16(), head, body }
}

/// The next line of a streamed answer.
pub struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    pub fn new(response: Response<Incoming>) -> Self {
        Self { body: response.into_body(), buffer: Vec::new() }
    }

    /// The next one; none at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(Value::from_json(&line).unwrap());
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("the stream is silent")?;
            if let Some(data) = frame.ok()?.data_ref() {
                self.buffer.extend_from_slice(data);
            }
        }
    }
}

pub fn config_map(name: &str) -> Value {
    cluster::doc!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": (name)}, "data": {"a": "1"}})
}

pub fn secret(name: &str) -> Value {
    let applied = r#"{"apiVersion":"v1","kind":"Secret","data":{"password":"aHVudGVyMg=="}}"#;
    cluster::doc!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"password": "aHVudGVyMg=="},
        "metadata": {"name": (name), "annotations": {"kubectl.kubernetes.io/last-applied-configuration": (applied)}},
    })
}
