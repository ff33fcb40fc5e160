//! A cluster from the objects of another.
//!
//! Knows: Lists, definitions that come after the objects they define, and what time it was when the objects were read.
//! Does not know: files, or where the objects came from.

use twin::Time;

use crate::apiserver::defaults;
use crate::cluster::Cluster;
use crate::intern::Interner;
use crate::object::ObjectKey;
use crate::schema::Schema;
use crate::time;
use crate::value::{Text, Value};

const DEFINITION: &str = "CustomResourceDefinition";

/// A cluster that holds these objects as they are: statuses, versions and times are believed, and no controller is told.
/// Defaults are filled in, as an API server does with whatever it reads from its store: snapshots written by hand have none,
/// and a controller that compares a template with its defaulted copy would never find the two alike.
/// Lists among them are taken apart. Kinds that nothing defines are left out. Where no time is given it is the newest time that
/// any object names.
#[must_use]
pub fn load(documents: impl IntoIterator<Item = Value>, now: Option<Time>, seed: u64) -> Cluster {
    let mut loading = Loading::new(now, seed);
    documents.into_iter().for_each(|document| loading.take(&document));
    loading.finish()
}

/// A cluster of which objects still come in, one at a time: a large one is never in memory twice, and what is equal in its
/// objects only once.
pub struct Loading {
    cluster: Cluster,
    now: Option<Time>,
    newest: Newest,
    interner: Interner,
    /// Objects of kinds that nothing has defined so far.
    undefined: Vec<Value>,
}

impl Loading {
    /// Nothing yet. Where no time is given it will be the newest time that any object names.
    #[must_use]
    pub fn new(now: Option<Time>, seed: u64) -> Self {
        Self {
            cluster: Cluster::new(Schema::default(), now.unwrap_or_default(), seed),
            now,
            newest: Newest::default(),
            interner: Interner::default(),
            undefined: Vec::new(),
        }
    }

    /// What has been read so far, for whoever reads more: see [`Interner::parse`]. What it gives is stored as it is.
    pub fn interner(&mut self) -> &mut Interner {
        &mut self.interner
    }

    /// Takes in an object, or the items of a List.
    pub fn take(&mut self, document: &Value) {
        if document.kind().ends_with("List") && document.get("items").is_some() {
            let item_kind = document.kind().trim_end_matches("List");
            for item in document.at(&["items"]).items() {
                let mut item = item.clone();
                // The items of a typed list do not repeat what the list says.
                if item.kind().is_empty() && !item_kind.is_empty() {
                    item.set(&["kind"], item_kind);
                    item.set(&["apiVersion"], document.api_version());
                }
                self.take(&item);
            }
        } else if document.as_object().is_some() {
            let object = self.interner.share(document);
            self.take_shared(object);
        }
    }

    /// Takes in an object that [`interner`](Self::interner) gave.
    pub fn take_shared(&mut self, object: Value) {
        self.newest.of(&object);
        if object.kind() == DEFINITION
            && let Ok(with) = self.cluster.schema.with_definition(&object)
        {
            self.cluster.schema = with;
        }
        if let Err(object) = self.keep(object) {
            self.undefined.push(object);
        }
    }

    /// Stores an object of a kind that is known by now; gives back any other.
    fn keep(&mut self, object: Value) -> Result<(), Value> {
        let Some(resource) = self.cluster.schema.of(&object).cloned() else { return Err(object) };
        let mut stored = self.cluster.schema.convert(&object, &resource.storage.kind);
        defaults::apply(&resource.storage.resource, &mut stored);
        let key = ObjectKey {
            resource: resource.storage.resource.clone(),
            namespace: text(&stored, "namespace"),
            name: text(&stored, "name"),
        };
        // Owners are known by their uid, and what was written by hand has none.
        if stored.uid().is_empty() {
            stored.set(&["metadata", "uid"], format!("{key}-uid"));
        }
        if !stored.same(&object) {
            stored = self.interner.share(&stored);
        }
        self.cluster.load(key, stored);
        Ok(())
    }

    /// The cluster, now that everything was taken in.
    #[must_use]
    pub fn finish(mut self) -> Cluster {
        for object in std::mem::take(&mut self.undefined) {
            // What is defined nowhere in the snapshot is of no use to anybody.
            let _ = self.keep(object);
        }
        if self.now.is_none() {
            self.cluster.set_now(self.newest.time.unwrap_or_default());
        }
        namespaces(&mut self.cluster);
        self.cluster
    }
}

/// A field of the metadata, as the document itself holds it.
fn text(object: &Value, field: &str) -> Text {
    object.at(&["metadata", field]).as_text().cloned().unwrap_or_default()
}

/// The newest time that any object names in its metadata or conditions.
#[derive(Default)]
struct Newest {
    time: Option<Time>,
    /// What was read last: many objects name the same times.
    last: Value,
}

impl Newest {
    fn of(&mut self, object: &Value) {
        for condition in object.at(&["status", "conditions"]).items() {
            for field in ["lastTransitionTime", "lastUpdateTime", "lastHeartbeatTime", "lastProbeTime"] {
                self.see(condition.at(&[field]));
            }
        }
        self.see(object.at(&["metadata", "creationTimestamp"]));
        self.see(object.at(&["spec", "renewTime"]));
    }

    fn see(&mut self, text: &Value) {
        if !text.is_null() && *text != self.last {
            self.time = self.time.max(text.as_str().and_then(time::parse));
            self.last = text.clone();
        }
    }
}

/// A snapshot may leave namespaces out and what every namespace has, but nothing lives in none, and no pod starts without a
/// service account.
fn namespaces(cluster: &mut Cluster) {
    let key = |name: &Text| ObjectKey::new("namespaces", "", name.clone());
    let named: std::collections::BTreeSet<Text> = cluster
        .objects()
        .map(|(key, _)| if key.is("namespaces") { &key.name } else { &key.namespace })
        .filter(|name| !name.is_empty())
        .cloned()
        .collect();
    for name in named {
        if cluster.get(&key(&name)).is_none() {
            let namespace = crate::doc!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": (&name), "uid": (format!("{name}-uid")), "labels": {"kubernetes.io/metadata.name": (&name)}},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
            });
            cluster.load(key(&name), namespace);
        }
        let account = ObjectKey::new("serviceaccounts", name.clone(), "default");
        if cluster.get(&account).is_none() {
            let default = crate::doc!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": (&name), "uid": (format!("{account}-uid"))},
            });
            cluster.load(account, default);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;

    #[test]
    fn lists_are_taken_apart_and_definitions_come_first() {
        let custom = doc!({"apiVersion": "demo.io/v1", "kind": "Demo", "metadata": {"name": "a", "namespace": "shop"}});
        let definition = doc!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "demos.demo.io"},
            "spec": {"group": "demo.io", "scope": "Namespaced", "names": {"plural": "demos", "kind": "Demo"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
        });
        let pods = doc!({"apiVersion": "v1", "kind": "PodList", "items": [
            {"metadata": {"name": "p", "namespace": "shop", "creationTimestamp": "2026-11-24T07:29:46Z", "resourceVersion": "41"}},
        ]});
        let cluster =
            load([doc!({"kind": "List", "apiVersion": "v1", "items": [(custom), (definition)]}), pods], None, 0);
        let keys: Vec<String> = cluster.objects().map(|(key, _)| key.to_string()).collect();
        assert_eq!(
            keys,
            [
                "customresourcedefinitions.apiextensions.k8s.io/demos.demo.io",
                "demos.demo.io/shop/a",
                "namespaces/shop",
                "pods/shop/p",
                "serviceaccounts/shop/default"
            ]
        );
        assert_eq!(time::format(cluster.now()), "2026-11-24T07:29:46Z");
        assert_eq!(cluster.version(), 41);
    }

    #[test]
    fn what_a_snapshot_leaves_out_is_filled_in_and_the_cluster_comes_to_rest() {
        let deployment = doc!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}}},
        });
        let mut cluster = load([deployment], Some(Time::from_millis(1_790_000_000_000)), 0);
        cluster.start_controllers();
        let until = cluster.now() + std::time::Duration::from_secs(5);
        cluster.settle(until);
        let sets = cluster.objects().filter(|(key, _)| key.resource == "replicasets.apps").count();
        assert_eq!(sets, 1);
    }
}
