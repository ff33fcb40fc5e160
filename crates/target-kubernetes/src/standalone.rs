//! A cluster in memory as a target of its own: for `judge` and `what-if`, where there is no production behind the gate.
//!
//! Knows: that production and its twin are one and the same here, so that nothing is ever stale, moved or in doubt.
//! Does not know: connections to anything real.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::apiserver::{self, User, Verb};
use cluster::{Cluster, Schema};
use gate::vault::{Credential, Read, Rehearse, Write};
use gate::{CommitError, DecodeError, Intent, Observation, Pending, Rehearsal, Sent, Stale, Target};
use http::{Response, StatusCode};
use model::{Action, AgentId, Effect, TargetName};

use crate::decode::Asked;
use crate::describe;
use crate::front::status;
use crate::mask::Mask;
use crate::message::{self, Body};
use crate::twin::ClusterTwin;

/// How much time passes from one action to the next: about what a client takes.
const PACE: Duration = Duration::from_secs(1);

/// How long a watch lasts: then the client, if it has not seen what it waits for, asks again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster that is its own production.
pub struct Standalone {
    name: TargetName,
    cluster: Mutex<Cluster>,
    mask: Mask,
}

impl Standalone {
    /// A target of this name that starts as this cluster.
    #[must_use]
    pub fn new(name: TargetName, cluster: Cluster, mask: Mask) -> Self {
        Self { name, cluster: Mutex::new(cluster), mask }
    }

    /// The types that requests are decoded by.
    #[must_use]
    pub fn schema(&self) -> Schema {
        self.lock().schema.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a call here, and lets the time pass that a client takes for the next.
    fn perform(&self, asked: &Asked) -> Response<Body> {
        let mut cluster = self.lock();
        let mut result = apiserver::handle(&mut cluster, &asked.call, &User::admin());
        // Whoever waits for something would wait for ever if time stood still between requests.
        let until = cluster.now() + if asked.call.verb == Verb::Watch { PATIENCE } else { PACE };
        cluster.advance(until);
        if let Ok(answer) = &mut result
            && let apiserver::Content::Document(document) = &mut answer.content
        {
            self.mask.answer(&asked.call, document);
        }
        let encoded = apiserver::encode(&result, &asked.call.output);
        let bytes = match encoded.body {
            apiserver::Body::Bytes(bytes) => bytes,
            // Nothing moves here by itself: what there is to see is there at once.
            apiserver::Body::Watch(mut watch) => {
                let events = watch.poll(&cluster).unwrap_or_default();
                events.iter().flat_map(|event| apiserver::encode_event(event, &watch.output)).collect()
            }
        };
        let mut response = Response::new(message::whole(bytes));
        *response.status_mut() = StatusCode::from_u16(encoded.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        message::append_headers(response.headers_mut(), encoded.headers);
        response
    }
}

impl Target for Standalone {
    type Request = Asked;
    type Call = Asked;
    type Response = Response<Body>;
    type Receipt = ();
    type Twin = ClusterTwin;

    fn name(&self) -> &TargetName {
        &self.name
    }

    fn decode(&self, request: Asked) -> Result<Asked, DecodeError> {
        Ok(request)
    }

    fn describe(&self, agent: &AgentId, asked: &Asked) -> Action {
        describe::action(&self.schema(), &self.name, agent, asked)
    }

    fn fork(&self, _pending: &Pending<Asked, ()>) -> Result<ClusterTwin, Stale> {
        Ok(ClusterTwin::new(self.lock().clone()))
    }

    async fn rehearse(&self, _: &Asked, _: &Effect, _: &Credential<Rehearse>) -> Rehearsal<Response<Body>> {
        Rehearsal::Impossible
    }

    async fn read(
        &self,
        _: &Action,
        asked: &Asked,
        _: &Credential<Read>,
    ) -> Result<Response<Body>, CommitError<Response<Body>>> {
        if let Some(refusal) = crate::read::beyond(&asked.call) {
            return Ok(status(&refusal));
        }
        Ok(self.perform(asked))
    }

    async fn commit(
        &self,
        intent: &Intent<Asked>,
        _: &Credential<Write>,
    ) -> Result<(Response<Body>, ()), CommitError<Response<Body>>> {
        Ok((self.perform(intent.call()), ()))
    }

    async fn arrived(&self, (): &()) {}

    async fn observe(&self, _: &Sent<Asked, ()>, _: &Credential<Read>) -> Observation<()> {
        // The twin cannot be measured against itself.
        Observation::DidNot
    }
}
