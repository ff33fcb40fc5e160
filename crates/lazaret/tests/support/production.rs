//! A served cluster as production, and a tap on the way to it that sees every request.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use cluster::{Cluster, ObjectKey};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use target_kubernetes::kubeconfig::{Kubeconfig, write_private};
use target_kubernetes::listen::{self, Handler, Listening};
use target_kubernetes::message::{self, Body};
use target_kubernetes::serve::{self, Options, Served};
use target_kubernetes::tls::{self, Authority};
use target_kubernetes::upstream::{self, Upstream};
use twin::Time;

use super::{Client, PATIENCE, until};

/// A request that came to production.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub body: Bytes,
}

impl Seen {
    /// Whether production was asked to change something.
    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS") && !self.is_rehearsal()
    }

    /// Whether production was asked what it would say, and to store nothing.
    pub fn is_rehearsal(&self) -> bool {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let options = self.method == "DELETE" && body["dryRun"] == json!(["All"]);
        options || self.target.contains("dryRun=All")
    }
}

/// A served cluster behind a tap.
pub struct Production {
    pub served: Served,
    /// Leads to the tap.
    pub kubeconfig: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tap: Listening,
}

impl Production {
    /// Serves a fresh cluster with three nodes and these objects, at rest. What belongs to it is put into a folder.
    pub async fn start(objects: &[Value], folder: &Path) -> Self {
        tls::install_default();
        let served = serve::serve(fresh(), Options::new(folder)).await.unwrap();
        let seen = Arc::default();
        let tap =
            Tap { upstream: Upstream::from_file(&served.kubeconfig, None).await.unwrap(), seen: Arc::clone(&seen) };
        let authority = Authority::new("tap").unwrap();
        let config = authority.server(&[], &[]).unwrap();
        let any_port = "127.0.0.1:0".parse().unwrap();
        let listening = listen::listen(any_port, config, listen::stop_signal(), Arc::new(tap)).await.unwrap();
        let kubeconfig = folder.join("tap.kubeconfig");
        let server = format!("https://{}", listening.address);
        let text = Kubeconfig { name: "production", server: &server, authority: authority.pem(), token: "unused" };
        write_private(&kubeconfig, &text.to_yaml()).unwrap();
        let production = Self { served, kubeconfig, seen, _tap: listening };
        let client = production.client();
        for object in objects {
            let answer = client.post(&collection(object), object).await;
            assert_eq!(answer.code, 201, "{}", answer.message());
        }
        production.rest().await;
        production
    }

    /// Waits until nothing is left to do in the cluster.
    pub async fn rest(&self) {
        until("production comes to rest", async || self.served.handle.live().clock().settled.then_some(())).await;
    }

    /// A client that does not pass the gate, or the tap.
    pub fn client(&self) -> Client {
        Client::new(&self.served.server, &std::fs::read(&self.served.ca).unwrap(), &self.served.token)
    }

    /// The cluster as it is now.
    pub fn cluster(&self) -> Cluster {
        self.served.handle.live().fork()
    }

    /// An object as it is now.
    pub fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<cluster::Value> {
        self.cluster().get(&ObjectKey::new(resource, namespace, name)).cloned()
    }

    /// Every request that came through the tap.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Those that asked for a change.
    pub fn writes(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(Seen::is_write).collect()
    }
}

/// Hands on whatever comes, and remembers it.
struct Tap {
    upstream: Upstream,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Handler for Tap {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = message::collect(body, 64 * 1024 * 1024).await.unwrap_or_default();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let seen = Seen { method: head.method.to_string(), target: target.clone(), body: body.clone() };
        self.seen.lock().unwrap().push(seen);
        let mut on = Request::builder().method(head.method).uri(target).body(body).unwrap();
        *on.headers_mut() = between(&head.headers);
        match self.upstream.send(on, upstream::PATIENCE.max(PATIENCE)).await {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                let mut response = Response::new(body.map_err(Into::into).boxed_unsync());
                *response.status_mut() = head.status;
                *response.headers_mut() = between(&head.headers);
                response
            }
            Err(error) => {
                let mut response = Response::new(message::whole(error.to_string()));
                *response.status_mut() = http::StatusCode::BAD_GATEWAY;
                response
            }
        }
    }
}

/// Headers that are not between two neighbours alone.
fn between(headers: &HeaderMap) -> HeaderMap {
    let own = ["host", "authorization", "connection", "transfer-encoding", "content-length"];
    headers.iter().filter(|(name, _)| !own.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// A fresh cluster with three nodes.
fn fresh() -> Cluster {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut cluster = cluster::build::fresh(Time::from_millis(i64::try_from(since.as_millis()).unwrap()), 1);
    cluster::build::add_nodes(&mut cluster, 3);
    cluster.start_controllers();
    cluster
}

/// A namespace `shop` with the Deployments `web` (3 replicas, behind the Service `web`) and `lone` (1, behind `lone`), and the
/// Secret `db`.
pub fn shop() -> Vec<Value> {
    let password = json!({"password": "aHVudGVyMg=="});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
        deployment("web", 3),
        service("web"),
        deployment("lone", 1),
        service("lone"),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}, "data": password}),
    ]
}

/// A Deployment in the shop.
pub fn deployment(name: &str, replicas: u32) -> Value {
    let requests = json!({"cpu": "100m", "memory": "64Mi"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "nginx", "resources": {"requests": requests}}]},
            },
        },
    })
}

/// A Service in the shop before the pods of a Deployment.
pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
    })
}

/// Where objects of an object's kind are made.
fn collection(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]).to_lowercase());
    let base = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let namespace = text(&object["metadata"]["namespace"]);
    let within = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    format!("{base}{within}/{kind}s")
}
