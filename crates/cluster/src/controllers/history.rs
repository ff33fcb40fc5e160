//! The past templates of a StatefulSet or DaemonSet, kept as ControllerRevisions.
//!
//! Knows: `pkg/controller/history`, in which a template that comes back gets its old revision back, with a new number.
//! Does not know: which pods are of which revision.

use super::children::{self, Kind};
use super::client::Client;
use super::hash;
use crate::apiserver::Status;
use crate::apiserver::registry::Deletion;
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::value::{Text, Value};

pub(super) const REVISIONS: &str = "controllerrevisions.apps";
/// Which revision a pod was made from.
pub(crate) const REVISION_LABEL: &str = "controller-revision-hash";
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

/// What a revision's name is a digest of, and the label under which the digest stands as well.
pub(super) struct Naming {
    label: &'static str,
    /// Of the owner's template, what is kept of it, and the collisions so far, if any were counted.
    digest: fn(&Value, &Value, Option<i64>) -> Text,
}

/// How a DaemonSet names its revisions.
pub(super) const BY_TEMPLATE: Naming =
    Naming { label: REVISION_LABEL, digest: |template, _, collisions| hash::of_template(template, collisions) };
/// How a StatefulSet names its revisions.
pub(super) const BY_DATA: Naming = Naming {
    label: "controller.kubernetes.io/hash",
    digest: |_, data, collisions| hash::of_revision(data, collisions.unwrap_or(0)),
};

/// The revision of the current template, made or brought to the front if need be.
/// Gives it together with the collisions that were met on the way to its name.
pub(super) fn current(
    cluster: &mut Cluster,
    client: Client,
    kind: Kind,
    owner: &Value,
    naming: &Naming,
) -> Result<(Value, i64), Status> {
    let revisions = of(cluster, client, kind, owner);
    let data = data(owner);
    let counted = owner.at(&["status", "collisionCount"]).as_int();
    let mut collisions = counted.unwrap_or(0);
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
        let counted = counted.or((collisions > 0).then_some(collisions)).map(|_| collisions);
        let hash = (naming.digest)(owner.at(&["spec", "template"]), &data, counted);
        let mut labels = owner.at(&["spec", "template", "metadata", "labels"]).clone();
        labels.object().insert(naming.label, hash.clone());
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
