//! What each patch type makes of a document.

use super::*;
use crate::doc;
use crate::schema::Schema;

fn deployment() -> Value {
    doc!({"spec": {"replicas": 1, "template": {"spec": {"containers": [
        {"name": "app", "image": "app:1", "env": [{"name": "A", "value": "1"}]},
        {"name": "side", "image": "side:1"},
    ], "tolerations": [{"key": "x"}]}}, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}})
}

fn patched(kind: PatchType, patch: Value) -> Result<String, String> {
    let schema = Schema::default();
    let resource = schema.resource("apps", "v1", "deployments").unwrap();
    apply(kind, resource.ty(), &deployment(), &patch)
        .map(|value| value.at(&["spec"]).to_json())
        .map_err(|status| status.message)
}

#[test]
fn a_strategic_patch_merges_lists_by_their_keys() {
    let patch = doc!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "app:2"}]}}}});
    let after = patched(PatchType::Strategic, patch).unwrap();
    assert!(
        after.contains(
            r#"{"env":[{"name":"A","value":"1"}],"image":"app:2","name":"app"},{"image":"side:1","name":"side"}"#
        ),
        "{after}"
    );
}

#[test]
fn a_strategic_patch_deletes_an_element_that_it_is_told_to() {
    let patch = doc!({"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}});
    let after = patched(PatchType::Strategic, patch).unwrap();
    assert!(!after.contains("side"), "{after}");
}

#[test]
fn a_strategic_patch_keeps_only_the_keys_that_it_retains() {
    let patch = doc!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let after = patched(PatchType::Strategic, patch).unwrap();
    assert!(after.contains(r#""strategy":{"type":"Recreate"}"#), "{after}");
}

#[test]
fn a_strategic_patch_puts_elements_in_the_order_that_it_sets() {
    let patch = doc!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "side"}, {"name": "new"}, {"name": "app"}],
        "containers": [{"name": "new", "image": "new:1"}],
    }}}});
    let after = patched(PatchType::Strategic, patch).unwrap();
    let place = |name: &str| after.find(&format!("\"name\":\"{name}\"")).unwrap();
    assert!(place("side") < place("new") && place("new") < place("app"), "{after}");
}

#[test]
fn a_list_without_a_merge_key_is_replaced() {
    let patch = doc!({"spec": {"template": {"spec": {"tolerations": [{"key": "y"}]}}}});
    let after = patched(PatchType::Strategic, patch).unwrap();
    assert!(after.contains(r#""tolerations":[{"key":"y"}]"#), "{after}");
}

#[test]
fn a_json_patch_is_applied_whole_or_not_at_all() {
    let good = doc!([{"op": "test", "path": "/spec/replicas", "value": 1}, {"op": "replace", "path": "/spec/replicas", "value": 3}]);
    assert!(patched(PatchType::Json, good).unwrap().contains(r#""replicas":3"#));
    let bad = doc!([{"op": "replace", "path": "/spec/replicas", "value": 3}, {"op": "test", "path": "/spec/paused", "value": true}]);
    assert_eq!(
        patched(PatchType::Json, bad).unwrap_err(),
        "the server rejected our request due to an error in our request"
    );
}

#[test]
fn a_merge_patch_replaces_lists_and_removes_what_is_null() {
    let patch = doc!({"spec": {"replicas": null, "template": {"spec": {"containers": []}}}});
    let after = patched(PatchType::Merge, patch).unwrap();
    assert!(after.contains(r#""containers":[]"#) && !after.contains("replicas"), "{after}");
}

#[test]
fn what_a_patch_does_not_touch_stays_shared() {
    let (schema, original) = (Schema::default(), deployment());
    let ty = schema.resource("apps", "v1", "deployments").unwrap().ty();
    for kind in [PatchType::Merge, PatchType::Strategic] {
        let after = apply(kind, ty, &original, &doc!({"spec": {"replicas": 2}})).unwrap();
        assert!(after.at(&["spec", "template"]).same(original.at(&["spec", "template"])), "{kind:?}");
    }
}

/// What a patch makes of a small document of no type, or its refusal.
fn small(kind: PatchType, document: &Value, patch: &Value) -> String {
    match apply(kind, Type::unknown(), document, patch) {
        Ok(patched) => patched.to_json(),
        Err(status) => format!("{} {}", status.code, status.reason),
    }
}

#[test]
fn json_operations_are_as_lenient_as_the_real_servers_library() {
    let document = doc!({"m": {"x": 1}, "l": [1, 2, 3], "s": "text"});
    let cases = [
        (doc!({"op": "replace", "path": "/m/none", "value": 2}), r#"{"l":[1,2,3],"m":{"none":2,"x":1},"s":"text"}"#),
        (doc!({"op": "add", "path": "/l/-", "value": 4}), r#"{"l":[1,2,3,4],"m":{"x":1},"s":"text"}"#),
        (doc!({"op": "add", "path": "/l/-1", "value": 4}), r#"{"l":[1,2,3,4],"m":{"x":1},"s":"text"}"#),
        (doc!({"op": "add", "path": "/l/3", "value": 4}), r#"{"l":[1,2,3,4],"m":{"x":1},"s":"text"}"#),
        (doc!({"op": "add", "path": "/l/4", "value": 4}), "422 Invalid"),
        (doc!({"op": "remove", "path": "/l/-1"}), r#"{"l":[1,2],"m":{"x":1},"s":"text"}"#),
        (doc!({"op": "remove", "path": "/m/none"}), "422 Invalid"),
        (doc!({"op": "remove", "path": "/l/3"}), "422 Invalid"),
        (doc!({"op": "replace", "path": "/l/3", "value": 1}), "422 Invalid"),
        (doc!({"op": "add", "path": "/none/deep", "value": 1}), "422 Invalid"),
        (doc!({"op": "add", "path": "/s/deep", "value": 1}), "422 Invalid"),
        (doc!({"op": "add", "path": "", "value": {}}), "422 Invalid"),
        (doc!({"op": "replace", "path": "", "value": {"a": 1}}), r#"{"a":1}"#),
        (doc!({"op": "replace", "path": "", "value": 1}), "422 Invalid"),
        (doc!({"op": "add", "path": "/m/y"}), r#"{"l":[1,2,3],"m":{"x":1,"y":null},"s":"text"}"#),
        (doc!({"op": "move", "from": "/m/x", "path": "/m/y"}), r#"{"l":[1,2,3],"m":{"y":1},"s":"text"}"#),
        (doc!({"op": "move", "from": "/m/none", "path": "/m/y"}), "422 Invalid"),
        (doc!({"op": "copy", "from": "/m/none", "path": "/m/y"}), r#"{"l":[1,2,3],"m":{"x":1,"y":null},"s":"text"}"#),
        (doc!({"op": "test", "path": "/m/none", "value": null}), r#"{"l":[1,2,3],"m":{"x":1},"s":"text"}"#),
        (doc!({"op": "test", "path": "/m/x", "value": 2}), "422 Invalid"),
        (doc!({"op": "frobnicate", "path": "/m/x"}), "422 Invalid"),
        (doc!({"path": "/m/x"}), "422 Invalid"),
        (doc!({"op": "add", "value": 1}), "422 Invalid"),
    ];
    for (operation, want) in cases {
        assert_eq!(small(PatchType::Json, &document, &doc!([(&operation)])), want, "{operation}");
    }
}

#[test]
fn a_merge_patch_brings_no_null_into_what_was_not_there() {
    let cases = [
        (doc!({"l": [1]}), doc!({"l": [{"a": null, "b": 1}]}), r#"{"l":[{"b":1}]}"#),
        (doc!({}), doc!({"m": {"a": null, "b": [null]}}), r#"{"m":{"b":[null]}}"#),
        (doc!({"m": {"a": 1}}), doc!({"m": null}), "{}"),
        (doc!({"m": {"a": 1}}), doc!({"m": [1]}), r#"{"m":[1]}"#),
    ];
    for (document, patch, want) in cases {
        assert_eq!(small(PatchType::Merge, &document, &patch), want, "{patch}");
    }
}

/// What a strategic patch makes of the template's spec of the deployment above.
fn pod_spec(patch: Value) -> Result<Value, String> {
    let schema = Schema::default();
    let ty = schema.resource("apps", "v1", "deployments").unwrap().ty();
    apply(PatchType::Strategic, ty, &deployment(), &doc!({"spec": {"template": {"spec": (patch)}}}))
        .map(|patched| patched.at(&["spec", "template", "spec"]).clone())
        .map_err(|status| format!("{} {}: {}", status.code, status.reason, status.message))
}

#[test]
fn new_elements_of_a_merged_list_stand_before_those_that_the_patch_does_not_name() {
    let names = |spec: &Value| -> Vec<String> {
        spec.at(&["containers"]).items().iter().map(|one| one.at(&["name"]).str_or_empty().to_owned()).collect()
    };
    let cases = [
        (doc!({"containers": [{"name": "new"}]}), vec!["new", "app", "side"]),
        (doc!({"containers": [{"name": "side"}, {"name": "new"}]}), vec!["app", "side", "new"]),
        (doc!({"containers": [{"name": "side"}, {"name": "app"}]}), vec!["side", "app"]),
        (doc!({"$setElementOrder/containers": [{"name": "side"}, {"name": "app"}]}), vec!["side", "app"]),
        (
            doc!({"$setElementOrder/containers": [{"name": "new"}, {"name": "side"}], "containers": [{"name": "new"}]}),
            vec!["new", "app", "side"],
        ),
        (doc!({"containers": [{"$patch": "replace"}, {"name": "only"}]}), vec!["only"]),
        (doc!({"containers": [{"name": "app", "$patch": "delete"}, {"name": "z"}]}), vec!["z", "side"]),
    ];
    for (patch, want) in cases {
        assert_eq!(names(&pod_spec(patch.clone()).unwrap()), want, "{patch}");
    }
}

#[test]
fn what_was_not_there_is_taken_without_its_nulls_and_directives() {
    let taken =
        pod_spec(doc!({"nodeSelector": {"a": null, "b": "c"}, "securityContext": {"$patch": "delete"}})).unwrap();
    assert_eq!((taken.at(&["nodeSelector"]), taken.get("securityContext")), (&doc!({"b": "c"}), None));
}

#[test]
fn a_strategic_patch_that_makes_no_sense_is_refused_as_the_real_server_refuses_it() {
    let cases = [
        (doc!({"containers": [{"image": "x"}]}), "500 : map: map[image:x] does not contain declared merge key: name"),
        (
            doc!({"containers": [{"name": "app", "$patch": "bogus"}]}),
            "500 : unknown patch type: bogus in map: map[$patch:bogus name:app]",
        ),
        (
            doc!({"containers": [{"name": "app", "$patch": "merge"}]}),
            "500 : merging lists cannot yet be specified in the patch",
        ),
        (
            doc!({"containers": ["app"]}),
            "500 : list element types are not identical: [[map[env:[map[name:A value:1]] image:app:1 name:app] map[image:side:1 name:side]] [app]]",
        ),
        (doc!({"$patch": "bogus"}), "500 : unknown patch type: bogus in map: map[$patch:bogus]"),
        (doc!({"$retainKeys": ["a"], "nodeName": "x"}), "400 BadRequest: invalid patch format of retainKeys"),
        (doc!({"$retainKeys": "a"}), "400 BadRequest: invalid patch format of retainKeys"),
        (doc!({"$deleteFromPrimitiveList": []}), "400 BadRequest: invalid patch format of primitive list"),
        (doc!({"$setElementOrder/containers": "a"}), "500 : expected a []interface {}, but received a string"),
        (
            doc!({"$setElementOrder/none": []}),
            "500 : unable to find api field in struct PodSpec for the json field \"none\"",
        ),
        (
            doc!({"$setElementOrder/containers": [{"name": "app"}], "containers": [{"name": "new"}]}),
            "500 : The order in patch list:\n[map[name:new]]\n doesn't match $setElementOrder list:\n[map[name:app]]\n",
        ),
    ];
    for (patch, want) in cases {
        assert_eq!(pod_spec(patch.clone()).unwrap_err(), want, "{patch}");
    }
}
