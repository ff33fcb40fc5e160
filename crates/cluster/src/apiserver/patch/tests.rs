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
    assert!(patched(PatchType::Json, bad).unwrap_err().contains("testing value /spec/paused failed"));
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
