//! What keeps a cluster in step with what is wanted, in virtual time: the controllers, the scheduler and the kubelets.
//!
//! Knows: who they are, and which of them a change concerns.
//! Does not know: what any of them does.
//!
//! Each is level-triggered, as the real ones are: a change only says *where* to look, never what to do; whoever looks
//! sees the whole state and brings it one step nearer to what is wanted.

mod children;
pub mod client;
mod clusterroleaggregation;
mod cronjob;
mod customresourcedefinition;
mod daemonset;
mod deployment;
mod endpoints;
mod endpointslice;
mod endpointslicemirroring;
mod ephemeralvolume;
mod garbagecollector;
mod hash;
pub(crate) mod history;
mod horizontalpodautoscaler;
mod job;
mod namespace;
mod node;
pub(crate) mod persistentvolume;
mod poddisruptionbudget;
mod replicaset;
mod resourceclaim;
pub(crate) mod resourcequota;
mod serviceaccount;
mod serviceaccounttoken;
mod statefulset;
mod ttlafterfinished;
mod validatingadmissionpolicy;

use std::time::Duration;

pub(crate) use horizontalpodautoscaler::History;

use crate::cluster::{Change, Cluster};
use crate::object::ObjectKey;
use crate::value::Text;

/// Something that looks at objects and acts.
pub trait Controller: Sync {
    /// Its name, as the real one is named: `deployment-controller`.
    fn name(&self) -> &'static str;

    /// Says which objects must be looked at after a change; most changes concern none.
    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey));

    /// How long after a change it looks: who gathers what happens together does not look at once.
    fn gathers(&self, _change: &Change) -> Duration {
        Duration::ZERO
    }

    /// Looks at one object and acts. Errors of the API server are answered as the real controller does: try again later.
    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next;

    /// An alarm that was set for an object rings. Whoever sets one checks here that it still means something.
    fn ring(&self, cluster: &mut Cluster, key: &ObjectKey, _alarm: &str) -> Next {
        self.reconcile(cluster, key)
    }
}

/// When to look again though nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    Done,
    /// After so long at the latest.
    After(Duration),
}

/// An object that a controller has to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Work {
    /// Which of [`ALL`].
    pub controller: usize,
    /// What to look at.
    pub key: ObjectKey,
    /// Which alarm rings; empty if it is only to be looked at.
    pub alarm: Text,
}

/// All of them. Within one instant they look in the order in which changes reached them, so this order shows nowhere
/// but in ties: who sizes ReplicaSets looks after who counts their pods, or it would act on what they were.
static ALL: &[&dyn Controller] = &[
    &crate::scheduler::Scheduler,
    &crate::kubelet::Kubelets,
    &replicaset::SETS,
    &replicaset::CONTROLLERS,
    &deployment::Deployments,
    &statefulset::StatefulSets,
    &daemonset::DaemonSets,
    &job::Jobs,
    &cronjob::CronJobs,
    &endpoints::Endpoints,
    &endpointslice::EndpointSlices,
    &endpointslicemirroring::Mirrors,
    &namespace::Namespaces,
    &persistentvolume::PersistentVolumes,
    &ephemeralvolume::EphemeralVolumes,
    &resourceclaim::ResourceClaims,
    &serviceaccount::Furnisher,
    &serviceaccounttoken::Tokens,
    &garbagecollector::Garbage,
    &poddisruptionbudget::Disruptions,
    &node::NodeLifecycle,
    &node::TaintEviction,
    &node::PodGarbage,
    &horizontalpodautoscaler::Autoscalers,
    &resourcequota::ResourceQuotas,
    &ttlafterfinished::TtlAfterFinished,
    &clusterroleaggregation::Aggregation,
    &customresourcedefinition::Definitions,
    &validatingadmissionpolicy::PolicyStatus,
];

/// Tells every controller of a change.
pub(crate) fn notice(cluster: &mut Cluster, change: &Change) {
    for (number, controller) in ALL.iter().enumerate() {
        let mut keys = Vec::new();
        controller.notice(cluster, change, &mut |key| keys.push(key));
        for key in keys {
            cluster.enqueue(Work { controller: number, key, alarm: Text::new() }, controller.gathers(change));
        }
    }
}

/// Has the controller that is meant look at the object.
pub(crate) fn reconcile(cluster: &mut Cluster, work: &Work) -> Next {
    let Some(controller) = ALL.get(work.controller) else { return Next::Done };
    if work.alarm.is_empty() {
        controller.reconcile(cluster, &work.key)
    } else {
        controller.ring(cluster, &work.key, &work.alarm)
    }
}

/// Sets an alarm of a controller for an object. It keeps its time to the millisecond, which the times in objects do not,
/// and no look in between moves it; an alarm that is set already stays as it is.
pub(crate) fn set_alarm(cluster: &mut Cluster, controller: &str, key: &ObjectKey, alarm: &str, after: Duration) {
    let number = ALL.iter().position(|have| have.name() == controller);
    if let Some(controller) = number {
        cluster.enqueue(Work { controller, key: key.clone(), alarm: Text::from(alarm) }, after);
    }
}

#[cfg(test)]
mod tests;
