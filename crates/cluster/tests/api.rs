//! What a client sees of the API server, from bytes to bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use cluster::apiserver::{self, Body, Output, Request, User};
use cluster::{Cluster, Schema, Value, doc};
use twin::Time;

struct Api(Cluster);

impl Api {
    fn new() -> Self {
        let mut api = Self(Cluster::new(Schema::default(), Time::from_millis(1_700_000_000_000), 1));
        api.ok("POST", "/api/v1/namespaces", &doc!({"metadata": {"name": "shop"}}));
        api
    }

    fn send(&mut self, method: &str, target: &str, kind: &str, body: &[u8]) -> (u16, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = [("content-type".to_owned(), kind.to_owned()), ("user-agent".to_owned(), "test/1".to_owned())];
        let request = Request { method, path, query, headers: &headers, body };
        let result = apiserver::decode(&self.0.schema.clone(), &request).and_then(|call| {
            // Whatever is decoded can be sent on, and is then decoded as the same.
            let again = apiserver::encode_call(&call);
            let (path, query) = again.target.split_once('?').unwrap_or((&again.target, ""));
            let resent = Request { method: again.method, path, query, headers: &again.headers, body: &again.body };
            let mut second = apiserver::decode(&self.0.schema.clone(), &resent)?;
            second.faults.clone_from(&call.faults);
            second.options.pretty = call.options.pretty;
            assert_eq!(second, call);
            apiserver::handle(&mut self.0, &call, &User::admin())
        });
        let encoded = apiserver::encode(&result, &Output::default());
        let Body::Bytes(bytes) = encoded.body else { return (encoded.code, Value::Null) };
        (encoded.code, Value::from_json(&bytes).unwrap_or_default())
    }

    fn ok(&mut self, method: &str, target: &str, body: &Value) -> Value {
        let (code, answer) = self.send(method, target, "application/json", body.to_json().as_bytes());
        assert!(code < 300, "{method} {target}: {code} {answer}");
        answer
    }

    fn refused(&mut self, method: &str, target: &str, body: &Value) -> String {
        let (code, answer) = self.send(method, target, "application/json", body.to_json().as_bytes());
        format!("{code} {}: {}", answer.at(&["reason"]).str_or_empty(), answer.at(&["message"]).str_or_empty())
    }
}

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

#[test]
fn an_object_is_made_read_changed_and_removed() {
    let mut api = Api::new();
    let made = api.ok("POST", MAPS, &doc!({"metadata": {"name": "a"}, "data": {"x": "1"}}));
    assert_eq!((made.kind(), made.api_version(), made.uid().len()), ("ConfigMap", "v1", 36));
    let (_, patched) =
        api.send("PATCH", &format!("{MAPS}/a"), "application/merge-patch+json", br#"{"data":{"y":"2"}}"#);
    assert_eq!(patched.at(&["data"]), &doc!({"x": "1", "y": "2"}));
    let mut replaced = patched.clone();
    replaced.set(&["data"], doc!({}));
    api.ok("PUT", &format!("{MAPS}/a"), &replaced);
    assert!(
        api.refused("PUT", &format!("{MAPS}/a"), &replaced).starts_with("409 Conflict: Operation cannot be fulfilled")
    );
    let gone = api.ok("DELETE", &format!("{MAPS}/a"), &Value::Null);
    assert_eq!(gone.at(&["status"]), &Value::from("Success"));
    assert_eq!(api.refused("GET", &format!("{MAPS}/a"), &Value::Null), r#"404 NotFound: configmaps "a" not found"#);
}

#[test]
fn writing_what_is_there_already_keeps_the_version() {
    let mut api = Api::new();
    let made = api.ok("POST", MAPS, &doc!({"metadata": {"name": "a"}, "data": {"x": "1"}}));
    let again = api.ok("PUT", &format!("{MAPS}/a"), &made);
    assert_eq!(made.resource_version(), again.resource_version());
}

#[test]
fn a_dry_run_stores_nothing() {
    let mut api = Api::new();
    let before = api.0.version();
    api.ok("POST", &format!("{MAPS}?dryRun=All"), &doc!({"metadata": {"name": "a"}}));
    assert_eq!(api.0.version(), before);
}

#[test]
fn the_generation_counts_changes_of_what_is_wanted_and_nothing_else() {
    let mut api = Api::new();
    let path = "/apis/apps/v1/namespaces/shop/deployments";
    let template =
        doc!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}});
    let made = api.ok(
        "POST",
        path,
        &doc!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": (template)}}),
    );
    assert_eq!((made.generation(), made.at(&["spec", "replicas"]).as_int()), (1, Some(1)));
    let patch = |api: &mut Api, to: &str, body: &str| {
        api.send("PATCH", &format!("{path}/web{to}"), "application/merge-patch+json", body.as_bytes()).1
    };
    assert_eq!(patch(&mut api, "", r#"{"metadata":{"labels":{"a":"b"}}}"#).generation(), 1);
    assert_eq!(patch(&mut api, "/status", r#"{"status":{"replicas":3},"spec":{"replicas":9}}"#).generation(), 1);
    let scale = patch(&mut api, "/scale", r#"{"spec":{"replicas":4}}"#);
    assert_eq!((scale.kind(), scale.at(&["spec", "replicas"]).as_int()), ("Scale", Some(4)));
    let after = api.ok("GET", &format!("{path}/web"), &Value::Null);
    assert_eq!((after.generation(), after.at(&["status", "replicas"]).as_int()), (2, Some(3)));
}

#[test]
fn pages_cover_exactly_the_list() {
    let mut api = Api::new();
    for number in 0..7 {
        api.ok("POST", MAPS, &doc!({"metadata": {"name": (format!("m{number}")), "labels": {"odd": (if number % 2 == 1 { "y" } else { "n" })}}}));
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let target = format!("{MAPS}?limit=3&continue={token}");
        let page = api.ok("GET", &target, &Value::Null);
        names.extend(page.at(&["items"]).items().iter().map(|item| item.name().to_owned()));
        token = page.at(&["metadata", "continue"]).str_or_empty().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
    let odd = api.ok("GET", &format!("{MAPS}?labelSelector=odd%3Dy"), &Value::Null);
    assert_eq!(odd.at(&["items"]).items().len(), 3);
    let one = api.ok("GET", &format!("{MAPS}?fieldSelector=metadata.name%3Dm2"), &Value::Null);
    assert_eq!(one.at(&["items"]).items().len(), 1);
}

#[test]
fn what_is_ambiguous_or_unknown_is_refused() {
    let mut api = Api::new();
    let none = Value::Null;
    let cases = [
        ("GET", "/api/v1/namespaces/shop/nothings", "404 NotFound: the server could not find the requested resource"),
        (
            "POST",
            "/api/v1/pods",
            "405 MethodNotAllowed: the server does not allow this method on the requested resource",
        ),
        ("GET", "/api/v1/namespaces/../pods", "400 BadRequest: "),
        ("GET", "/api/v1/namespaces/a%2Fb/pods", "400 BadRequest: "),
        ("GET", "/api/v1//pods", "400 BadRequest: "),
        ("GET", "/api/v1/pods?labelSelector=a%3Db,", "400 BadRequest: "),
        ("GET", "/api/v1/pods?fieldSelector=spec.color%3Dred", "400 BadRequest: field label not supported: spec.color"),
        ("GET", "/apis/apps/v1/deployments?fieldSelector=a%3Db", "400 BadRequest: \"a\" is not a known field selector"),
    ];
    for (method, target, want) in cases {
        let said = api.refused(method, target, &none);
        assert!(said.starts_with(want), "{target}: {said}");
    }
    for body in [&b"{"[..], b"[1]", b"\xff", b"{\"metadata\":{\"name\":\"a\"}}x", &[b'['; 5000]] {
        assert_eq!(api.send("POST", MAPS, "application/json", body).0, 400);
    }
    assert_eq!(api.send("POST", MAPS, "text/csv", b"a").0, 415);
}

#[test]
fn a_finalizer_keeps_an_object_until_it_is_taken_away() {
    let mut api = Api::new();
    api.ok("POST", MAPS, &doc!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}}));
    let kept = api.ok("DELETE", &format!("{MAPS}/a"), &Value::Null);
    assert!(kept.is_terminating());
    let patch = br#"{"metadata":{"finalizers":null}}"#;
    assert_eq!(api.send("PATCH", &format!("{MAPS}/a"), "application/merge-patch+json", patch).0, 200);
    assert!(api.refused("GET", &format!("{MAPS}/a"), &Value::Null).starts_with("404"));
}

#[test]
fn what_field_validation_warns_of_is_told_with_a_refusal_too() {
    let mut api = Api::new();
    let request =
        |body: &'static [u8], query: &'static str| Request { method: "POST", path: MAPS, query, headers: &[], body };
    let mut answer = |request: Request<'_>| {
        let schema = api.0.schema.clone();
        let result =
            apiserver::decode(&schema, &request).and_then(|call| apiserver::handle(&mut api.0, &call, &User::admin()));
        let encoded = apiserver::encode(&result, &Output::default());
        let warnings: Vec<String> =
            encoded.headers.iter().filter(|(name, _)| *name == "Warning").map(|(_, text)| text.clone()).collect();
        (encoded.code, warnings)
    };
    let twice = r#"299 - "duplicate field \"data.x\"""#.to_owned();
    let unknown = r#"299 - "unknown field \"dta\"""#.to_owned();
    let body = br#"{"metadata":{"name":"w"},"dta":{},"data":{"x":"1","x":"2"}}"#;
    assert_eq!(answer(request(body, "")), (201, vec![unknown.clone(), twice.clone()]));
    assert_eq!(answer(request(body, "")), (409, vec![unknown, twice]));
    assert_eq!(answer(request(body, "fieldValidation=Ignore")), (409, Vec::new()));
    assert_eq!(answer(request(body, "fieldValidation=Strict")), (400, Vec::new()));
}

#[test]
fn a_patch_whose_result_is_no_such_object_is_refused_with_what_it_made() {
    let mut api = Api::new();
    api.ok("POST", MAPS, &doc!({"metadata": {"name": "a"}}));
    let path = format!("{MAPS}/a");
    let mut message = |kind: &str, body: &[u8]| {
        let (code, answer) = api.send("PATCH", &path, kind, body);
        (code, answer.at(&["message"]).str_or_empty().to_owned())
    };
    let (code, text) = message("application/merge-patch+json", br#"{"data":{"x":1}}"#);
    assert_eq!(code, 422);
    assert!(
        text.ends_with("json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        "{text}"
    );
    assert!(
        text.starts_with(r#" "" is invalid: patch: Invalid value: "{\"apiVersion\":\"v1\",\"data\":{\"x\":1}"#),
        "{text}"
    );
    let (code, text) = message("application/strategic-merge-patch+json", br#"{"data":{"x":1}}"#);
    let want = r#" "" is invalid: patch: Invalid value: "map[data:map[x:1]]": cannot convert int64 to string"#;
    assert_eq!((code, text.as_str()), (422, want));
}

#[test]
fn a_pod_that_is_written_again_without_what_admission_gave_it_keeps_it() {
    let mut api = Api::new();
    let path = "/api/v1/namespaces/shop/pods";
    let pod = doc!({"metadata": {"name": "p"}, "spec": {
        "containers": [{"name": "c", "image": "nginx"}], "automountServiceAccountToken": false, "schedulerName": "none",
        "serviceAccountName": "default",
    }});
    api.ok("POST", "/api/v1/namespaces/shop/serviceaccounts", &doc!({"metadata": {"name": "default"}}));
    let made = api.ok("POST", path, &pod);
    let mut again = pod.clone();
    again.set(&["metadata", "labels", "a"], "b");
    let written = api.ok("PUT", &format!("{path}/p"), &again);
    for field in ["tolerations", "priority", "preemptionPolicy"] {
        assert_eq!(written.at(&["spec", field]), made.at(&["spec", field]), "{field}");
        assert!(!made.at(&["spec", field]).is_null(), "{field}");
    }
}

#[test]
fn a_node_is_new_without_being_ready_and_without_what_is_switched_off() {
    let mut api = Api::new();
    let made = api.ok("POST", "/api/v1/nodes", &doc!({"metadata": {"name": "n"}, "spec": {"configSource": {}}}));
    let want = doc!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]});
    assert_eq!(made.at(&["spec"]), &want);
    let lease =
        doc!({"metadata": {"name": "l"}, "spec": {"strategy": "OldestEmulationVersion", "holderIdentity": "me"}});
    let made = api.ok("POST", "/apis/coordination.k8s.io/v1/namespaces/shop/leases", &lease);
    assert_eq!(made.at(&["spec"]), &doc!({"holderIdentity": "me"}));
}

#[test]
fn a_token_is_bound_to_what_is_there_and_lives_ten_minutes_at_least() {
    let mut api = Api::new();
    api.ok("POST", "/api/v1/namespaces/shop/serviceaccounts", &doc!({"metadata": {"name": "bot"}}));
    let path = "/api/v1/namespaces/shop/serviceaccounts/bot/token";
    let cases = [
        (
            doc!({"expirationSeconds": 60}),
            "422 Invalid: TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes",
        ),
        (
            doc!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}),
            "404 NotFound: pods \"none\" not found",
        ),
        (
            doc!({"boundObjectRef": {"kind": "Job", "apiVersion": "batch/v1", "name": "j"}}),
            "400 BadRequest: cannot bind token to object of type batch/v1, Kind=Job",
        ),
    ];
    for (spec, want) in cases {
        assert_eq!(api.refused("POST", path, &doc!({"spec": (spec)})), want);
    }
    api.ok("POST", path, &doc!({"spec": {"expirationSeconds": 600}}));
}

#[test]
fn whoever_asks_for_a_certificate_is_named_as_who_asks() {
    let mut api = Api::new();
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let pem = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K";
    let made = api.ok(
        "POST",
        path,
        &doc!({"metadata": {"name": "c"}, "spec": {
            "request": (pem), "signerName": "example.com/serving", "usages": ["client auth"], "username": "somebody",
        }}),
    );
    assert_eq!(made.at(&["spec", "username"]), &Value::from(User::admin().name));
    let mut other = made.clone();
    other.set(&["spec", "usages"], doc!(["server auth"]));
    assert_eq!(api.ok("PUT", &format!("{path}/c"), &other).at(&["spec"]), made.at(&["spec"]));
}

const STRATEGIC: &str = "application/strategic-merge-patch+json";

#[test]
fn containers_are_put_into_a_running_pod_and_stay_as_they_are() {
    let mut api = Api::new();
    api.ok("POST", "/api/v1/namespaces/shop/serviceaccounts", &doc!({"metadata": {"name": "default"}}));
    let pod = doc!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}});
    api.ok("POST", "/api/v1/namespaces/shop/pods", &pod);
    let path = "/api/v1/namespaces/shop/pods/p/ephemeralcontainers";
    let mut patch = |container: Value| {
        let body = doc!({"spec": {"ephemeralContainers": [(container)], "nodeName": "ignored"}});
        let (code, answer) = api.send("PATCH", path, STRATEGIC, body.to_json().as_bytes());
        (code, answer)
    };
    let (code, answer) = patch(doc!({"name": "dbg", "image": "busybox", "targetContainerName": "c"}));
    assert_eq!((code, answer.at(&["spec", "nodeName"])), (200, &Value::Null), "{answer}");
    let list = answer.at(&["spec", "ephemeralContainers"]).items();
    assert_eq!(list.iter().map(|one| one.at(&["name"]).str_or_empty()).collect::<Vec<_>>(), ["dbg"]);
    let (code, answer) = patch(doc!({"name": "dbg", "image": "other"}));
    let message = answer.at(&["message"]).str_or_empty();
    assert!(code == 422 && message.contains("existing ephemeral containers \"dbg\" may not be changed"), "{message}");
    let (code, answer) = patch(doc!({"name": "c", "image": "busybox", "targetContainerName": "none"}));
    let message = answer.at(&["message"]).str_or_empty();
    assert!(code == 422 && message.contains("ephemeralContainers[0].name: Duplicate value: \"c\""), "{message}");
    assert!(message.contains("targetContainerName: Not found: \"none\""), "{message}");
}

#[test]
fn what_a_running_pod_asks_for_changes_through_resize_alone() {
    let mut api = Api::new();
    api.ok("POST", "/api/v1/namespaces/shop/serviceaccounts", &doc!({"metadata": {"name": "default"}}));
    let pod = doc!({"metadata": {"name": "p"}, "spec": {
        "containers": [{"name": "c", "image": "nginx", "resources": {"requests": {"cpu": "100m"}}}],
    }});
    api.ok("POST", "/api/v1/namespaces/shop/pods", &pod);
    let mut patch = |path: &str, resources: Value| {
        let body = doc!({"spec": {"containers": [{"name": "c", "resources": (resources)}]}});
        let (code, answer) = api.send("PATCH", path, STRATEGIC, body.to_json().as_bytes());
        (code, answer.at(&["message"]).str_or_empty().to_owned())
    };
    let (main, resize) = ("/api/v1/namespaces/shop/pods/p", "/api/v1/namespaces/shop/pods/p/resize");
    assert_eq!(patch(main, doc!({"requests": {"cpu": "200m"}})).0, 422);
    assert_eq!(patch(resize, doc!({"requests": {"cpu": "200m"}})), (200, String::new()));
    let (code, message) = patch(resize, doc!({"requests": null}));
    assert!(code == 422 && message.contains("Pod QOS Class may not change as a result of resizing"), "{message}");
    let (code, message) = patch(resize, doc!({"requests": {"ephemeral-storage": "1"}}));
    assert!(code == 422 && message.contains("only cpu and memory resources are mutable"), "{message}");
}

#[test]
fn a_scale_that_is_applied_is_owned_on_the_object_whose_scale_it_is() {
    let mut api = Api::new();
    let path = "/apis/apps/v1/namespaces/shop/deployments";
    api.ok(
        "POST",
        path,
        &doc!({"metadata": {"name": "d"}, "spec": {
            "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
        }}),
    );
    let mut apply = |query: &str, version: &str| {
        let body = doc!({"apiVersion": (version), "kind": "Scale", "spec": {"replicas": 3}});
        let target = format!("{path}/d/scale?fieldManager=m{query}");
        api.send("PATCH", &target, "application/apply-patch+yaml", body.to_json().as_bytes())
    };
    let (code, answer) = apply("", "autoscaling/v1");
    let message = answer.at(&["message"]).str_or_empty().to_owned();
    assert_eq!(code, 409, "{message}");
    assert!(message.contains("conflict with \"test\"") && message.contains(".spec.replicas"), "{message}");
    assert_eq!(apply("", "apps/v1").0, 400);
    let (code, answer) = apply("&force=true", "autoscaling/v1");
    assert_eq!((code, answer.at(&["spec", "replicas"])), (200, &Value::from(3)), "{answer}");
    let object = api.ok("GET", &format!("{path}/d"), &Value::Null);
    let entries = object.at(&["metadata", "managedFields"]).items();
    let own = entries.iter().find(|entry| *entry.at(&["manager"]) == *"m").unwrap();
    assert_eq!(own.at(&["subresource"]), &Value::from("scale"));
    assert_eq!(own.at(&["fieldsV1"]), &doc!({"f:spec": {"f:replicas": {}}}));
}

#[test]
fn a_patch_does_not_move_an_object_to_another_namespace() {
    let mut api = Api::new();
    api.ok("POST", MAPS, &doc!({"metadata": {"name": "a"}}));
    let (code, answer) =
        api.send("PATCH", &format!("{MAPS}/a"), "application/merge-patch+json", br#"{"metadata":{"namespace":"x"}}"#);
    let message = answer.at(&["message"]).str_or_empty();
    assert_eq!(code, 400);
    assert_eq!(message, "the namespace of the provided object does not match the namespace sent on the request");
}

#[test]
fn a_patch_that_cannot_be_read_is_refused_in_the_words_of_its_kind() {
    let mut api = Api::new();
    api.ok("POST", MAPS, &doc!({"metadata": {"name": "a"}}));
    let (merge, json, apply) =
        ("application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml");
    let cases = [
        (merge, "", "{\"a\":", "error decoding patch: unexpected end of JSON input"),
        (
            merge,
            "",
            "[]",
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (merge, "", "null", "Invalid JSON Patch"),
        (merge, "?fieldValidation=Ignore", "{\"a\":", "Invalid JSON Patch"),
        (STRATEGIC, "", "{\"a\":", "unexpected end of JSON input"),
        (
            json,
            "",
            "[1]",
            "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp",
        ),
        (
            apply,
            "?fieldManager=m",
            "a: b: c",
            "error decoding YAML: error converting YAML to JSON: yaml: mapping values are not allowed in this context",
        ),
        (apply, "?fieldManager=m", "", "invalid object type: /, Kind="),
    ];
    for (kind, query, body, want) in cases {
        let (code, answer) = api.send("PATCH", &format!("{MAPS}/a{query}"), kind, body.as_bytes());
        assert_eq!((code, answer.at(&["message"]).str_or_empty()), (400, want), "{kind} {body}");
    }
    assert_eq!(api.send("PATCH", &format!("{MAPS}/a"), STRATEGIC, b"null").0, 200);
}

#[test]
fn a_new_object_has_no_version_yet_and_a_version_is_a_number() {
    let mut api = Api::new();
    let named = |name: &str, version: &str| doc!({"metadata": {"name": (name), "resourceVersion": (version)}});
    let want = "500 : resourceVersion should not be set on objects to be created";
    assert_eq!(api.refused("POST", MAPS, &named("a", "5")), want);
    api.ok("POST", &format!("{MAPS}?dryRun=All"), &named("a", "5"));
    api.ok("POST", MAPS, &named("a", "0"));
    let mut applied = named("b", "5");
    applied.set(&["apiVersion"], "v1");
    applied.set(&["kind"], "ConfigMap");
    let target = format!("{MAPS}/b?fieldManager=m");
    assert_eq!(api.send("PATCH", &target, "application/apply-patch+yaml", applied.to_json().as_bytes()).0, 201);
    let want = "500 : strconv.ParseUint: parsing \"abc\": invalid syntax";
    assert_eq!(api.refused("PUT", &format!("{MAPS}/a"), &named("a", "abc")), want);
    api.ok("PUT", &format!("{MAPS}/a"), &named("a", "0"));
}

#[test]
fn what_stands_twice_in_yaml_is_told_by_its_line() {
    let mut api = Api::new();
    let body = b"kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\ndata:\n  x: a\n  x: b\nfoo: 1\n";
    let (code, answer) = api.send("POST", &format!("{MAPS}?fieldValidation=Strict"), "application/yaml", body);
    let want = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal \
                errors:\n  line 6: key \"x\" already set in map, unknown field \"foo\"";
    assert_eq!((code, answer.at(&["message"]).str_or_empty()), (400, want));
}

#[test]
fn the_options_of_a_delete_are_read_by_their_types() {
    let mut api = Api::new();
    api.ok("POST", MAPS, &doc!({"metadata": {"name": "a"}}));
    let want = "400 BadRequest: json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64";
    assert_eq!(api.refused("DELETE", &format!("{MAPS}/a"), &doc!({"gracePeriodSeconds": "5"})), want);
    api.ok("DELETE", &format!("{MAPS}/a"), &doc!({"gracePeriodSeconds": 5, "unknown": 1}));
}
