//! Laws that hold for whatever is asked of an API server, tried on requests made up at random.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use cluster::apiserver::{self, Answer, Content, Request, User, Watch};
use cluster::{Cluster, Schema, Value, doc};
use proptest::prelude::*;
use twin::Time;

/// One write to a ConfigMap of a few names: to have these labels, or to be gone.
#[derive(Clone, Debug)]
struct Write {
    name: u8,
    label: Option<u8>,
}

fn write() -> impl Strategy<Value = Write> {
    (0..6u8, prop::option::weighted(0.8, 0..3u8)).prop_map(|(name, label)| Write { name, label })
}

fn empty() -> Cluster {
    let mut cluster = Cluster::new(Schema::default(), Time::from_millis(1_700_000_000_000), 1);
    send(&mut cluster, "POST", "/api/v1/namespaces", &doc!({"metadata": {"name": "shop"}}));
    cluster
}

fn ask(cluster: &mut Cluster, method: &str, target: &str, body: &Value) -> Result<Answer, apiserver::Status> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let bytes = if body.is_null() { Vec::new() } else { body.to_json_bytes() };
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let request = Request { method, path, query, headers: &headers, body: &bytes };
    let call = apiserver::decode(&cluster.schema.clone(), &request)?;
    apiserver::handle(cluster, &call, &User::admin())
}

fn send(cluster: &mut Cluster, method: &str, target: &str, body: &Value) -> Value {
    ask(cluster, method, target, body).unwrap().into_document().unwrap_or_default()
}

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn apply(cluster: &mut Cluster, write: &Write) {
    let name = format!("m{}", write.name);
    let there = ask(cluster, "GET", &format!("{MAPS}/{name}"), &Value::Null).is_ok();
    match (write.label, there) {
        (Some(label), _) => {
            let object = doc!({"metadata": {"name": (&name), "labels": {"q": (label.to_string())}}});
            let (method, target) = if there { ("PUT", format!("{MAPS}/{name}")) } else { ("POST", MAPS.to_owned()) };
            send(cluster, method, &target, &object);
        }
        (None, true) => {
            send(cluster, "DELETE", &format!("{MAPS}/{name}"), &Value::Null);
        }
        (None, false) => {}
    }
}

/// `name=label` of each object in a list, in its order.
fn shown(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| format!("{}={}", item.name(), item.label("q").unwrap_or("?"))).collect()
}

fn list(cluster: &mut Cluster, query: &str) -> (Vec<String>, Value) {
    let list = send(cluster, "GET", &format!("{MAPS}?{query}"), &Value::Null);
    (shown(list.at(&["items"]).items()), list.at(&["metadata"]).clone())
}

fn watch(cluster: &mut Cluster, query: &str) -> Watch {
    let answer = ask(cluster, "GET", &format!("{MAPS}?watch=true&{query}"), &Value::Null).unwrap();
    let Content::Watch(watch) = answer.content else { panic!("a watch was asked for") };
    watch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn who_follows_a_watch_sees_what_a_list_shows(writes in prop::collection::vec(write(), 1..24), q in 0..3u8) {
        let mut cluster = empty();
        let since = cluster.version();
        let mut follower = watch(&mut cluster, &format!("labelSelector=q%3D{q}&resourceVersion={since}"));
        let mut seen = std::collections::BTreeMap::new();
        for write in &writes {
            apply(&mut cluster, write);
            for event in follower.poll(&cluster).unwrap() {
                let object = event.at(&["object"]);
                let known = seen.contains_key(object.name());
                match event.at(&["type"]).str_or_empty() {
                    "ADDED" => prop_assert!(!known),
                    "MODIFIED" => prop_assert!(known),
                    _ => {
                        prop_assert!(known);
                        seen.remove(object.name());
                        continue;
                    }
                }
                seen.insert(object.name().to_owned(), format!("{}={q}", object.name()));
            }
            let (listed, _) = list(&mut cluster, &format!("labelSelector=q%3D{q}"));
            prop_assert_eq!(&listed, &seen.values().cloned().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_list_at_a_version_is_the_list_that_was(writes in prop::collection::vec(write(), 1..16)) {
        let mut cluster = empty();
        let mut lists = Vec::new();
        for write in &writes {
            apply(&mut cluster, write);
            let (shown, metadata) = list(&mut cluster, "");
            lists.push((metadata.at(&["resourceVersion"]).str_or_empty().to_owned(), shown));
        }
        for (version, want) in lists {
            let query = format!("resourceVersion={version}&resourceVersionMatch=Exact");
            prop_assert_eq!(list(&mut cluster, &query).0, want);
        }
    }

    #[test]
    fn pages_cover_the_list_as_it_was_when_they_began(
        before in prop::collection::vec(write(), 1..16),
        during in prop::collection::vec(write(), 0..8),
        limit in 1..4usize,
    ) {
        let mut cluster = empty();
        before.iter().for_each(|write| apply(&mut cluster, write));
        let (want, _) = list(&mut cluster, "");
        let (mut got, mut token, mut during) = (Vec::new(), String::new(), during.iter());
        loop {
            let (page, metadata) = list(&mut cluster, &format!("limit={limit}&continue={token}"));
            prop_assert!(page.len() <= limit);
            got.extend(page);
            token = metadata.at(&["continue"]).str_or_empty().to_owned();
            if token.is_empty() {
                break;
            }
            let left = metadata.at(&["remainingItemCount"]).as_int().and_then(|left| usize::try_from(left).ok());
            prop_assert_eq!(left, Some(want.len() - got.len()));
            during.next().into_iter().for_each(|write| apply(&mut cluster, write));
        }
        prop_assert_eq!(got, want);
    }

    #[test]
    fn a_fork_and_its_origin_never_hear_of_each_other(
        before in prop::collection::vec(write(), 0..8),
        here in prop::collection::vec(write(), 0..8),
        there in prop::collection::vec(write(), 0..8),
    ) {
        let run = |parts: &[&Vec<Write>]| {
            let mut cluster = empty();
            parts.iter().flat_map(|part| part.iter()).for_each(|write| apply(&mut cluster, write));
            list(&mut cluster, "").0
        };
        let mut origin = empty();
        before.iter().for_each(|write| apply(&mut origin, write));
        let mut fork = origin.clone();
        for at in 0..here.len().max(there.len()) {
            here.get(at).into_iter().for_each(|write| apply(&mut origin, write));
            there.get(at).into_iter().for_each(|write| apply(&mut fork, write));
        }
        prop_assert_eq!(list(&mut origin, "").0, run(&[&before, &here]));
        prop_assert_eq!(list(&mut fork, "").0, run(&[&before, &there]));
    }
}

/// A path, query and body that decode, or do not.
fn request() -> impl Strategy<Value = (String, String, String)> {
    let target = prop::sample::select(vec![
        "/api/v1/namespaces/shop/configmaps",
        "/api/v1/namespaces/shop/configmaps/a",
        "/api/v1/watch/namespaces/shop/pods/p",
        "/api/v1/namespaces/shop",
        "/api/v1/namespaces/shop/pods/p/exec",
        "/api/v1/namespaces/shop/services/s:80/proxy/a/b/",
        "/apis/apps/v1/deployments",
        "/apis/apps/v1/namespaces/shop/deployments/a/scale",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aa%25",
        "/apis/nothing.example.com/v1/things",
        "/openapi/v3/apis/apps/v1",
        "/",
    ]);
    let parameter = prop::sample::select(vec![
        "limit=3",
        "limit=-1",
        "watch=1",
        "labelSelector=a%3Db%2C%21c",
        "fieldSelector=metadata.name%3Da",
        "dryRun=All",
        "fieldManager=me",
        "fieldValidation=Strict",
        "propagationPolicy=Orphan",
        "gracePeriodSeconds=0",
        "resourceVersion=5",
        "sendInitialEvents=true",
        "resourceVersionMatch=NotOlderThan",
        "command=ls",
        "command=-l",
        "x=%C3%A4+b",
        "pretty=true",
        "orphanDependents=false",
        "force=true",
        "timeoutSeconds=9",
        "includeObject=None",
    ]);
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "PATCH"]);
    (method, target, prop::collection::vec(parameter, 0..4))
        .prop_map(|(method, target, query)| (method.to_owned(), target.to_owned(), query.join("&")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_call_encodes_to_the_request_that_decodes_to_it((method, path, query) in request(), deletes in any::<bool>()) {
        let schema = Schema::default();
        let body = match method.as_str() {
            "DELETE" if deletes => r#"{"preconditions":{"uid":"u"},"propagationPolicy":"Foreground"}"#,
            "POST" | "PUT" | "PATCH" => r#"{"metadata":{"name":"a"}}"#,
            _ => "",
        };
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let headers = [
            ("content-type".to_owned(), kind.to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
            ("impersonate-user".to_owned(), "eve".to_owned()),
            ("impersonate-extra-a%2fb".to_owned(), "c".to_owned()),
        ];
        let request = Request { method: &method, path: &path, query: &query, headers: &headers, body: body.as_bytes() };
        let Ok(call) = apiserver::decode(&schema, &request) else { return Ok(()) };
        let sent = apiserver::encode_call(&call);
        let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
        let again = Request { method: sent.method, path, query, headers: &sent.headers, body: &sent.body };
        let mut decoded = apiserver::decode(&schema, &again).unwrap();
        // How the answer is laid out is between the client and us.
        decoded.options.pretty = call.options.pretty;
        prop_assert_eq!(decoded, call);
    }
}
