//! What Go writes for a field that nobody set.
//!
//! Knows: which fields of Kubernetes' own types have no absence. A Go struct, or a number without `omitempty`, is
//! always written: a container has `resources: {}`, a pod `status: {}`, an event `eventTime: null`.
//! Does not know: defaulting, which is a decision of the API server. This is only how its types are written.
//!
//! OpenAPI says it almost everywhere: the generator gives such a field its zero as the default. It is silent on times
//! and lists, which are `null` then, and it also says it of a few fields whose zero is a default proper.

use super::types::{FieldNode, Node, NodeShape, Type};
use crate::value::{Map, Text, Value};

/// Fields whose default is a zero, but that are left out when they are zero: by the end of their definition's name.
const OMITTED: &[(&str, &str)] = &[
    (".api.autoscaling.v1.ScaleSpec", "replicas"),
    (".api.core.v1.AzureDiskVolumeSource", "readOnly"),
    (".api.core.v1.ConfigMapEnvSource", "name"),
    (".api.core.v1.ConfigMapKeySelector", "name"),
    (".api.core.v1.ConfigMapProjection", "name"),
    (".api.core.v1.ConfigMapVolumeSource", "name"),
    (".api.core.v1.FileKeySelector", "optional"),
    (".api.core.v1.LocalObjectReference", "name"),
    (".api.core.v1.ReplicationControllerSpec", "minReadySeconds"),
    (".api.core.v1.SecretEnvSource", "name"),
    (".api.core.v1.SecretKeySelector", "name"),
    (".api.core.v1.SecretProjection", "name"),
];

/// Lists and times that are `null` when nobody set them, though OpenAPI does not require them.
const NULL: &[(&str, &[&str])] = &[
    (".api.autoscaling.v2.HorizontalPodAutoscalerStatus", &["currentMetrics"]),
    (".api.core.v1.ContainerStateRunning", &["startedAt"]),
    (".api.core.v1.ContainerStateTerminated", &["finishedAt", "startedAt"]),
    (".api.core.v1.Event", &["eventTime", "firstTimestamp", "lastTimestamp"]),
    (".api.discovery.v1.EndpointSlice", &["endpoints", "ports"]),
    (".api.events.v1.Event", &["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime"]),
    (".api.rbac.v1.ClusterRole", &["rules"]),
    (".api.rbac.v1.Role", &["rules"]),
    (".apis.apiextensions.v1.CustomResourceDefinitionStatus", &["conditions", "storedVersions"]),
];

/// The times of a condition, whoever's it is.
const CONDITION_TIMES: &[&str] = &["lastHeartbeatTime", "lastProbeTime", "lastTransitionTime", "lastUpdateTime"];

/// What a definition's fields are when nobody set them; nothing for what is no type of Kubernetes' own.
pub(super) fn of(name: &str, node: &Node, is_list: impl Fn(&FieldNode) -> bool) -> Vec<(Text, Value)> {
    let NodeShape::Struct(fields) = &node.shape else { return Vec::new() };
    if !name.starts_with("io.k8s.") {
        return Vec::new();
    }
    let is_null = |field: &FieldNode| {
        let listed = NULL.iter().any(|(end, fields)| name.ends_with(end) && fields.contains(&field.name.as_str()));
        let condition = name.ends_with("Condition") && CONDITION_TIMES.contains(&field.name.as_str());
        listed || condition || (field.required && is_list(field))
    };
    let zero = |field: &FieldNode| match &field.default {
        Some(default) if !default.is_empty() => None,
        Some(_) if OMITTED.iter().any(|(end, omitted)| name.ends_with(end) && field.name == *omitted) => None,
        Some(default) => Some(default.clone()),
        None => is_null(field).then_some(Value::Null),
    };
    fields.iter().filter_map(|field| Some((field.name.clone(), zero(field)?))).collect()
}

impl Type<'_> {
    /// The document with every field that Go would write though nobody set it; none if it has them all.
    ///
    /// It changes what is typed in Go only, so custom resources gain at most what their metadata lacks.
    #[must_use]
    pub fn with_zeros(self, document: &Value) -> Option<Value> {
        match document {
            Value::Object(map) => self.map_with_zeros(map).map(Value::from),
            Value::Array(list) => {
                let items = self.list()?.items;
                let mut changed: Option<Vec<Value>> = None;
                for (at, item) in list.iter().enumerate() {
                    if let Some(new) = items.with_zeros(item)
                        && let Some(place) = changed.get_or_insert_with(|| list.to_vec()).get_mut(at)
                    {
                        *place = new;
                    }
                }
                changed.map(Value::from)
            }
            _ => None,
        }
    }

    fn map_with_zeros(self, map: &Map) -> Option<Map> {
        let mut changed: Option<Map> = None;
        for (key, below) in map {
            if let Some(new) = self.child(key).and_then(|ty| ty.with_zeros(below)) {
                changed.get_or_insert_with(|| map.clone()).insert(key.clone(), new);
            }
        }
        for (key, zero) in self.zeros() {
            if !map.contains_key(key) {
                let zero = self.child(key).and_then(|ty| ty.with_zeros(zero)).unwrap_or_else(|| zero.clone());
                changed.get_or_insert_with(|| map.clone()).insert(key.clone(), zero);
            }
        }
        changed
    }
}
