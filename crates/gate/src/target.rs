//! What a production system has to offer to stand behind the gate.
//!
//! Knows: the stages that are different for every system, and the order in which the gate calls them.
//! Does not know: any system; how a permit or an intent is made.
//!
//! A target crate implements [`Target`] and [`Twin`], and refuses in its clients' own language what
//! [`pass`](crate::pass) gives back as a [`Refusal`](crate::Refusal).

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{Action, AgentId, Effect, ObjectRef, Overtaken, Prediction, TargetName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::journal::Seq;
use crate::permit::Pins;
use crate::vault::{Credential, Read, Rehearse, Write};
use crate::{CaseId, Intent};

/// One production system behind the gate.
pub trait Target: Send + Sync + 'static {
    /// What the front door received, already bounded in size.
    type Request: Send;
    /// The decoded request. Production gets what is encoded from this, never the agent's own bytes. It is kept, sealed,
    /// in the journal, so that a gate that was killed still knows what it may have sent.
    type Call: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What the agent is answered.
    type Response: Send + 'static;
    /// What production answered, in as much as it tells later whether the change has arrived: new versions, row
    /// counts, request ids. It is kept in the journal in clear: nothing secret, no payload.
    type Receipt: Serialize + Send + Sync + 'static;
    /// A fork of the twin.
    type Twin: Twin<Call = Self::Call>;

    /// The operator's name for it.
    fn name(&self) -> &TargetName;

    /// Bytes to a call. The only parser of what an agent sent; what it does not know for sure it refuses.
    ///
    /// # Errors
    /// When the request cannot be decoded in exactly one way.
    fn decode(&self, request: Self::Request) -> Result<Self::Call, DecodeError>;

    /// Who wants what done to what. The agent is who its token says.
    fn describe(&self, agent: &AgentId, call: &Self::Call) -> Action;

    /// The newest snapshot, and every intent on its way that it does not show yet. Must not copy the snapshot.
    ///
    /// The pending list is read before the snapshot is, and an intent leaves it only after [`arrived`](Self::arrived):
    /// so nothing falls between the two. It may be in both; whoever forks looks at the receipt, or at the versions
    /// that the intent was conditional on, and leaves out what the snapshot already shows.
    ///
    /// # Errors
    /// When the snapshot is too old, or a part of it broken, to judge by.
    fn fork(&self, pending: &Pending<Self::Call, Self::Receipt>) -> Result<Self::Twin, Stale>;

    /// Asks a disposable place what it thinks of this: a dry run on the real API, a throw-away clone. May take
    /// seconds, must leave nothing behind.
    fn rehearse(
        &self,
        call: &Self::Call,
        predicted: &Effect,
        credential: &Credential<Rehearse>,
    ) -> impl Future<Output = Rehearsal<Self::Response>> + Send;

    /// Fetches what was asked for, with every secret in it masked, unless the policies that allowed it said otherwise.
    fn read(
        &self,
        action: &Action,
        call: &Self::Call,
        credential: &Credential<Read>,
    ) -> impl Future<Output = Result<Self::Response, CommitError<Self::Response>>> + Send;

    /// Does it, on condition that production still is what the twin was. Called once for an intent, and never again.
    fn commit(
        &self,
        intent: &Intent<Self::Call>,
        credential: &Credential<Write>,
    ) -> impl Future<Output = Committed<Self>> + Send;

    /// A receipt as a person reads it in the record, after "production did it: ". Nothing if there is nothing to say.
    fn told(&self, _action: &Action, _receipt: &Self::Receipt) -> String {
        String::new()
    }

    /// Done when the newest snapshot shows the change. Does not give up: until then the change lives in the overlay.
    fn arrived(&self, receipt: &Self::Receipt) -> impl Future<Output = ()> + Send;

    /// Finds out what became of it: waits until production has settled, or the horizon of the forecast has passed,
    /// and reports what is measurable. Without a receipt nobody knows whether it was sent at all.
    fn observe(
        &self,
        sent: &Sent<Self::Call, Self::Receipt>,
        credential: &Credential<Read>,
    ) -> impl Future<Output = Observation<Self::Receipt>> + Send;
}

/// Production's answer to a change, and what tells later whether it has arrived.
pub type Committed<T> = Result<(<T as Target>::Response, <T as Target>::Receipt), CommitError<<T as Target>::Response>>;

/// Production as last seen, forked for one action. No I/O, no clock, no entropy of its own: the same snapshot, call
/// and seed give the same prediction.
pub trait Twin: Send + 'static {
    /// As the target's.
    type Call;

    /// Bounds on what [`apply`](Self::apply) would say, with nothing executed. `None` if there is no cheap bound.
    fn bound(&mut self, call: &Self::Call) -> Option<Prediction>;

    /// The consequences, in virtual time. Looks at `stop` now and then and gives up if it is set.
    ///
    /// # Errors
    /// When production would refuse the call by itself, or the twin cannot tell.
    fn apply(&mut self, call: &Self::Call, stop: &Stop) -> Result<Prediction, SimulateError>;
}

/// Set when nobody waits for the simulation any more.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Gives the simulation up.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Has it been given up?
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for simulators that know no gate.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

/// The request cannot be decoded in exactly one way. The agent has to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// The twin is not what production is. Try later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Stale(pub String);

/// Why there is no prediction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimulateError {
    /// Production would refuse this by itself, in these words, and nothing would happen.
    #[error("it would be refused: {0}")]
    WouldBeRefused(String),
    /// The twin does not know this, or ran out of time or steps. Anything may happen.
    #[error("it cannot be simulated: {0}")]
    Beyond(String),
}

/// What a disposable place thought.
#[derive(Debug)]
pub enum Rehearsal<R> {
    /// There is no such place, or it could not be reached. The simulation stands.
    Impossible,
    /// Production would refuse, with this answer.
    Refused(R),
    /// It goes as simulated.
    Agrees,
    /// It goes like this.
    Differs(Box<Prediction>),
}

/// Why production did not change as intended. Each variant asks for a different next step.
#[derive(Debug, thiserror::Error)]
pub enum CommitError<R> {
    /// Someone else changed it since the snapshot. Simulate again.
    #[error("{object} is at version {found}, was simulated at {simulated}")]
    Moved {
        /// What moved.
        object: ObjectRef,
        /// The version that the effect was computed on.
        simulated: String,
        /// The version that production has, as far as it says.
        found: String,
    },
    /// Production said no, and is as it was. Hand its own words to the agent.
    #[error("production refused it")]
    Refused {
        /// Its answer, for the agent.
        said: R,
        /// What to put in the record: `409 AlreadyExists`.
        summary: String,
    },
    /// Nothing was sent. Try later.
    #[error("production cannot be reached: {cause}")]
    NotSent {
        /// Why.
        cause: String,
    },
    /// It was sent and nothing was heard. Never retry: observe what happened.
    #[error("no answer from production, it may have happened: {cause}")]
    InDoubt {
        /// Why nothing was heard.
        cause: String,
    },
}

/// What became of an intent.
#[derive(Debug)]
pub enum Observation<R> {
    /// It happened, and this came of it.
    Happened {
        /// What is measurable of the effect.
        effect: Box<Effect>,
        /// What somebody who does not pass the gate has changed meanwhile. What agents did, the gate knows itself.
        overtaken: Overtaken,
        /// As production would have answered.
        receipt: R,
    },
    /// It did not happen and will not: nothing is on its way any more.
    DidNot,
    /// Nobody can say yet. Asked again later.
    Unsure(String),
}

/// An intent that was written, and what is known of its fate. Cheap to clone.
#[derive(Debug)]
pub struct Sent<C, R> {
    pub(crate) seq: Seq,
    pub(crate) case: CaseId,
    pub(crate) action: Arc<Action>,
    pub(crate) call: Arc<C>,
    pub(crate) effect: Arc<Effect>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) receipt: Option<Arc<R>>,
}

impl<C, R> Clone for Sent<C, R> {
    fn clone(&self) -> Self {
        Self {
            seq: self.seq,
            case: self.case.clone(),
            action: self.action.clone(),
            call: self.call.clone(),
            effect: self.effect.clone(),
            pins: self.pins.clone(),
            receipt: self.receipt.clone(),
        }
    }
}

impl<C, R> Sent<C, R> {
    /// Its case.
    pub fn case(&self) -> &CaseId {
        &self.case
    }

    /// What was asked.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// What was, or may have been, sent.
    pub fn call(&self) -> &C {
        &self.call
    }

    /// What was predicted.
    pub fn predicted(&self) -> &Effect {
        &self.effect
    }

    /// The versions of the objects that it was conditional on.
    pub fn pins(&self) -> &BTreeMap<ObjectRef, String> {
        &self.pins
    }

    /// What production answered. `None`: it is on its way, or in doubt.
    pub fn receipt(&self) -> Option<&R> {
        self.receipt.as_deref()
    }
}

/// Every intent of this target that a snapshot may not show yet, in the order in which they were written.
#[derive(Debug)]
pub struct Pending<C, R> {
    pub(crate) head: Seq,
    pub(crate) intents: Vec<Sent<C, R>>,
}

impl<C, R> Pending<C, R> {
    /// Nothing is on its way: for a twin that stands alone, as in `judge` and `what-if`.
    pub const fn none() -> Self {
        Self { head: Seq(0), intents: Vec::new() }
    }

    /// The intents, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Sent<C, R>> {
        self.intents.iter()
    }
}
