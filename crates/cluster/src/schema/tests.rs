use super::*;
use crate::doc;

fn schema() -> Schema {
    Schema::default()
}

fn typed<'a>(schema: &'a Schema, kind: &str, path: &str) -> Type<'a> {
    let (group, version) = match kind {
        "ControllerRevision" | "Deployment" => ("apps", "v1"),
        "CustomResourceDefinition" => ("apiextensions.k8s.io", "v1"),
        "HorizontalPodAutoscaler" => ("autoscaling", "v2"),
        _ => ("", "v1"),
    };
    let path: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
    schema.type_of(group, version, kind).and_then(|ty| ty.at(&path)).unwrap_or_else(|| panic!("{kind} {path:?}"))
}

#[test]
fn a_resource_is_found_by_its_plural_and_by_its_kind() {
    let schema = schema();
    let cases = [
        ("", "v1", "pods", "Pod", "pods", true),
        ("apps", "v1", "deployments", "Deployment", "deployments.apps", true),
        ("", "v1", "nodes", "Node", "nodes", false),
        (
            "rbac.authorization.k8s.io",
            "v1",
            "clusterroles",
            "ClusterRole",
            "clusterroles.rbac.authorization.k8s.io",
            false,
        ),
        ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "poddisruptionbudgets.policy", true),
    ];
    for (group, version, plural, kind, id, namespaced) in cases {
        let resource = schema.resource(group, version, plural).unwrap();
        assert!(Arc::ptr_eq(resource, schema.by_kind(group, version, kind).unwrap()));
        assert!(Arc::ptr_eq(resource, schema.preferred(group, plural).unwrap()));
        assert_eq!((resource.id().as_str(), resource.namespaced), (id, namespaced));
        assert_eq!(resource.storage.resource, id);
        assert!(!resource.ty().is_any(), "{id} has a type");
    }
    assert!(schema.resource("apps", "v1", "pods").is_none());
    assert!(schema.by_kind("autoscaling", "v1", "Scale").is_none(), "a Scale is no resource");
    assert!(schema.type_of("autoscaling", "v1", "Scale").is_some(), "but it has a type");
}

#[test]
fn every_resource_and_subresource_has_a_type_but_for_the_options_of_streams() {
    let schema = schema();
    let mut untyped: Vec<String> = Vec::new();
    for resource in schema.resources() {
        let below = resource.subresources.iter().map(|below| (format!("{}/{}", resource.id(), below.name), below.ty()));
        let all = std::iter::once((resource.id().to_string(), resource.ty())).chain(below);
        untyped.extend(all.filter(|(_, ty)| ty.is_any()).map(|(name, _)| name));
        if resource.allows("list") {
            let list = schema.type_of(&resource.group, &resource.version, &resource.list_kind);
            assert!(list.is_some(), "{} has a list", resource.id());
        }
    }
    let want = ["nodes/proxy", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy"];
    assert_eq!(untyped, want);
}

#[test]
fn resources_that_show_the_same_objects_share_their_storage() {
    let schema = schema();
    let cases = [
        ("", "v1", "events", "events", "", "v1"),
        ("events.k8s.io", "v1", "events", "events", "", "v1"),
        ("autoscaling", "v1", "horizontalpodautoscalers", "horizontalpodautoscalers.autoscaling", "autoscaling", "v2"),
        ("autoscaling", "v2", "horizontalpodautoscalers", "horizontalpodautoscalers.autoscaling", "autoscaling", "v2"),
        ("apps", "v1", "controllerrevisions", "controllerrevisions.apps", "apps", "v1"),
    ];
    for (group, version, plural, resource, stored_group, stored_version) in cases {
        let storage = &schema.resource(group, version, plural).unwrap().storage;
        assert_eq!(storage.resource, resource);
        assert_eq!((&*storage.kind.group, &*storage.kind.version), (stored_group, stored_version));
        let stored = schema.stored(resource).unwrap();
        assert_eq!((&*stored.group, &*stored.version), (stored_group, stored_version));
    }
}

#[test]
fn groups_and_versions_stand_in_the_order_of_preference() {
    let schema = schema();
    let names: Vec<&str> = schema.groups().iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names[..4], ["", "apiregistration.k8s.io", "apps", "events.k8s.io"]);
    assert_eq!(schema.group("autoscaling").unwrap().versions, ["v2", "v1"]);
    assert_eq!(schema.preferred("autoscaling", "horizontalpodautoscalers").unwrap().version, "v2");
}

#[test]
fn leaves_have_their_scalars() {
    let schema = schema();
    let cases = [
        ("Pod", "spec.containers.name", Scalar::String),
        ("Pod", "spec.containers.ports.containerPort", Scalar::Int32),
        ("Pod", "spec.terminationGracePeriodSeconds", Scalar::Int64),
        ("Pod", "spec.hostNetwork", Scalar::Boolean),
        ("Pod", "spec.containers.resources.limits.cpu", Scalar::Quantity),
        ("Pod", "metadata.creationTimestamp", Scalar::Time),
        ("Event", "eventTime", Scalar::MicroTime),
        ("Secret", "data.token", Scalar::Bytes),
        ("Service", "spec.ports.targetPort", Scalar::IntOrString),
        ("Deployment", "spec.strategy.rollingUpdate.maxSurge", Scalar::IntOrString),
        ("CustomResourceDefinition", "spec.versions.schema.openAPIV3Schema.maximum", Scalar::Double),
        (
            "CustomResourceDefinition",
            "spec.versions.schema.openAPIV3Schema.properties.a.properties.b.type",
            Scalar::String,
        ),
    ];
    for (kind, path, scalar) in cases {
        assert_eq!(typed(&schema, kind, path).scalar(), Some(scalar), "{kind} {path}");
    }
}

#[test]
fn lists_and_maps_say_how_they_are_merged() {
    let schema = schema();
    let lists: [(&str, &str, ListKind, &[&str]); 6] = [
        ("Pod", "spec.containers", ListKind::Map, &["name"]),
        ("Pod", "spec.containers.ports", ListKind::Map, &["containerPort", "protocol"]),
        ("Pod", "spec.containers.args", ListKind::Atomic, &[]),
        ("Pod", "metadata.finalizers", ListKind::Set, &[]),
        ("Pod", "metadata.ownerReferences", ListKind::Map, &["uid"]),
        ("Service", "spec.ports", ListKind::Map, &["port", "protocol"]),
    ];
    for (kind, path, list_kind, keys) in lists {
        let list = typed(&schema, kind, path).list().unwrap();
        assert_eq!(
            (list.kind, list.keys.iter().map(Text::as_str).collect::<Vec<_>>()),
            (list_kind, keys.to_vec()),
            "{path}"
        );
    }
    let atomic = [
        ("Pod", "metadata.labels", false),
        ("Pod", "spec.nodeSelector", true),
        ("Deployment", "spec.selector", true),
        ("Deployment", "spec.template", false),
        ("Pod", "spec.containers.args", true),
        ("Pod", "spec.containers", false),
        ("ControllerRevision", "data", true),
        ("CustomResourceDefinition", "spec.versions.schema.openAPIV3Schema.default", false),
    ];
    for (kind, path, want) in atomic {
        assert_eq!(typed(&schema, kind, path).is_atomic(), want, "{kind} {path}");
    }
}

#[test]
fn fields_say_what_a_strategic_patch_does_to_them() {
    let schema = schema();
    let cases = [
        ("Pod", "spec", "containers", (true, false, false, Some("name"))),
        ("Pod", "spec", "volumes", (true, false, true, Some("name"))),
        ("Pod", "spec", "tolerations", (false, false, false, None)),
        ("Deployment", "spec", "strategy", (false, false, true, None)),
        ("Pod", "metadata", "finalizers", (true, false, false, None)),
        ("Pod", "metadata", "ownerReferences", (true, false, false, Some("uid"))),
        ("Service", "spec", "ports", (true, false, false, Some("port"))),
    ];
    for (kind, path, field, want) in cases {
        let patch = typed(&schema, kind, path).field(field).unwrap().patch();
        let got = (patch.merge, patch.replace, patch.retain_keys, patch.merge_key.as_deref());
        assert_eq!(got, want, "{kind} {path}.{field}");
    }
}

#[test]
fn defaults_required_fields_and_enumerations_are_known() {
    let schema = schema();
    let ports = typed(&schema, "Pod", "spec.containers.ports").list().unwrap().items;
    assert_eq!(ports.field("protocol").unwrap().default_value(), Some(&Value::from("TCP")));
    assert_eq!(ports.field("hostPort").unwrap().default_value(), None);
    assert!(ports.field("containerPort").unwrap().is_required());
    assert!(!ports.field("protocol").unwrap().is_required());
    assert!(ports.field("protocol").unwrap().ty().enumeration().contains(&Value::from("SCTP")));
    assert!(typed(&schema, "Pod", "metadata.managedFields.fieldsV1").is_any());
    assert!(ports.field("nope").is_none());
}

#[test]
fn aggregated_discovery_says_the_same_as_plain_but_for_the_hashes() {
    let aggregated = doc!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "apps"}, "versions": [{
        "version": "v1",
        "resources": [{
            "resource": "deployments", "responseKind": {"group": "", "version": "", "kind": "Deployment"}, "scope": "Namespaced",
            "singularResource": "deployment", "verbs": ["get"], "shortNames": ["deploy"], "categories": ["all"],
            "subresources": [{"subresource": "scale", "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}, "verbs": ["get"]}],
        }],
    }]}]});
    let schema = Schema::from_answers([("/apis".to_owned(), Bytes::from(aggregated.to_json()))]).unwrap();
    let (read, real) = (schema.by_kind("apps", "v1", "Deployment").unwrap(), Schema::default());
    let real = real.by_kind("apps", "v1", "Deployment").unwrap();
    assert_eq!((&read.plural, &read.singular, read.namespaced), (&real.plural, &real.singular, real.namespaced));
    assert_eq!(
        (&read.short_names, &read.categories, &read.storage),
        (&real.short_names, &real.categories, &real.storage)
    );
    assert_eq!(read.subresource("scale").unwrap().kind, real.subresource("scale").unwrap().kind);
    assert!(read.ty().is_any(), "no OpenAPI was given");
}

#[test]
fn answers_without_discovery_or_that_are_no_json_are_refused() {
    let no_json = Schema::from_answers([("/apis".to_owned(), Bytes::from_static(b"{"))]);
    assert!(matches!(no_json, Err(SchemaError::Answer { path, .. }) if path == "/apis"));
    assert_eq!(Schema::from_answers([]).err(), Some(SchemaError::NoDiscovery));
}

fn crontab() -> Value {
    doc!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "singular": "crontab", "kind": "CronTab", "shortNames": ["ct"]},
            "versions": [
                {"name": "v1beta1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}},
                {"name": "v1", "served": true, "storage": true,
                 "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                 "additionalPrinterColumns": [{"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"}],
                 "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {
                    "replicas": {"type": "integer", "default": 1, "minimum": 0},
                    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "port": {"x-kubernetes-int-or-string": true},
                    "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                              "items": {"type": "object", "properties": {"k": {"type": "string", "nullable": true}}}},
                 }}}}}},
                {"name": "v0", "served": false, "storage": false},
            ],
        },
    })
}

#[test]
fn a_definition_adds_its_served_versions_and_a_new_state_of_it_replaces_them() {
    let built_in = schema();
    let schema = built_in.with_definition(&crontab()).unwrap();
    assert!(built_in.group("stable.example.com").is_none(), "the schema it was made from is as it was");
    assert_eq!(
        schema.groups().last().unwrap(),
        &Group { name: "stable.example.com".into(), versions: vec!["v1".into(), "v1beta1".into()] }
    );
    let resource = schema.preferred("stable.example.com", "crontabs").unwrap();
    assert_eq!((&*resource.version, &*resource.list_kind, &*resource.singular), ("v1", "CronTabList", "crontab"));
    assert_eq!(resource.storage_version_hash, storage_version_hash(&resource.gvk()));
    assert_eq!(resource.subresource("scale").unwrap().scale.as_ref().unwrap().spec, ".spec.replicas");
    assert_eq!(resource.columns.len(), 1);

    let ty = resource.ty();
    assert_eq!(ty.at(&["metadata", "creationTimestamp"]).unwrap().scalar(), Some(Scalar::Time));
    let spec = ty.at(&["spec"]).unwrap();
    assert_eq!(spec.field("replicas").unwrap().default_value(), Some(&Value::from(1)));
    assert_eq!(spec.at(&["replicas"]).unwrap().rules(), Some(&doc!({"minimum": 0})));
    assert!(spec.at(&["any"]).unwrap().preserves_unknown() && !spec.preserves_unknown());
    assert_eq!(spec.at(&["port"]).unwrap().scalar(), Some(Scalar::IntOrString));
    assert_eq!(spec.at(&["items"]).unwrap().list().unwrap().keys, ["k"]);
    assert!(spec.at(&["items", "k"]).unwrap().is_nullable());
    assert!(schema.type_of("stable.example.com", "v1", "CronTabList").unwrap().field("items").is_some());
    assert_eq!(schema.resource("stable.example.com", "v1beta1", "crontabs").unwrap().storage, resource.storage);

    let mut next = crontab();
    next.make(&["spec", "versions"]).array().remove(0);
    let next = schema.with_definition(&next).unwrap();
    assert!(next.resource("stable.example.com", "v1beta1", "crontabs").is_none());
    assert!(next.without("stable.example.com", "crontabs").group("stable.example.com").is_none());
}

#[test]
fn a_definition_that_lacks_its_names_is_refused() {
    let mut broken = crontab();
    broken.remove(&["spec", "names", "kind"]);
    let why = schema().with_definition(&broken).err().unwrap();
    assert_eq!(why.to_string(), r#"custom resource definition "crontabs.stable.example.com" has no spec.names.kind"#);
}

#[test]
fn versions_are_preferred_as_kubernetes_does() {
    let mut versions = ["foo", "v1alpha1", "v2beta1", "v10", "v1", "v2", "v11beta2", "v3beta1"];
    versions.sort_by(|one, two| priority(two).cmp(&priority(one)).then_with(|| one.cmp(two)));
    assert_eq!(versions, ["v10", "v2", "v1", "v11beta2", "v3beta1", "v2beta1", "v1alpha1", "foo"]);
}

#[test]
fn the_document_of_custom_resources_follows_their_definitions() {
    let built_in = schema();
    let schema = built_in.with_definition(&crontab()).unwrap();
    let document = schema.document("apis/stable.example.com/v1").unwrap();
    assert_ne!(document.hash(), schema.document("apis/stable.example.com/v1beta1").unwrap().hash());
    let read = Value::from_json(document.bytes()).unwrap();
    let paths: Vec<&str> = read.at(&["paths"]).entries().iter().map(|(path, _)| path.as_str()).collect();
    let root = "/apis/stable.example.com/v1";
    let collection = format!("{root}/namespaces/{{namespace}}/crontabs");
    let want = [
        format!("{root}/crontabs"),
        collection.clone(),
        format!("{collection}/{{name}}"),
        format!("{collection}/{{name}}/scale"),
        format!("{collection}/{{name}}/status"),
    ];
    assert_eq!(paths, want);
    // Every reference leads somewhere, and a client finds out that fields are validated.
    let text = String::from_utf8(document.bytes().to_vec()).unwrap();
    for reference in text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(read.find(&["components", "schemas", reference]).is_some(), "{reference}");
    }
    let patch = read.at(&["paths", &want[2], "patch"]);
    assert_eq!(patch.at(&["operationId"]), "patchStableExampleComV1NamespacedCronTab");
    assert!(patch.at(&["parameters"]).items().iter().any(|parameter| parameter.at(&["name"]) == "fieldValidation"));

    let mut next = crontab();
    next.remove(&["spec", "names", "shortNames"]);
    next.make(&["spec", "versions"]).array()[1].remove(&["subresources", "scale"]);
    let next = schema.with_definition(&next).unwrap();
    assert_ne!(next.document("apis/stable.example.com/v1").unwrap().hash(), document.hash());
    let gone = schema.without("stable.example.com", "crontabs");
    assert!(gone.document("apis/stable.example.com/v1").is_none());
    assert_eq!(gone.documents().count(), built_in.documents().count());
}

#[test]
fn a_schema_that_is_read_again_from_what_it_serves_is_the_same() {
    let schema = schema().with_definition(&crontab()).unwrap();
    let cluster = crate::Cluster::new(schema.clone(), twin::Time::from_millis(0), 1);
    let get = |path: &str| crate::apiserver::discovery::tests::json(&cluster, path);
    let mut paths: Vec<String> = ["/", "/version", "/api", "/apis"].map(str::to_owned).into();
    for group in schema.groups() {
        let root = if group.name.is_empty() { "/api".to_owned() } else { format!("/apis/{}", group.name) };
        paths.extend(group.versions.iter().map(|version| format!("{root}/{version}")));
    }
    paths.extend(schema.documents().map(|(path, _)| format!("/openapi/v3/{path}")));
    let again = Schema::from_answers(paths.iter().map(|path| (path.clone(), get(path)))).unwrap();
    assert_eq!(again.groups(), schema.groups());
    for (one, two) in schema.resources().zip(again.resources()) {
        assert_eq!((one.gvk(), &one.verbs, &one.storage), (two.gvk(), &two.verbs, &two.storage));
        let fields = |resource: &Resource| format!("{:?}", resource.ty().fields().collect::<Vec<_>>());
        assert_eq!(fields(one), fields(two), "{}", one.id());
    }
    assert_eq!(again.resources().count(), schema.resources().count());
}

#[test]
fn a_document_is_written_as_go_would_write_it() {
    let schema = schema();
    let cases = [
        (
            "Pod",
            doc!({"spec": {"containers": [{"name": "a"}], "volumes": [{"name": "v", "configMap": {}}]}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
            doc!({"metadata": {}, "spec": {"containers": [{"name": "a", "resources": {}}], "volumes": [{"name": "v", "configMap": {}}]},
                "status": {"conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": null}]}}),
        ),
        (
            "Deployment",
            doc!({"metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": []}}, "selector": {}}}),
            doc!({"metadata": {"name": "d"}, "spec": {"template": {"metadata": {}, "spec": {"containers": null}}, "selector": {}, "strategy": {}}, "status": {}}),
        ),
        (
            "DaemonSet",
            doc!({"metadata": {}, "spec": {"selector": {}, "template": {"metadata": {}, "spec": {"containers": null}}}}),
            doc!({"metadata": {}, "spec": {"selector": {}, "template": {"metadata": {}, "spec": {"containers": null}}, "updateStrategy": {}},
                "status": {"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0}}),
        ),
        ("Service", doc!({"metadata": {}}), doc!({"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}})),
        (
            "Event",
            doc!({"metadata": {}, "involvedObject": {}}),
            doc!({"metadata": {}, "involvedObject": {}, "eventTime": null, "firstTimestamp": null, "lastTimestamp": null,
                "reportingComponent": "", "reportingInstance": "", "source": {}}),
        ),
        ("LimitRange", doc!({"metadata": {}, "spec": {}}), doc!({"metadata": {}, "spec": {"limits": null}})),
        (
            "LimitRange",
            doc!({"metadata": {}, "spec": {"limits": []}}),
            doc!({"metadata": {}, "spec": {"limits": null}}),
        ),
        (
            "ConfigMap",
            doc!({"metadata": {"labels": {}, "annotations": {"x": null}}, "data": {"a": "b"}, "binaryData": null}),
            doc!({"metadata": {"annotations": {"x": ""}}, "data": {"a": "b"}}),
        ),
        (
            "Service",
            doc!({"metadata": {}, "spec": {"ports": [], "selector": {}, "type": ""}, "status": null}),
            doc!({"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}}),
        ),
        (
            "ControllerRevision",
            doc!({"metadata": {}, "revision": 1, "data": {"a": null, "b": []}}),
            doc!({"metadata": {}, "revision": 1, "data": {"a": null, "b": []}}),
        ),
    ];
    for (kind, given, want) in cases {
        let ty = schema.resources().find(|resource| resource.kind == kind).unwrap().ty();
        assert_eq!(ty.as_go(&given).unwrap_or_else(|| given.clone()), want, "{kind}");
        assert_eq!(ty.as_go(&want), None, "{kind} has them all");
    }
}

#[test]
fn a_scale_says_how_many_are_wanted_unless_none_are() {
    let schema = schema();
    let ty = schema.type_of("autoscaling", "v1", "Scale").unwrap();
    let scale = |replicas: i64| doc!({"metadata": {}, "spec": {"replicas": (replicas)}, "status": {"replicas": 2}});
    assert_eq!(ty.as_go(&scale(3)), None);
    assert_eq!(ty.as_go(&scale(0)), Some(doc!({"metadata": {}, "spec": {}, "status": {"replicas": 2}})));
}

#[test]
fn resources_of_one_name_in_two_groups_are_kept_apart_unless_their_hashes_are_equal() {
    let list = |group: &str, hash: &str| {
        let list = doc!({"kind": "APIResourceList", "groupVersion": (format!("{group}/v1")), "resources": [
            {"name": "things", "singularName": "thing", "kind": "Thing", "verbs": ["list"], "storageVersionHash": (hash)},
        ]});
        (format!("/apis/{group}/v1"), Bytes::from(list.to_json()))
    };
    let at_a = storage_version_hash(&GroupVersionKind::new("a", "v1", "Thing"));
    let cases = [(at_a.as_str(), "things.a"), ("other", "things.b")];
    for (hash_of_b, want) in cases {
        let schema = Schema::from_answers([list("b", hash_of_b), list("a", &at_a)]).unwrap();
        assert_eq!(schema.resource("b", "v1", "things").unwrap().storage.resource, want);
        assert_eq!(schema.resource("a", "v1", "things").unwrap().storage.resource, "things.a");
    }
}

#[test]
fn a_custom_resources_own_defaults_are_no_zeros() {
    let mut definition = crontab();
    let schema_path = &["schema", "openAPIV3Schema", "properties", "spec", "default"];
    definition.make(&["spec", "versions"]).array()[1].set(schema_path, doc!({}));
    let schema = schema().with_definition(&definition).unwrap();
    let ty = schema.by_kind("stable.example.com", "v1", "CronTab").unwrap().ty();
    assert_eq!(ty.as_go(&doc!({"metadata": {}})), None);
    assert_eq!(ty.field("spec").unwrap().default_value(), Some(&doc!({})));
}

#[test]
fn an_event_of_the_core_group_is_said_in_the_words_of_the_newer_one_and_back() {
    let schema = schema();
    let core = doc!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e1"}, "involvedObject": {"kind": "Pod", "name": "p"},
        "reason": "Started", "message": "m", "type": "Normal", "count": 1, "source": {"component": "kubelet"},
        "eventTime": null, "firstTimestamp": null, "lastTimestamp": null, "reportingComponent": "", "reportingInstance": "",
    });
    // As the real server answered.
    let new = doc!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e1"}, "regarding": {"kind": "Pod", "name": "p"},
        "reason": "Started", "note": "m", "type": "Normal", "deprecatedCount": 1, "deprecatedSource": {"component": "kubelet"},
        "eventTime": null, "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null,
    });
    assert_eq!(schema.convert(&core, &GroupVersionKind::new("events.k8s.io", "v1", "Event")), new);
    assert_eq!(schema.convert(&new, &GroupVersionKind::new("", "v1", "Event")), core);
}

#[test]
fn an_autoscaler_is_said_in_the_words_of_its_first_version_and_back() {
    let schema = schema();
    let (v1, v2) = (
        GroupVersionKind::new("autoscaling", "v1", "HorizontalPodAutoscaler"),
        GroupVersionKind::new("autoscaling", "v2", "HorizontalPodAutoscaler"),
    );
    let reference = || doc!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let plain = doc!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": (reference()), "maxReplicas": 5, "targetCPUUtilizationPercentage": 80},
        "status": {"currentReplicas": 2, "desiredReplicas": 3, "currentCPUUtilizationPercentage": 40},
    });
    let metrics = doc!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    let current = doc!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 40}}}]);
    let plain_v2 = doc!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": (reference()), "maxReplicas": 5, "metrics": (metrics)},
        "status": {"currentReplicas": 2, "desiredReplicas": 3, "currentMetrics": (current)},
    });
    assert_eq!(schema.convert(&plain, &v2), plain_v2);
    // What was measured is kept whole besides, in the order of the first version's fields.
    let measured = r#"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":40}}]"#;
    let mut plain_v1 = plain;
    plain_v1.set(&["metadata", "annotations", "autoscaling.alpha.kubernetes.io/current-metrics"], measured);
    assert_eq!(schema.convert(&plain_v2, &v1), plain_v1);

    let mut full = plain_v2;
    full.make(&["spec", "metrics"]).array().extend([
        doc!({"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "10"}}}),
        doc!({"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s"}, "metric": {"name": "q"}, "target": {"type": "Value", "value": "3"}}}),
        doc!({"type": "External", "external": {"metric": {"name": "x", "selector": {"matchLabels": {"a": "b"}}}, "target": {"type": "AverageValue", "averageValue": "1"}}}),
        doc!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}),
    ]);
    full.set(&["spec", "behavior"], doc!({"scaleDown": {"stabilizationWindowSeconds": 60}}));
    full.set(&["status", "conditions"], doc!([{"type": "AbleToScale", "status": "True", "lastTransitionTime": null}]));
    let kept = schema.convert(&full, &v1);
    let metrics = kept.annotation("autoscaling.alpha.kubernetes.io/metrics").unwrap();
    assert!(
        metrics.starts_with(r#"[{"type":"Pods","pods":{"metricName":"rps","targetAverageValue":"10"}},"#),
        "{metrics}"
    );
    let mut again = schema.convert(&kept, &v2);
    again.remove(&["metadata", "annotations"]);
    // The metric that has fields of its own comes last; else nothing is lost.
    full.make(&["spec", "metrics"]).array().rotate_left(1);
    assert_eq!(again, full);
}

#[test]
fn a_custom_resources_versions_differ_by_their_name() {
    let schema = schema().with_definition(&crontab()).unwrap();
    let object = doc!({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {}, "spec": {"replicas": 0, "any": {}}});
    let mut want = object.clone();
    want.set(&["apiVersion"], "stable.example.com/v1beta1");
    assert_eq!(schema.convert(&object, &GroupVersionKind::new("stable.example.com", "v1beta1", "CronTab")), want);
}
