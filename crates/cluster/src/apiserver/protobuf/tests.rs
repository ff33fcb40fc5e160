//! Messages as clients send them, read as the documents they are.

use k8s_pb::api::{apps, core};
use k8s_pb::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_pb::apimachinery::pkg::runtime::{TypeMeta, Unknown};
use k8s_pb::apimachinery::pkg::util::intstr::IntOrString;
use prost::Message;

use super::{NotReadable, decode};
use crate::schema::Schema;

fn envelope(api_version: &str, kind: &str, raw: Vec<u8>) -> Vec<u8> {
    let unknown = Unknown {
        type_meta: Some(TypeMeta { api_version: Some(api_version.into()), kind: Some(kind.into()) }),
        raw: Some(raw),
        content_encoding: Some(String::new()),
        content_type: Some(String::new()),
    };
    [b"k8s\0".as_slice(), &unknown.encode_to_vec()].concat()
}

fn read(api_version: &str, kind: &str, message: &impl Message) -> String {
    decode(&Schema::default(), &envelope(api_version, kind, message.encode_to_vec())).unwrap().to_json()
}

fn named(name: &str) -> Option<meta::ObjectMeta> {
    // Go writes every field that is no pointer, empty ones too.
    Some(meta::ObjectMeta {
        name: Some(name.into()),
        generate_name: Some(String::new()),
        namespace: Some(String::new()),
        creation_timestamp: Some(meta::Time::default()),
        ..Default::default()
    })
}

#[test]
fn a_deployment_is_read_as_the_json_it_stands_for() {
    let container = core::v1::Container {
        name: Some("app".into()),
        image: Some("app:1 \"quoted\" \n ü".into()),
        ports: vec![core::v1::ContainerPort { container_port: Some(8080), host_port: Some(0), ..Default::default() }],
        readiness_probe: Some(core::v1::Probe {
            handler: Some(core::v1::ProbeHandler {
                http_get: Some(core::v1::HttpGetAction {
                    path: Some("/healthz".into()),
                    port: Some(IntOrString { r#type: Some(1), int_val: Some(0), str_val: Some("http".into()) }),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let volume = core::v1::Volume {
        name: Some("v".into()),
        volume_source: Some(core::v1::VolumeSource {
            config_map: Some(core::v1::ConfigMapVolumeSource {
                local_object_reference: Some(core::v1::LocalObjectReference { name: Some("settings".into()) }),
                ..Default::default()
            }),
            ..Default::default()
        }),
    };
    let deployment = apps::v1::Deployment {
        metadata: named("web"),
        spec: Some(apps::v1::DeploymentSpec {
            replicas: Some(0),
            min_ready_seconds: Some(0),
            template: Some(core::v1::PodTemplateSpec {
                spec: Some(core::v1::PodSpec {
                    containers: vec![container],
                    volumes: vec![volume],
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }),
        status: Some(apps::v1::DeploymentStatus::default()),
    };
    assert_eq!(
        read("apps/v1", "Deployment", &deployment),
        r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":0,"template":{"spec":{"containers":[{"image":"app:1 \"quoted\" \n ü","name":"app","ports":[{"containerPort":8080}],"readinessProbe":{"httpGet":{"path":"/healthz","port":"http"}}}],"volumes":[{"configMap":{"name":"settings"},"name":"v"}]}}},"status":{}}"#
    );
}

#[test]
fn bytes_are_base64_and_maps_keep_empty_values() {
    let secret = core::v1::Secret {
        metadata: named("s"),
        data: [("k".to_owned(), vec![1, 2, 255])].into(),
        string_data: [("empty".to_owned(), String::new())].into(),
        ..Default::default()
    };
    assert_eq!(
        read("v1", "Secret", &secret),
        r#"{"apiVersion":"v1","data":{"k":"AQL/"},"kind":"Secret","metadata":{"name":"s"},"stringData":{"empty":""}}"#
    );
}

#[test]
fn what_is_not_understood_whole_is_refused() {
    let schema = Schema::default();
    // Field 2000 of a ConfigMap: a release to come.
    let mut raw = core::v1::ConfigMap { metadata: named("a"), ..Default::default() }.encode_to_vec();
    raw.extend([0x82, 0x7d, 0x01, b'x']);
    assert_eq!(decode(&schema, &envelope("v1", "ConfigMap", raw)), Err(NotReadable::More("ConfigMap".into())));
    assert!(matches!(decode(&schema, &envelope("demo.io/v1", "Demo", vec![])), Err(NotReadable::Unknown { .. })));
    for body in [&b""[..], b"k8s", b"k8s\0\xff\xff", b"{}"] {
        assert!(matches!(decode(&schema, body), Err(NotReadable::Broken(_))), "{body:?}");
    }
}

/// A document as a client would find it after it went through protobuf.
fn through(document: &crate::Value) -> crate::Value {
    let written = super::encode(document).unwrap_or_else(|| panic!("no message for {document}"));
    decode(&Schema::default(), &written).unwrap_or_else(|error| panic!("{error}: {document}"))
}

#[test]
fn what_is_written_is_read_as_it_was() {
    let documents = [
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"b","labels":{"x":"","y":"z"},"creationTimestamp":"2026-11-24T07:29:46Z","managedFields":[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{}},"manager":"m","operation":"Apply"}]},"data":{"k":"v","empty":""},"binaryData":{"b":"AQL/"}}"#,
        r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":0,"selector":{"matchLabels":{"app":"web"}},"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":1},"type":"RollingUpdate"},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"i","env":[{"name":"A","valueFrom":{"secretKeyRef":{"key":"k","name":"s","optional":false}}}],"livenessProbe":{"httpGet":{"path":"/","port":80}},"resources":{"limits":{"cpu":"1","memory":"1Gi"}}}],"volumes":[{"name":"v","configMap":{"name":"c","defaultMode":420}},{"name":"e","emptyDir":{}}]}}}}"#,
        r#"{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"p"},"spec":{"capacity":{"storage":"1Gi"},"hostPath":{"path":"/x"},"claimRef":{"name":"c","namespace":"n"}}}"#,
        r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"l"},"spec":{"holderIdentity":"me","leaseTransitions":0,"renewTime":"2026-11-24T07:29:46.250000Z"}}"#,
        r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"r"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]}"#,
        r#"{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":"r"},"spec":{"request":"AQL/","signerName":"a/b","username":"u","extra":{"k":["a","b"]}}}"#,
    ];
    for text in documents {
        let document = crate::Value::from_json(text.as_bytes()).unwrap();
        // What Go never leaves out of JSON though it is empty is not what is looked at here.
        let mut read = through(&document);
        for field in ["metadata", "spec"] {
            assert_eq!(read.at(&[field]), document.at(&[field]), "{text}");
            read.object().remove(field);
        }
        for (key, value) in read.entries() {
            assert_eq!(document.at(&[key]), value, "{text}");
        }
    }
}

#[test]
fn a_list_and_a_refusal_are_messages_too() {
    let list = crate::doc!({
        "kind": "SecretList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"},
        "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}],
    });
    let written = super::encode(&list).unwrap();
    let envelope = Unknown::decode(&written[4..]).unwrap();
    assert_eq!(envelope.type_meta.unwrap().kind(), "SecretList");
    let read = core::v1::SecretList::decode(envelope.raw.unwrap().as_slice()).unwrap();
    assert_eq!(read.metadata.unwrap().resource_version(), "7");
    assert_eq!(read.items[1].metadata.as_ref().unwrap().name(), "b");

    let refusal = crate::apiserver::Status::not_found("pods", "a");
    let written = super::encode(&refusal.to_value()).unwrap();
    let envelope = Unknown::decode(&written[4..]).unwrap();
    let read = meta::Status::decode(envelope.raw.unwrap().as_slice()).unwrap();
    assert_eq!((read.code(), read.reason(), read.details.as_ref().unwrap().name()), (404, "NotFound", "a"));
}

#[test]
fn an_event_of_a_watch_is_a_frame_around_a_whole_document() {
    let event =
        crate::doc!({"type": "ADDED", "object": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}}});
    let frame = super::frame(&event).unwrap();
    let (length, message) = frame.split_at(4);
    assert_eq!(u32::from_be_bytes(length.try_into().unwrap()) as usize, message.len());
    let read = meta::WatchEvent::decode(message).unwrap();
    assert_eq!(read.r#type(), "ADDED");
    let object = decode(&Schema::default(), read.object.unwrap().raw()).unwrap();
    assert_eq!(object.name(), "a");
}

#[test]
fn what_has_no_message_or_no_room_in_it_is_not_written() {
    for text in [
        r#"{"apiVersion":"demo.io/v1","kind":"Demo"}"#,
        r#"{"apiVersion":"v1","kind":"ConfigMap","bogus":1}"#,
        r#"{"apiVersion":"meta.k8s.io/v1","kind":"Table","rows":[]}"#,
    ] {
        assert_eq!(super::encode(&crate::Value::from_json(text.as_bytes()).unwrap()), None, "{text}");
    }
}

/// What Kubernetes 1.36 has and the messages do not: a document that says any of it goes out as JSON. A new version of
/// `k8s-pb` makes this list shorter.
#[test]
fn the_fields_that_the_messages_lack_are_these() {
    let schema = Schema::default();
    let mut lacking = std::collections::BTreeSet::new();
    for resource in schema.resources().filter(|resource| !resource.custom) {
        let version = resource.api_version();
        match super::known::message(&version, &resource.kind) {
            Some(known) => {
                let kind = &resource.kind;
                super::learn::lacking(known, &version, kind, resource.ty(), &mut Vec::new(), &mut lacking);
            }
            None => drop(lacking.insert(resource.kind.to_string())),
        }
    }
    let want = [
        "CSIDriverSpec.preventPodSchedulingIfMissing",
        "Device.nodeAllocatableResourceMappings",
        "DeviceAttribute.bools",
        "DeviceAttribute.ints",
        "DeviceAttribute.strings",
        "DeviceAttribute.versions",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "PodSpec.schedulingGroup",
        "PodStatus.nodeAllocatableResourceClaimStatuses",
        "ResourceHealth.message",
        "VolumeMountStatus.volumeStatus",
    ];
    assert_eq!(lacking.iter().map(String::as_str).collect::<Vec<_>>(), want);
}
