use super::*;
use crate::Schema;

const NOW: &str = "2026-11-24T12:00:00Z";

fn now() -> Time {
    crate::time::parse(NOW).unwrap()
}

fn table(kind: &str) -> Table {
    let schema = Schema::default();
    let resource = schema.resources().find(|resource| resource.kind == kind).unwrap();
    Table::of(resource)
}

/// The columns that are always shown in lower case, and the cells of all.
fn show(kind: &str, object: &Value) -> String {
    let shown = table(kind).one(object, Include::None, true, now());
    let cells = shown.at(&["rows"]).items()[0].at(&["cells"]).items();
    let cells = cells.iter().map(|cell| cell.as_str().map_or_else(|| cell.to_json(), |text| format!("{text:?}")));
    cells.collect::<Vec<_>>().join(" | ")
}

fn born(mut object: Value, name: &str) -> Value {
    object.set(&["metadata", "name"], name);
    object.set(&["metadata", "creationTimestamp"], "2026-11-24T11:57:55Z");
    object
}

#[test]
fn lengths_of_time_are_told_to_two_places_at_most() {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let cases = [
        (0, "0s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + 5, "2m5s"),
        (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE + 59, "10m"),
        (179 * MINUTE, "179m"),
        (3 * HOUR, "3h"),
        (7 * HOUR + 59 * MINUTE, "7h59m"),
        (8 * HOUR + 59 * MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (48 * HOUR, "2d"),
        (7 * DAY + 23 * HOUR, "7d23h"),
        (8 * DAY + 23 * HOUR, "8d"),
        (729 * DAY, "729d"),
        (730 * DAY, "2y"),
        (800 * DAY, "2y70d"),
        (8 * 365 * DAY + DAY, "8y"),
    ];
    for (seconds, want) in cases {
        assert_eq!(human_duration(std::time::Duration::from_secs(seconds)), want, "{seconds}");
    }
    let cases = [(NOW, "0s"), ("2026-11-24T12:00:01Z", "0s"), ("2026-11-24T12:00:02Z", "<invalid>"), ("", "<unknown>")];
    for (then, want) in cases {
        assert_eq!(text::age(&Value::from(then), now()), want, "{then}");
    }
}

#[test]
fn a_pods_status_is_the_loudest_of_its_containers() {
    let running = || doc!({"name": "c", "ready": true, "restartCount": 0, "state": {"running": {}}});
    let waiting = |why: &str| {
        doc!({"name": "c", "restartCount": 3, "state": {"waiting": {"reason": (why)}},
        "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-11-24T11:55:00Z"}}})
    };
    let ended = |state: Value| doc!({"name": "c", "restartCount": 0, "state": {"terminated": (state)}});
    let pod = |phase: &str, status: Value| {
        let mut pod = doc!({"kind": "Pod", "spec": {"containers": [{"name": "c"}]}, "status": (status)});
        pod.set(&["status", "phase"], phase);
        pod
    };
    let init = |status: Value| {
        let mut pod = pod("Pending", doc!({"initContainerStatuses": [(status)]}));
        pod.set(&["spec", "initContainers"], doc!([{"name": "c"}, {"name": "d"}]));
        pod
    };
    let sidecar = |ready: bool| {
        let mut pod = pod(
            "Running",
            doc!({
                "containerStatuses": [(running())],
                "initContainerStatuses": [{"name": "s", "started": true, "ready": (ready), "restartCount": 2, "state": {"running": {}}}],
            }),
        );
        pod.set(&["spec", "initContainers"], doc!([{"name": "s", "restartPolicy": "Always"}]));
        pod
    };
    let terminating = |mut pod: Value| {
        pod.set(&["metadata", "deletionTimestamp"], NOW);
        pod
    };
    let gated = doc!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]});
    let cases = [
        (pod("Pending", doc!({})), "0/1", "Pending", "0"),
        (pod("Pending", gated), "0/1", "SchedulingGated", "0"),
        (pod("Failed", doc!({"reason": "Evicted"})), "0/1", "Evicted", "0"),
        (pod("Running", doc!({"containerStatuses": [(running())]})), "1/1", "Running", "0"),
        (
            pod("Running", doc!({"containerStatuses": [(waiting("CrashLoopBackOff"))]})),
            "0/1",
            "CrashLoopBackOff",
            "3 (5m ago)",
        ),
        (
            pod("Pending", doc!({"containerStatuses": [(waiting("ImagePullBackOff"))]})),
            "0/1",
            "ImagePullBackOff",
            "3 (5m ago)",
        ),
        (
            pod("Succeeded", doc!({"containerStatuses": [(ended(doc!({"exitCode": 0, "reason": "Completed"})))]})),
            "0/1",
            "Completed",
            "0",
        ),
        (
            pod("Running", doc!({"containerStatuses": [(running()), (ended(doc!({"reason": "Completed"})))]})),
            "1/1",
            "NotReady",
            "0",
        ),
        (
            pod("Failed", doc!({"containerStatuses": [(ended(doc!({"exitCode": 137, "reason": "OOMKilled"})))]})),
            "0/1",
            "OOMKilled",
            "0",
        ),
        (pod("Failed", doc!({"containerStatuses": [(ended(doc!({"exitCode": 3})))]})), "0/1", "ExitCode:3", "0"),
        (
            pod("Failed", doc!({"containerStatuses": [(ended(doc!({"exitCode": 3, "signal": 9})))]})),
            "0/1",
            "Signal:9",
            "0",
        ),
        (init(running()), "0/1", "Init:0/2", "0"),
        (init(waiting("CrashLoopBackOff")), "0/1", "Init:CrashLoopBackOff", "3 (5m ago)"),
        (init(ended(doc!({"exitCode": 1, "reason": "Error"}))), "0/1", "Init:Error", "0"),
        (init(ended(doc!({"exitCode": 2}))), "0/1", "Init:ExitCode:2", "0"),
        (sidecar(true), "2/2", "Running", "2"),
        (sidecar(false), "1/2", "Running", "2"),
        (terminating(pod("Running", doc!({"containerStatuses": [(running())]}))), "1/1", "Terminating", "0"),
        (terminating(pod("Running", doc!({"reason": "NodeLost"}))), "0/1", "Unknown", "0"),
        (terminating(pod("Succeeded", doc!({}))), "0/1", "Succeeded", "0"),
    ];
    for (pod, ready, status, restarts) in cases {
        let row = Row { object: &pod, now: now() };
        let got = [pods::ready(&row), pods::status(&row), pods::restarts(&row)];
        assert_eq!(got, [ready, status, restarts].map(Value::from), "{pod}");
    }
}

#[test]
fn each_kind_is_shown_as_the_real_printers_do() {
    let template = doc!({"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}]}});
    let cases = [
        (
            "Deployment",
            doc!({"spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": (template.clone())},
            "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}}),
            r#""o" | "2/3" | 3 | 1 | "2m5s" | "a,b" | "x:1,y:2" | "app=web""#,
        ),
        (
            "ReplicaSet",
            doc!({"spec": {"replicas": 3, "selector": {"matchExpressions": [{"key": "z", "operator": "In", "values": ["q", "p"]}, {"key": "b", "operator": "DoesNotExist"}], "matchLabels": {"m": "n"}}, "template": (template)}}),
            r#""o" | 3 | 0 | 0 | "2m5s" | "a,b" | "x:1,y:2" | "!b,m=n,z in (p,q)""#,
        ),
        (
            "Job",
            doc!({"spec": {"parallelism": 4}, "status": {"succeeded": 1, "startTime": "2026-11-24T11:58:00Z"}}),
            r#""o" | "Running" | "1/1 of 4" | "2m" | "2m5s" | "" | "" | "<none>""#,
        ),
        (
            "Job",
            doc!({"spec": {"completions": 2}, "status": {"succeeded": 2, "startTime": "2026-11-24T11:58:00Z", "completionTime": "2026-11-24T11:58:09Z", "conditions": [{"type": "Complete", "status": "True"}]}}),
            r#""o" | "Complete" | "2/2" | "9s" | "2m5s" | "" | "" | "<none>""#,
        ),
        (
            "CronJob",
            doc!({"spec": {"schedule": "* * * * *", "suspend": false}, "status": {"active": [{}]}}),
            r#""o" | "* * * * *" | "<none>" | "False" | 1 | "<none>" | "2m5s" | "" | "" | "<none>""#,
        ),
        (
            "Service",
            doc!({"spec": {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}),
            r#""o" | "LoadBalancer" | "10.0.0.1" | "<pending>" | "80:30080/TCP,53/UDP" | "2m5s" | "<none>""#,
        ),
        (
            "Service",
            doc!({"spec": {"type": "ExternalName", "externalName": "example.com"}}),
            r#""o" | "ExternalName" | "<none>" | "example.com" | "<none>" | "2m5s" | "<none>""#,
        ),
        (
            "Endpoints",
            doc!({"subsets": [{"addresses": [{"ip": "1.1.1.1"}, {"ip": "::2"}], "ports": [{"port": 80}, {"port": 81}]}]}),
            r#""o" | "1.1.1.1:80,[::2]:80,1.1.1.1:81 + 1 more..." | "2m5s""#,
        ),
        (
            "EndpointSlice",
            doc!({"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["1.1.1.1"]}]}),
            r#""o" | "IPv4" | "80" | "1.1.1.1" | "2m5s""#,
        ),
        ("EndpointSlice", doc!({"addressType": "IPv4"}), r#""o" | "IPv4" | "<unset>" | "<unset>" | "2m5s""#),
        (
            "Node",
            doc!({"metadata": {"labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "db"}}, "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}], "addresses": [{"type": "InternalIP", "address": "10.1.0.1"}], "nodeInfo": {"kubeletVersion": "v1.36.2"}}}),
            r#""o" | "NotReady,SchedulingDisabled" | "db,worker" | "2m5s" | "v1.36.2" | "10.1.0.1" | "<none>" | "<unknown>" | "<unknown>" | "<unknown>""#,
        ),
        (
            "Event",
            doc!({"involvedObject": {"kind": "Pod", "name": "p"}, "type": "Normal", "reason": "Started", "message": " hi\n", "count": 4,
            "source": {"component": "kubelet", "host": "n1"}, "firstTimestamp": "2026-11-24T11:00:00Z", "lastTimestamp": "2026-11-24T11:59:00Z"}),
            r#""60s" | "Normal" | "Started" | "pod/p" | "" | "kubelet, n1" | "hi" | "60m" | 4 | "o""#,
        ),
        (
            "Event",
            doc!({"regarding": {"kind": "Pod", "name": "p"}, "note": "hi", "eventTime": "2026-11-24T11:59:00.000000Z", "reportingController": "me"}),
            r#""60s" | "" | "" | "pod/p" | "" | "me" | "hi" | "60s" | 1 | "o""#,
        ),
        (
            "PersistentVolume",
            doc!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": "n", "name": "c"}, "storageClassName": "fast"}, "status": {"phase": "Bound"}}),
            r#""o" | "1Gi" | "RWO,RWX" | "Retain" | "Bound" | "n/c" | "fast" | "<unset>" | "" | "2m5s" | "<unset>""#,
        ),
        (
            "PersistentVolumeClaim",
            doc!({"spec": {"volumeName": "v", "volumeMode": "Filesystem"}, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"]}}),
            r#""o" | "Bound" | "v" | "1Gi" | "RWOP" | "" | "<unset>" | "2m5s" | "Filesystem""#,
        ),
        (
            "PodDisruptionBudget",
            doc!({"spec": {"minAvailable": 2}, "status": {"disruptionsAllowed": 1}}),
            r#""o" | "2" | "N/A" | 1 | "2m5s""#,
        ),
        (
            "HorizontalPodAutoscaler",
            doc!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 5, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
                {"type": "Pods", "pods": {"target": {"averageValue": "10"}}},
                {"type": "External", "external": {"target": {"averageValue": "3"}}}]},
            "status": {"currentReplicas": 2, "currentMetrics": [{"type": "Resource", "resource": {"current": {"averageUtilization": 40}}}]}}),
            r#""o" | "Deployment/web" | "cpu: 40%/80%, <unknown>/10 + 1 more..." | "1" | 5 | 2 | "2m5s""#,
        ),
        (
            "ResourceQuota",
            doc!({"status": {"hard": {"pods": "5", "limits.cpu": "4"}, "used": {"pods": "1"}}}),
            r#""o" | "pods: 1/5" | "limits.cpu: 0/4" | "2m5s""#,
        ),
        (
            "RoleBinding",
            doc!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "namespace": "n", "name": "s"}, {"kind": "User", "name": "u"}, {"kind": "User", "name": "v"}]}),
            r#""o" | "Role/r" | "2m5s" | "u, v" | "" | "n/s""#,
        ),
        ("Role", doc!({}), r#""o" | "2026-11-24T11:57:55Z""#),
        ("LimitRange", doc!({}), r#""o" | "2026-11-24T11:57:55Z""#),
        (
            "StorageClass",
            doc!({"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "p"}),
            r#""o (default)" | "p" | "Delete" | "Immediate" | false | "2m5s""#,
        ),
        (
            "ControllerRevision",
            doc!({"metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": true}]}, "revision": 3}),
            r#""o" | "daemonset.apps/d" | 3 | "2m5s""#,
        ),
        (
            "CertificateSigningRequest",
            doc!({"spec": {"signerName": "s", "username": "u", "expirationSeconds": 3600}, "status": {"conditions": [{"type": "Approved"}], "certificate": "eA=="}}),
            r#""o" | "2m5s" | "s" | "u" | "60m" | "Approved,Issued""#,
        ),
        ("Secret", doc!({"type": "Opaque", "data": {"a": "", "b": ""}}), r#""o" | "Opaque" | 2 | "2m5s""#),
        ("ConfigMap", doc!({"data": {"a": ""}, "binaryData": {"b": ""}}), r#""o" | 2 | "2m5s""#),
        (
            "Ingress",
            doc!({"spec": {"rules": [{"host": "a"}, {"host": "b"}, {"host": "c"}, {"host": "d"}]}, "status": {"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}]}}}),
            r#""o" | "<none>" | "a,b,c + 1 more..." | "1.1.1.1" | "80" | "2m5s""#,
        ),
        (
            "PriorityLevelConfiguration",
            doc!({"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"queuing": {"queues": 8, "handSize": 2, "queueLengthLimit": 50}}}}}),
            r#""o" | "Limited" | 5 | 8 | 2 | 50 | "2m5s""#,
        ),
        (
            "APIService",
            doc!({"status": {"conditions": [{"type": "Available", "status": "False", "reason": "Gone"}]}}),
            r#""o" | "Local" | "False (Gone)" | "2m5s""#,
        ),
        (
            "ValidatingAdmissionPolicyBinding",
            doc!({"spec": {"policyName": "p", "paramRef": {"name": "x"}}}),
            r#""o" | "p" | "*/x" | "2m5s""#,
        ),
    ];
    for (kind, object, want) in cases {
        assert_eq!(show(kind, &born(object, "o")), want, "{kind}");
    }
}

#[test]
fn every_listable_kind_has_as_many_cells_as_columns_and_names_its_objects() {
    for resource in Schema::default().resources().filter(|resource| resource.allows("list")) {
        let table = Table::of(resource).one(&born(doc!({}), "o"), Include::None, true, now());
        let columns = table.at(&["columnDefinitions"]).items();
        let cells = table.at(&["rows"]).items()[0].at(&["cells"]).items();
        assert_eq!(columns.len(), cells.len(), "{}", resource.id());
        let name = columns.iter().position(|column| column.at(&["format"]) == "name");
        assert_eq!(name.map(|at| &cells[at]), Some(&Value::from("o")), "{}", resource.id());
    }
}

#[test]
fn only_kinds_without_a_printer_are_shown_by_name_and_birth() {
    let schema = Schema::default();
    let mut plain: Vec<&str> = schema
        .resources()
        .filter(|resource| resource.allows("list"))
        .filter(|resource| {
            let table = Table::of(resource).one(&doc!({}), Include::None, true, now());
            table.at(&["columnDefinitions"]).items()[1].at(&["name"]) == "Created At"
        })
        .map(|resource| resource.kind.as_str())
        .collect();
    plain.sort_unstable();
    assert_eq!(plain, ["CSIStorageCapacity", "ClusterRole", "CustomResourceDefinition", "LimitRange", "Role"]);
}

#[test]
fn a_row_carries_what_was_asked_for() {
    let object = born(doc!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": "b"}}), "o");
    let carried = |include: Option<&str>| {
        let table = table("ConfigMap").one(&object, Include::parse(include)?, true, now());
        Ok::<_, Status>(table.at(&["rows"]).items()[0].at(&["object"]).clone())
    };
    assert_eq!(carried(Some("None")), Ok(Value::Null));
    assert_eq!(carried(Some("Object")), Ok(object.clone()));
    assert_eq!(carried(None).unwrap(), partial(&object));
    assert_eq!(carried(Some("Metadata")), carried(None));
    let refused = carried(Some("Bad")).err().unwrap();
    assert_eq!(refused.code, 400);
    assert!(
        refused.message.starts_with("Unable to convert to Table as requested: includeObject: Invalid value: \"Bad\"")
    );
}

#[test]
fn the_later_tables_of_a_watch_have_no_headers_and_an_ended_pod_says_so() {
    let pod = doc!({"kind": "Pod", "metadata": {"name": "p", "resourceVersion": "7"}, "status": {"phase": "Failed"}});
    let shown = table("Pod").one(&pod, Include::None, false, now());
    assert!(shown.at(&["columnDefinitions"]).is_null());
    assert_eq!(shown.at(&["metadata", "resourceVersion"]), "7");
    assert_eq!(shown.at(&["rows"]).items()[0].at(&["conditions"]).items()[0].at(&["reason"]), "Failed");
}

#[test]
fn a_custom_resource_is_shown_by_the_columns_of_its_definition() {
    let columns = doc!([
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
        {"name": "Gone", "type": "string", "jsonPath": ".spec.none", "priority": 1},
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
        {"name": "Text", "type": "integer", "jsonPath": ".spec.names"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    let definition = |columns: Value| {
        doc!({"spec": {"group": "g.io", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": true, "storage": true, "additionalPrinterColumns": (columns)}]}})
    };
    let object = born(
        doc!({"spec": {"size": 4, "on": true, "names": ["a", "b"]}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        "w",
    );
    let shown = |columns: Value| {
        let schema = Schema::default().with_definition(&definition(columns)).unwrap();
        let table = Table::of(schema.by_kind("g.io", "v1", "Widget").unwrap());
        table.one(&object, Include::None, true, now())
    };
    let full = shown(columns);
    assert_eq!(full.at(&["rows"]).items()[0].at(&["cells"]), &doc!(["w", 4, "True", null, true, null, "2m5s"]));
    assert_eq!(full.at(&["columnDefinitions"]).items()[3].at(&["priority"]), &Value::from(1));
    let plain = shown(Value::Null);
    assert_eq!(plain.at(&["rows"]).items()[0].at(&["cells"]), &doc!(["w", "2m5s"]));
    assert_eq!(plain.at(&["columnDefinitions"]).items()[1].at(&["type"]), "date");
}

#[test]
fn a_json_path_finds_what_kubernetes_finds() {
    let object = doc!({
        "a": {"b": [{"k": "x", "n": 1}, {"k": "y", "n": 2}, {"k": "z", "n": 3}]},
        "metadata": {"labels": {"app.kubernetes.io/name": "web"}},
    });
    let cases = [
        (".a.b[0].k", "x"),
        ("a.b[-1].k", "z"),
        ("{.a.b[*].k}", "x y z"),
        (".a.b[0:2].k", "x y"),
        (".a.b[1:].k", "y z"),
        (".a.b[?(@.k==\"y\")].n", "2"),
        (".a.b[?(@.k=='y')].n", "2"),
        (".a.b[?(@.n>=2)].k", "y z"),
        (".a.b[?(@.k!='y')].n", "1 3"),
        (".a['b'][0]['n']", "1"),
        (".metadata.labels.app\\.kubernetes\\.io/name", "web"),
        (".metadata.labels['app\\.kubernetes\\.io/name']", "web"),
        ("..k", "x y z"),
        (".a.c", ""),
        (".a.b[7]", ""),
    ];
    for (path, want) in cases {
        let found = JsonPath::parse(path).unwrap_or_else(|| panic!("{path}"));
        let found: Vec<String> = found.find(&object).into_iter().map(jsonpath::print).collect();
        assert_eq!(found.join(" "), want, "{path}");
    }
    for path in [".a[", ".a[?(@.k==)]", ".a[x]"] {
        assert_eq!(JsonPath::parse(path), None, "{path}");
    }
}
