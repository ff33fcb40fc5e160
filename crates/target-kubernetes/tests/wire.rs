//! A served cluster on the wire: every way in which clients send and read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

mod support;

use std::io::Write;

use bytes::Bytes;
use cluster::{Value, doc};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use support::{Lines, config_map, production, whole};

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_and_show_the_same() {
    let production = production(|_| {}).await;
    let client = production.client();
    let made = client.post(MAPS, &config_map("a")).await;
    assert_eq!(made.code, 201, "{:?}", made.body);
    let one = client.get(&format!("{MAPS}/a")).await;
    let two = whole(client.open_h2(client.request("GET", &format!("{MAPS}/a"), "")).await).await;
    assert_eq!((one.code, two.code), (200, 200));
    assert_eq!(one.json(), two.json());
}

#[tokio::test]
async fn a_zipped_or_chunked_body_is_read_as_the_same_in_one_piece() {
    let production = production(|_| {}).await;
    let client = production.client();
    let mut zipped = client.request("POST", MAPS, gzip(&config_map("zipped").to_json_bytes()));
    zipped.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(client.send(zipped).await.code, 201);

    let text = config_map("chunked").to_json();
    let pieces: Vec<_> =
        text.as_bytes().chunks(7).map(|piece| Ok::<_, String>(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    let (head, _) = client.request("POST", MAPS, "").into_parts();
    let chunked = http::Request::from_parts(head, StreamBody::new(stream::iter(pieces)));
    assert_eq!(client.send(chunked).await.code, 201);
}

#[tokio::test]
async fn a_large_answer_is_zipped_for_who_takes_it() {
    let production = production(|_| {}).await;
    let client = production.client();
    let mut map = config_map("large");
    map.set(&["data", "a"], "x".repeat(200_000));
    assert_eq!(client.post(MAPS, &map).await.code, 201);
    for (path, zipped) in [(format!("{MAPS}/large"), true), ("/api/v1/namespaces/shop".to_owned(), false)] {
        let mut request = client.request("GET", &path, "");
        request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
        let answer = client.send(request).await;
        assert_eq!(answer.head.headers.get("content-encoding").is_some(), zipped, "{path}");
        if zipped {
            let plain = std::io::read_to_string(GzDecoder::new(&answer.body[..])).unwrap();
            assert_eq!(Value::from_json(plain.as_bytes()).unwrap().at(&["data"]), map.at(&["data"]));
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_however_it_is_sent() {
    let production = production(|_| {}).await;
    let client = production.client();
    let huge = vec![b' '; 10_000_000];
    let mut bomb = client.request("POST", MAPS, gzip(&huge));
    bomb.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    let pieces: Vec<_> =
        huge.chunks(65536).map(|piece| Ok::<_, String>(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    let (head, _) = client.request("POST", MAPS, "").into_parts();
    let chunked = http::Request::from_parts(head, StreamBody::new(stream::iter(pieces)));
    let bomb = client.send(bomb).await;
    assert_eq!((bomb.code, bomb.message().as_str()), (413, "Request entity too large: limit is 3145728"));
    // The answer comes while the client still sends; some clients see only that the connection is closed.
    let stream = hyper_util::rt::TokioIo::new(client.tls("http/1.1").await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    match sender.send_request(chunked).await {
        Ok(answer) => assert_eq!(answer.status(), 413),
        Err(error) => assert!(!error.is_timeout(), "{error}"),
    }
    assert_eq!(client.get(MAPS).await.json().at(&["items"]).items().len(), 0);
}

#[tokio::test]
async fn what_could_be_read_as_two_requests_is_read_as_none() {
    let production = production(|_| {}).await;
    let client = production.client();
    let token = &client.token;
    let body = config_map("smuggled").to_json();
    let length = body.len();
    let hidden = format!(
        "POST {MAPS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let hidden_length = hidden.len();
    for (shape, headers) in [
        ("two lengths", format!("Content-Length: 0\r\nContent-Length: {hidden_length}\r\n")),
        ("a length that is no number", "Content-Length: +0\r\n".to_owned()),
        ("a length in a list", format!("Content-Length: 0, {hidden_length}\r\n")),
        ("a coding that is not chunked at last", "Transfer-Encoding: chunked, identity\r\n".to_owned()),
        ("a coding that is almost chunked", "Transfer-Encoding: xchunked\r\n".to_owned()),
        ("a space before the colon", "Content-Length : 0\r\n".to_owned()),
        ("a folded header", "X: a\r\n Content-Length: 0\r\n".to_owned()),
        ("a zero byte", "X: a\0b\r\n".to_owned()),
    ] {
        let head = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{headers}\r\n");
        let answer = client.raw(format!("{head}{hidden}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400") || answer.is_empty(), "{shape}: {answer}");
        assert!(!answer.contains("201 Created"), "{shape}: {answer}");
    }
    // With both, the chunks count, and what follows them is a request of its own: it is not part of the first.
    let both = format!(
        "POST {MAPS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
    );
    let answer = client.raw(both.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(client.get(MAPS).await.json().at(&["items"]).items().len(), 0);
}

#[tokio::test]
async fn a_watch_streams_what_happens_and_ends_when_its_time_is_over() {
    let production = production(|_| {}).await;
    let client = production.client();
    let mut lines = Lines::new(client.open(client.request("GET", &format!("{MAPS}?watch=1"), "")).await);
    client.post(MAPS, &config_map("a")).await;
    let event = lines.next().await.unwrap();
    assert_eq!((event.at(&["type"]).str_or_empty(), event.at(&["object"]).name()), ("ADDED", "a"));
    client.delete(&format!("{MAPS}/a")).await;
    assert_eq!(lines.next().await.unwrap().at(&["type"]).str_or_empty(), "DELETED");

    let mut short =
        Lines::new(client.open(client.request("GET", &format!("{MAPS}?watch=1&timeoutSeconds=1"), "")).await);
    assert!(short.next().await.is_none());
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends_its_watches() {
    let production = production(|_| {}).await;
    let client = production.client();
    let mut lines = Lines::new(client.open(client.request("GET", &format!("{MAPS}?watch=1"), "")).await);
    production.served.handle.stop().await;
    assert!(lines.next().await.is_none());
}

#[tokio::test]
async fn who_has_no_token_or_a_wrong_one_gets_no_further() {
    let production = production(|_| {}).await;
    let mut client = production.client();
    client.token = "wrong".to_owned();
    let wrong = client.get(MAPS).await;
    assert_eq!((wrong.code, wrong.message().as_str()), (401, "Unauthorized"));
}

#[tokio::test]
async fn a_service_account_is_known_by_the_token_it_was_given() {
    let production = production(|_| {}).await;
    let mut client = production.client();
    let accounts = "/api/v1/namespaces/shop/serviceaccounts";
    let account = doc!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}});
    assert_eq!(client.post(accounts, &account).await.code, 201);
    let asked = doc!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let given = client.post(&format!("{accounts}/bot/token"), &asked).await;
    assert_eq!(given.code, 201, "{:?}", given.body);
    client.token = given.json().at(&["status", "token"]).str_or_empty().to_owned();
    let refused = client.get(MAPS).await;
    assert_eq!(refused.code, 403);
    assert!(refused.message().contains("system:serviceaccount:shop:bot"), "{}", refused.message());
}

#[tokio::test]
async fn the_clock_moves_only_when_told_to_once_someone_has_told_it() {
    let production = production(|_| {}).await;
    let client = production.client();
    let tell = async |order: Value| client.post("/lazaret/clock", &order).await;
    let settled = tell(doc!({"settle": true, "limitSeconds": 5})).await;
    assert_eq!(settled.code, 200, "{:?}", settled.body);
    let now = |answer: &support::Answered| cluster::time::parse(answer.json().at(&["now"]).str_or_empty()).unwrap();
    let (one, two) = (tell(doc!({"advanceSeconds": 5})).await, tell(doc!({"advanceSeconds": 0})).await);
    assert_eq!(now(&one), now(&two));
    assert!(now(&one).since(now(&settled)).as_secs() >= 5);
    assert_eq!(tell(doc!({"advanceSeconds": (-1)})).await.code, 400);
    assert_eq!(tell(doc!({})).await.code, 400);
    let mut alice = production.client();
    alice.token = "alice".to_owned();
    assert_eq!(alice.post("/lazaret/clock", &doc!({"advanceSeconds": 1})).await.code, 403);
}
