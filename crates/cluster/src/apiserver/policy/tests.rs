//! Policies, and what they say of requests.

use twin::Time;

use crate::apiserver::registry::{self, Deletion, Part, Writer};
use crate::apiserver::{Status, User};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::Schema;
use crate::value::Value;

const CONFIG_MAPS: &str = "configmaps";

fn writer() -> Writer {
    Writer { user: User { name: "alice".into(), ..User::default() }, ..Writer::component("tester", "test") }
}

fn admin() -> Writer {
    Writer { user: User::admin(), ..Writer::component("tester", "test") }
}

/// A cluster with the namespace `shop`, a policy on config maps, and a binding of it with these actions.
fn cluster(policy: Value, binding: Value) -> Cluster {
    let mut cluster = Cluster::new(Schema::default(), Time::default(), 1);
    let namespace =
        doc!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "shop", "labels": {"tier": "a"}}});
    let mut make = |resource: &str, object: Value| {
        registry::create(&mut cluster, resource, object, &admin()).unwrap_or_else(|status| panic!("{status}"));
    };
    make("namespaces", namespace);
    let mut spec = doc!({"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]},
    ]}});
    for (key, value) in policy.entries() {
        spec.set(&[key], value.clone());
    }
    let kind = if policy.get("mutations").is_some() { "MutatingAdmissionPolicy" } else { "ValidatingAdmissionPolicy" };
    let (policies, bindings) = match kind {
        "MutatingAdmissionPolicy" => (super::MUTATING, super::MUTATING_BINDINGS),
        _ => (super::VALIDATING, super::VALIDATING_BINDINGS),
    };
    let api_version = "admissionregistration.k8s.io/v1";
    make(policies, doc!({"kind": (kind), "apiVersion": (api_version), "metadata": {"name": "p"}, "spec": (spec)}));
    let mut bound = doc!({"policyName": "p"});
    for (key, value) in binding.entries() {
        bound.set(&[key], value.clone());
    }
    let kind = format!("{kind}Binding");
    make(bindings, doc!({"kind": (kind), "apiVersion": (api_version), "metadata": {"name": "b"}, "spec": (bound)}));
    cluster
}

fn config_map(name: &str, data: Value) -> Value {
    doc!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": (name), "namespace": "shop"}, "data": (data)})
}

fn make(cluster: &mut Cluster, name: &str, data: Value) -> Result<Value, Status> {
    registry::create(cluster, CONFIG_MAPS, config_map(name, data), &writer())
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(CONFIG_MAPS, "shop", name)
}

/// What is said of a config map `web` with `{"n": "5"}`; nothing if it is let in.
fn said(policy: Value) -> String {
    let mut cluster = cluster(policy, doc!({"validationActions": ["Deny"]}));
    let message = make(&mut cluster, "web", doc!({"n": "5"})).err().map(|status| status.message).unwrap_or_default();
    message.rsplit_once("denied request: ").map_or(message.clone(), |(_, why)| why.to_owned())
}

#[test]
fn a_policy_says_why_not() {
    for (policy, why) in [
        (doc!({"validations": [{"expression": "object.metadata.name == 'web'"}]}), ""),
        (
            doc!({"validations": [{"expression": "int(object.data.n) < 3"}]}),
            "failed expression: int(object.data.n) < 3",
        ),
        (doc!({"validations": [{"expression": "false", "message": "no"}]}), "no"),
        (
            doc!({"validations": [{"expression": "false", "message": "no", "messageExpression": "'n is ' + object.data.n"}]}),
            "n is 5",
        ),
        (
            doc!({"validations": [{"expression": "false", "message": "no", "messageExpression": "string(object.nope)"}]}),
            "no",
        ),
        (
            doc!({"validations": [{"expression": "object.nope == 1"}]}),
            "expression 'object.nope == 1' resulted in error: no such key: nope",
        ),
        (doc!({"failurePolicy": "Ignore", "validations": [{"expression": "object.nope == 1"}]}), ""),
        (
            doc!({"matchConditions": [{"name": "x", "expression": "object.data.n == '6'"}], "validations": [{"expression": "false"}]}),
            "",
        ),
        (
            doc!({"matchConditions": [{"name": "x", "expression": "object.nope == 1"}], "validations": [{"expression": "false"}]}),
            "expression 'object.nope == 1' resulted in error: no such key: nope",
        ),
        // A condition that does not hold decides, whatever goes wrong with others.
        (
            doc!({"matchConditions": [{"name": "x", "expression": "object.nope == 1"}, {"name": "y", "expression": "false"}], "validations": [{"expression": "false"}]}),
            "",
        ),
        (
            doc!({"variables": [{"name": "n", "expression": "int(object.data.n)"}, {"name": "m", "expression": "variables.n * 2"}],
                "validations": [{"expression": "variables.m > 10", "messageExpression": "'m is ' + string(variables.m)"}]}),
            "m is 10",
        ),
        (
            doc!({"variables": [{"name": "x", "expression": "object.nope"}], "validations": [{"expression": "variables.x == 1"}]}),
            "expression 'variables.x == 1' resulted in error: composited variable \"x\" fails to evaluate: no such key: nope",
        ),
        (
            doc!({"validations": [{"expression": "request.userInfo.username != 'alice'", "messageExpression": "request.operation + ' by ' + request.userInfo.username"}]}),
            "CREATE by alice",
        ),
        (
            doc!({"validations": [{"expression": "namespaceObject.metadata.labels.tier == 'b'", "message": "tier"}]}),
            "tier",
        ),
        (
            doc!({"validations": [{"expression": "authorizer.requestResource.check('delete').allowed() || !authorizer.group('apps').resource('deployments').namespace('shop').check('get').allowed()"}]}),
            "",
        ),
        (
            doc!({"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["*"]}]}, "validations": [{"expression": "false"}]}),
            "",
        ),
        (
            doc!({"matchConstraints": {"objectSelector": {"matchLabels": {"a": "b"}}, "resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]}, "validations": [{"expression": "false"}]}),
            "",
        ),
        (
            doc!({"matchConstraints": {"namespaceSelector": {"matchLabels": {"tier": "b"}}, "resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]}, "validations": [{"expression": "false"}]}),
            "",
        ),
    ] {
        let printed = policy.to_json();
        assert_eq!(said(policy), why, "{printed}");
    }
}

#[test]
fn a_policy_sees_what_was_and_what_will_be() {
    let policy = doc!({"validations": [
        {"expression": "request.operation != 'UPDATE' || oldObject.data == object.data", "message": "fixed"},
        {"expression": "request.operation != 'DELETE' || object == null && oldObject.metadata.name != 'keep'", "message": "kept"},
    ]});
    let mut cluster = cluster(policy, doc!({"validationActions": ["Deny"]}));
    make(&mut cluster, "keep", doc!({"a": "1"})).unwrap();
    let changed =
        registry::update(&mut cluster, &key("keep"), config_map("keep", doc!({"a": "2"})), Part::Main, &writer());
    assert!(changed.unwrap_err().message.ends_with("denied request: fixed"));
    let gone = registry::remove(&mut cluster, &key("keep"), &Deletion::default(), &writer());
    assert!(gone.unwrap_err().message.ends_with("denied request: kept"));
    make(&mut cluster, "other", doc!({})).unwrap();
    registry::remove(&mut cluster, &key("other"), &Deletion::default(), &writer()).unwrap();
}

#[test]
fn a_refusal_has_the_reason_that_the_policy_gives() {
    for (reason, code) in [("Forbidden", 403), ("Invalid", 422), ("RequestEntityTooLarge", 413)] {
        let policy = doc!({"validations": [{"expression": "false", "reason": (reason)}]});
        let mut cluster = cluster(policy, doc!({"validationActions": ["Deny"]}));
        let status = make(&mut cluster, "web", doc!({})).unwrap_err();
        assert_eq!((status.code, status.reason), (code, reason));
    }
}

#[test]
fn a_binding_that_only_warns_lets_the_request_through() {
    let policy = doc!({"validations": [{"expression": "false", "message": "careful"}]});
    let mut cluster = cluster(policy, doc!({"validationActions": ["Warn", "Audit"]}));
    let writer = writer();
    registry::create(&mut cluster, CONFIG_MAPS, config_map("web", doc!({})), &writer).unwrap();
    let heard = writer.heard.take();
    assert_eq!(heard, ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': careful"]);
}

#[test]
fn a_parameter_is_looked_up_when_it_is_needed() {
    let policy = || {
        doc!({
            "paramKind": {"apiVersion": "v1", "kind": "Secret"},
            "validations": [{"expression": "params == null || object.data.n == string(params.metadata.labels.n)", "messageExpression": "'not ' + params.metadata.name"}],
        })
    };
    let secret = |cluster: &mut Cluster, name: &str, n: &str| {
        let secret = doc!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": (name), "namespace": "shop", "labels": {"n": (n), "p": "y"}}});
        registry::create(cluster, "secrets", secret, &admin()).unwrap();
    };
    let by_name =
        doc!({"validationActions": ["Deny"], "paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}});
    let mut one = cluster(policy(), by_name);
    let missing = make(&mut one, "a", doc!({"n": "5"})).unwrap_err().message;
    assert!(missing.ends_with("no params found for policy binding with `Deny` parameterNotFoundAction"), "{missing}");
    secret(&mut one, "limits", "5");
    make(&mut one, "a", doc!({"n": "5"})).unwrap();
    assert!(make(&mut one, "b", doc!({"n": "6"})).unwrap_err().message.ends_with("not limits"));

    let by_label = doc!({"validationActions": ["Deny"], "paramRef": {
        "selector": {"matchLabels": {"p": "y"}}, "parameterNotFoundAction": "Allow",
    }});
    let mut many = cluster(policy(), by_label);
    make(&mut many, "a", doc!({"n": "5"})).unwrap();
    secret(&mut many, "one", "5");
    secret(&mut many, "two", "6");
    assert!(make(&mut many, "b", doc!({"n": "5"})).unwrap_err().message.ends_with("not two"));
}

#[test]
fn a_mutating_policy_changes_what_is_written_and_each_mutation_sees_the_one_before() {
    let policy = doc!({"reinvocationPolicy": "Never", "mutations": [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{metadata: Object.metadata{labels: {'team': 'core'}}}"}},
        {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/data/team', value: object.metadata.labels.team}]"}},
    ]});
    let mut cluster = cluster(policy, doc!({}));
    let made = make(&mut cluster, "web", doc!({"a": "1"})).unwrap();
    assert_eq!(*made.at(&["data"]), doc!({"a": "1", "team": "core"}));
    assert_eq!(made.label("team"), Some("core"));
}

#[test]
fn a_mutation_that_fails_refuses_the_request_unless_failures_are_ignored() {
    for (failure, refused) in [("Fail", true), ("Ignore", false)] {
        let policy = doc!({"failurePolicy": (failure), "reinvocationPolicy": "Never", "mutations": [
            {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'remove', path: '/data/nope'}]"}},
            {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/data/b', value: '2'}]"}},
        ]});
        let mut cluster = cluster(policy, doc!({}));
        match make(&mut cluster, "web", doc!({"a": "1"})) {
            Err(status) => {
                assert!(
                    refused && status.message.starts_with("policy 'p' with binding 'b' denied request: "),
                    "{status}"
                );
                assert_eq!((status.code, status.reason), (403, "Invalid"));
            }
            Ok(made) => assert!(!refused && *made.at(&["data"]) == doc!({"a": "1", "b": "2"}), "{made}"),
        }
    }
}

#[test]
fn a_patch_that_cannot_be_made_says_why_and_a_test_that_fails_leaves_the_object_alone() {
    let cases = [
        (
            "[JSONPatch{op: 'remove', path: '/nope/x'}]",
            Err("remove operation does not apply: doc is missing path: \"/nope/x\": missing value"),
        ),
        (
            "[JSONPatch{op: 'test', path: '/nope/x', value: 1}]",
            Err("test operation does not apply: is missing path: /nope/x: missing value"),
        ),
        (
            "[JSONPatch{op: 'test', path: '/data/a', value: '2'}, JSONPatch{op: 'add', path: '/data/b', value: '2'}]",
            Ok(()),
        ),
    ];
    for (expression, want) in cases {
        let policy = doc!({"reinvocationPolicy": "Never", "mutations": [
            {"patchType": "JSONPatch", "jsonPatch": {"expression": (expression)}},
        ]});
        let mut cluster = cluster(policy, doc!({}));
        match (make(&mut cluster, "web", doc!({"a": "1"})), want) {
            (Ok(made), Ok(())) => assert_eq!(*made.at(&["data"]), doc!({"a": "1"}), "{expression}"),
            (Err(status), Err(why)) => {
                let said = format!("policy 'p' with binding 'b' denied request: JSON Patch: {why}");
                assert_eq!(status.message, said, "{expression}");
            }
            (made, _) => panic!("{expression}: {made:?}"),
        }
    }
}

#[test]
fn a_policy_that_wishes_it_is_asked_again_when_others_have_changed_the_object() {
    for (again, want) in [("Never", "before"), ("IfNeeded", "after")] {
        let label = |name: &str, other: &str| {
            let seen =
                format!("has(object.metadata.labels) && '{other}' in object.metadata.labels ? 'after' : 'before'");
            let expression = format!("Object{{metadata: Object.metadata{{labels: {{'{name}': {seen}}}}}}}");
            doc!([{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": (expression)}}])
        };
        let first = doc!({"reinvocationPolicy": (again), "mutations": (label("first", "second"))});
        let mut cluster = cluster(first, doc!({}));
        for (resource, name) in [(super::MUTATING, "p"), (super::MUTATING_BINDINGS, "b")] {
            let key = ObjectKey::new(resource, "", name);
            let mut other = cluster.get(&key).unwrap().clone();
            other.set(&["metadata"], doc!({"name": "q"}));
            if name == "p" {
                other.set(&["spec", "mutations"], label("second", "first"));
            } else {
                other.set(&["spec", "policyName"], "q");
            }
            registry::create(&mut cluster, resource, other, &admin()).unwrap();
        }
        let made = make(&mut cluster, "web", doc!({})).unwrap();
        assert_eq!((made.label("first"), made.label("second")), (Some(want), Some("after")), "{again}");
    }
}

#[test]
fn what_is_applied_has_only_fields_that_there_are() {
    let policy = doc!({"reinvocationPolicy": "Never", "mutations": [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{spec: Object.spec{nope: 1}}"}},
    ]});
    let mut cluster = cluster(policy, doc!({}));
    let message = make(&mut cluster, "web", doc!({})).unwrap_err().message;
    let why =
        "error applying patch: failed to convert patch object to typed object: .spec: field not declared in schema";
    assert_eq!(message, format!("policy 'p' with binding 'b' denied request: {why}"));
}

#[test]
fn a_kind_of_parameters_that_nobody_knows_is_said_once_and_not_of_a_binding() {
    let policy = doc!({
        "paramKind": {"apiVersion": "nope.example.com/v1", "kind": "Nope"},
        "validations": [{"expression": "true"}],
    });
    let mut cluster = cluster(policy, doc!({"validationActions": ["Deny"]}));
    let message = make(&mut cluster, "web", doc!({})).unwrap_err().message;
    let why =
        "failed to configure policy: failed to find resource referenced by paramKind: 'nope.example.com/v1, Kind=Nope'";
    assert!(message.ends_with(&format!("ValidatingAdmissionPolicy 'p' denied request: {why}")), "{message}");
}

#[test]
fn a_name_that_is_still_to_be_made_is_known_when_the_object_is_judged() {
    let policy = doc!({"validations": [{"expression": "request.name.startsWith('web-')"}]});
    let mut cluster = cluster(policy, doc!({"validationActions": ["Deny"]}));
    let mut object = config_map("", doc!({}));
    object.set(&["metadata"], doc!({"generateName": "web-", "namespace": "shop"}));
    registry::create(&mut cluster, CONFIG_MAPS, object, &writer()).unwrap();
}

#[test]
fn policies_do_not_rule_over_policies() {
    let policy = doc!({
        "matchConstraints": {"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]},
        "validations": [{"expression": "false"}],
    });
    let mut cluster = cluster(policy, doc!({"validationActions": ["Deny"]}));
    assert!(make(&mut cluster, "web", doc!({})).is_err());
    let binding = ObjectKey::new(super::VALIDATING_BINDINGS, "", "b");
    registry::remove(&mut cluster, &binding, &Deletion::default(), &writer()).unwrap();
    make(&mut cluster, "web", doc!({})).unwrap();
}

#[test]
fn what_types_have_against_a_policy_is_told_in_its_status() {
    let mut policy = doc!({"kind": "ValidatingAdmissionPolicy", "spec": {
        "matchConstraints": {"resourceRules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments", "statefulsets"]},
        ]},
        "variables": [{"name": "n", "expression": "object.spec.replicas"}],
        "validations": [
            {"expression": "object.spec.template.spec.containers.all(c, c.image != '') && variables.n < 3"},
            {"expression": "object.replicas > 1", "messageExpression": "object.spec.strategy.type"},
        ],
    }});
    let cluster = Cluster::new(Schema::default(), Time::default(), 1);
    let undefined = |kind: &str, expression: &str, column: usize, field: &str| {
        let dots = ".".repeat(column - 1);
        format!(
            "apps/v1, Kind={kind}: ERROR: <input>:1:{column}: undefined field '{field}'\n | {expression}\n | {dots}^\n"
        )
    };
    let both = ["Deployment", "StatefulSet"].map(|kind| undefined(kind, "object.replicas > 1", 7, "replicas"));
    assert_eq!(
        super::warnings(&cluster, &policy),
        [
            ("spec.validations[1].expression".to_owned(), both.join("\n")),
            (
                "spec.validations[1].messageExpression".to_owned(),
                undefined("StatefulSet", "object.spec.strategy.type", 12, "strategy")
            ),
        ]
    );
    policy.set(
        &["spec", "matchConstraints", "resourceRules"],
        doc!([{"apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["pods"]}]),
    );
    assert!(super::warnings(&cluster, &policy).is_empty());
}
