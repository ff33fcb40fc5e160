//! Bounds on what a call would lead to, with no controller asked: tier 2.
//!
//! Knows: what everyday changes lead to, by arithmetic over what is at rest: replicas, room, floors, budgets.
//! Does not know: in which order things happen, or when. What depends on that is a range.
//!
//! The API server's part of a call is played on a fork, as it decides by itself what is stored. What controllers would make
//! of it is not: it is concluded from what kind of change it is. Whatever a simulation of the same call would say must lie
//! within (`lazaret/tests/containment.rs` holds it to that), so a bound is only given where everything is at rest and nothing is
//! special, and there is none anywhere else: the next tier plays it.
//!
//! | file | bounds |
//! |---|---|
//! | here | what no controller reacts to; a cordon |
//! | `workload` | what keeps replicas, at rest: whose pods, before which services, under which budgets |
//! | `replicas` | more or fewer of them, one deleted, all replaced |
//! | `sketch` | an effect as it is put together |

mod replicas;
mod sketch;
mod workload;

use std::collections::BTreeSet;
use std::time::Duration;

use cluster::apiserver::{self, Call, User};
use cluster::{Advance, Cluster, ObjectKey, Value};
use model::{Effect, Prediction};

use crate::describe;
use crate::effect::ledger::{Ledger, Net, meaning};
use crate::effect::load;
use crate::effect::{self, Run};
use crate::twin::{footprint, pins};
use sketch::Sketch;
use workload::Workload;

/// What is known of a call once the API server has taken it, and nobody has reacted.
pub(crate) struct Direct<'a> {
    pub(crate) run: Run<'a>,
    pub(crate) call: &'a Call,
    pub(crate) ledger: Ledger<'a>,
    pub(crate) effect: Effect,
}

/// Bounds on what a call would lead to within a horizon; none where only a simulation tells.
pub(crate) fn bound(before: &Cluster, call: &Call, user: &User, horizon: Duration) -> Option<Prediction> {
    // A dip has no bounds of its own on the requests that fail in it: that hangs on queues, retries and who else calls.
    everyday(before, call, user, horizon).filter(|prediction| !load::is_felt(before, &prediction.effect.forecast))
}

fn everyday(before: &Cluster, call: &Call, user: &User, horizon: Duration) -> Option<Prediction> {
    // Something else is under way: only when both are played shows how they go together.
    let at_rest = |cluster: &Cluster| cluster.next_due().is_none_or(|due| due > before.now() + horizon);
    if !at_rest(before) {
        return None;
    }
    let mut after = before.clone();
    apiserver::handle(&mut after, call, user).ok()?;
    let named: BTreeSet<ObjectKey> = describe::key(call).into_iter().collect();
    let end = Advance { settled: true, last_change: None };
    let run = Run { before, after: &after, named: &named, horizon, end };
    let ledger = Ledger::between(before, &after, &named).ok()?;
    let effect = effect::read(&run);
    let direct = Direct { run, call, ledger, effect };
    if at_rest(&after) {
        return Some(direct.alone());
    }

    // Whoever waits for a place takes any that this makes, or finds that it was about to.
    if before.unplaced().next().is_some() {
        return None;
    }
    let key = describe::key(call)?;
    // Admission may write besides what is asked for (an eviction draws on its budget): in status, or it is not everyday.
    let means = |net: &Net<'_>| net.before.map(meaning) != net.after.map(meaning);
    if direct.ledger.net().any(|(other, net)| *other != key && means(net)) {
        return None;
    }
    let net = direct.ledger.net().find(|(other, _)| **other == key).map(|(_, net)| *net)?;
    if key.is("pods") {
        return replicas::one_deleted(&direct, &key, net);
    }
    let (old, new) = (net.before?, net.after?);
    if new.is_terminating() || old.is_terminating() {
        return None;
    }
    if key.is("nodes") {
        return cordon(&direct, old, new);
    }
    let changed = Changed::between(old, new)?;
    let workload = Workload::at_rest(before, &key, old)?;
    match changed {
        Changed { replicas: true, images: false, notes: false } => replicas::scaled(&direct, &workload, new),
        Changed { replicas: false, images: false, notes: false } => Some(relabelled(&direct, &workload)),
        Changed { replicas: false, .. } => replicas::replaced(&direct, &workload, new),
        Changed { replicas: true, .. } => None,
    }
}

impl Direct<'_> {
    /// Nobody reacts: what is written is all that happens.
    fn alone(self) -> Prediction {
        let footprint = footprint(&self.run, self.call, &self.effect, std::iter::empty());
        let pins = pins(self.run.before, self.run.named);
        Prediction { effect: self.effect, footprint, pins }
    }
}

/// Which parts of a workload differ. Its own labels and notes always may: nothing selects it.
struct Changed {
    replicas: bool,
    images: bool,
    /// The annotations of its template.
    notes: bool,
}

impl Changed {
    /// `None` if anything else differs.
    fn between(old: &Value, new: &Value) -> Option<Self> {
        let template = |object: &Value, field| object.at(&["spec", "template", field]).clone();
        let images = |object: &Value| -> Vec<Value> {
            let lists = ["containers", "initContainers"];
            let containers = lists.iter().flat_map(|list| object.at(&["spec", "template", "spec", list]).items());
            containers.map(|container| container.at(&["image"]).clone()).collect()
        };
        let notes = |object: &Value| template(object, "metadata").at(&["annotations"]).clone();
        (rest(old) == rest(new)).then(|| Self {
            replicas: old.at(&["spec", "replicas"]) != new.at(&["spec", "replicas"]),
            images: images(old) != images(new),
            notes: notes(old) != notes(new),
        })
    }
}

/// An object without the parts that everyday changes are about.
fn rest(object: &Value) -> Value {
    let mut rest = meaning(object);
    for path in [
        &["metadata", "labels"][..],
        &["metadata", "annotations"],
        &["spec", "replicas"],
        &["spec", "template", "metadata", "annotations"],
    ] {
        rest.remove(path);
    }
    for list in ["containers", "initContainers"] {
        if let Some(containers) = rest.find_mut(&["spec", "template", "spec", list]).and_then(Value::as_array_mut) {
            for container in containers.edit().iter_mut() {
                container.remove(&["image"]);
            }
        }
    }
    rest
}

/// A workload's own labels and notes. They are copied to what it keeps its replicas with, and its replicas stay.
fn relabelled(direct: &Direct<'_>, workload: &Workload<'_>) -> Prediction {
    let mut sketch = Sketch::of(direct);
    sketch.rewrites(workload);
    sketch.finish()
}

/// A node takes nothing new, or something new again. What runs on it stays.
fn cordon(direct: &Direct<'_>, old: &Value, new: &Value) -> Option<Prediction> {
    let without = |node: &Value| {
        let mut node = meaning(node);
        node.remove(&["spec", "unschedulable"]);
        node
    };
    // A daemon's pods come and go with what their node takes, if they do not put up with it.
    let tainted = !old.at(&["spec", "taints"]).is_empty();
    (without(old) == without(new) && !tainted).then(|| Sketch::of(direct).finish())
}
