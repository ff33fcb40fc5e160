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
