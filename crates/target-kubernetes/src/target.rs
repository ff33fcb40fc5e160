//! Kubernetes behind the gate: which file serves which stage.
//!
//! Knows: the snapshot, the mask, and how a session with production is built from a credential.
//! Does not know: how any stage is done.

use std::sync::Arc;
use std::time::Duration;

use gate::vault::{Credential, Read, Rehearse, Session, SessionError, Usage, Write};
use gate::{CommitError, DecodeError, Intent, Observation, Pending, Rehearsal, Sent, Stale, Target};
use http::Response;
use model::{Action, AgentId, Effect, ObjectRef, TargetName};
use serde::{Deserialize, Serialize};

use crate::commit::{self, Receipt};
use crate::decode::Asked;
use crate::mask::Mask;
use crate::message::Body;
use crate::sync::Sync;
use crate::telemetry::Telemetry;
use crate::twin::ClusterTwin;
use crate::upstream::{Unanswered, Upstream, UpstreamError};
use crate::{describe, observe, read};

/// What the vault keeps for a cluster: all that is needed to speak to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Access {
    /// The text of a kubeconfig; file names in it are absolute.
    pub kubeconfig: String,
    /// Which of its contexts; the current one if not said.
    pub context: Option<String>,
}

impl Access {
    /// A way to production.
    ///
    /// # Errors
    /// [`UpstreamError`] says what is missing or wrong in the kubeconfig.
    pub async fn connect(&self) -> Result<Upstream, UpstreamError> {
        Upstream::from_text(&self.kubeconfig, self.context.as_deref()).await
    }
}

/// One cluster behind the gate.
pub struct Kubernetes {
    name: TargetName,
    sync: Arc<Sync>,
    mask: Mask,
    linger: Duration,
    telemetry: Option<Telemetry>,
}

impl Kubernetes {
    /// The cluster of this name, as it is followed.
    #[must_use]
    pub fn new(name: TargetName, sync: Arc<Sync>, mask: Mask) -> Self {
        Self { name, sync, mask, linger: observe::LINGER, telemetry: None }
    }

    /// What is learned of the load on its services counts in every fork.
    #[must_use]
    pub fn measured(self, telemetry: Telemetry) -> Self {
        Self { telemetry: Some(telemetry), ..self }
    }

    /// What was sent to it and not answered may be on its way for so long, and no longer.
    #[must_use]
    pub fn lingering(self, linger: Duration) -> Self {
        Self { linger, ..self }
    }

    /// Production as it is followed.
    #[must_use]
    pub fn sync(&self) -> &Arc<Sync> {
        &self.sync
    }
}

/// The session of a credential. It lives in the vault; nothing here keeps one.
///
/// # Errors
/// When the vault has no credential, or production cannot be reached with it.
pub fn session<U: Usage>(credential: &Credential<U>) -> Result<Session<'_, Upstream>, Unanswered> {
    let build = |secret: &[u8]| -> Result<Upstream, String> {
        let access: Access = serde_json::from_slice(secret).map_err(|error| error.to_string())?;
        // A kubeconfig may name a program that makes the credential, so building one takes a while.
        let connect = access.connect();
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(connect)).map_err(|e| e.to_string())
    };
    credential.session(build).map_err(|error| {
        Unanswered::NotSent(match error {
            SessionError::Vault(error) => error.to_string(),
            SessionError::Build(error) => error,
        })
    })
}

impl Target for Kubernetes {
    type Request = Asked;
    type Call = Asked;
    type Response = Response<Body>;
    type Receipt = Receipt;
    type Twin = ClusterTwin;

    fn name(&self) -> &TargetName {
        &self.name
    }

    /// The front door has decoded it already: what it cannot decode it answers itself, in the API server's own words.
    fn decode(&self, request: Asked) -> Result<Asked, DecodeError> {
        Ok(request)
    }

    fn describe(&self, agent: &AgentId, asked: &Asked) -> Action {
        describe::action(&self.sync.newest().cluster.schema, &self.name, agent, asked)
    }

    fn fork(&self, pending: &Pending<Asked, Receipt>) -> Result<ClusterTwin, Stale> {
        let snapshot = self.sync.snapshot().map_err(|stale| Stale(stale.to_string()))?;
        let mut cluster = snapshot.cluster.clone();
        if let Some(telemetry) = &self.telemetry {
            telemetry.tell(&mut cluster);
        }
        let mut twin = ClusterTwin::new(cluster);
        for sent in pending.iter() {
            let shown = match sent.receipt() {
                Some(receipt) => receipt.shown(&snapshot),
                None => twin.has_moved_past(sent.pins()),
            };
            if !shown {
                twin.assume(sent.call());
            }
        }
        Ok(twin)
    }

    async fn rehearse(
        &self,
        asked: &Asked,
        _predicted: &Effect,
        credential: &Credential<Rehearse>,
    ) -> Rehearsal<Response<Body>> {
        let Ok(upstream) = session(credential) else { return Rehearsal::Impossible };
        let mut call = asked.call.clone();
        call.options.dry_run = true;
        match commit::commit(&upstream, &call, &ObjectRef::global("Rehearsal", ""), None, &self.mask).await {
            Ok(_) => Rehearsal::Agrees,
            Err(CommitError::Refused { said, .. }) => Rehearsal::Refused(said),
            Err(_) => Rehearsal::Impossible,
        }
    }

    async fn read(
        &self,
        _action: &Action,
        asked: &Asked,
        credential: &Credential<Read>,
    ) -> Result<Response<Body>, CommitError<Response<Body>>> {
        let upstream = session(credential)?;
        Ok(read::read(&upstream, &asked.call, &self.mask).await?)
    }

    async fn commit(
        &self,
        intent: &Intent<Asked>,
        credential: &Credential<Write>,
    ) -> Result<(Response<Body>, Receipt), CommitError<Response<Body>>> {
        let upstream = session(credential)?;
        let nothing = ObjectRef::global("Collection", "*");
        let object = intent.action().resources.first().unwrap_or(&nothing);
        let pin = intent.pins().get(object).map(String::as_str);
        commit::commit(&upstream, &intent.call().call, object, pin, &self.mask).await
    }

    fn told(&self, action: &Action, receipt: &Receipt) -> String {
        receipt.told(action.resources.first())
    }

    async fn arrived(&self, receipt: &Receipt) {
        self.sync.until(|snapshot| receipt.shown(snapshot)).await;
    }

    async fn observe(&self, sent: &Sent<Asked, Receipt>, credential: &Credential<Read>) -> Observation<Receipt> {
        match sent.receipt() {
            Some(receipt) => observe::follow(&self.sync, sent.predicted(), receipt).await,
            None => match session(credential) {
                Ok(upstream) => {
                    let pin = sent.pins().values().next().map(String::as_str);
                    let lost = observe::Lost { call: &sent.call().call, pin, predicted: sent.predicted() };
                    observe::find_out(&self.sync, &upstream, &lost, self.linger).await
                }
                Err(unanswered) => Observation::Unsure(unanswered.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use cluster::{Cluster, doc};

    use super::*;
    use crate::testing::{asked, deployment, fresh, make, send, service, settle};

    const WEB: &str = "PATCH /apis/apps/v1/namespaces/shop/deployments/web";

    #[tokio::test]
    async fn what_is_under_way_in_production_goes_on_in_a_fork() {
        let mut production = fresh(3);
        make(&mut production, &deployment("web", 3));
        make(&mut production, &service("web"));
        settle(&mut production);
        send(&mut production, WEB, &doc!({"spec": {"replicas": 5}}));
        production.advance(production.now() + Duration::from_millis(400));

        // As it is heard of: objects, and nothing of what is due.
        let mut heard = Cluster::new(production.schema.clone(), production.now(), 1);
        for (key, object) in production.objects() {
            heard.load(key.clone(), object.clone());
        }
        let (sync, _) = Sync::by_hand(heard);
        let target = Kubernetes::new("production".into(), sync, Mask::new().unwrap());
        let mut fork = target.fork(&Pending::none()).unwrap();
        let call = asked(&production, WEB, &doc!({"spec": {"replicas": 6}})).call;
        let told = fork.play(&call, &AtomicBool::new(false)).unwrap().effect.forecast;
        assert_eq!(told.services["shop/web"].ready_after.likely(), 6, "{:?}", told.services);
    }
}
