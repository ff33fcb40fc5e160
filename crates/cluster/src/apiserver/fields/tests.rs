//! What is said of documents that do not fit their types.

use super::*;
use crate::doc;
use crate::json;
use crate::schema::Schema;

/// What is wrong with a text as an object of a kind: the mismatch, or the faults.
fn said(plural: &str, text: &str) -> Result<Vec<String>, String> {
    let schema = Schema::default();
    let resource = ["v1", "apps/v1", "coordination.k8s.io/v1", "batch/v1"].iter().find_map(|version| {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        schema.resource(group, version, plural)
    });
    let parsed = json::parse(text.as_bytes()).unwrap();
    let twice = !parsed.duplicates.is_empty();
    read(resource.unwrap().ty(), &parsed.value, twice, || Sent::json(text.as_bytes())).map(|read| read.faults)
}

#[test]
fn a_value_of_the_wrong_kind_is_told_in_gos_words() {
    let cases = [
        (
            "deployments",
            r#"{"spec":{"replicas":"3"}}"#,
            "string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "deployments",
            r#"{"spec":{"replicas":2147483648}}"#,
            "number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "deployments",
            r#"{"spec":{"replicas":1.0}}"#,
            "number 1.0 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        ("deployments", r#"{"spec":[]}"#, "array into Go struct field Deployment.spec of type v1.DeploymentSpec"),
        (
            "deployments",
            r#"{"spec":{"paused":1}}"#,
            "number into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
        (
            "pods",
            r#"{"spec":{"containers":{}}}"#,
            "object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            "pods",
            r#"{"spec":{"containers":["a"]}}"#,
            "string into Go struct field PodSpec.spec.containers of type v1.Container",
        ),
        (
            "pods",
            r#"{"spec":{"containers":[{"command":"a"}]}}"#,
            "string into Go struct field Container.spec.containers.command of type []string",
        ),
        (
            "pods",
            r#"{"spec":{"containers":[{"ports":[{"containerPort":"80"}]}]}}"#,
            "string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            "pods",
            r#"{"spec":{"containers":[{"imagePullPolicy":true}]}}"#,
            "bool into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy",
        ),
        (
            "pods",
            r#"{"spec":{"containers":[{"resources":{"limits":[]}}]}}"#,
            "array into Go struct field ResourceRequirements.spec.containers.resources.limits of type v1.ResourceList",
        ),
        (
            "pods",
            r#"{"metadata":{"labels":{"version":2}}}"#,
            "number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            "pods",
            r#"{"metadata":{"labels":[]}}"#,
            "array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            "pods",
            r#"{"metadata":{"creationTimestamp":5}}"#,
            "number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (
            "configmaps",
            r#"{"data":{"a":1},"immutable":"x"}"#,
            "number into Go struct field ConfigMap.data of type string",
        ),
        ("secrets", r#"{"data":{"a":1}}"#, "number into Go struct field Secret.data of type []uint8"),
        (
            "persistentvolumeclaims",
            r#"{"spec":{"accessModes":[1]}}"#,
            "number into Go struct field PersistentVolumeClaimSpec.spec.accessModes of type v1.PersistentVolumeAccessMode",
        ),
        (
            "services",
            r#"{"spec":{"ports":[{"targetPort":true}]}}"#,
            "bool into Go struct field ServicePort.spec.ports.targetPort of type int32",
        ),
    ];
    for (plural, text, want) in cases {
        assert_eq!(said(plural, text), Err(format!("json: cannot unmarshal {want}")), "{text}");
    }
}

#[test]
fn text_that_its_type_cannot_read_is_told_instead_of_what_stood_before() {
    let cases = [
        (
            "leases",
            r#"{"spec":{"renewTime":"2026-01-02T03:04:05Z"}}"#,
            r#"parsing time "2026-01-02T03:04:05Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000""#,
        ),
        (
            "leases",
            r#"{"spec":{"renewTime":"soon"}}"#,
            r#"parsing time "soon" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "soon" as "2006""#,
        ),
        (
            "pods",
            r#"{"metadata":{"labels":[],"creationTimestamp":"2026-02-30T00:00:00Z"}}"#,
            r#"parsing time "2026-02-30T00:00:00Z": day out of range"#,
        ),
        (
            "pods",
            r#"{"metadata":{"creationTimestamp":"2026-13-01T00:00:00Z"}}"#,
            r#"parsing time "2026-13-01T00:00:00Z": month out of range"#,
        ),
        (
            "pods",
            r#"{"metadata":{"creationTimestamp":"2026-01-01"}}"#,
            r#"parsing time "2026-01-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#,
        ),
        (
            "pods",
            r#"{"metadata":{"creationTimestamp":"2026-01-01T00:00:00Zx"}}"#,
            r#"parsing time "2026-01-01T00:00:00Zx": extra text: "x""#,
        ),
        (
            "pods",
            r#"{"spec":{"overhead":{"cpu":"one"}}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            "pods",
            r#"{"spec":{"overhead":{"cpu":[1]}}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("pods", r#"{"spec":{"overhead":{"memory":"1mi"}}}"#, "unable to parse quantity's suffix"),
        ("secrets", r#"{"data":{"a":"plain text"}}"#, "illegal base64 data at input byte 5"),
        ("secrets", r#"{"data":{"a":"abc"}}"#, "illegal base64 data at input byte 0"),
        ("secrets", r#"{"data":{"a":"YWJjZA==x"}}"#, "illegal base64 data at input byte 8"),
    ];
    for (plural, text, want) in cases {
        assert_eq!(said(plural, text), Err(want.to_owned()), "{text}");
    }
    let good = r#"{"metadata":{"creationTimestamp":"2024-02-29T23:59:59.5+01:00"},"spec":{"overhead":{"cpu":"1.5","memory":"1e3"}}}"#;
    assert_eq!(said("pods", good), Ok(Vec::new()));
}

#[test]
fn strangers_and_repetitions_are_told_in_the_order_in_which_they_stand() {
    let text = r#"{"zzz":1,"metadata":{"lables":{},"name":"a"},"Spec":{},"spec":{"containers":[{"name":"a","name":"b","img":{"x":1,"x":2}}],"containers":[]},"data":1}"#;
    let want = [
        r#"unknown field "zzz""#,
        r#"unknown field "metadata.lables""#,
        r#"unknown field "Spec""#,
        r#"duplicate field "spec.containers[0].name""#,
        r#"unknown field "spec.containers[0].img""#,
        r#"duplicate field "spec.containers""#,
        r#"unknown field "data""#,
    ];
    assert_eq!(said("pods", text).unwrap(), want);
}

#[test]
fn what_a_type_does_not_have_is_not_kept() {
    let schema = Schema::default();
    let ty = schema.resource("", "v1", "configmaps").unwrap().ty();
    let value = doc!({"data": {"x": "1"}, "bogus": 1, "metadata": {"name": "a", "lables": {}}});
    let read = read(ty, &value, false, || Sent::from(&value)).unwrap();
    assert_eq!(read.value, doc!({"data": {"x": "1"}, "metadata": {"name": "a"}}));
}

#[test]
fn the_result_of_a_strategic_patch_is_read_in_words_of_its_own() {
    let schema = Schema::default();
    let ty = schema.resource("apps", "v1", "deployments").unwrap().ty();
    let cases = [
        (doc!({"spec": "x"}), "cannot restore struct from: string"),
        (doc!({"spec": {"template": {"spec": {"containers": "x"}}}}), "cannot restore slice from string"),
        (doc!({"metadata": {"labels": [1]}}), "cannot restore map from slice"),
        (doc!({"metadata": {"labels": {"a": 1}}}), "cannot convert int64 to string"),
        (doc!({"spec": {"replicas": "3"}}), "unrecognized type: int32"),
        (doc!({"spec": {"paused": 1}}), "unrecognized type: bool"),
        (doc!({"spec": {"strategy": {"type": 1}}}), "cannot convert int64 to v1.DeploymentStrategyType"),
    ];
    for (value, want) in cases {
        assert_eq!(restore(ty, &value), Err(want.to_owned()), "{value}");
    }
    let read = restore(ty, &doc!({"zzz": 1, "spec": {"yyy": 1}})).unwrap();
    assert_eq!(read.faults, [r#"unknown field "spec.yyy""#, r#"unknown field "zzz""#]);
}

#[test]
fn a_refused_document_is_shown_in_gos_order_but_where_it_was_merged() {
    let schema = Schema::default();
    let ty = schema.resource("apps", "v1", "deployments").unwrap().ty();
    let value = doc!({"metadata": {"uid": "u", "name": "a", "labels": {"b": "", "a": ""}}, "kind": "Deployment", "spec": {
        "template": {"spec": {"containers": [{"image": "i", "name": "c"}]}}, "replicas": "3", "selector": {},
    }});
    let shown = |merged: Value| as_go_writes(ty, &value, &merged);
    assert_eq!(
        shown(doc!({"spec": {"replicas": "3"}})),
        r#"{"kind":"Deployment","metadata":{"name":"a","uid":"u","labels":{"a":"","b":""}},"spec":{"replicas":"3","selector":{},"template":{"spec":{"containers":[{"name":"c","image":"i"}]}}}}"#
    );
    assert_eq!(
        shown(doc!({"spec": {"template": {"spec": {"containers": {"0": {}}}}}})),
        r#"{"kind":"Deployment","metadata":{"name":"a","uid":"u","labels":{"a":"","b":""}},"spec":{"replicas":"3","selector":{},"template":{"spec":{"containers":[{"image":"i","name":"c"}]}}}}"#
    );
}
