//! Each case: a resource, what a client said, and some of what is there then.

use super::{apply, prepare_create, prepare_update};
use crate::doc;
use crate::value::Value;

fn filled(resource: &str, mut object: Value) -> Value {
    apply(resource, &mut object);
    object
}

fn check(resource: &str, object: Value, want: &[(&[&str], Value)]) {
    let object = filled(resource, object);
    for (path, value) in want {
        assert_eq!(object.at(path), value, "{resource} {path:?}: {object}");
    }
    let again = filled(resource, object.clone());
    assert!(again.same(&object), "what is complete stays the same in memory: {resource}");
}

fn first<'a>(object: &'a Value, path: &[&str]) -> &'a Value {
    object.at(path).items().first().expect("there is one")
}

#[test]
fn a_container_is_filled_in_the_same_wherever_it_stands() {
    let container = doc!({
        "name": "a", "image": "nginx", "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": 80}}, "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    });
    let spec = doc!({"containers": [(container.clone())], "initContainers": [(container)]});
    let places: [(&str, &[&str]); 5] = [
        ("pods", &["spec"]),
        ("deployments.apps", &["spec", "template", "spec"]),
        ("statefulsets.apps", &["spec", "template", "spec"]),
        ("cronjobs.batch", &["spec", "jobTemplate", "spec", "template", "spec"]),
        ("podtemplates", &["template", "spec"]),
    ];
    for (resource, path) in places {
        let mut object = Value::Null;
        object.set(path, spec.clone());
        let object = filled(resource, object);
        for list in ["containers", "initContainers"] {
            let container = first(object.at(path), &[list]);
            assert_eq!(
                container,
                &doc!({
                    "name": "a", "image": "nginx", "imagePullPolicy": "Always", "resources": {},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "livenessProbe": {
                        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
                        "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
                    },
                    "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}}],
                }),
                "{resource} {list}"
            );
        }
        assert_eq!(object.at(path).at(&["restartPolicy"]), "Always");
    }
}

#[test]
fn only_a_pod_itself_asks_for_what_it_may_have_and_learns_of_services() {
    let spec = doc!({"containers": [{"name": "a", "image": "a:1", "resources": {"limits": {"cpu": "1"}}}]});
    let pod = filled("pods", doc!({"spec": (spec.clone())}));
    assert_eq!(first(&pod, &["spec", "containers"]).at(&["resources", "requests", "cpu"]), "1");
    assert!(pod.at(&["spec", "enableServiceLinks"]).is_true());
    let set = filled("replicasets.apps", doc!({"spec": {"template": {"spec": (spec)}}}));
    let container = first(&set, &["spec", "template", "spec", "containers"]);
    assert!(container.at(&["resources", "requests"]).is_null());
    assert!(set.find(&["spec", "template", "spec", "enableServiceLinks"]).is_none());
}

#[test]
fn an_image_whose_tag_moves_is_asked_for_each_time() {
    for (image, policy) in [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("reg:5000/nginx", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("reg:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:0", "IfNotPresent"),
        ("", "IfNotPresent"),
    ] {
        let pod = filled("pods", doc!({"spec": {"containers": [{"name": "a", "image": (image)}]}}));
        assert_eq!(first(&pod, &["spec", "containers"]).at(&["imagePullPolicy"]), policy, "{image}");
    }
}

#[test]
fn volumes_are_given_modes_and_one_of_no_type_is_scratch() {
    let pod = filled(
        "pods",
        doc!({"spec": {"volumes": [
            {"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}, {"name": "c", "hostPath": {"path": "/"}},
            {"name": "d", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        ]}}),
    );
    assert_eq!(
        pod.at(&["spec", "volumes"]),
        &doc!([
            {"name": "a", "emptyDir": {}}, {"name": "b", "secret": {"secretName": "s", "defaultMode": 420}},
            {"name": "c", "hostPath": {"path": "/", "type": ""}},
            {"name": "d", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}},
        ])
    );
}

#[test]
fn workloads_are_given_counts_and_ways_to_update() {
    check(
        "deployments.apps",
        doc!({"spec": {}}),
        &[
            (&["spec", "replicas"], 1.into()),
            (
                &["spec", "strategy"],
                doc!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}),
            ),
        ],
    );
    check(
        "deployments.apps",
        doc!({"spec": {"strategy": {"type": "Recreate"}, "replicas": 0}}),
        &[(&["spec", "strategy"], doc!({"type": "Recreate"})), (&["spec", "replicas"], 0.into())],
    );
    check(
        "statefulsets.apps",
        doc!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "d"}}]}}),
        &[
            (&["spec", "updateStrategy"], doc!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})),
            (
                &["spec", "volumeClaimTemplates"],
                doc!([{
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "d"},
                    "status": {"phase": "Pending"},
                }]),
            ),
        ],
    );
    check(
        "daemonsets.apps",
        doc!({"spec": {}}),
        &[(
            &["spec", "updateStrategy"],
            doc!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}),
        )],
    );
    check(
        "jobs.batch",
        doc!({"spec": {"parallelism": 3, "backoffLimitPerIndex": 1}}),
        &[
            (&["spec", "parallelism"], 3.into()),
            (&["spec", "completions"], Value::Null),
            (&["spec", "backoffLimit"], i32::MAX.into()),
        ],
    );
}

#[test]
fn a_service_is_given_what_its_type_has() {
    let ports = doc!([{"port": 80}, {"port": 53, "protocol": "UDP", "targetPort": "dns"}]);
    let made = |spec: Value| {
        let mut service = filled("services", doc!({"spec": (spec)}));
        prepare_create("services", &mut service);
        service
    };
    let plain = made(doc!({"ports": (ports)}));
    assert_eq!(
        plain.at(&["spec"]),
        &doc!({
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [
                {"port": 80, "protocol": "TCP", "targetPort": 80},
                {"port": 53, "protocol": "UDP", "targetPort": "dns"},
            ],
        })
    );
    let headless = made(doc!({"clusterIP": "None"}));
    assert_eq!(headless.at(&["spec", "ipFamilies"]), &doc!(["IPv4", "IPv6"]));
    assert_eq!(headless.at(&["spec", "ipFamilyPolicy"]), "RequireDualStack");
    let selecting = made(doc!({"clusterIP": "None", "selector": {"a": "b"}}));
    assert_eq!(selecting.at(&["spec", "ipFamilies"]), &doc!(["IPv4"]));
    let external = made(doc!({"type": "ExternalName", "externalName": "x"}));
    assert_eq!(external.at(&["spec"]), &doc!({"type": "ExternalName", "externalName": "x", "sessionAffinity": "None"}));
}

#[test]
fn what_a_service_was_handed_stays_until_its_type_has_no_use_for_it() {
    let old = doc!({"spec": {
        "type": "NodePort", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "externalTrafficPolicy": "Cluster",
        "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30001}],
    }});
    let changed = |to: &str, forget: &[&str]| {
        let mut new = old.clone();
        new.set(&["spec", "type"], to);
        for field in forget {
            new.remove(&["spec", field]);
        }
        prepare_update("services", &mut new, &old);
        new
    };
    let same = changed("NodePort", &["clusterIP", "clusterIPs"]);
    assert_eq!(same, old);
    let inner = changed("ClusterIP", &[]);
    assert!(inner.find(&["spec", "externalTrafficPolicy"]).is_none());
    assert!(first(&inner, &["spec", "ports"]).get("nodePort").is_none());
    let name = changed("ExternalName", &["clusterIP"]);
    assert_eq!(
        name.at(&["spec"]),
        &doc!({"type": "ExternalName", "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]})
    );
}

#[test]
fn a_job_is_told_from_others_by_its_uid() {
    let made = |job: Value| {
        let mut job = filled("jobs.batch", job);
        prepare_create("jobs.batch", &mut job);
        job
    };
    let job =
        made(doc!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}));
    let labels = doc!({
        "a": "b", "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "j",
        "controller-uid": "u", "job-name": "j",
    });
    assert_eq!((job.labels(), job.at(&["spec", "template", "metadata", "labels"])), (&labels, &labels));
    let own = made(doc!({"metadata": {"name": "j", "uid": "u", "labels": {"x": "y"}}, "spec": {}}));
    assert_eq!(own.labels(), &doc!({"x": "y"}));
}

#[test]
fn the_other_kinds_are_filled_in_by_the_same_table() {
    check(
        "secrets",
        doc!({"stringData": {"a": "b"}}),
        &[(&["type"], "Opaque".into()), (&["data", "a"], "Yg==".into())],
    );
    check(
        "networkpolicies.networking.k8s.io",
        doc!({"spec": {"egress": [{}]}}),
        &[(&["spec", "policyTypes"], doc!(["Ingress", "Egress"]))],
    );
    check(
        "rolebindings.rbac.authorization.k8s.io",
        doc!({"subjects": [{"kind": "User", "name": "a"}]}),
        &[
            (&["roleRef", "apiGroup"], "rbac.authorization.k8s.io".into()),
            (&["subjects"], doc!([{"kind": "User", "name": "a", "apiGroup": "rbac.authorization.k8s.io"}])),
        ],
    );
    check(
        "limitranges",
        doc!({"spec": {"limits": [{"type": "Container", "max": {"cpu": 2}, "min": {"cpu": "1"}}]}}),
        &[(
            &["spec", "limits"],
            doc!([{
                "type": "Container", "max": {"cpu": 2}, "min": {"cpu": "1"}, "default": {"cpu": "2"},
                "defaultRequest": {"cpu": "2"},
            }]),
        )],
    );
    check(
        "horizontalpodautoscalers.autoscaling",
        doc!({"spec": {"behavior": {"scaleDown": {"policies": []}}}}),
        &[(&["spec", "behavior", "scaleUp", "selectPolicy"], "Max".into()), (&["spec", "minReplicas"], 1.into())],
    );
    check(
        "namespaces",
        doc!({"metadata": {"name": "a"}}),
        &[(&["metadata", "labels"], doc!({"kubernetes.io/metadata.name": "a"}))],
    );
    check("configmaps", doc!({"data": {}}), &[(&["data"], doc!({}))]);
}
