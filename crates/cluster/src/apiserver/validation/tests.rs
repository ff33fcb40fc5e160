//! Each case: an object, and each thing that is wrong with it as `path: sentence`.

use super::{create, status, update, warnings};
use crate::apiserver::defaults;
use crate::apiserver::status::Cause;
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

fn said(causes: &[Cause]) -> Vec<String> {
    causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

fn check(resource: &str, mut object: Value, want: &[&str]) {
    if object.name().is_empty() {
        object.set(&["metadata", "name"], "a");
    }
    defaults::apply(resource, &mut object);
    let key = ObjectKey::new(resource, "shop", object.name());
    assert_eq!(said(&create(&key, "", &object)), want, "{resource} {object}");
}

/// A pod with which nothing is wrong, but for what the spec says.
fn pod(spec: Value) -> Value {
    let mut pod = doc!({"metadata": {"name": "a"}, "spec": {
        "containers": [{"name": "app", "image": "app:1"}], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
    }});
    for (key, value) in spec.entries() {
        pod.set(&["spec", key], value.clone());
    }
    defaults::apply("pods", &mut pod);
    pod
}

/// The same, of a container.
fn with(fields: Value) -> Value {
    let mut container = doc!({"name": "app", "image": "app:1"});
    for (key, value) in fields.entries() {
        container.set(&[key], value.clone());
    }
    pod(doc!({"containers": [(container)]}))
}

#[test]
fn a_pod_with_which_nothing_is_wrong_passes() {
    check("pods", pod(doc!({})), &[]);
}

#[test]
fn containers_are_named_once_and_have_images() {
    check(
        "pods",
        doc!({"spec": {"restartPolicy": "Always", "dnsPolicy": "Default"}}),
        &["spec.containers: Required value"],
    );
    let twice = doc!([{"name": "app", "image": "a"}, {"name": "app", "image": " b"}]);
    check(
        "pods",
        pod(doc!({"containers": (twice)})),
        &[
            r#"spec.containers[1].name: Duplicate value: "app""#,
            r#"spec.containers[1].image: Invalid value: " b": must not have leading or trailing whitespace"#,
        ],
    );
}

#[test]
fn ports_probes_and_variables_have_forms() {
    check(
        "pods",
        with(doc!({"ports": [{"containerPort": 70000, "protocol": "HTTP"}]})),
        &[
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            r#"spec.containers[0].ports[0].protocol: Unsupported value: "HTTP": supported values: "SCTP", "TCP", "UDP""#,
        ],
    );
    check(
        "pods",
        with(doc!({"readinessProbe": {"httpGet": {"path": "/", "port": 80}, "tcpSocket": {"port": 80}}})),
        &["spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
    );
    check(
        "pods",
        with(doc!({"env": [{"name": "A=B", "value": "x"}, {"name": "C", "valueFrom": {}}]})),
        &[
            r#"spec.containers[0].env[0].name: Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters other than '='"#,
            r#"spec.containers[0].env[1].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"#,
        ],
    );
}

#[test]
fn requests_do_not_exceed_limits_and_devices_are_not_shared() {
    check(
        "pods",
        with(doc!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})),
        &[r#"spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#],
    );
    check(
        "pods",
        with(doc!({"resources": {"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "2"}}})),
        &[r#"spec.containers[0].resources.requests: Invalid value: "1": must be equal to example.com/gpu limit of 2"#],
    );
}

#[test]
fn what_is_mounted_is_there() {
    let mounts = doc!([{"name": "data", "mountPath": "/data"}]);
    let fault = r#"spec.containers[0].volumeMounts[0].name: Not found: "data""#;
    check("pods", with(doc!({"volumeMounts": (mounts.clone())})), &[fault]);
    let mut whole = with(doc!({"volumeMounts": (mounts)}));
    whole.set(&["spec", "volumes"], doc!([{"name": "data", "emptyDir": {}}]));
    check("pods", whole, &[]);
}

#[test]
fn of_a_pod_only_images_and_seconds_change() {
    let key = ObjectKey::new("pods", "shop", "a");
    let old = pod(doc!({}));
    let image = pod(doc!({"containers": [{"name": "app", "image": "app:2"}]}));
    assert!(update(&key, "", &image, &old).is_empty());
    let policy = pod(doc!({"restartPolicy": "Never"}));
    let causes = update(&key, "", &policy, &old);
    assert!(
        said(&causes)
            .first()
            .is_some_and(|said| said.starts_with("spec: Forbidden: pod updates may not change fields other than"))
    );
    let more = pod(doc!({"containers": [{"name": "app", "image": "app:1"}, {"name": "b", "image": "b"}]}));
    assert_eq!(
        said(&update(&key, "", &more, &old)),
        ["spec.containers: Forbidden: pod updates may not add or remove containers"]
    );
}

#[test]
fn a_workload_selects_the_pods_it_makes() {
    let deployment = |selector: Value, labels: Value| {
        let mut template = pod(doc!({}));
        template.set(&["metadata"], doc!({"labels": (labels)}));
        doc!({"metadata": {"name": "web"}, "spec": {
            "selector": (selector), "template": (template),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        }})
    };
    let web = doc!({"matchLabels": {"app": "web"}});
    check("deployments.apps", deployment(web.clone(), doc!({"app": "web"})), &[]);
    check(
        "deployments.apps",
        deployment(web.clone(), doc!({"app": "api"})),
        &[
            r#"spec.template.metadata.labels: Invalid value: {"app":"api"}: `selector` does not match template `labels`"#,
        ],
    );
    check(
        "deployments.apps",
        deployment(doc!({}), doc!({"app": "api"})),
        &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    );
    let key = ObjectKey::new("deployments.apps", "shop", "web");
    let (old, new) =
        (deployment(web, doc!({"app": "web"})), deployment(doc!({"matchLabels": {"a": "b"}}), doc!({"a": "b"})));
    assert_eq!(
        said(&update(&key, "", &new, &old)),
        [r#"spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: field is immutable"#]
    );
}

#[test]
fn a_schedule_is_read_as_the_real_parser_reads_it() {
    for (schedule, why) in [
        ("*/5 * * * *", ""),
        ("@daily", ""),
        ("0 0 1 JAN MON-FRI", ""),
        ("every 5 minutes", "expected exactly 5 fields, found 3: [every 5 minutes]"),
        ("61 * * * *", "end of range (61) above maximum (59): 61"),
        ("@never", "unrecognized descriptor: @never"),
        ("TZ=UTC 0 0 * * *", "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
    ] {
        let template = pod(doc!({"restartPolicy": "Never"}));
        let job = doc!({"spec": {
            "schedule": (schedule), "concurrencyPolicy": "Allow", "jobTemplate": {"spec": {"template": (template)}},
        }});
        let want = format!("spec.schedule: Invalid value: {}: {why}", Value::from(schedule).to_json());
        check(
            "cronjobs.batch",
            job,
            if why.is_empty() { &[] } else { std::slice::from_ref(&want) }
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .as_slice(),
        );
    }
}

#[test]
fn the_rules_of_a_cluster_have_forms_too() {
    check(
        "roles.rbac.authorization.k8s.io",
        doc!({"rules": [{"apiGroups": [""], "resources": ["pods"]}]}),
        &["rules[0].verbs: Required value: verbs must contain at least one value"],
    );
    check(
        "resourcequotas",
        doc!({"spec": {"hard": {"pods": "1500m"}}}),
        &[r#"spec.hard[pods]: Invalid value: "1500m": must be an integer"#],
    );
    check(
        "networkpolicies.networking.k8s.io",
        doc!({"spec": {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["192.168.0.0/16"]}}]}]}}),
        &[
            r#"spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "192.168.0.0/16": must be a strict subset of `cidr`"#,
        ],
    );
    check("configmaps", doc!({"data": {"..": "x"}}), &[r#"data[..]: Invalid value: "..": must not be '..'"#]);
    check(
        "poddisruptionbudgets.policy",
        doc!({"spec": {"minAvailable": "150%"}}),
        &[r#"spec.minAvailable: Invalid value: "150%": must not be greater than 100%"#],
    );
}

#[test]
fn names_have_the_form_of_their_kind() {
    for (resource, name, why) in [
        ("namespaces", "team.a", "must not contain dots"),
        ("roles.rbac.authorization.k8s.io", "a%b", "may not contain '%'"),
        ("roles.rbac.authorization.k8s.io", "a:b", ""),
    ] {
        let want = format!("metadata.name: Invalid value: \"{name}\": {why}");
        let object = doc!({"metadata": {"name": (name)}});
        let want: &[&str] = if why.is_empty() { &[] } else { &[&want] };
        check(resource, object, want);
    }
}

#[test]
fn what_is_hidden_or_said_twice_is_warned_of() {
    let pod = with(
        doc!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}], "ports": [{"containerPort": 80}, {"containerPort": 80}]}),
    );
    assert_eq!(
        warnings(&ObjectKey::new("pods", "shop", "a"), &pod, None),
        [
            r#"spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply"#,
            "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
        ]
    );
}

#[test]
fn numbers_of_a_status_bound_each_other() {
    let cases = [
        (
            "deployments.apps",
            doc!({"replicas": 1, "readyReplicas": 2, "availableReplicas": 3, "unavailableReplicas": (-1)}),
            vec![
                "status.unavailableReplicas: Invalid value: -1: must be greater than or equal to 0",
                "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
            ],
        ),
        (
            "statefulsets.apps",
            doc!({"replicas": 1, "currentReplicas": 2}),
            vec!["status.currentReplicas: Invalid value: 2: cannot be greater than status.replicas"],
        ),
        (
            "replicasets.apps",
            doc!({"replicas": 1, "fullyLabeledReplicas": 2}),
            vec!["status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas"],
        ),
        (
            "services",
            doc!({"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "ipMode": "VIP"}]}}),
            vec!["status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is \"LoadBalancer\""],
        ),
        (
            "ingresses.networking.k8s.io",
            doc!({"loadBalancer": {"ingress": [{"hostname": "10.0.0.1"}, {"ip": "a", "hostname": "b.c"}]}}),
            vec![
                "status.loadBalancer.ingress[0].hostname: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
                "status.loadBalancer.ingress[1].ip: Invalid value: \"a\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ],
        ),
        (
            "nodes",
            doc!({"capacity": {"cpu": "-1"}}),
            vec![
                "status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
                "status.allocatable.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
            ],
        ),
        (
            "namespaces",
            doc!({"phase": "Terminating"}),
            vec!["status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"],
        ),
    ];
    for (resource, new, want) in cases {
        let key = ObjectKey::new(resource, "shop", "a");
        let object = doc!({"metadata": {"name": "a"}, "status": (new)});
        assert_eq!(said(&status(&key, &object, &doc!({}))), want, "{resource}");
    }
}

#[test]
fn what_is_wrong_with_the_labels_of_a_changed_object_is_said_as_often_as_it_is_looked_at() {
    let object = doc!({"metadata": {"name": "a", "labels": {"a b": ""}}});
    for (resource, times) in
        [("configmaps", 4), ("namespaces", 4), ("limitranges", 3), ("leases.coordination.k8s.io", 3)]
    {
        let key = ObjectKey::new(resource, "shop", "a");
        let causes = update(&key, "", &object, &object);
        assert_eq!(causes.iter().filter(|cause| cause.field == "metadata.labels").count(), times, "{resource}");
    }
}

#[test]
fn what_configures_the_server_itself_is_checked_too() {
    let group = |kind: &str, group: &str| format!("{kind}.{group}");
    let hooks = group("validatingwebhookconfigurations", "admissionregistration.k8s.io");
    let rule = doc!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]});
    let sound = doc!({
        "name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": [(rule)],
        "clientConfig": {"url": "https://a.example.com/check"},
    });
    check(&hooks, doc!({"webhooks": [(&sound)]}), &[]);
    check(
        &hooks,
        doc!({"webhooks": [{"name": "a.b", "timeoutSeconds": 31, "clientConfig": {}, "rules": [{}]}, (&sound), (&sound)]}),
        &[
            "webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots",
            "webhooks[0].rules[0].operations: Required value",
            "webhooks[0].rules[0].apiGroups: Required value",
            "webhooks[0].rules[0].apiVersions: Required value",
            "webhooks[0].rules[0].resources: Required value",
            "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
            "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
            "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
            "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
            "webhooks[2].name: Duplicate value: \"a.example.com\"",
        ],
    );
    check(
        &group("apiservices", "apiregistration.k8s.io"),
        doc!({"metadata": {"name": "a"}, "spec": {"group": "example.com", "version": "v1", "versionPriority": 15}}),
        &[
            "metadata.name: Invalid value: \"a\": must be `spec.version+\".\"+spec.group`: \"v1.example.com\"",
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
        ],
    );
    check(
        &group("flowschemas", "flowcontrol.apiserver.k8s.io"),
        doc!({"spec": {"matchingPrecedence": 10001, "rules": [{"subjects": [{"kind": "User"}]}]}}),
        &[
            "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000",
            "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
            "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
            "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
        ],
    );
    check(
        &group("prioritylevelconfigurations", "flowcontrol.apiserver.k8s.io"),
        doc!({"spec": {"type": "Limited"}}),
        &["spec.limited: Required value: must not be empty when type is Limited"],
    );
    check(
        &group("certificatesigningrequests", "certificates.k8s.io"),
        doc!({"spec": {"request": "aGVsbG8=", "signerName": "me", "usages": ["client auth", "client auth"], "expirationSeconds": 60}}),
        &[
            "spec.request: Invalid value: \"aGVsbG8=\": PEM block type must be CERTIFICATE REQUEST",
            "spec.usages[1]: Duplicate value: \"client auth\"",
            "spec.signerName: Invalid value: \"me\": must be a fully qualified domain and path of the form 'example.com/signer-name'",
            "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 600 seconds (10 minutes)",
        ],
    );
}

#[test]
fn the_smaller_kinds_are_checked_too() {
    let event = |namespace: &str| doc!({"metadata": {"name": "e", "namespace": "shop"}, "involvedObject": {"namespace": (namespace)}});
    check("events", event("shop"), &[]);
    let wrong = "involvedObject.namespace: Invalid value: \"default\": does not match event.namespace";
    check("events", event("default"), &[wrong]);
    check(
        "controllerrevisions.apps",
        doc!({"revision": (-1)}),
        &["data: Required value: data is mandatory", "revision: Invalid value: -1: must be greater than or equal to 0"],
    );
    check(
        "volumeattachments.storage.k8s.io",
        doc!({"spec": {"attacher": "csi.example.com", "nodeName": "n", "source": {}}}),
        &["spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"],
    );
    check(
        "csinodes.storage.k8s.io",
        doc!({"spec": {"drivers": [{"name": "a", "nodeID": "n", "allocatable": {"count": (-1)}}, {"name": "a", "nodeID": "m"}]}}),
        &[
            "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
            "spec.drivers[1].name: Duplicate value: \"a\"",
        ],
    );
    check(
        "volumeattributesclasses.storage.k8s.io",
        doc!({"driverName": ""}),
        &["driverName: Required value", "parameters: Required value: must contain at least one key/value pair"],
    );
    check(
        "ipaddresses.networking.k8s.io",
        doc!({"metadata": {"name": "10.0.0.1"}}),
        &["spec.parentRef: Required value"],
    );
    check(
        "servicecidrs.networking.k8s.io",
        doc!({"spec": {"cidrs": ["10.0.0.0/24", "10.1.0.0/24"]}}),
        &[
            "spec.cidrs: Invalid value: [\"10.0.0.0/24\",\"10.1.0.0/24\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
        ],
    );
}

#[test]
fn a_generated_names_beginning_is_looked_at_too() {
    let make = |prefix: &str, name: &str| doc!({"metadata": {"generateName": (prefix), "name": (name)}});
    check("configmaps", make("good-", "good-x"), &[]);
    let key = ObjectKey::new("configmaps", "shop", "Bad_x");
    let causes = create(&key, "", &make("Bad_", "Bad_x"));
    let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(fields, ["metadata.generateName", "metadata.name"]);
}

#[test]
fn a_template_that_may_not_change_is_shown_as_go_keeps_it() {
    let job = |image: &str| {
        doc!({"metadata": {"name": "j", "uid": "u"}, "spec": {
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
            "template": {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "u"}}, "spec": {
                "containers": [{"name": "c", "image": (image), "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "readinessProbe": {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "periodSeconds": 10}}],
                "restartPolicy": "Never", "dnsPolicy": "Default", "hostNetwork": true,
            }},
        }})
    };
    let causes = update(&ObjectKey::new("jobs.batch", "shop", "j"), "", &job("b"), &job("a"));
    let shown = &causes.last().unwrap().message;
    for part in [
        r#"Invalid value: {"Volumes":null,"InitContainers":null,"Containers":[{"Name":"c","Image":"b","Command":null,"#,
        r#""Ports":[{"Name":"","HostPort":0,"ContainerPort":80,"Protocol":"TCP","HostIP":""}]"#,
        r#""ReadinessProbe":{"Exec":null,"HTTPGet":{"Path":"/","Port":80,"Host":"","Scheme":"HTTP","HTTPHeaders":null},"#,
        r#""SecurityContext":{"HostNetwork":true,"HostPID":false,"#,
        r#""SchedulingGroup":null}: field is immutable"#,
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}
