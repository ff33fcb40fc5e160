use super::*;
use crate::apiserver::{Options, Output, Subject, Verb};
use crate::schema::source;

fn get(cluster: &Cluster, path: &str, accept: &str) -> Answer {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let others = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let call = Call {
        verb: Verb::Get,
        on: Subject { path: path.into(), ..Subject::default() },
        options: Options { others: others.map(|(k, v)| (k.into(), v.into())).collect(), ..Options::default() },
        body: Value::Null,
        faults: Vec::new(),
        output: Output { accept: accept.into(), ..Output::default() },
        user_agent: String::new(),
        impersonate: None,
    };
    answer(cluster, &call)
}

/// What is answered, as bytes.
pub(crate) fn json(cluster: &Cluster, path: &str) -> Bytes {
    match get(cluster, path, "application/json").content {
        Content::Document(document) => document.to_json_bytes().into(),
        Content::Raw { bytes, .. } => bytes,
        content => panic!("{content:?}"),
    }
}

fn cluster() -> Cluster {
    Cluster::new(Schema::default(), twin::Time::from_millis(0), 1)
}

fn text(answer: Answer) -> (u16, String) {
    match answer.content {
        Content::Raw { bytes, .. } => (answer.code, String::from_utf8(bytes.to_vec()).unwrap()),
        content => panic!("{content:?}"),
    }
}

/// The first place where two documents differ.
fn difference(path: &str, want: &Value, got: &Value) -> Option<String> {
    if want == got {
        return None;
    }
    for (key, value) in want.entries() {
        if let Some(found) = difference(&format!("{path}.{key}"), value, got.at(&[key])) {
            return Some(found);
        }
    }
    for (at, (one, two)) in want.items().iter().zip(got.items()).enumerate() {
        if let Some(found) = difference(&format!("{path}[{at}]"), one, two) {
            return Some(found);
        }
    }
    Some(format!("{path}: {want} is {got}"))
}

#[test]
fn discovery_equals_what_the_real_server_answered() {
    let cluster = cluster();
    let mut seen = 0;
    for (path, body) in source::built_in_answers().filter(|(path, _)| !path.starts_with("/openapi/")) {
        let want = Value::from_json(&body).unwrap();
        let got = match get(&cluster, &path, "application/json").content {
            Content::Document(document) => document,
            Content::Raw { bytes, .. } => Value::from_json(&bytes).unwrap(),
            Content::Watch(_) => panic!("{path} is no watch"),
        };
        assert_eq!(difference(&path, &want, &got), None);
        seen += 1;
    }
    assert!(seen > 40);
}

#[test]
fn aggregated_discovery_equals_what_the_real_server_answered() {
    let cluster = cluster();
    let kubectl = format!(
        "{AGGREGATED},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
    );
    for (path, want) in source::answers(include_bytes!("aggregated.gz")) {
        let answer = get(&cluster, &path, &kubectl);
        assert!(answer.headers.iter().any(|(name, _)| *name == "ETag"));
        let got = Value::from_json(text(answer).1.as_bytes()).unwrap();
        assert_eq!(difference(&path, &Value::from_json(&want).unwrap(), &got), None);
    }
}

#[test]
fn the_form_of_discovery_is_the_first_that_the_client_takes_and_we_speak() {
    let cases = [
        ("application/json", false),
        ("", false),
        ("*/*", false),
        (AGGREGATED, true),
        ("application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io;profile=nopeer", true),
        ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", false),
        ("application/json, application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", false),
    ];
    for (accept, want) in cases {
        assert_eq!(wants_aggregated(accept), want, "{accept}");
    }
}

#[test]
fn health_is_ok_and_lists_its_checks_when_asked() {
    let cluster = cluster();
    for path in ["/healthz", "/livez", "/readyz", "/livez/ping", "/readyz/poststarthook/rbac/bootstrap-roles"] {
        assert_eq!(text(get(&cluster, path, "")), (200, "ok".to_owned()), "{path}");
    }
    for path in ["/healthz/none", "/nowhere", "/apis/none", "/apis/none/v1"] {
        assert_eq!(text(get(&cluster, path, "")), (404, "404 page not found\n".to_owned()), "{path}");
    }
    for path in ["/apis/apps/v2", "/api/v2"] {
        let refusal = get(&cluster, path, "");
        assert_eq!(refusal.code, 404);
        assert_eq!(refusal.into_document(), Some(Status::no_such_path().to_value()), "{path}");
    }
    let (_, verbose) = text(get(&cluster, "/readyz?verbose&exclude=etcd", ""));
    assert!(verbose.starts_with("[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\n[+]"), "{verbose}");
    assert!(verbose.ends_with("\nreadyz check passed\n"), "{verbose}");
}

#[test]
fn openapi_documents_are_kept_by_their_hash() {
    let cluster = cluster();
    let (code, index) = text(get(&cluster, "/openapi/v3", "application/json"));
    assert_eq!(code, 200);
    let index = Value::from_json(index.as_bytes()).unwrap();
    let url = index.at(&["paths", "apis/apps/v1", "serverRelativeURL"]).str_or_empty();
    let kept = get(&cluster, url, "application/json");
    assert!(kept.headers.iter().any(|(_, value)| value == "public, immutable"));
    let document = Value::from_json(text(kept).1.as_bytes()).unwrap();
    assert!(document.at(&["paths", "/apis/apps/v1/namespaces/{namespace}/deployments", "post"]).as_object().is_some());

    let moved = get(&cluster, "/openapi/v3/apis/apps/v1?hash=old", "application/json");
    assert_eq!((moved.code, moved.headers[0].1.as_str()), (301, url));
    let protobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    assert_eq!(get(&cluster, "/openapi/v2", protobuf).code, 406);
}

#[test]
fn openapi_v2_says_what_v3_does_in_the_older_words() {
    let read = Value::from_json(&json(&cluster(), "/openapi/v2")).unwrap();
    let definition = |name: &str| read.at(&["definitions", name]);
    let quantity = doc!({"type": "string"});
    assert_eq!(definition("io.k8s.apimachinery.pkg.api.resource.Quantity"), &quantity);
    let port = doc!({"type": "string", "format": "int-or-string"});
    assert_eq!(definition("io.k8s.apimachinery.pkg.util.intstr.IntOrString"), &port);
    let strategy = definition("io.k8s.api.apps.v1.DeploymentSpec").at(&["properties", "strategy"]);
    let want = doc!({"$ref": "#/definitions/io.k8s.api.apps.v1.DeploymentStrategy", "x-kubernetes-patch-strategy": "retainKeys"});
    assert_eq!(strategy, &want);
    let create = read.at(&["paths", "/apis/apps/v1/namespaces/{namespace}/deployments", "post"]);
    let body = doc!({"name": "body", "in": "body", "required": true, "schema": {"$ref": "#/definitions/io.k8s.api.apps.v1.Deployment"}});
    assert_eq!(create.at(&["parameters"]).items()[0], body);
    let dry_run = doc!({"name": "dryRun", "in": "query", "type": "string", "uniqueItems": true});
    assert_eq!(create.at(&["parameters"]).items()[1], dry_run);

    let text = read.to_json();
    assert!(
        !text.contains("#/components") && !text.contains("\"nullable\":true,") && !text.contains("\"requestBody\"")
    );
    for reference in text.split("#/definitions/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(!definition(reference).is_null(), "{reference}");
    }
}
