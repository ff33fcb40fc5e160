//! All agent input is hostile: what comes in broken, twisted or disguised gets a clear error, production hears nothing of
//! it, and the gate goes on serving.
//!
//! Everything that would do harm here is called `smuggled`, so that it is recognised wherever it turns up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod support;

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, Request};
use http_body_util::Full;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use support::client::MERGE;
use support::{Answered, Client, Station};

const CONFIG_MAPS: &str = "/api/v1/namespaces/shop/configmaps";
const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const JSON: &str = "application/json";

/// A whole, well-formed ConfigMap.
const SMUGGLED: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"smuggled"}}"#;

/// How long a server may be silent before it is taken to have said everything.
const SILENCE: Duration = Duration::from_secs(3);

/// A gate, and someone who holds a good token for it and means ill.
struct Siege {
    station: Station,
    client: Client,
    before: Vec<(String, String)>,
}

impl Siege {
    async fn begin() -> Self {
        let station = Station::start().await;
        let agent = station.gate.agent("mallory");
        let client = station.gate.client(&agent.token);
        let before = versions(&station);
        Self { station, client, before }
    }

    fn request(&self, method: &str, path: &str, kind: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        self.client.request(method, path, kind, body)
    }

    /// Sends what must be refused with one of these codes, in words.
    async fn refused(&self, what: &str, request: Request<Full<Bytes>>, codes: &[u16]) -> Answered {
        let answer = self.client.try_send(request).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        is_clear(what, &answer, codes);
        answer
    }

    /// Production is as it was, and an honest request is still served. At most it was asked, in words that the gate chose, what
    /// it would say to something that has a meaning and that the twin says it would refuse.
    async fn has_failed(mut self) {
        assert!(!self.station.gate.is_dead(), "the gate has died");
        let answer = self.client.get(WEB).await;
        assert_eq!((answer.code, &answer.json()["spec"]["replicas"]), (200, &Value::from(3)));
        for seen in self.station.production.seen() {
            let told = format!("{} {} {}", seen.method, seen.target, String::from_utf8_lossy(&seen.body));
            assert!(
                !seen.is_write() && (seen.is_rehearsal() || !told.contains("smuggled")),
                "production was asked: {told}"
            );
        }
        assert_eq!(versions(&self.station), self.before);
    }
}

/// Every object of production and its version.
fn versions(station: &Station) -> Vec<(String, String)> {
    let cluster = station.production.cluster();
    let still = cluster.objects().filter(|(key, _)| !key.is("leases.coordination.k8s.io") && !key.is("nodes"));
    still.map(|(key, object)| (key.to_string(), object.resource_version().to_owned())).collect()
}

/// A refusal is a Status with that code, and says why.
fn is_clear(what: &str, answer: &Answered, codes: &[u16]) {
    let text = String::from_utf8_lossy(&answer.body);
    assert!(codes.contains(&answer.code), "{what}: {} {text:.300}", answer.code);
    let status: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{what}: no Status: {text}"));
    assert_eq!((&status["kind"], &status["code"]), (&"Status".into(), &answer.code.into()), "{what}: {text}");
    assert!(status["message"].as_str().is_some_and(|message| message.len() > 3), "{what}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_broken_or_can_be_read_two_ways_is_refused() {
    let siege = Siege::begin().await;
    let deep = |open: &str, close: &str| {
        let (open, close) = (open.repeat(200_000), close.repeat(200_000));
        format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"smuggled"}},"data":{open}1{close}}}"#)
    };
    let cut = &SMUGGLED[..SMUGGLED.len() - 2];
    for (what, body) in [
        ("nothing", Vec::new()),
        ("truncated", cut.into()),
        ("truncated in a string", br#"{"kind":"ConfigMap","metadata":{"name":"smug"#.to_vec()),
        ("truncated in an escape", br#"{"kind":"\u00"#.to_vec()),
        ("closed twice", format!("{SMUGGLED}}}").into()),
        ("two documents", format!("{SMUGGLED}{SMUGGLED}").into()),
        ("a list", format!("[{SMUGGLED}]").into()),
        ("a string", br#""smuggled""#.to_vec()),
        ("null", b"null".to_vec()),
        ("no JSON at all", b"<smuggled/>".to_vec()),
        ("a comment", format!("/* */{SMUGGLED}").into()),
        ("a byte order mark", format!("\u{feff}{SMUGGLED}").into()),
        ("UTF-16", SMUGGLED.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        (
            "invalid UTF-8 in a value",
            br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"smuggled"},"data":{"a":"
"}}"#
                .iter()
                .map(|byte| if *byte == b'\n' { 0xff } else { *byte })
                .collect(),
        ),
        (
            "invalid UTF-8 in a key",
            b"{\"kind\":\"ConfigMap\",\"\xc0\xae\":1,\"metadata\":{\"name\":\"smuggled\"}}".to_vec(),
        ),
        ("a control character", b"{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"smuggled\x00\"}}".to_vec()),
        ("duplicate kind", SMUGGLED.replace(r#""kind""#, r#""kind":"Secret","kind""#).into()),
        ("duplicate name", SMUGGLED.replace(r#""name""#, r#""name":"a","name""#).into()),
        ("duplicate key, one escaped", SMUGGLED.replace(r#""name""#, r#""name":"a","n\u0061me""#).into()),
        ("duplicate data", SMUGGLED.replace(r#""metadata""#, r#""data":{"a":"1"},"data":{"a":"2"},"metadata""#).into()),
        ("nested lists", deep("[", "]").into()),
        ("nested objects", deep(r#"{"a":"#, "}").into()),
        ("nested and truncated", "[".repeat(2_000_000).into()),
        ("another kind", SMUGGLED.replace("ConfigMap", "Pod").into()),
        ("another namespace", SMUGGLED.replace(r#""name""#, r#""namespace":"default","name""#).into()),
        ("a number too large", SMUGGLED.replace(r#""metadata""#, r#""data":1e999,"metadata""#).into()),
    ] {
        siege.refused(what, siege.request("POST", CONFIG_MAPS, JSON, body), &[400, 422]).await;
    }
    siege.has_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_that_is_broken_is_refused() {
    let siege = Siege::begin().await;
    let json_patch = "application/json-patch+json";
    let strategic = "application/strategic-merge-patch+json";
    let apply = "application/apply-patch+yaml";
    for (what, kind, body) in [
        ("truncated", MERGE, r#"{"spec":{"replicas":0}"#),
        ("duplicate", MERGE, r#"{"spec":{"replicas":3,"replicas":0}}"#),
        ("duplicate in a list", json_patch, r#"[{"op":"add","path":"/spec/replicas","value":0,"value":1}]"#),
        ("no list", json_patch, r#"{"op":"replace","path":"/spec/replicas","value":0}"#),
        ("no such operation", json_patch, r#"[{"op":"smuggled","path":"/spec/replicas","value":0}]"#),
        ("no such path", json_patch, r#"[{"op":"replace","path":"/spec/a/b/c","value":0}]"#),
        (
            "a test that fails",
            json_patch,
            r#"[{"op":"test","path":"/spec/replicas","value":9},{"op":"remove","path":"/spec"}]"#,
        ),
        ("a list for an object", MERGE, "[1]"),
        ("a directive of no meaning", strategic, r#"{"spec":{"$patch":"smuggled"}}"#),
        ("an alias", apply, "a: &a [smuggled]\nb: *a"),
        ("two documents", apply, "kind: Deployment\n---\nkind: Deployment"),
        ("tabs", apply, "spec:\n\treplicas: 0"),
        ("no field manager", apply, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}"),
    ] {
        // Kubernetes answers 500 to a directive of no meaning. That says nothing of what happened, so what the twin
        // foresaw is said instead: 403.
        siege.refused(what, siege.request("PATCH", WEB, kind, body), &[400, 403, 415, 422]).await;
    }
    siege.has_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_type_that_is_not_understood_is_refused() {
    let siege = Siege::begin().await;
    let understood_by_nobody = [
        "text/plain",
        "text/html",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=smuggled",
        "application/octet-stream",
        "application/jsonx",
        "application/json, text/plain",
        "application",
        "/",
        "*/*",
        ";",
    ];
    for kind in understood_by_nobody {
        siege.refused(kind, siege.request("POST", CONFIG_MAPS, kind, SMUGGLED), &[400, 415]).await;
    }
    // Understood, and not what it says it is.
    for kind in ["application/vnd.kubernetes.protobuf", "application/cbor"] {
        siege.refused(kind, siege.request("POST", CONFIG_MAPS, kind, SMUGGLED), &[400, 415]).await;
    }
    for kind in ["", JSON, "application/yaml", "application/merge-patch", "application/apply-patch+xml"] {
        siege.refused(kind, siege.request("PATCH", WEB, kind, r#"{"spec":{"replicas":0}}"#), &[400, 415]).await;
    }
    let mut twice = siege.request("POST", CONFIG_MAPS, JSON, SMUGGLED);
    twice.headers_mut().append("content-type", HeaderValue::from_static("application/yaml"));
    siege.refused("two types", twice, &[400, 415]).await;
    siege.has_failed().await;
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_oddly_encoded_is_refused() {
    let siege = Siege::begin().await;
    let ten_megabytes = format!(r#"{{"kind":"smuggled","data":"{}"}}"#, "x".repeat(10_000_000));
    let encoded = |coding: &str, body: Vec<u8>| {
        let mut request = siege.request("POST", CONFIG_MAPS, JSON, body);
        request.headers_mut().insert("content-encoding", coding.parse().unwrap());
        request
    };
    let bomb = gzip(&vec![0; 200_000_000]);
    let cut = {
        let whole = gzip(SMUGGLED.as_bytes());
        whole[..whole.len() - 6].to_vec()
    };
    for (what, request, code) in [
        ("10 MB", siege.request("POST", CONFIG_MAPS, JSON, ten_megabytes), 413),
        ("a bomb", encoded("gzip", bomb.clone()), 413),
        ("a bomb in a bomb", encoded("gzip", gzip(&bomb)), 400),
        ("rubbish", encoded("gzip", b"smuggled".to_vec()), 400),
        ("not zipped", encoded("gzip", SMUGGLED.into()), 400),
        ("cut off", encoded("gzip", cut), 400),
        ("zipped, and not said so", siege.request("POST", CONFIG_MAPS, JSON, gzip(SMUGGLED.as_bytes())), 400),
        ("brotli", encoded("br", SMUGGLED.into()), 415),
        ("zipped twice", encoded("gzip, gzip", gzip(&gzip(SMUGGLED.as_bytes()))), 415),
        ("shouted", encoded("GZIP", gzip(SMUGGLED.as_bytes())), 415),
        ("deflate", encoded("deflate", SMUGGLED.into()), 415),
    ] {
        siege.refused(what, request.clone(), &[code]).await;
        is_clear(&format!("{what}, over HTTP/2"), &siege.client.send_h2(request).await.unwrap(), &[code]);
    }
    // A head that does not end is not read on; this is told before it is HTTP at all.
    let endless = format!("GET /api HTTP/1.1\r\nHost: a\r\nX: {}", "smuggled".repeat(20_000));
    let answer = siege.client.raw(endless.as_bytes(), SILENCE).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    siege.has_failed().await;
}

/// One request in bytes, with this head after the request line, and the smuggled one behind it.
fn bytes(token: &str, line: &str, head: &str, body: &str) -> Vec<u8> {
    format!("{line}\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{head}\r\n{body}").into_bytes()
}

/// How many answers came, and the code of the first.
fn answers(text: &str) -> (usize, u16) {
    let code = text.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
    (text.matches("HTTP/1.1 ").count(), code)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_smuggled_in_another() {
    let siege = Siege::begin().await;
    let token = siege.client.token.clone();
    let length = SMUGGLED.len();
    let hidden = String::from_utf8(bytes(
        &token,
        &format!("POST {CONFIG_MAPS} HTTP/1.1"),
        &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        SMUGGLED,
    ))
    .unwrap();
    let chunked = format!("0\r\n\r\n{hidden}");
    let post = format!("POST {CONFIG_MAPS} HTTP/1.1");
    let kind = "Content-Type: application/json\r\n";
    let cl = format!("{kind}Content-Length: {length}\r\n");
    for (what, line, head, body) in [
        ("length and chunks", &*post, format!("{cl}Transfer-Encoding: chunked\r\n"), &*chunked),
        ("chunks and length", &post, format!("Transfer-Encoding: chunked\r\n{cl}"), &chunked),
        ("two lengths", &post, format!("{cl}Content-Length: 0\r\n"), &hidden),
        ("two lengths in one", &post, format!("{kind}Content-Length: {length}, 0\r\n"), &hidden),
        ("a signed length", &post, format!("{kind}Content-Length: +{length}\r\n"), SMUGGLED),
        ("a length below zero", &post, format!("{kind}Content-Length: -1\r\n"), SMUGGLED),
        ("a length in hexadecimal", &post, format!("{kind}Content-Length: 0x10\r\n"), SMUGGLED),
        ("a length beyond all numbers", &post, format!("{kind}Content-Length: 99999999999999999999999\r\n"), SMUGGLED),
        ("an unknown coding", &post, format!("{kind}Transfer-Encoding: smuggled\r\n"), &chunked),
        ("chunked, but not last", &post, format!("{kind}Transfer-Encoding: chunked, identity\r\n"), &chunked),
        ("chunked with a vertical tab", &post, format!("{kind}Transfer-Encoding: \x0bchunked\r\n"), &chunked),
        ("a space before the colon", &post, format!("{cl}Transfer-Encoding : chunked\r\n"), &chunked),
        ("a folded line", &post, format!("{cl}X: a\r\n Transfer-Encoding: chunked\r\n"), &chunked),
        ("a header without a name", &post, format!("{cl}: smuggled\r\n"), SMUGGLED),
        ("a null in a header", &post, format!("{cl}X: a\0b\r\n"), SMUGGLED),
        ("a bare return in a header", &post, format!("{cl}X: a\rTransfer-Encoding: chunked\r\n"), &chunked),
        ("no chunk size", &post, format!("{kind}Transfer-Encoding: chunked\r\n"), "\r\nsmuggled"),
        (
            "a chunk size beyond all numbers",
            &post,
            format!("{kind}Transfer-Encoding: chunked\r\n"),
            "fffffffffffffffff\r\n",
        ),
        ("a chunk size below zero", &post, format!("{kind}Transfer-Encoding: chunked\r\n"), "-1\r\nsmuggled"),
        ("a method with a space", " POST / HTTP/1.1", cl.clone(), SMUGGLED),
        ("a path with a space", "POST /api/v1/name spaces HTTP/1.1", cl.clone(), SMUGGLED),
        ("a version of its own", "POST /api HTTP/9.9", cl.clone(), SMUGGLED),
        ("no version", "POST /api", cl.clone(), SMUGGLED),
        ("a proxy's tunnel", "CONNECT production:6443 HTTP/1.1", String::new(), ""),
        ("a server in the path", "GET @production:6443/ HTTP/1.1", String::new(), ""),
        ("a star", "OPTIONS * HTTP/1.1", String::new(), ""),
    ] {
        let answer = siege.client.raw(&bytes(&token, line, &head, body), SILENCE).await;
        let (count, code) = answers(&answer);
        assert!(count <= 1 && (code == 0 || (400..500).contains(&code)), "{what}: {answer}");
    }
    siege.has_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_an_unusual_form_means_what_it_says_or_is_refused() {
    let siege = Siege::begin().await;
    let token = siege.client.token.clone();
    let close = "Connection: close\r\n";
    for (what, line, head) in [
        ("a bare line feed", "GET /version HTTP/1.1\nHost: a", close.to_owned()),
        ("HTTP/1.0", "GET /version HTTP/1.0", String::new()),
        ("another server's address", "GET https://production:6443/version HTTP/1.1", close.to_owned()),
        ("another host", "GET /version HTTP/1.1\r\nHost: production:6443", close.to_owned()),
        (
            "forwarded",
            "GET /version HTTP/1.1",
            format!("{close}X-Forwarded-Host: production\r\nX-Forwarded-Uri: /smuggled\r\n"),
        ),
        (
            "overridden",
            "GET /version HTTP/1.1",
            format!("{close}X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /smuggled\r\n"),
        ),
        (
            "an upgrade to HTTP/2",
            "GET /version HTTP/1.1",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
                .to_owned(),
        ),
        ("expects", "GET /version HTTP/1.1", format!("{close}Expect: smuggled\r\n")),
    ] {
        let answer = siege.client.raw(&bytes(&token, line, &head, ""), SILENCE).await;
        let (count, code) = answers(&answer);
        let version = code == 200 && answer.contains("gitVersion");
        assert!(
            count == 0 || answer.starts_with("HTTP/1.0") || version || (400..500).contains(&code),
            "{what}: {answer}"
        );
        assert!(code != 101, "{what}: {answer}");
    }
    siege.has_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_learns_nothing() {
    let siege = Siege::begin().await;
    let ended = siege.station.gate.agent_for("yesterday", 0).token;
    let good = siege.client.token.clone();
    let paths = [WEB, "/nothing/here", "/version", "/api/v1/namespaces/shop/secrets/db"];
    let plain = |authorization: &[u8], path: &str| {
        let mut request = Request::builder().method("GET").uri(path).header("host", "localhost");
        if !authorization.is_empty() {
            request = request.header("authorization", HeaderValue::from_bytes(authorization).unwrap());
        }
        request.body(Full::new(Bytes::new())).unwrap()
    };
    for (what, authorization) in [
        ("no token", String::new()),
        ("an empty one", "Bearer ".to_owned()),
        ("no word", "Bearer".to_owned()),
        ("a wrong one", "Bearer lzr_0000000000000000000000000000000000000000000000000000000000000000".to_owned()),
        ("one with a letter more", format!("Bearer {good}0")),
        ("one with a letter less", format!("Bearer {}", &good[..good.len() - 1])),
        ("shouted", format!("Bearer {}", good.to_uppercase())),
        ("two in one", format!("Bearer {good}, Bearer {good}")),
        ("another scheme", format!("Basic {good}")),
        ("no scheme", good.clone()),
        ("production's own", format!("Bearer {}", siege.station.production.served.token)),
        ("a long one", format!("Bearer {}", "0".repeat(30_000))),
        ("no ASCII", "Bearer \u{fc}".to_owned()),
    ] {
        for path in paths {
            let answer = siege.refused(what, plain(authorization.as_bytes(), path), &[401]).await;
            assert_eq!(answer.json()["message"], "Unauthorized", "{what}");
        }
    }
    // Whoever held a token learns that it has ended, and no more than that wherever they turn.
    for path in paths {
        let answer = siege.refused("an ended one", plain(format!("Bearer {ended}").as_bytes(), path), &[401]).await;
        let message = answer.message();
        let end = message.strip_prefix("the token of agent yesterday ended ").and_then(|end| end.split_once(" s ago"));
        assert_eq!(end.map(|(_, rest)| rest), Some(": lazaret agent add yesterday"), "{message}");
    }
    for path in [format!("/version?access_token={good}"), format!("/version?token={good}")] {
        siege.refused("a token in the query", plain(b"", &path), &[401]).await;
    }
    let mut change = siege.request("DELETE", WEB, "", "");
    change.headers_mut().insert("authorization", format!("Bearer {ended}").parse().unwrap());
    siege.refused("a change with a token that has ended", change, &[401]).await;
    siege.has_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_leads_where_it_says_or_nowhere() {
    let siege = Siege::begin().await;
    let shop = "/api/v1/namespaces/shop";
    for path in [
        format!("{shop}/configmaps/../secrets/smuggled"),
        format!("{shop}/configmaps/%2e%2e/secrets/smuggled"),
        format!("{shop}/configmaps/%2E%2E%2Fsecrets%2Fsmuggled"),
        format!("{shop}/configmaps/smuggled%2fstatus"),
        format!("{shop}/configmaps/smuggled%00"),
        format!("{shop}/configmaps/smuggled%0d%0aX:%20y"),
        format!("{shop}/configmaps/smuggled%zz"),
        format!("{shop}/configmaps/smuggled%"),
        format!("{shop}/configmaps/%c0%ae%c0%ae"),
        format!("{shop}/configmaps/smuggled;a=b"),
        format!("{shop}/configmaps/smuggled%3fdryRun=All"),
        format!("{shop}/configmaps//smuggled"),
        format!("{shop}//configmaps/smuggled"),
        format!("{shop}/configmaps/smuggled/a/b/c/d"),
        format!("{shop}/configmaps/smuggled/"),
        "//api/v1/namespaces/shop/configmaps/smuggled".to_owned(),
        "/api/v1/namespaces//configmaps/smuggled".to_owned(),
        "/api//v1/namespaces/shop/configmaps/smuggled".to_owned(),
        "/api/v1/namespaces/%2e%2e/configmaps/smuggled".to_owned(),
        "/API/V1/namespaces/shop/configmaps/smuggled".to_owned(),
        format!("{shop}/configmaps/{}", "smuggled".repeat(1000)),
        format!("{shop}/configmaps/smuggled?dryRun=Some"),
        format!("{shop}/configmaps/smuggled?gracePeriodSeconds=x"),
        "/apis/apps/v1/namespaces/shop/deployments/web/smuggled".to_owned(),
        "/apis/apps/v1/namespaces/shop/deployments/web/%73cale/x".to_owned(),
        "/.well-known/smuggled".to_owned(),
        "/lazaret/clock".to_owned(),
    ] {
        siege
            .refused(&format!("DELETE {path}"), siege.request("DELETE", &path, "", ""), &[400, 403, 404, 405, 422])
            .await;
    }
    siege.has_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_is_not_known_is_refused() {
    let siege = Siege::begin().await;
    for method in ["TRACE", "PROPFIND", "SMUGGLED", "get", "delete", "PURGE", "LINK", "M-SEARCH"] {
        siege.refused(method, siege.request(method, WEB, "", ""), &[400, 403, 404, 405]).await;
    }
    for (method, path) in [
        ("POST", WEB),
        ("PUT", "/apis/apps/v1/namespaces/shop/deployments"),
        ("PATCH", "/api"),
        ("DELETE", "/version"),
        ("POST", "/openapi/v2"),
        ("PUT", "/apis"),
    ] {
        let kind = if method == "PATCH" { MERGE } else { JSON };
        siege
            .refused(&format!("{method} {path}"), siege.request(method, path, kind, "{}"), &[400, 403, 404, 405])
            .await;
    }
    siege.has_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_disguise_is_refused() {
    let siege = Siege::begin().await;
    let cluster = siege.station.production.cluster();
    let (pod, _) = cluster.objects().find(|(key, _)| key.is("pods")).unwrap();
    let pod = format!("/api/v1/namespaces/shop/pods/{}", pod.name);
    for (method, path, upgrade) in [
        ("GET", pod.clone(), "websocket"),
        ("GET", pod.clone(), "SPDY/3.1"),
        ("GET", "/api/v1/namespaces/shop/pods?watch=true".to_owned(), "websocket"),
        ("GET", format!("{pod}/exec?command=smuggled&stdout=true"), "websocket"),
        ("POST", format!("{pod}/exec?command=smuggled&stdout=true"), "SPDY/3.1"),
        ("GET", format!("{pod}/exec?command=smuggled"), ""),
        ("POST", format!("{pod}/exec?command=smuggled"), ""),
        ("GET", format!("{pod}/attach?stdin=true"), "websocket"),
        ("GET", format!("{pod}/portforward?ports=80"), "websocket"),
        ("GET", format!("{pod}/proxy/smuggled"), ""),
        ("POST", format!("{pod}:80/proxy/smuggled"), ""),
        ("GET", "/api/v1/namespaces/shop/services/web/proxy/smuggled".to_owned(), ""),
        ("GET", "/api/v1/nodes/node-1/proxy/smuggled".to_owned(), ""),
    ] {
        let mut request = siege.request(method, &path, "", "");
        if !upgrade.is_empty() {
            let headers = request.headers_mut();
            headers.insert("connection", HeaderValue::from_static("Upgrade"));
            headers.insert("upgrade", upgrade.parse().unwrap());
            headers.insert("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
            headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
        }
        siege.refused(&format!("{method} {path} {upgrade}"), request, &[400, 403, 404]).await;
    }
    for (name, value) in [
        ("impersonate-user", "system:admin"),
        ("impersonate-group", "system:masters"),
        ("impersonate-extra-smuggled", "a"),
        ("impersonate-uid", "0"),
    ] {
        let mut request = siege.request("GET", WEB, "", "");
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        siege.refused(name, request, &[403]).await;
    }
    siege.has_failed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_at_all_disturbs_nobody() {
    let siege = Siege::begin().await;
    let noise: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let frame = |bytes: &[u8]| [&preface[..], bytes].concat();
    for (what, bytes) in [
        ("noise", noise.clone()),
        ("nothing", Vec::new()),
        ("HTTP/0.9", b"GET /\r\n".to_vec()),
        ("half a head", b"GET / HTTP/1.1\r\nHost: smug".to_vec()),
        ("TLS in TLS", [&[22, 3, 1, 2, 0][..], &noise].concat()),
        ("HTTP/2, and noise", frame(&noise)),
        ("a frame larger than any", frame(&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])),
        ("headers of no stream", frame(&[0, 0, 4, 1, 4, 0, 0, 0, 0, 1, 2, 3, 4])),
        ("HTTP/2 with plain headers", frame(b"GET / HTTP/1.1\r\n\r\n")),
    ] {
        let answer = siege.client.raw(&bytes, Duration::from_millis(500)).await;
        assert!(!answer.contains("200 OK"), "{what}: {answer}");
    }
    let address = siege.station.gate.server.trim_start_matches("https://");
    for bytes in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], &noise, preface] {
        let mut plain = tokio::net::TcpStream::connect(address).await.unwrap();
        plain.write_all(bytes).await.unwrap();
    }
    // Whatever HTTP/2 can carry is decoded like the rest.
    let cut = siege.request("POST", CONFIG_MAPS, JSON, &SMUGGLED.as_bytes()[..40]);
    is_clear("HTTP/2, truncated", &siege.client.send_h2(cut).await.unwrap(), &[400]);
    let twice = SMUGGLED.replace(r#""name""#, r#""name":"a","name""#);
    let twice = siege.request("POST", CONFIG_MAPS, JSON, twice);
    is_clear("HTTP/2, duplicate", &siege.client.send_h2(twice).await.unwrap(), &[400]);
    siege.has_failed().await;
}
