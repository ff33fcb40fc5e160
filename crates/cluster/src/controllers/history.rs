//! The past templates of a StatefulSet or DaemonSet, kept as ControllerRevisions.
//!
//! Knows: `pkg/controller/history`, in which a template that comes back gets its old revision back, with a new number.
//! Does not know: which pods are of which revision.

use super::children::{self, Kind};
use super::client::Client;
use crate::apiserver::Status;
use crate::apiserver::registry::Deletion;
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

pub(super) const REVISIONS: &str = "controllerrevisions.apps";
/// Which revision a pod was made from.
pub(super) const REVISION_LABEL: &str = "controller-revision-hash";
/// How often to try another name for a revision whose name is taken by another template.
const COLLISIONS_MAX: i64 = 16;

/// The revisions of a workload, oldest first.
pub(super) fn of(cluster: &mut Cluster, client: Client, kind: Kind, owner: &Value) -> Vec<(ObjectKey, Value)> {
    let mut revisions = children::claim(cluster, client, kind, owner, REVISIONS);
    revisions.sort_by(|(_, one), (_, two)| {
        (number(one), one.created(), one.name()).cmp(&(number(two), two.created(), two.name()))
    });
    revisions
}

fn number(revision: &Value) -> i64 {
    revision.at(&["revision"]).as_int().unwrap_or(0)
}

/// What a revision keeps of a workload: a patch that brings its template back.
fn data(owner: &Value) -> Value {
    let mut template = owner.at(&["spec", "template"]).clone();
    template.set(&["$patch"], "replace");
    doc!({"spec": {"template": (template)}})
}

/// The template that a revision keeps.
pub(super) fn template(revision: &Value) -> Value {
    let mut template = revision.at(&["data", "spec", "template"]).clone();
    template.remove(&["$patch"]);
    template
}

/// The revision of the current template, made or brought to the front if need be. Its hash stands under `label` as well.
/// Gives it together with the collisions that were met on the way to its name.
pub(super) fn current(
    cluster: &mut Cluster,
    client: Client,
    kind: Kind,
    owner: &Value,
    label: &str,
) -> Result<(Value, i64), Status> {
    let revisions = of(cluster, client, kind, owner);
    let data = data(owner);
    let mut collisions = owner.at(&["status", "collisionCount"]).as_int().unwrap_or(0);
    let next = revisions.last().map_or(0, |(_, last)| number(last)) + 1;
    let equal = revisions.iter().rev().find(|(_, revision)| *revision.at(&["data"]) == data);
    if let Some((key, revision)) = equal {
        if number(revision) + 1 == next {
            return Ok((revision.clone(), collisions));
        }
        let front = client.update(cluster, key, |revision| revision.set(&["revision"], next))?;
        return Ok((front, collisions));
    }
    for _ in 0..COLLISIONS_MAX {
        let hash = children::hash(owner.at(&["spec", "template"]), collisions);
        let mut labels = owner.at(&["spec", "template", "metadata", "labels"]).clone();
        labels.object().insert(label, hash.clone());
        let name = format!("{}-{hash}", owner.name());
        let mut revision = doc!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision",
            "metadata": {
                "name": (name.as_str()), "namespace": (owner.namespace()), "labels": (labels),
                "ownerReferences": [(children::reference(kind, owner))],
            },
            "data": (data.clone()), "revision": (next),
        });
        let annotations = owner.at(&["metadata", "annotations"]);
        if !annotations.is_empty() {
            revision.set(&["metadata", "annotations"], annotations.clone());
        }
        match client.create(cluster, REVISIONS, revision) {
            Err(status) if status.reason == "AlreadyExists" => {
                let key = ObjectKey::new(REVISIONS, owner.namespace(), name);
                match cluster.get(&key) {
                    Some(have) if *have.at(&["data"]) == data => return Ok((have.clone(), collisions)),
                    _ => collisions += 1,
                }
            }
            made => return made.map(|made| (made, collisions)),
        }
    }
    Err(Status::internal("no free name for a revision"))
}

/// Deletes the oldest revisions beyond `revisionHistoryLimit` that nobody uses.
pub(super) fn clean_up(
    cluster: &mut Cluster,
    client: Client,
    kind: Kind,
    owner: &Value,
    used: &dyn Fn(&Value) -> bool,
) {
    let limit = owner.at(&["spec", "revisionHistoryLimit"]).as_int().unwrap_or(10);
    let past: Vec<ObjectKey> = of(cluster, client, kind, owner)
        .into_iter()
        .filter(|(_, revision)| !used(revision))
        .map(|(key, _)| key)
        .collect();
    let surplus = past.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    for key in past.iter().take(surplus) {
        let _ = client.delete(cluster, key, &Deletion::default());
    }
}
