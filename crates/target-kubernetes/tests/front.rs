//! The front door, with a served cluster behind it: what is let in, what comes out, and what of it is masked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

mod support;

use std::io::Read;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cluster::{Schema, Value, doc};
use futures_util::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use model::{AgentId, ObjectRef};
use support::{Client, Folder, Lines, PATIENCE, Production, config_map, production, secret};
use target_kubernetes::decode::Asked;
use target_kubernetes::front::{self, Authenticate, Passage};
use target_kubernetes::kubeconfig::{Kubeconfig, write_private};
use target_kubernetes::listen::{self, Handler, Listening};
use target_kubernetes::mask::Mask;
use target_kubernetes::message::Body;
use target_kubernetes::tls::Authority;
use target_kubernetes::upstream::Upstream;
use target_kubernetes::{commit, read, refuse};

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";
const SECRETS: &str = "/api/v1/namespaces/shop/secrets";

struct Agents;

impl Authenticate for Agents {
    fn agent(&self, token: &str) -> Option<AgentId> {
        (token == "good").then(|| AgentId::from("bot"))
    }
}

/// Lets everything pass, and remembers who asked what and why.
struct Everything {
    upstream: Upstream,
    mask: Mask,
    passed: Arc<Mutex<Vec<String>>>,
}

impl Passage for Everything {
    fn schema(&self) -> Schema {
        Schema::default()
    }

    async fn pass(&self, agent: AgentId, asked: Asked) -> Response<Body> {
        let Asked { call, reason } = asked;
        let line = format!("{agent} {} {} {}", call.verb.as_str(), call.resource(), reason.unwrap_or_default());
        self.passed.lock().unwrap().push(line.trim_end().to_owned());
        if call.verb.is_read() {
            return match read::read(&self.upstream, &call, &self.mask).await {
                Ok(answer) => answer,
                Err(error) => {
                    refuse::refuse(gate::Refusal::Unavailable { cause: error.to_string(), retry_after_ms: 1000 })
                }
            };
        }
        let object = ObjectRef::global("Any", "thing");
        match commit::commit(&self.upstream, &call, &object, None, &self.mask).await {
            Ok((answer, _)) => answer,
            Err(gate::CommitError::Refused { said, .. }) => said,
            Err(error) => refuse::refuse(gate::Refusal::Unavailable { cause: error.to_string(), retry_after_ms: 1000 }),
        }
    }
}

struct Door {
    production: Production,
    client: Client,
    passed: Arc<Mutex<Vec<String>>>,
    listening: Listening,
    _folder: Folder,
}

async fn door() -> Door {
    let production = production(|_| {}).await;
    let upstream = Upstream::from_file(&production.served.kubeconfig, None).await.unwrap();
    let authority = Authority::new("gate").unwrap();
    let passed = Arc::<Mutex<Vec<String>>>::default();
    let everything = Everything { upstream, mask: Mask::new().unwrap(), passed: passed.clone() };
    let tls = authority.server(&[], &[]).unwrap();
    let listening = front::open(([127, 0, 0, 1], 0).into(), tls, Agents, everything).await.unwrap();
    let client = Client::new(&format!("https://{}", listening.address), authority.pem().as_bytes(), "good");
    Door { production, client, passed, listening, _folder: Folder::new() }
}

#[tokio::test]
async fn a_call_goes_through_and_comes_back_as_production_answered_it() {
    let door = door().await;
    let made = door.client.post(MAPS, &config_map("a")).await;
    assert_eq!(made.code, 201, "{:?}", made.body);
    let (through, direct) = (door.client.get(MAPS).await, door.production.client().get(MAPS).await);
    assert_eq!(through.body, direct.body);
    assert_eq!(through.head.headers["content-type"], direct.head.headers["content-type"]);
    let missing = door.client.get(&format!("{MAPS}/b")).await;
    assert_eq!((missing.code, missing.message().as_str()), (404, "configmaps \"b\" not found"));
    assert_eq!(*door.passed.lock().unwrap(), ["bot create configmaps", "bot list configmaps", "bot get configmaps"]);
}

#[tokio::test]
async fn an_agent_may_say_why() {
    let door = door().await;
    let mut request = door.client.request("GET", MAPS, "");
    request.headers_mut().insert("lazaret-reason", "ticket 17".parse().unwrap());
    door.client.send(request).await;
    assert_eq!(*door.passed.lock().unwrap(), ["bot list configmaps ticket 17"]);
}

#[tokio::test]
async fn a_field_that_nobody_knows_is_told_of_as_production_tells() {
    let door = door().await;
    let with =
        |name: &str| doc!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": (name)}, "dta": {"a": "1"}});
    let told = |answer: &support::Answered| {
        let warnings = answer.head.headers.get_all("warning").iter();
        warnings.map(|warning| warning.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let direct = door.production.client().post(MAPS, &with("direct")).await;
    let through = door.client.post(MAPS, &with("through")).await;
    assert_eq!((through.code, told(&through)), (201, vec![r#"299 - "unknown field \"dta\"""#.to_owned()]));
    assert_eq!((direct.code, told(&direct)), (through.code, told(&through)));
}

#[tokio::test]
async fn whom_nobody_knows_is_told_nothing_and_nothing_is_passed_on() {
    let door = door().await;
    for token in ["", "bad", "good2"] {
        let mut stranger = door.client.clone();
        stranger.token = token.to_owned();
        for path in [MAPS, "/healthz", "/api", "/nowhere"] {
            let answer = stranger.get(path).await;
            assert_eq!((answer.code, answer.message().as_str()), (401, "Unauthorized"), "{token:?} {path}");
        }
    }
    assert!(door.passed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn no_secret_value_comes_out_in_any_form() {
    let door = door().await;
    let direct = door.production.client();
    assert_eq!(direct.post(SECRETS, &secret("db")).await.code, 201);
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let metadata = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let metadata_list = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let one = &format!("{SECRETS}/db");
    for (path, accept) in [
        (one.as_str(), "application/json"),
        (one, "application/yaml"),
        (one, "application/vnd.kubernetes.protobuf,application/json"),
        (one, table),
        (one, metadata),
        (SECRETS, "application/json"),
        (SECRETS, metadata_list),
        (&format!("{SECRETS}?includeObject=Object"), table),
        ("/api/v1/secrets", "application/json"),
        ("/api/v1/namespaces/shop/%73ecrets/db", "application/json"),
        (&format!("{SECRETS}?watch=1&timeoutSeconds=1"), "application/json"),
        (&format!("{SECRETS}?watch=1&timeoutSeconds=1&includeObject=Object"), table),
        (&format!("{SECRETS}?watch=1&timeoutSeconds=1&resourceVersion=0"), metadata),
    ] {
        let mut request = door.client.request("GET", path, "");
        request.headers_mut().insert("accept", accept.parse().unwrap());
        let answer = door.client.send(request).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.code, 200, "{path} {accept}: {text}");
        assert!(!text.contains("aHVudGVyMg==") && !text.contains("hunter2"), "{path} {accept}: {text}");
        assert!(text.contains("db"), "{path} {accept}: {text}");
    }
    // Answers to writes are masked too: a patch of a label shows the whole object.
    let mut patch = door.client.request("PATCH", one, r#"{"metadata":{"labels":{"a":"b"}}}"#);
    patch.headers_mut().insert("content-type", "application/merge-patch+json".parse().unwrap());
    let patched = door.client.send(patch).await;
    assert_eq!(patched.code, 200);
    assert!(!String::from_utf8_lossy(&patched.body).contains("aHVudGVyMg=="));
    assert_eq!(direct.get(one).await.json().at(&["data", "password"]).str_or_empty(), "aHVudGVyMg==");
}

#[tokio::test]
async fn a_mask_that_is_written_back_is_refused_and_nothing_is_stored() {
    let door = door().await;
    door.production.client().post(SECRETS, &secret("db")).await;
    let masked = door.client.get(&format!("{SECRETS}/db")).await.json();
    let put = door.client.request("PUT", &format!("{SECRETS}/db"), masked.to_json_bytes());
    let mut map = config_map("copy");
    map.set(&["data", "password"], masked.at(&["data", "password"]).clone());
    let post = door.client.request("POST", MAPS, map.to_json_bytes());
    for request in [put, post] {
        let answer = door.client.send(request).await;
        assert_eq!(answer.code, 422, "{:?}", answer.body);
        assert!(answer.message().starts_with("data.password holds a mask"), "{}", answer.message());
    }
    assert_eq!(door.passed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn sessions_and_disguises_are_refused_and_never_reach_production() {
    let door = door().await;
    let pod = "/api/v1/namespaces/shop/pods/a";
    for (method, path, upgrade, code) in [
        ("GET", format!("{pod}/exec?command=sh"), Some("websocket"), 403),
        ("POST", format!("{pod}/exec?command=sh"), Some("SPDY/3.1"), 403),
        ("GET", format!("{pod}/attach"), Some("websocket"), 403),
        ("POST", format!("{pod}/portforward"), Some("SPDY/3.1"), 403),
        ("GET", format!("{pod}/proxy/metrics"), None, 403),
        ("GET", format!("{pod}/log"), None, 403),
        ("GET", "/api/v1/nodes/n/proxy/exec".to_owned(), None, 403),
        ("GET", MAPS.to_owned(), Some("websocket"), 400),
        ("GET", "/version".to_owned(), Some("websocket"), 400),
    ] {
        let mut request = door.client.request(method, &path, "");
        if let Some(upgrade) = upgrade {
            request.headers_mut().insert("connection", "Upgrade".parse().unwrap());
            request.headers_mut().insert("upgrade", upgrade.parse().unwrap());
        }
        let answer = door.client.send(request).await;
        assert_eq!(answer.code, code, "{method} {path}: {:?}", answer.body);
        assert_eq!(answer.json().kind(), "Status");
    }
    let mut other = door.client.request("GET", MAPS, "");
    other.headers_mut().insert("impersonate-user", "admin".parse().unwrap());
    assert_eq!(door.client.send(other).await.code, 403);
}

#[tokio::test]
async fn bad_input_is_answered_clearly_and_never_passed_on() {
    let door = door().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, says) in [
        (b"{\"kind\":\"ConfigMap\",".to_vec(), ""),
        (br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","name":"b"}}"#.to_vec(), "duplicate field"),
        (b"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"\xff\"}}".to_vec(), ""),
        (deep.into_bytes(), ""),
    ] {
        let head = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = door.client.send(door.client.request("POST", MAPS, body)).await;
        assert_eq!((answer.code, answer.json().kind()), (400, "Status"), "{head}: {:?}", answer.body);
        assert!(answer.message().contains(says), "{head}: {}", answer.message());
    }
    let mut unknown = door.client.request("POST", MAPS, "a=b");
    unknown.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    assert_eq!(door.client.send(unknown).await.code, 415);
    let large = door.client.send(door.client.request("POST", MAPS, vec![b' '; 3_200_000])).await;
    assert_eq!(large.code, 413);
    assert!(door.passed.lock().unwrap().is_empty(), "{:?}", door.passed);
    assert!(
        door.client
            .raw(b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\nAuthorization: Bearer good\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 4")
    );
}

#[tokio::test]
async fn a_watch_streams_through_the_gate_as_it_happens() {
    let door = door().await;
    let request = door.client.request("GET", &format!("{MAPS}?watch=1"), "");
    let mut lines = Lines::new(door.client.open(request).await);
    let request = door.client.request("GET", &format!("{SECRETS}?watch=1"), "");
    let mut secrets = Lines::new(door.client.open(request).await);
    let direct = door.production.client();
    for name in ["a", "b"] {
        direct.post(MAPS, &config_map(name)).await;
        assert_eq!(lines.next().await.unwrap().at(&["object"]).name(), name);
        direct.post(SECRETS, &secret(name)).await;
        let event = secrets.next().await.unwrap();
        assert_eq!(event.at(&["object"]).name(), name);
        assert!(!event.to_json().contains("aHVudGVyMg=="));
    }
}

#[tokio::test]
async fn what_is_worth_it_is_zipped_for_whoever_takes_it_and_says_the_same() {
    let door = door().await;
    let direct = door.production.client();
    for name in ["a", "b"] {
        let (mut map, mut secret) = (config_map(name), secret(name));
        map.set(&["data", "a"], "x".repeat(100_000));
        secret.set(&["metadata", "annotations", "note"], "x".repeat(100_000));
        direct.post(MAPS, &map).await;
        direct.post(SECRETS, &secret).await;
    }
    let one = &format!("{MAPS}/a");
    for (path, worth) in [(MAPS, true), (SECRETS, true), ("/openapi/v2", true), (one, false), ("/version", false)] {
        let plain = door.client.get(path).await;
        assert!(!plain.head.headers.contains_key("content-encoding"), "{path}");
        let mut request = door.client.request("GET", path, "");
        request.headers_mut().insert("accept-encoding", "br, gzip".parse().unwrap());
        let zipped = door.client.send(request).await;
        assert_eq!(zipped.head.headers.contains_key("content-encoding"), worth, "{path}");
        assert_eq!(zipped.head.headers["vary"], "Accept-Encoding", "{path}");
        let mut said = Vec::new();
        if worth {
            assert!(zipped.body.len() < plain.body.len() / 4, "{path}: {} bytes", zipped.body.len());
            flate2::read::GzDecoder::new(&*zipped.body).read_to_end(&mut said).unwrap();
        } else {
            said.extend_from_slice(&zipped.body);
        }
        assert!(said == plain.body, "{path} says something else when it is zipped");
    }
    let mut request = door.client.request("GET", &format!("{MAPS}?watch=1&resourceVersion=0"), "");
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let mut lines = Lines::new(door.client.open(request).await);
    assert_eq!(lines.next().await.unwrap().at(&["object"]).name(), "a", "a watch comes line by line");
}

#[tokio::test]
async fn without_production_a_read_says_so_and_a_write_is_known_not_to_have_been_sent() {
    let door = door().await;
    let Door { production, client, .. } = door;
    production.served.handle.stop().await;
    for request in [client.request("GET", MAPS, ""), client.request("POST", MAPS, config_map("a").to_json_bytes())] {
        let answer = client.send(request).await;
        assert_eq!(answer.code, 503, "{:?}", answer.body);
        assert_eq!(answer.head.headers["retry-after"], "1");
        assert!(answer.message().contains("nothing was changed"), "{}", answer.message());
    }
    tokio::time::timeout(PATIENCE, door.listening.stop()).await.unwrap();
}

#[tokio::test]
async fn a_write_on_a_production_that_has_moved_on_is_not_done() {
    let door = door().await;
    let direct = door.production.client();
    let first = direct.post(MAPS, &config_map("a")).await.json();
    let seen = first.resource_version();
    let mut moved = first.clone();
    moved.set(&["data", "a"], "2");
    assert_eq!(direct.send(direct.request("PUT", &format!("{MAPS}/a"), moved.to_json_bytes())).await.code, 200);

    let upstream = Upstream::from_file(&door.production.served.kubeconfig, None).await.unwrap();
    let mask = Mask::new().unwrap();
    let object = ObjectRef::namespaced("ConfigMap", "shop", "a");
    for (method, kind, body) in [
        ("PATCH", "application/merge-patch+json", doc!({"data": {"a": "3"}})),
        ("PATCH", "application/strategic-merge-patch+json", doc!({"data": {"a": "3"}})),
        ("PATCH", "application/json-patch+json", doc!([{"op": "replace", "path": "/data/a", "value": "3"}])),
        ("PUT", "application/json", config_map("a")),
        ("DELETE", "application/json", Value::Null),
    ] {
        let call = decoded(method, &format!("{MAPS}/a"), kind, &body);
        let error = commit::commit(&upstream, &call, &object, Some(seen), &mask).await.unwrap_err();
        assert!(matches!(error, gate::CommitError::Moved { .. }), "{method} {kind}: {error}");
    }
    let now = direct.get(&format!("{MAPS}/a")).await.json();
    assert_eq!(now.at(&["data", "a"]).str_or_empty(), "2");
    let call = decoded("PATCH", &format!("{MAPS}/a"), "application/merge-patch+json", &doc!({"data": {"a": "3"}}));
    let (_, receipt) = commit::commit(&upstream, &call, &object, Some(now.resource_version()), &mask).await.unwrap();
    let now = direct.get(&format!("{MAPS}/a")).await.json();
    assert_eq!(
        (now.at(&["data", "a"]).str_or_empty(), now.resource_version()),
        ("3", receipt.version.to_string().as_str())
    );
}

fn decoded(method: &str, path: &str, content_type: &str, body: &Value) -> cluster::apiserver::Call {
    let body = if body.is_null() { Vec::new() } else { body.to_json_bytes() };
    let headers = [("content-type".to_owned(), content_type.to_owned())];
    let request = cluster::apiserver::Request { method, path, query: "", headers: &headers, body: &body };
    cluster::apiserver::decode(&Schema::default(), &request).unwrap()
}

/// A production that has said half of a list and takes its time with the rest.
struct Hesitating(tokio::sync::Notify);

impl Handler for Hesitating {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let halves = {
            let element = |name: &str| match request.uri().path() {
                SECRETS => secret(name).to_json(),
                _ => config_map(name).to_json(),
            };
            let head = r#"{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":"1"},"items":["#;
            [format!("{head}{},", element("first")), format!("{}]}}", element("second"))]
        };
        let rest = stream::unfold((self, halves.into_iter()), |(this, mut halves)| async move {
            let half = halves.next()?;
            if halves.len() == 0 {
                this.0.notified().await;
            }
            Some((Ok(Frame::data(Bytes::from(half))), (this, halves)))
        });
        Response::new(StreamBody::new(rest).boxed_unsync())
    }
}

#[tokio::test]
async fn the_first_half_of_a_list_is_passed_on_while_production_makes_the_second() {
    target_kubernetes::tls::install_default();
    let (folder, authority) = (Folder::new(), Authority::new("production").unwrap());
    let hesitating = Arc::new(Hesitating(tokio::sync::Notify::new()));
    let any_port = "127.0.0.1:0".parse().unwrap();
    let config = authority.server(&[], &[]).unwrap();
    let behind = listen::listen(any_port, config, listen::stop_signal(), hesitating.clone()).await.unwrap();
    let (file, server) = (folder.0.join("kubeconfig"), format!("https://{}", behind.address));
    let kubeconfig = Kubeconfig { name: "production", server: &server, authority: authority.pem(), token: "unused" };
    write_private(&file, &kubeconfig.to_yaml()).unwrap();
    let upstream = Upstream::from_file(&file, None).await.unwrap();
    let authority = Authority::new("gate").unwrap();
    let everything = Everything { upstream, mask: Mask::new().unwrap(), passed: Arc::default() };
    let gate = front::open(any_port, authority.server(&[], &[]).unwrap(), Agents, everything).await.unwrap();
    let client = Client::new(&format!("https://{}", gate.address), authority.pem().as_bytes(), "good");
    for path in [MAPS, SECRETS] {
        let mut body = client.open(client.request("GET", path, "")).await.into_body();
        let mut seen = String::new();
        let mut read = async |until: &str| {
            while !seen.contains(until) {
                let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("it waits for the whole list");
                seen.push_str(std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap());
            }
            seen.clone()
        };
        let half = read("first").await;
        assert!(!half.contains("second"), "{half}");
        hesitating.0.notify_one();
        let whole = read("]}").await;
        assert!(whole.contains("second") && !whole.contains("aHVudGVyMg=="), "{whole}");
    }
}
