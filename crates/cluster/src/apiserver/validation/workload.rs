//! What is wrong with the kinds that make pods from a template.
//!
//! Knows: selectors and templates that have to agree, ways to update, and what may not change.
//! Does not know: jobs, which end and so have their own chapter.

use std::collections::BTreeSet;

use super::faults::{At, Faults, go_struct};
use super::selectors::{is_sound, label_selector};
use super::{names, pod, storage};
use crate::labels::matches;
use crate::value::Value;

/// One of the workloads; `None` if the resource is none.
pub(super) fn check(resource: &str, root: &At<'_>, faults: &mut Faults) -> Option<()> {
    let spec = root.field("spec");
    match resource {
        "deployments.apps" => deployment(&spec, faults),
        "replicasets.apps" => {
            faults.not_negative(&spec.field("replicas"));
            faults.not_negative(&spec.field("minReadySeconds"));
            selected(&spec, "deployment", "ReplicaSet", faults);
        }
        "replicationcontrollers" => replication_controller(&spec, faults),
        "statefulsets.apps" => stateful_set(&spec, faults),
        "daemonsets.apps" => daemon_set(&spec, faults),
        "podtemplates" => pod::template(&root.field("template"), &BTreeSet::new(), faults),
        _ => return None,
    }
    Some(())
}

/// What may not change in them.
pub(super) fn update(resource: &str, root: &At<'_>, old: &Value, faults: &mut Faults) {
    match resource {
        "deployments.apps" | "replicasets.apps" | "daemonsets.apps" => {
            faults.unchanged(&root.down(&["spec", "selector"]), old.at(&["spec", "selector"]));
        }
        "statefulsets.apps" => stateful_set_update(&root.field("spec"), old.at(&["spec"]), faults),
        _ => {}
    }
}

/// A selector, and a template whose pods it selects.
fn selected(spec: &At<'_>, word: &str, kind: &str, faults: &mut Faults) {
    let selector = spec.field("selector");
    sound_selector(&selector, word, faults);
    if is_sound(&selector) {
        template(spec, kind, true, &BTreeSet::new(), faults);
    } else {
        faults.invalid(&selector, "invalid label selector");
    }
}

fn sound_selector(selector: &At<'_>, word: &str, faults: &mut Faults) {
    if selector.is_absent() {
        faults.required(selector, "");
        return;
    }
    label_selector(selector, faults);
    if is_empty(selector.value) {
        faults.invalid(selector, &format!("empty selector is invalid for {word}"));
    }
}

fn is_empty(selector: &Value) -> bool {
    selector.as_object().is_some()
        && selector.at(&["matchLabels"]).is_empty()
        && selector.at(&["matchExpressions"]).is_empty()
}

/// A template whose pods run for ever.
fn template(spec: &At<'_>, kind: &str, match_labels: bool, more: &BTreeSet<&str>, faults: &mut Faults) {
    let (selector, template) = (spec.field("selector"), spec.field("template"));
    let labels = template.down(&["metadata", "labels"]);
    let agrees = !selector.is_absent() && matches(selector.value, labels.value);
    if match_labels && !agrees && !is_empty(selector.value) {
        faults.invalid(&labels, "`selector` does not match template `labels`");
    }
    pod::template(&template, more, faults);
    let policy = template.down(&["spec", "restartPolicy"]);
    if policy.text() != "Always" && matches!(policy.text(), "OnFailure" | "Never") {
        faults.unsupported(&policy, &["Always"]);
    }
    let deadline = template.down(&["spec", "activeDeadlineSeconds"]);
    if !deadline.is_absent() {
        faults.forbidden(&deadline, &format!("activeDeadlineSeconds in {kind} is not Supported"));
    }
}

/// A count, or a share in percent.
pub(super) fn count_or_share(at: &At<'_>, faults: &mut Faults) {
    match at.value {
        Value::String(text) => faults.all(at, names::percent(text)),
        _ => faults.not_negative(at),
    }
}

/// Not more than all.
pub(super) fn at_most_all(at: &At<'_>, faults: &mut Faults) {
    let share = at.text().strip_suffix('%').and_then(|digits| digits.parse::<u64>().ok());
    if share.is_some_and(|share| share > 100) {
        faults.invalid(at, "must not be greater than 100%");
    }
}

fn is_none(value: &Value) -> bool {
    value.as_int() == Some(0) || value == "0%"
}

fn deployment(spec: &At<'_>, faults: &mut Faults) {
    faults.not_negative(&spec.field("replicas"));
    selected(spec, "deployment", "ReplicaSet", faults);
    let strategy = spec.field("strategy");
    let rolling = strategy.field("rollingUpdate");
    match strategy.field("type").text() {
        "Recreate" => {
            if !rolling.is_absent() {
                faults.forbidden(&rolling, "may not be specified when strategy `type` is 'Recreate'");
            }
        }
        "RollingUpdate" => {
            let (fewer, more) = (rolling.field("maxUnavailable"), rolling.field("maxSurge"));
            count_or_share(&fewer, faults);
            count_or_share(&more, faults);
            if is_none(fewer.value) && is_none(more.value) {
                faults.invalid(&fewer, "may not be 0 when `maxSurge` is 0");
            }
            at_most_all(&fewer, faults);
        }
        _ => {
            let shown = go_struct(strategy.value, &["Type", "RollingUpdate"]);
            faults.unsupported_as(&strategy, &shown, &["Recreate", "RollingUpdate"]);
        }
    }
    faults.not_negative(&spec.field("minReadySeconds"));
    faults.not_negative(&spec.field("revisionHistoryLimit"));
    let deadline = spec.field("progressDeadlineSeconds");
    faults.not_negative(&deadline);
    if deadline.number().is_some_and(|seconds| seconds <= spec.field("minReadySeconds").number().unwrap_or(0)) {
        faults.invalid(&deadline, "must be greater than minReadySeconds");
    }
}

fn replication_controller(spec: &At<'_>, faults: &mut Faults) {
    faults.not_negative(&spec.field("minReadySeconds"));
    let selector = spec.field("selector");
    if selector.value.is_empty() {
        faults.required(&selector, "");
    }
    faults.not_negative(&spec.field("replicas"));
    let labels = spec.down(&["template", "metadata", "labels"]);
    if !crate::labels::matches_map(selector.value, labels.value) {
        faults.invalid(&labels, "`selector` does not match template `labels`");
    }
    template(spec, "ReplicationController", false, &BTreeSet::new(), faults);
}

fn stateful_set(spec: &At<'_>, faults: &mut Faults) {
    let management = spec.field("podManagementPolicy");
    if management.text().is_empty() {
        faults.required(&management, "");
    } else if !matches!(management.text(), "OrderedReady" | "Parallel") {
        faults.invalid(&management, "must be 'OrderedReady' or 'Parallel'");
    }
    let strategy = spec.field("updateStrategy");
    let rolling = strategy.field("rollingUpdate");
    const ROLLING: &[&str] = &["Partition", "MaxUnavailable"];
    match strategy.field("type").text() {
        "" => faults.required(&strategy, ""),
        "OnDelete" => {
            if !rolling.is_absent() {
                let shown = go_struct(rolling.value, ROLLING);
                faults.invalid_as(&rolling, &shown, "only allowed for updateStrategy 'RollingUpdate'");
            }
        }
        "RollingUpdate" => faults.not_negative(&rolling.field("partition")),
        other => {
            let inner = if rolling.is_absent() { "null".to_owned() } else { go_struct(rolling.value, ROLLING) };
            let shown = format!("{{\"Type\":{},\"RollingUpdate\":{inner}}}", super::faults::quote(other));
            faults.invalid_as(&strategy, &shown, "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
    let retention = spec.field("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        faults.one_of(&retention.field(field), &["Retain", "Delete"]);
    }
    faults.not_negative(&spec.field("replicas"));
    faults.not_negative(&spec.field("minReadySeconds"));
    faults.not_negative(&spec.down(&["ordinals", "start"]));
    let selector = spec.field("selector");
    sound_selector(&selector, "statefulset", faults);
    let claims = spec.field("volumeClaimTemplates");
    let claimed: BTreeSet<&str> = claims.value.items().iter().map(Value::name).collect();
    if is_sound(&selector) {
        template(spec, "StatefulSet", true, &claimed, faults);
    } else {
        faults.invalid(&selector, "invalid label selector");
    }
    for claim in claims.items() {
        storage::claim_spec(&claim.field("spec"), faults);
    }
    faults.not_negative(&spec.field("revisionHistoryLimit"));
}

fn stateful_set_update(spec: &At<'_>, old: &Value, faults: &mut Faults) {
    const MAY_CHANGE: &[&str] = &[
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let fixed = |spec: &Value| {
        let mut fixed = spec.clone();
        fixed.object().retain(|key, _| !MAY_CHANGE.contains(&key));
        fixed
    };
    if fixed(spec.value) != fixed(old) {
        faults.forbidden(
            spec,
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        );
    }
}

fn daemon_set(spec: &At<'_>, faults: &mut Faults) {
    let selector = spec.field("selector");
    sound_selector(&selector, "daemonset", faults);
    template(spec, "DaemonSet", is_sound(&selector), &BTreeSet::new(), faults);
    faults.not_negative(&spec.field("minReadySeconds"));
    let strategy = spec.field("updateStrategy");
    match strategy.field("type").text() {
        "OnDelete" => {}
        "RollingUpdate" => {
            let (fewer, more) =
                (strategy.down(&["rollingUpdate", "maxUnavailable"]), strategy.down(&["rollingUpdate", "maxSurge"]));
            count_or_share(&fewer, faults);
            count_or_share(&more, faults);
            match (is_none(fewer.value), is_none(more.value)) {
                (false, false) if !more.is_absent() => {
                    faults.invalid(&more, "may not be set when maxUnavailable is non-zero");
                }
                (true, true) => faults.required(&fewer, "cannot be 0 when maxSurge is 0"),
                _ => {}
            }
            at_most_all(&fewer, faults);
            at_most_all(&more, faults);
        }
        _ => {
            let shown = go_struct(strategy.value, &["Type", "RollingUpdate"]);
            faults.unsupported_as(&strategy, &shown, &["RollingUpdate", "OnDelete"]);
        }
    }
    faults.not_negative(&spec.field("revisionHistoryLimit"));
}
