//! Definitions and policies as a client meets them, from bytes to bytes, with the controllers at work in between.

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

    /// The answer, and what it warns of.
    fn send(&mut self, method: &str, target: &str, body: &Value) -> (u16, Value, Vec<String>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let headers = [("content-type".to_owned(), kind.to_owned())];
        let body = body.to_json();
        let request = Request { method, path, query, headers: &headers, body: body.as_bytes() };
        let result = apiserver::decode(&self.0.schema.clone(), &request)
            .and_then(|call| apiserver::handle(&mut self.0, &call, &User::admin()));
        let warnings = match &result {
            Ok(answer) => answer.warnings.clone(),
            Err(status) => status.warnings.clone(),
        };
        let until = self.0.now() + std::time::Duration::from_secs(5);
        self.0.settle(until);
        let encoded = apiserver::encode(&result, &Output::default());
        let Body::Bytes(bytes) = encoded.body else { return (encoded.code, Value::Null, warnings) };
        (encoded.code, Value::from_json(&bytes).unwrap_or_default(), warnings)
    }

    fn ok(&mut self, method: &str, target: &str, body: &Value) -> Value {
        let (code, answer, _) = self.send(method, target, body);
        assert!(code < 300, "{method} {target}: {code} {answer}");
        answer
    }

    fn refused(&mut self, method: &str, target: &str, body: &Value) -> String {
        let (code, answer, _) = self.send(method, target, body);
        format!("{code} {}: {}", answer.at(&["reason"]).str_or_empty(), answer.at(&["message"]).str_or_empty())
    }
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn definition(plural: &str, kind: &str) -> Value {
    let color = doc!({"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"color": {"type": "string", "default": "red"}}},
    }}});
    doc!({
        "metadata": {"name": (format!("{plural}.example.com"))},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": (plural), "kind": (kind)},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": (&color),
                    "selectableFields": [{"jsonPath": ".spec.color"}]},
                {"name": "v1beta1", "served": true, "storage": false, "schema": (&color), "deprecated": true},
            ],
        },
    })
}

#[test]
fn a_custom_object_is_selected_by_its_fields_and_an_old_version_warns() {
    let mut api = Api::new();
    api.ok("POST", DEFINITIONS, &definition("widgets", "Widget"));
    let widgets = "/apis/example.com/v1/namespaces/shop/widgets";
    for (name, spec) in [("a", doc!({"color": "blue"})), ("b", doc!({}))] {
        let widget =
            doc!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": (name)}, "spec": (spec)});
        api.ok("POST", widgets, &widget);
    }
    let red = api.ok("GET", &format!("{widgets}?fieldSelector=spec.color%3Dred"), &Value::Null);
    let names: Vec<&str> = red.at(&["items"]).items().iter().map(Value::name).collect();
    assert_eq!(names, ["b"]);
    let refused = api.refused("GET", &format!("{widgets}?fieldSelector=spec.size%3D1"), &Value::Null);
    assert_eq!(refused, "400 BadRequest: field label not supported: spec.size");
    let (code, shown, warnings) =
        api.send("GET", &widgets.replace("v1", "v1beta1").replace("widgets", "widgets/a"), &Value::Null);
    assert_eq!((code, shown.api_version()), (200, "example.com/v1beta1"));
    assert_eq!(warnings, ["example.com/v1beta1 Widget is deprecated"]);
}

#[test]
fn a_definition_with_the_names_of_another_waits_until_they_are_free() {
    let mut api = Api::new();
    api.ok("POST", DEFINITIONS, &definition("widgets", "Widget"));
    api.ok("POST", DEFINITIONS, &definition("gadgets", "Widget"));
    let condition = |api: &mut Api, kind: &str| {
        let definition = api.ok("GET", &format!("{DEFINITIONS}/gadgets.example.com"), &Value::Null);
        let condition = definition.condition(kind).cloned().unwrap_or_default();
        let text = |key: &str| condition.at(&[key]).str_or_empty().to_owned();
        format!("{} {}: {}", text("status"), text("reason"), text("message"))
    };
    assert_eq!(condition(&mut api, "NamesAccepted"), "False ListKindConflict: \"WidgetList\" is already in use");
    assert_eq!(condition(&mut api, "Established"), "False NotAccepted: not all names are accepted");
    let gadgets = "/apis/example.com/v1/namespaces/shop/gadgets";
    assert!(api.send("GET", gadgets, &Value::Null).0 == 404);
    api.ok("DELETE", &format!("{DEFINITIONS}/widgets.example.com"), &Value::Null);
    assert_eq!(condition(&mut api, "NamesAccepted"), "True NoConflicts: no conflicts found");
    api.ok("GET", gadgets, &Value::Null);
}

#[test]
fn a_policy_may_forbid_an_eviction_and_what_an_eviction_does_is_not_asked_again() {
    let mut api = Api::new();
    let policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    let policy = doc!({
        "metadata": {"name": "p"},
        "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods/eviction"]}]},
            "validations": [{"expression": "request.operation == 'CREATE' && object.kind == 'Eviction' && request.name != 'keep'", "message": "kept"}],
        },
    });
    let made = api.ok("POST", policies, &policy);
    assert_eq!(*made.at(&["status"]), doc!({}));
    let seen = api.ok("GET", &format!("{policies}/p"), &Value::Null);
    assert_eq!(*seen.at(&["status"]), doc!({"observedGeneration": 1, "typeChecking": {}}));
    let binding = doc!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}});
    api.ok("POST", &format!("{}bindings", policies.replace("policies", "policy")), &binding);
    api.ok("POST", "/api/v1/namespaces/shop/serviceaccounts", &doc!({"metadata": {"name": "s"}}));
    for name in ["keep", "go"] {
        let pod = doc!({"metadata": {"name": (name)}, "spec": {"serviceAccountName": "s", "containers": [{"name": "c", "image": "i:1"}]}});
        api.ok("POST", "/api/v1/namespaces/shop/pods", &pod);
        let eviction =
            doc!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": (name), "namespace": "shop"}});
        let said = api.refused("POST", &format!("/api/v1/namespaces/shop/pods/{name}/eviction"), &eviction);
        let kept = "422 Invalid: pods \"keep\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: kept";
        assert_eq!(said, if name == "keep" { kept } else { "201 : " });
    }
}

#[test]
fn what_a_definition_no_longer_knows_is_not_shown_and_what_it_has_come_to_fill_in_is() {
    let mut api = Api::new();
    let mut widgets = definition("widgets", "Widget");
    widgets.set(
        &["spec", "versions"],
        doc!([{"name": "v1", "served": true, "storage": true, "schema": {
            "openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {
                "color": {"type": "string"}, "size": {"type": "integer"},
            }}}},
        }}]),
    );
    api.ok("POST", DEFINITIONS, &widgets);
    let path = "/apis/example.com/v1/namespaces/shop/widgets";
    let widget =
        doc!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}});
    let made = api.ok("POST", path, &widget);
    let changed = definition("widgets", "Widget").at(&["spec", "versions"]).items()[0].clone();
    api.ok("PATCH", &format!("{DEFINITIONS}/widgets.example.com"), &doc!({"spec": {"versions": [(changed)]}}));
    let now = doc!({"color": "red"});
    assert_eq!(api.ok("GET", &format!("{path}/a"), &Value::Null).at(&["spec"]), &now);
    assert_eq!(api.ok("GET", path, &Value::Null).at(&["items"]).items()[0].at(&["spec"]), &now);
    // Seen so, a write that changes nothing else changes nothing that is wanted.
    let labelled = api.ok("PATCH", &format!("{path}/a"), &doc!({"metadata": {"labels": {"x": "y"}}}));
    assert_eq!((labelled.at(&["spec"]), labelled.generation()), (&now, made.generation()));
}
