//! Each case: what is in the namespace, a pod, and what is said of it.

use super::{Write, delete, mutate, validate};
use crate::apiserver::registry::{self, Writer};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::testing;
use crate::value::Value;

fn have(cluster: &mut Cluster, resource: &str, object: Value) {
    let namespace = if object.namespace().is_empty() { "" } else { "shop" };
    cluster.write(&ObjectKey::new(resource, namespace, object.name()), Some(object.clone()));
}

fn make(cluster: &mut Cluster, resource: &str, object: Value) -> Result<Value, String> {
    let writer = Writer::component("tester", "test");
    registry::create(cluster, resource, object, &writer).map_err(|status| status.message)
}

fn pod(spec: Value) -> Value {
    let mut pod = testing::pod("a");
    for (key, value) in spec.entries() {
        pod.set(&["spec", key], value.clone());
    }
    pod
}

#[test]
fn a_pod_has_an_account_and_its_token() {
    let mut cluster = testing::cluster(&[]);
    let made = make(&mut cluster, "pods", pod(doc!({}))).expect("it is made");
    assert_eq!(made.at(&["spec", "serviceAccountName"]), "default");
    let volume = made.at(&["spec", "volumes"]).items().first().expect("the token's").clone();
    assert!(volume.at(&["name"]).str_or_empty().starts_with("kube-api-access-"));
    let container = made.at(&["spec", "containers"]).items().first().expect("one").clone();
    assert_eq!(
        container.at(&["volumeMounts"]),
        &doc!([{
            "name": (volume.at(&["name"])), "readOnly": true,
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        }])
    );
    let without = pod(doc!({"automountServiceAccountToken": false}));
    let mut other = without.clone();
    other.set(&["metadata", "name"], "b");
    assert!(make(&mut cluster, "pods", other).expect("it is made").find(&["spec", "volumes"]).is_none());
    let stranger = pod(doc!({"serviceAccountName": "x"}));
    assert_eq!(
        make(&mut cluster, "pods", stranger),
        Err(r#"pods "a" is forbidden: error looking up service account shop/x: serviceaccount "x" not found"#.into())
    );
}

#[test]
fn a_pod_does_not_choose_its_priority() {
    let mut cluster = testing::cluster(&[]);
    let class = doc!({"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"});
    have(&mut cluster, "priorityclasses.scheduling.k8s.io", class);
    let cases = [
        (doc!({"priorityClassName": "nope"}), "no PriorityClass with name nope was found"),
        (
            doc!({"priorityClassName": "high", "priority": 5}),
            "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name",
        ),
    ];
    for (spec, why) in cases {
        assert_eq!(make(&mut cluster, "pods", pod(spec)), Err(format!("pods \"a\" is forbidden: {why}")));
    }
    let made = make(&mut cluster, "pods", pod(doc!({"priorityClassName": "high"}))).expect("it is made");
    assert_eq!(made.at(&["spec", "priority"]).as_int(), Some(1000));
    assert_eq!(made.at(&["spec", "preemptionPolicy"]), "Never");
}

#[test]
fn limits_are_given_and_kept() {
    let mut cluster = testing::cluster(&[]);
    let range = doc!({"metadata": {"name": "r", "namespace": "shop"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}},
        {"type": "Pod", "maxLimitRequestRatio": {"cpu": "4"}},
    ]}});
    have(&mut cluster, "limitranges", range);
    let big = doc!([{"name": "app", "image": "a:1", "resources": {"limits": {"cpu": "2"}}}]);
    assert_eq!(
        make(&mut cluster, "pods", pod(doc!({"containers": (big)}))),
        Err("pods \"a\" is forbidden: maximum cpu usage per Container is 1, but limit is 2".into())
    );
    assert_eq!(
        make(&mut cluster, "pods", pod(doc!({}))),
        Err("pods \"a\" is forbidden: cpu max limit to request ratio per Pod is 4, but provided ratio is 5.000000"
            .into())
    );
    let fits = doc!([{"name": "app", "image": "a:1", "resources": {"requests": {"cpu": "200m"}}}]);
    let made = make(&mut cluster, "pods", pod(doc!({"containers": (fits)}))).expect("it is made");
    assert_eq!(
        made.annotation("kubernetes.io/limit-ranger"),
        Some("LimitRanger plugin set: cpu limit for container app")
    );
}

#[test]
fn a_quota_is_charged_before_the_object_is_stored_and_not_by_a_dry_run() {
    let mut cluster = testing::cluster(&[]);
    let quota = doc!({
        "metadata": {"name": "q", "namespace": "shop"},
        "status": {"hard": {"pods": "2", "requests.cpu": "1"}, "used": {"pods": "0", "requests.cpu": "0"}},
    });
    have(&mut cluster, "resourcequotas", quota);
    let asks = |name: &str, cpu: &str| {
        let containers = doc!([{"name": "app", "image": "a:1", "resources": {"requests": {"cpu": (cpu)}}}]);
        let mut pod = pod(doc!({"containers": (containers)}));
        pod.set(&["metadata", "name"], name);
        pod
    };
    let used = |cluster: &Cluster| {
        cluster
            .get(&ObjectKey::new("resourcequotas", "shop", "q"))
            .expect("it is there")
            .at(&["status", "used"])
            .clone()
    };
    assert_eq!(
        make(&mut cluster, "pods", pod(doc!({}))),
        Err("pods \"a\" is forbidden: failed quota: q: must specify requests.cpu for: app".into())
    );
    let dry = Writer { dry_run: true, ..Writer::component("tester", "test") };
    registry::create(&mut cluster, "pods", asks("a", "600m"), &dry).expect("it would be made");
    assert_eq!(used(&cluster), doc!({"pods": "0", "requests.cpu": "0"}));
    make(&mut cluster, "pods", asks("a", "600m")).expect("it is made");
    assert_eq!(used(&cluster), doc!({"pods": "1", "requests.cpu": "600m"}));
    assert_eq!(
        make(&mut cluster, "pods", asks("b", "600m")),
        Err("pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1".into())
    );
}

#[test]
fn a_namespace_enforces_or_warns_of_a_standard() {
    let cases = [
        (
            "enforce",
            "baseline",
            doc!({"hostNetwork": true, "volumes": [{"name": "h", "hostPath": {"path": "/"}}]}),
            r#"violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true), hostPath volumes (volume "h")"#,
        ),
        (
            "enforce",
            "restricted",
            doc!({"securityContext": {"runAsNonRoot": true, "runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}}}),
            concat!(
                r#"violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "app" must set "#,
                r#"securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "app" must set "#,
                r#"securityContext.capabilities.drop=["ALL"]), runAsUser=0 (pod must not set runAsUser=0)"#
            ),
        ),
    ];
    for (mode, level, spec, why) in cases {
        let mut cluster = testing::cluster(&[]);
        testing::edit(&mut cluster, "namespaces", "", "shop", |namespace| {
            namespace.set(&["metadata", "labels", &format!("pod-security.kubernetes.io/{mode}")], level);
        });
        assert_eq!(make(&mut cluster, "pods", pod(spec)), Err(format!("pods \"a\" is forbidden: {why}")));
    }
    let mut cluster = testing::cluster(&[]);
    testing::edit(&mut cluster, "namespaces", "", "shop", |namespace| {
        namespace.set(&["metadata", "labels", "pod-security.kubernetes.io/warn"], "baseline");
    });
    let key = ObjectKey::new("deployments.apps", "shop", "web");
    let writer = Writer::component("tester", "test");
    let write = Write { key: &key, old: None, writer: &writer };
    let deployment = doc!({"spec": {"template": {"spec": {"hostPID": true}}}});
    validate(&mut cluster, write, &deployment).expect("a workload is only warned of");
    assert_eq!(writer.heard.take(), [r#"would violate PodSecurity "baseline:latest": host namespaces (hostPID=true)"#]);
}

fn in_namespace(cluster: &mut Cluster, labels: Value) {
    let key = ObjectKey::new("namespaces", "", "shop");
    let mut namespace = cluster.get(&key).expect("it is there").clone();
    namespace.set(&["metadata", "labels"], labels);
    cluster.write(&key, Some(namespace));
}

#[test]
fn a_standard_is_what_it_was_in_the_version_that_the_namespace_names() {
    let bad_probe = doc!([{"name": "app", "image": "i", "livenessProbe": {"tcpSocket": {"host": "h", "port": 1}}}]);
    let sysctl = doc!({"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]});
    let cases = [
        ("baseline", "v1.33", doc!({"containers": (&bad_probe)}), ""),
        (
            "baseline",
            "v1.34",
            doc!({"containers": (&bad_probe)}),
            r#"probe or lifecycle host (container "app" uses probe or lifecycle host "h")"#,
        ),
        ("baseline", "v1.31", doc!({"securityContext": (&sysctl)}), "forbidden sysctls (net.ipv4.tcp_rmem)"),
        ("baseline", "latest", doc!({"securityContext": (&sysctl)}), ""),
        (
            "restricted",
            "v1.7",
            doc!({}),
            r#"runAsNonRoot != true (pod or container "app" must set securityContext.runAsNonRoot=true)"#,
        ),
        ("restricted", "v1.99", doc!({"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true}}), ""),
    ];
    for (level, version, spec, want) in cases {
        let mut cluster = testing::cluster(&[]);
        in_namespace(
            &mut cluster,
            doc!({"pod-security.kubernetes.io/enforce": (level), "pod-security.kubernetes.io/enforce-version": (version)}),
        );
        let found = make(&mut cluster, "pods", pod(spec.clone())).map(|_| ());
        let wanted = match want {
            "" => Ok(()),
            why => Err(format!("pods \"a\" is forbidden: violates PodSecurity \"{level}:{version}\": {why}")),
        };
        assert_eq!(found, wanted, "{level} {version} {}", spec.to_json());
    }
}

#[test]
fn whoever_enforces_a_stricter_standard_is_told_of_the_pods_that_break_it() {
    let mut cluster = testing::cluster(&[]);
    for name in ["b", "a", "c"] {
        let mut bad = pod(doc!({"hostNetwork": true}));
        bad.set(&["metadata", "name"], name);
        make(&mut cluster, "pods", bad).expect("nothing is enforced yet");
    }
    let key = ObjectKey::new("namespaces", "", "shop");
    let old = cluster.get(&key).expect("it is there").clone();
    let told = |cluster: &mut Cluster, labels: Value| {
        let writer = Writer::component("tester", "test");
        let mut new = old.clone();
        new.set(&["metadata", "labels"], labels);
        let result = validate(cluster, Write { key: &key, old: Some(&old), writer: &writer }, &new);
        result.map(|()| writer.heard.take()).map_err(|status| status.message)
    };
    assert_eq!(
        told(&mut cluster, doc!({"pod-security.kubernetes.io/enforce": "baseline"})).expect("it passes"),
        [
            r#"existing pods in namespace "shop" violate the new PodSecurity enforce level "baseline:latest""#,
            "a (and 2 other pods): host namespaces",
        ]
    );
    let labels = doc!({"pod-security.kubernetes.io/enforce": "z", "pod-security.kubernetes.io/enforce-version": "q"});
    assert_eq!(
        told(&mut cluster, labels).expect_err("these are no standards"),
        "Namespace \"shop\" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"z\": must be \
         one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/enforce-version]: Invalid \
         value: \"q\": must be \"latest\" or \"v1.x\"]"
    );
}

#[test]
fn an_account_that_lists_its_secrets_gives_no_others() {
    let mut cluster = testing::cluster(&[]);
    let account = doc!({
        "metadata": {"name": "strict", "namespace": "shop", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
        "secrets": [{"name": "listed"}],
    });
    have(&mut cluster, "serviceaccounts", account);
    let of = |secret: &str| doc!([{"name": "v", "secret": {"secretName": (secret)}}]);
    let env = doc!([{"name": "app", "image": "i", "env": [
        {"name": "X", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}},
    ]}]);
    let cases = [
        (doc!({"volumes": (of("listed"))}), None),
        (doc!({"volumes": (of("other"))}), Some("volume with secret.secretName=\"other\"")),
        (doc!({"containers": (env)}), Some("container app with envVar X referencing secret.secretName=\"other\"")),
    ];
    for (mut spec, want) in cases {
        spec.set(&["serviceAccountName"], "strict");
        let refused = make(&mut cluster, "pods", pod(spec)).err();
        let wanted = want.map(|what| {
            let why = "is not allowed because service account strict does not reference that secret";
            format!("pods \"a\" is forbidden: {what} {why}")
        });
        assert_eq!(refused, wanted);
        cluster.write(&ObjectKey::new("pods", "shop", "a"), None);
    }
}

#[test]
fn a_claim_is_given_the_newest_default_class_and_grows_only_where_it_may() {
    let mut cluster = testing::cluster(&[]);
    for (name, created) in [("old", "2026-01-01T00:00:00Z"), ("new", "2026-02-01T00:00:00Z")] {
        let class = doc!({"metadata": {
            "name": (name), "creationTimestamp": (created),
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        }});
        have(&mut cluster, "storageclasses.storage.k8s.io", class);
    }
    let key = ObjectKey::new("persistentvolumeclaims", "shop", "data");
    let mut claim = doc!({"spec": {"resources": {"requests": {"storage": "1Gi"}}}});
    mutate(&mut cluster, Write { key: &key, old: None, writer: &Writer::component("tester", "test") }, &mut claim)
        .expect("it passes");
    assert_eq!(claim.at(&["spec", "storageClassName"]), "new");
    assert_eq!(claim.finalizers().collect::<Vec<_>>(), ["kubernetes.io/pvc-protection"]);
    let mut bigger = claim.clone();
    bigger.set(&["spec", "resources", "requests", "storage"], "2Gi");
    let refused = validate(
        &mut cluster,
        Write { key: &key, old: Some(&claim), writer: &Writer::component("tester", "test") },
        &bigger,
    );
    assert!(refused.is_err_and(|status| status.message.contains("only dynamically provisioned pvc can be resized")));
}

#[test]
fn a_service_is_handed_what_it_needs_once() {
    let mut cluster = testing::cluster(&[]);
    let service = doc!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "NodePort", "ports": [{"port": 80}]},
    });
    let made = make(&mut cluster, "services", service).expect("it is made");
    assert!(made.at(&["spec", "clusterIP"]).str_or_empty().starts_with("10.96."));
    let port = made.at(&["spec", "ports"]).items().first().and_then(|port| port.at(&["nodePort"]).as_int());
    assert!(port.is_some_and(|port| (30_000..32_768).contains(&port)));
    assert_eq!(made.at(&["spec", "clusterIPs"]).items(), [made.at(&["spec", "clusterIP"]).clone()]);
}

#[test]
fn the_clusters_own_namespaces_stay() {
    assert!(delete(&ObjectKey::new("namespaces", "", "kube-system")).is_err());
    assert!(delete(&ObjectKey::new("namespaces", "", "shop")).is_ok());
}

#[test]
fn a_service_is_refused_what_the_cluster_cannot_give() {
    for (spec, why) in [
        (
            doc!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}),
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
        (
            doc!({"clusterIP": "1.2.3.4", "ports": [{"port": 80}]}),
            r#"spec.clusterIPs: Invalid value: ["1.2.3.4"]: failed to allocate IP 1.2.3.4: the provided network does not match the current range"#,
        ),
        (
            doc!({"ipFamilies": ["IPv6"], "ports": [{"port": 80}]}),
            r#"spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster"#,
        ),
    ] {
        let mut cluster = testing::cluster(&[]);
        let service = doc!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": (spec),
        });
        assert_eq!(make(&mut cluster, "services", service), Err(format!("Service \"web\" is invalid: {why}")));
    }
}
