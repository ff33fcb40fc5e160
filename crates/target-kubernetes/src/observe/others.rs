//! What somebody who does not pass the gate has changed while a forecast was coming true.
//!
//! Knows: who writes what into objects, by `managedFields`, and what stands behind a service.
//! Does not know: what agents changed; the journal knows that.
//!
//! People and pipelines go past the gate, by design. Where one of them changes what a forecast is about, what is seen
//! afterwards is their doing as well. What the control plane does is not among this: the twin plays it, and is to be held
//! to how well.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Cluster, ObjectKey, Value};
use model::{Effect, ObjectRef, Overtaken};

use super::key;
use crate::effect::templates;

/// Field managers that the twin plays.
const PLAYED: &[&str] = &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"];

/// Whatever a forecast is about, as it was declared when its action had just been done.
pub(super) struct Others {
    objects: BTreeMap<ObjectRef, (ObjectKey, Option<Declared>)>,
    /// The objects that each service stands on, itself among them.
    behind: BTreeMap<String, Vec<ObjectRef>>,
}

impl Others {
    pub(super) fn new(cluster: &Cluster, predicted: &Effect) -> Self {
        let mut objects = BTreeMap::new();
        let mut note = |object: &ObjectRef, key: ObjectKey| {
            let declared = cluster.get(&key).map(Declared::of);
            objects.entry(object.clone()).or_insert((key, declared));
        };
        let touched = predicted.objects.touched.iter().filter(|(_, change)| change.replica_of.is_none());
        for object in predicted.forecast.workloads.keys().chain(touched.map(|(object, _)| object)) {
            if let Some(key) = key(cluster, object) {
                note(object, key);
            }
        }
        let mut behind = BTreeMap::new();
        for name in predicted.forecast.services.keys() {
            let Some((namespace, service)) = name.split_once('/') else { continue };
            let mut stands = vec![(ObjectKey::new("services", namespace, service), "Service".to_owned())];
            let selector = cluster.get(&ObjectKey::new("services", namespace, service));
            if let Some(selector) = selector.map(|service| service.at(&["spec", "selector"])).filter(|s| !s.is_empty())
            {
                let matching = templates::workloads(cluster, Some(namespace)).filter(|(key, _, template)| {
                    !key.is("pods") && cluster::labels::matches_map(selector, template.at(&["metadata", "labels"]))
                });
                stands.extend(matching.map(|(key, object, _)| (key.clone(), object.kind().to_owned())));
            }
            let named: Vec<ObjectRef> = stands
                .into_iter()
                .map(|(key, kind)| {
                    let object = ObjectRef::namespaced(kind, namespace, key.name.as_str());
                    note(&object, key);
                    object
                })
                .collect();
            behind.insert(name.clone(), named);
        }
        Self { objects, behind }
    }

    /// What has been changed by then.
    pub(super) fn overtaken(&self, cluster: &Cluster, predicted: &Effect) -> Overtaken {
        let changed: BTreeMap<&ObjectRef, String> = self
            .objects
            .iter()
            .filter_map(|(object, (key, before))| {
                let gone = predicted.objects.touched.get(object).is_some_and(|c| c.manner == model::Manner::Deleted);
                let by = match (before, cluster.get(key)) {
                    (Some(before), Some(now)) => before.changed_by(&Declared::of(now)),
                    // Whatever is owned goes with its owner, and that is the twin's to know.
                    (Some(before), None) => (!gone && !before.owned).then(|| "somebody".to_owned()),
                    (None, Some(now)) => gone.then(|| Declared::of(now).author()),
                    (None, None) => None,
                }?;
                Some((object, format!("{by}, past the gate")))
            })
            .collect();
        let mut overtaken = Overtaken::default();
        for (service, stands) in &self.behind {
            if let Some(by) = stands.iter().find_map(|object| changed.get(object)) {
                overtaken.services.insert(service.clone(), by.clone());
            }
        }
        // What only stands behind a service is in no forecast itself.
        let forecast = |object: &ObjectRef| {
            predicted.forecast.workloads.contains_key(object) || predicted.objects.touched.contains_key(object)
        };
        overtaken.objects.extend(changed.into_iter().filter(|(o, _)| forecast(o)).map(|(o, by)| (o.clone(), by)));
        overtaken
    }
}

/// What is declared of an object, and by whom.
struct Declared {
    uid: String,
    generation: i64,
    owned: bool,
    /// When the control plane has declared something of it.
    played: BTreeSet<Signature>,
    /// When anybody else has.
    people: BTreeSet<Signature>,
}

/// Who has written last in which way, and when. Whoever loses a field to another keeps the time of their own last writing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Signature {
    time: String,
    manager: String,
    way: String,
}

impl Declared {
    fn of(object: &Value) -> Self {
        let entries = object.at(&["metadata", "managedFields"]).items().iter();
        let declared = entries.filter(|entry| entry.at(&["subresource"]) != "status").map(|entry| Signature {
            time: entry.at(&["time"]).str_or_empty().to_owned(),
            manager: entry.at(&["manager"]).str_or_empty().to_owned(),
            way: ["operation", "subresource"].map(|field| entry.at(&[field]).str_or_empty()).join(" "),
        });
        let (played, people) = declared.partition(|signature| PLAYED.contains(&signature.manager.as_str()));
        Self {
            uid: object.uid().to_owned(),
            generation: object.generation(),
            owned: object.controller().is_some(),
            played,
            people,
        }
    }

    /// Who has changed it since, if not the control plane alone.
    fn changed_by(&self, now: &Self) -> Option<String> {
        if let Some(new) = now.people.difference(&self.people).next() {
            return Some(format!("{:?}", new.manager));
        }
        // Where nobody signs, or signs the same twice within a second, the generation still tells.
        let unsigned = now.generation > self.generation && self.played == now.played;
        let another = self.uid != now.uid && !now.owned;
        (another || unsigned).then(|| now.author())
    }

    /// Whoever of the people wrote last.
    fn author(&self) -> String {
        self.people.last().map_or_else(|| "somebody".to_owned(), |signature| format!("{:?}", signature.manager))
    }
}
