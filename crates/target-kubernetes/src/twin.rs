//! Production as last seen, forked for one action.
//!
//! Knows: how to play a call on a cluster, and how far ahead to look.
//! Does not know: production, or what is acceptable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster::apiserver::{self, Call, PatchType, User, Verb};
use cluster::{Cluster, ObjectKey};
use gate::{SimulateError, Stop};
use model::{Effect, Footprint, ObjectRef, Prediction};

use crate::bound::bound;
use crate::decode::Asked;
use crate::describe;
use crate::effect::{self, Ledger, Run};

/// How far ahead a simulation looks: long enough for a rollout to stall (`progressDeadlineSeconds` is 600 by default).
pub const HORIZON: Duration = Duration::from_secs(600);

/// Owners stand above each other so often: a pod's set, the set's Deployment, whatever made that.
const OWNERS_MAX: usize = 4;

/// Of larger families only a part is looked at.
const FAMILY_MAX: usize = 10_000;

/// A fork of the twin. What is applied to it stays, so that actions can follow one another.
pub struct ClusterTwin {
    cluster: Cluster,
    /// As whom calls are played: production asks the gate's own credential for its rights, not the agent's.
    user: User,
    horizon: Duration,
    reads: u64,
}

impl ClusterTwin {
    /// A fork to play calls on.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, user: User::admin(), horizon: HORIZON, reads: 0 }
    }

    /// The cluster as it is now.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// How many objects were looked at to play what was played here and to tell its effects: work that is proportional to what
    /// an action touches does not grow with the cluster.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// Whether an object has another version here than an intent was conditional on: then production has taken the intent, or
    /// will refuse it.
    #[must_use]
    pub(crate) fn has_moved_past(&self, pins: &BTreeMap<ObjectRef, String>) -> bool {
        pins.iter().any(|(object, version)| {
            let kinds = self.cluster.schema.resources().filter(|resource| resource.kind == object.kind);
            let mut keys = kinds.map(|resource| {
                let namespace = object.namespace.as_deref().unwrap_or("");
                ObjectKey::new(resource.storage.resource.clone(), namespace, object.name.as_str())
            });
            let found = keys.find_map(|key| self.cluster.get(&key).cloned());
            found.is_none_or(|found| found.resource_version() != version)
        })
    }

    /// Takes it that a call is done, as it is on its way. What it leads to has not happened yet: it follows in whatever is
    /// played next.
    pub(crate) fn assume(&mut self, asked: &Asked) {
        // Refused here, it will be refused there, or what it rests on is not seen yet; neither can be told now.
        let _ = apiserver::handle(&mut self.cluster, &asked.call, &self.user);
    }

    /// Plays a call, and lets controllers make of it what they would. A call that the API server refuses leaves the
    /// cluster as it was.
    ///
    /// # Errors
    /// What the API server would answer, or that the simulation was given up.
    pub fn play(&mut self, call: &Call, stop: &AtomicBool) -> Result<Prediction, SimulateError> {
        let before = self.resumed(call);
        let mut after = before.clone();
        after.trace();
        apiserver::handle(&mut after, call, &self.user)
            .map_err(|status| SimulateError::WouldBeRefused(status.message))?;
        let end = after.settle_unless(before.now() + self.horizon, stop);
        if stop.load(Ordering::Relaxed) {
            return Err(SimulateError::Beyond("it took longer than anyone waits".into()));
        }
        let worked = after.trace();
        let named: BTreeSet<ObjectKey> = describe::key(call).into_iter().collect();
        let run = Run { before: &before, after: &after, named: &named, horizon: self.horizon, end };
        let mut effect = effect::read(&run);
        effect.forecast.uncertain.extend(unowned(&before, call));
        let footprint = footprint(&run, call, &effect, worked.iter());
        let pins = pins(&before, &named);
        let known = self.cluster.reads();
        self.reads += (before.reads() - known) + (after.reads() - known);
        self.cluster = after;
        Ok(Prediction { effect, footprint, pins })
    }
}

/// What an apply may take back to its default, where the snapshot has lost who owns what: `kubectl get -o json` leaves
/// `managedFields` out, and what an owner leaves out goes with his ownership.
fn unowned(before: &Cluster, call: &Call) -> Option<String> {
    if call.verb != Verb::Patch(PatchType::Apply) || !call.on.subresource.is_empty() {
        return None;
    }
    let key = describe::key(call)?;
    let live = before.get(&key)?;
    if !live.at(&["metadata", "managedFields"]).is_empty() {
        return None;
    }
    let field = apiserver::would_reset(&key.resource, &call.body, live)?;
    let object = reference(before, &key);
    Some(format!(
        "who owns {field} of {object} is not in the snapshot, and leaving it out may take it back to its default"
    ))
}

impl ClusterTwin {
    /// The cluster, with controllers at what was under way when the snapshot was taken, as far as the call is about it: a
    /// snapshot holds objects, and nothing of what is due. What is under way elsewhere is not this call's doing.
    fn resumed(&self, call: &Call) -> Cluster {
        let mut cluster = self.cluster.clone();
        let Some(mut key) = describe::key(call) else { return cluster };
        let mut family = Vec::new();
        for _ in 0..OWNERS_MAX {
            match above(&cluster, &key) {
                Some(owner) => key = owner,
                None => break,
            }
        }
        let mut found = vec![key];
        while let Some(key) = found.pop() {
            let uid = cluster.get(&key).map_or("", cluster::Value::uid);
            if !uid.is_empty() && family.len() < FAMILY_MAX {
                found.extend(cluster.dependents(uid).map(|(key, _)| key.clone()));
            }
            family.push(key);
        }
        cluster.resume_at(&family);
        cluster
    }
}

/// The controller of an object.
pub(crate) fn above(cluster: &Cluster, key: &ObjectKey) -> Option<ObjectKey> {
    let owner = cluster.get(key)?.controller()?;
    let mut resources = cluster.schema.resources();
    let resource = resources.find(|resource| resource.kind == owner.kind() && resource.is_storage_version())?;
    let above = key.beside(resource.storage.resource.as_str(), owner.name());
    cluster.get(&above).is_some_and(|object| object.uid() == owner.uid()).then_some(above)
}

impl gate::Twin for ClusterTwin {
    type Call = Asked;

    fn bound(&mut self, asked: &Asked) -> Option<Prediction> {
        let call = &asked.call;
        // Asked to store nothing, or asked a question: no object changes, whatever the cluster is like.
        if call.options.dry_run || describe::access(call) == model::Access::Read {
            return Some(Prediction::nothing());
        }
        if unowned(&self.cluster, call).is_some() {
            return None;
        }
        bound(&self.resumed(call), call, &self.user, self.horizon)
    }

    fn apply(&mut self, asked: &Asked, stop: &Stop) -> Result<Prediction, SimulateError> {
        self.play(&asked.call, &stop.flag())
    }
}

/// The versions of what the call names: production must still have them when it is sent.
pub(crate) fn pins(cluster: &Cluster, named: &BTreeSet<ObjectKey>) -> BTreeMap<ObjectRef, String> {
    let versions = named.iter().filter_map(|key| Some((key, cluster.get(key)?.resource_version())));
    versions
        .filter(|(_, version)| !version.is_empty())
        .map(|(key, version)| (reference(cluster, key), version.to_owned()))
        .collect()
}

/// What the run read and changed. Controllers' work depends on what they looked at; a pod that finds a place takes it from
/// others; a service's floor is shared by all that stand behind it.
pub(crate) fn footprint<'a>(
    run: &Run<'_>,
    call: &Call,
    effect: &Effect,
    worked: impl Iterator<Item = &'a ObjectKey>,
) -> Footprint {
    let Ok(ledger) = Ledger::between(run.before, run.after, run.named) else { return Footprint::everything() };
    let mut footprint = Footprint::default();
    for object in named_refs(run.before, call) {
        footprint.read(&object);
    }
    for key in worked {
        footprint.read(&reference(run.after, key));
    }
    for (key, net) in ledger.net() {
        footprint.write(&reference(run.after, key));
        let place = |pod: Option<&cluster::Value>| {
            pod.and_then(|pod| pod.at(&["spec", "nodeName"]).as_str().map(str::to_owned))
        };
        if key.is("pods") && place(net.before) != place(net.after) {
            for node in place(net.before).into_iter().chain(place(net.after)) {
                footprint.write(&ObjectRef::global("NodeCapacity", node));
            }
        }
    }
    for name in effect.forecast.services.keys() {
        if let Some((namespace, name)) = name.split_once('/') {
            footprint.write(&ObjectRef::namespaced("Service", namespace, name));
        }
    }
    footprint
}

fn named_refs(cluster: &Cluster, call: &Call) -> Vec<ObjectRef> {
    describe::resources(&cluster.schema, call)
}

/// A key as people and the journal name it.
pub(crate) fn reference(cluster: &Cluster, key: &ObjectKey) -> ObjectRef {
    let known = cluster.schema.stored(&key.resource);
    let kind = known.map_or(key.resource.as_str(), |resource| resource.kind.as_str());
    let namespace = (!key.namespace.is_empty()).then_some(key.namespace.as_str());
    ObjectRef::new(kind, namespace, key.name.as_str())
}

#[cfg(test)]
mod tests {
    use cluster::doc;

    use super::*;
    use crate::testing::{asked, deployment, fresh, make, send, service, settle};

    const WEB: &str = "PATCH /apis/apps/v1/namespaces/shop/deployments/web?fieldManager=";

    #[test]
    fn an_apply_that_leaves_out_the_replicas_that_it_alone_owned_takes_them_back_to_one() {
        let without = {
            let mut web = deployment("web", 5);
            web.remove(&["spec", "replicas"]);
            web
        };
        let five = doc!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"replicas": 5}});
        for (others, wanted, fewest) in [(&[][..], 1, 1), (&["autoscaler"][..], 5, 5)] {
            let mut cluster = fresh(3);
            make(&mut cluster, &service("web"));
            send(&mut cluster, &format!("{WEB}deploy apply"), &deployment("web", 5));
            for other in others {
                send(&mut cluster, &format!("{WEB}{other} apply"), &five);
            }
            settle(&mut cluster);
            let call = asked(&cluster, &format!("{WEB}deploy apply"), &without).call;
            let played = ClusterTwin::new(cluster).play(&call, &AtomicBool::new(false)).unwrap();
            let told = &played.effect.forecast;
            let web = ObjectRef::namespaced("Deployment", "shop", "web");
            let wants = told.workloads.get(&web).map_or(5, |web| web.wanted_after.likely());
            let ready = told.services.get("shop/web").map_or(5, |web| web.ready_min.likely());
            assert_eq!((wants, ready), (wanted, fewest), "{others:?}");
        }
    }

    #[test]
    fn an_apply_that_may_take_back_what_nobody_is_known_to_own_is_not_sure() {
        let mut cluster = fresh(3);
        make(&mut cluster, &deployment("web", 5));
        settle(&mut cluster);
        let key = ObjectKey::new("deployments.apps", "shop", "web");
        let mut web = cluster.get(&key).unwrap().clone();
        web.remove(&["metadata", "managedFields"]);
        cluster.load(key, web);
        let mut without = deployment("web", 5);
        without.remove(&["spec", "replicas"]);
        for (applied, doubts) in [(deployment("web", 5), 0), (without, 1)] {
            let call = asked(&cluster, &format!("{WEB}deploy apply"), &applied).call;
            let played = ClusterTwin::new(cluster.clone()).play(&call, &AtomicBool::new(false)).unwrap();
            assert_eq!(played.effect.forecast.uncertain.len(), doubts, "{:?}", played.effect.forecast.uncertain);
        }
    }
}
