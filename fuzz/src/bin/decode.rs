//! A request, from its bytes to the answer: nothing panics, and what is forwarded means what was decided on.
//!
//! An input reads like a request: `METHOD /path?query`, headers, an empty line, the body.

use std::process::ExitCode;

use bytes::Bytes;
use cluster::apiserver::{self, Call, Request, User};
use cluster::{Cluster, Schema, Value, doc, snapshot};
use target_kubernetes::commit::pinned;
use target_kubernetes::decode::{self, Asked};
use target_kubernetes::message::Received;
use twin::Time;

fn main() -> ExitCode {
    let start = small();
    fuzz::fuzz("decode", |input| {
        let said = Said::read(input);
        let first = apiserver::decode(&start.schema, &said.request());
        if let Ok(call) = &first
            && call.faults.is_empty()
        {
            assert_same(&start.schema, call);
        }
        // The front door refuses more than the API server does.
        let asked = said.received().map(|received| decode::decode(&start.schema, &received));
        let Ok(call) = first else {
            assert!(!matches!(asked, Some(Ok(_))), "the front door lets in what the decoder refuses");
            return first.err().map(|status| status.message).unwrap_or_default();
        };
        if let Some(Ok(Asked { call, .. })) = asked {
            // A field that nobody knows is left out of what is forwarded, as the server leaves it out of what it stores.
            assert!(call.faults.iter().all(|fault| fault.starts_with("unknown field")), "{:?}", call.faults);
            let _ = apiserver::encode_call(&pinned(&call, "7"));
        }
        let mut cluster = start.clone();
        let answer = apiserver::handle(&mut cluster, &call, &User::admin());
        let code = apiserver::encode(&answer, &call.output).code;
        // Ten thousand million pods are somebody else's question: a simulation is given up after a while.
        let many = |object: &Value| {
            ["replicas", "parallelism", "completions"]
                .iter()
                .any(|field| object.at(&["spec", field]).as_int().is_some_and(|count| count > 100))
        };
        if !cluster.objects().any(|(_, object)| many(object)) {
            cluster.advance(cluster.now() + std::time::Duration::from_secs(5));
        }
        let message = answer.err().map(|status| status.message).unwrap_or_default();
        format!("{} {} {} {code} {message}", call.verb.as_str(), call.on.resource, call.on.subresource)
    })
}

/// What is encoded from a call and decoded again is the same call, and encoded from that the same bytes.
fn assert_same(schema: &Schema, call: &Call) {
    let out = apiserver::encode_call(call);
    let (path, query) = out.target.split_once('?').unwrap_or((&out.target, ""));
    let headers: Vec<(String, String)> =
        out.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    let request = Request { method: out.method, path, query, headers: &headers, body: &out.body };
    let again = apiserver::decode(schema, &request)
        .unwrap_or_else(|status| panic!("forwarded as {} {}: {}", out.method, out.target, status.message));
    if fuzz::has_floats(&call.body) {
        return;
    }
    let told = |call: &Call| format!("{:?} {:?} {:?} {}", call.verb, call.on, call.options, call.body.to_json());
    assert_eq!(told(&again), told(call), "forwarded as {} {}", out.method, out.target);
    let twice = apiserver::encode_call(&again);
    assert_eq!((&twice.target, &twice.body), (&out.target, &out.body));
    assert_eq!(twice.headers, out.headers);
}

/// An input, taken apart.
struct Said {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Said {
    fn read(input: &[u8]) -> Self {
        let (first, mut rest) = fuzz::line(input);
        let first = String::from_utf8_lossy(first).into_owned();
        let (method, target) = first.split_once(' ').unwrap_or((&first, "/"));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = Vec::new();
        while !rest.is_empty() {
            let (header, after) = fuzz::line(rest);
            rest = after;
            if header.is_empty() {
                break;
            }
            let header = String::from_utf8_lossy(header).into_owned();
            let (name, value) = header.split_once(':').unwrap_or((&header, ""));
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        Self { method, path, query, headers, body: rest.to_vec() }
    }

    fn request(&self) -> Request<'_> {
        Request { method: &self.method, path: &self.path, query: &self.query, headers: &self.headers, body: &self.body }
    }

    /// As it would come from the front door, if HTTP can carry it at all.
    fn received(&self) -> Option<Received> {
        let target = if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) };
        let mut request = http::Request::builder().method(self.method.as_str()).uri(target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let (head, ()) = request.body(()).ok()?.into_parts();
        // What the URI makes of the text is what the front door sees.
        let same = head.uri.path() == self.path && head.uri.query().unwrap_or_default() == self.query;
        same.then(|| Received { head, body: Bytes::copy_from_slice(&self.body) })
    }
}

/// A cluster with a little of everything that the seeds speak of.
fn small() -> Cluster {
    let template =
        doc!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}});
    let objects = [
        doc!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
        doc!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}, "data": {"a": "1"}}),
        doc!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}, "data": {"p": "aA=="}}),
        doc!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": (template)},
        }),
        doc!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"},
            "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}, "conditions": [{"type": "Ready", "status": "True"}]},
        }),
    ];
    let objects = objects.into_iter().enumerate().map(|(number, mut object)| {
        object.set(&["metadata", "resourceVersion"], format!("{}", number + 1));
        object
    });
    let mut cluster = snapshot::load(objects, Some(Time::from_millis(1_790_000_000_000)), 1);
    cluster.start_controllers();
    let until = cluster.now() + std::time::Duration::from_secs(60);
    cluster.settle(until);
    cluster
}
