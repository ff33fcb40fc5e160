//! The tiers: how sure a verdict has to become, and what that costs.
//!
//! Knows: which tier is asked when, and what an effect is weighed with.
//! Does not know: what follows from the verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::{Action, Decimal, Effect, Evidence, Judgement, Micros, Moment, Prediction, Spent, Tier, judge};
use tokio::sync::oneshot;

use crate::gate::Policies;
use crate::host::Host;
use crate::journal::{Journal, Seq};
use crate::passage::{Asked, unavailable};
use crate::probe::Rule;
use crate::reconcile::CatchPanic;
use crate::target::{Pending, Rehearsal, SimulateError, Stop, Target, Twin};
use crate::{Case, CaseId, Gate, Mode, Refusal};

/// Climbs the tiers until one is sure. What no tier is sure of is held for a person.
pub(crate) async fn climb<T: Target>(
    gate: &Arc<Gate<T>>,
    asked: &Asked<T::Call>,
) -> Result<Case<T::Call>, Refusal<T::Response>> {
    let pending = gate.overlay().map_err(|error| unavailable(gate, error.to_string()))?;
    let mut scales = Scales::new(gate, asked, &pending);
    // The shape alone. A policy that needs the effect finds it unknown, and cannot be sure.
    let shape = scales.weigh(Prediction::unknown("nothing was simulated yet"), Tier::Signature);
    if shape.judgement.verdict.is_settled() {
        return Ok(shape);
    }

    // Bounds and simulation think hard, so they do it elsewhere, and not for ever.
    let limit_ms = gate.settings.simulate_ms;
    let room = tokio::select! {
        biased;
        room = gate.thinking.clone().acquire_owned() => room.map_err(|error| unavailable(gate, error.to_string()))?,
        () = gate.host.sleep(limit_ms) => return Err(unavailable(gate, "too many simulations are running".into())),
    };
    let (stop, call, thinker) = (Stop::default(), asked.call.clone(), gate.clone());
    let (answer, answered) = oneshot::channel();
    let until = stop.clone();
    gate.host.think(Box::new(move || {
        let _room = room; // given back when the thinking is over, not when nobody waits for it any more
        let thought = catch_unwind(AssertUnwindSafe(|| think(&thinker, &mut scales, &pending, &call, &until)));
        let thought = thought
            .unwrap_or_else(|_| Ok(scales.weigh(Prediction::unknown("the twin failed on this"), Tier::Simulation)));
        drop(answer.send((thought, scales)));
    }));
    let (simulated, mut scales) = tokio::select! {
        biased;
        answer = answered => answer.map_err(|_| unavailable(gate, "the simulation was lost".into()))?,
        () = gate.host.sleep(limit_ms) => {
            stop.set();
            let pending = gate.overlay().map_err(|error| unavailable(gate, error.to_string()))?;
            let mut scales = Scales::new(gate, asked, &pending);
            let why = format!("the simulation took longer than {limit_ms} ms");
            (Ok(scales.weigh(Prediction::unknown(why), Tier::Simulation)), scales)
        }
    };
    let simulated = match simulated {
        Ok(case) => case,
        Err(stale) if gate.mode() == Mode::Observe => scales.weigh(Prediction::unknown(stale), Tier::Simulation),
        Err(cause) => return Err(Refusal::Stale { cause, retry_after_ms: gate.settings.retry_after_ms }),
    };
    if simulated.judgement.verdict.is_settled() || simulated.foreseen.is_some() {
        return Ok(simulated);
    }

    // Rehearsal, where there is such a place: before a person is bothered.
    let start = gate.host.micros();
    let rehearsal = rehearse(gate, asked, &simulated).await;
    scales.micros.rehearsal = Some(gate.host.micros() - start);
    Ok(match rehearsal {
        Rehearsal::Refused(said) => return Err(Refusal::Refused { case: asked.id.clone(), said }),
        Rehearsal::Differs(prediction) => scales.weigh(*prediction, Tier::Rehearsal),
        Rehearsal::Agrees | Rehearsal::Impossible => Case { micros: scales.micros, ..simulated },
    })
}

/// Asks a disposable place. If it fails, or takes too long, it was not asked.
pub(crate) async fn rehearse<T: Target>(
    gate: &Gate<T>,
    asked: &Asked<T::Call>,
    case: &Case<T::Call>,
) -> Rehearsal<T::Response> {
    let credential = gate.vault.rehearser(gate.name());
    tokio::select! {
        biased;
        answer = CatchPanic::new(gate.target.rehearse(&asked.call, &case.effect, &credential)) =>
            answer.unwrap_or(Rehearsal::Impossible),
        () = gate.host.sleep(gate.settings.rehearse_ms) => Rehearsal::Impossible,
    }
}

/// The tiers that need a fork. Runs where thinking hard is allowed.
fn think<T: Target>(
    gate: &Gate<T>,
    scales: &mut Scales<T::Call>,
    pending: &Pending<T::Call, T::Receipt>,
    call: &T::Call,
    stop: &Stop,
) -> Result<Case<T::Call>, String> {
    let none = Pending { head: pending.head, intents: Vec::new() };
    let overlay = if gate.breaks(Rule::Overlay) { &none } else { pending };
    let start = gate.host.micros();
    let mut twin = gate.target.fork(overlay).map_err(|stale| stale.to_string())?;
    let bound = twin.bound(call);
    scales.micros.constraints = Some(gate.host.micros() - start);
    if let Some(prediction) = bound {
        let bounded = scales.weigh(prediction, Tier::Constraints);
        if bounded.judgement.verdict.is_settled() {
            return Ok(bounded);
        }
    }
    let start = gate.host.micros();
    let applied = twin.apply(call, stop);
    scales.micros.simulation = Some(gate.host.micros() - start);
    Ok(match applied {
        Ok(prediction) => scales.weigh(prediction, Tier::Simulation),
        Err(SimulateError::Beyond(why)) => scales.weigh(Prediction::unknown(why), Tier::Simulation),
        Err(SimulateError::WouldBeRefused(said)) => {
            Case { foreseen: Some(said), ..scales.weigh(Prediction::nothing(), Tier::Simulation) }
        }
    })
}

/// Judges a look by its shape.
pub(crate) fn glance<T: Target>(gate: &Gate<T>, asked: &Asked<T::Call>) -> Case<T::Call> {
    let head = gate.journal.state().head.seq;
    let pending: Pending<T::Call, T::Receipt> = Pending { head, intents: Vec::new() };
    Scales::new(gate, asked, &pending).weigh(Prediction::nothing(), Tier::Signature)
}

/// Everything that an effect is weighed with. Made once per attempt, so that all tiers see the same.
struct Scales<C> {
    id: CaseId,
    action: Arc<Action>,
    call: Arc<C>,
    policies: Policies,
    journal: Journal,
    host: Arc<dyn Host>,
    spent: Spent,
    spent_at: u64,
    now: Moment,
    head: Seq,
    micros: Micros,
}

impl<C> Scales<C> {
    fn new<T: Target<Call = C>>(gate: &Gate<T>, asked: &Asked<C>, pending: &Pending<C, T::Receipt>) -> Self {
        let now = gate.host.now();
        let (spent, spent_at) = {
            let mut state = gate.journal.state();
            let spent = state.ledger.spent(&asked.action.agent, gate.name(), now);
            (spent, state.ledger.version())
        };
        Self {
            id: asked.id.clone(),
            action: asked.action.clone(),
            call: asked.call.clone(),
            policies: gate.policies(),
            journal: gate.journal.clone(),
            host: gate.host.clone(),
            spent,
            spent_at,
            now,
            head: pending.head,
            micros: asked.micros,
        }
    }

    fn weigh(&mut self, prediction: Prediction, tier: Tier) -> Case<C> {
        let Prediction { effect, footprint, pins } = prediction;
        let action = &self.action;
        // The less the twin has been right about such actions, the wider its forecasts.
        let doubt = self.journal.state().fidelity.doubt(&action.target, &action.kind, &effect);
        let told = Arc::new(effect);
        let effect = if doubt == Decimal::ZERO { told.clone() } else { Arc::new(told.as_ref().clone().widened(doubt)) };
        let start = self.host.micros();
        let judgement = weigh(&self.policies, action, &effect, tier, &self.spent, self.now);
        let judged = self.micros.judge.unwrap_or(0) + (self.host.micros() - start);
        self.micros.judge = Some(judged);
        Case {
            id: self.id.clone(),
            action: self.action.clone(),
            call: self.call.clone(),
            effect,
            told,
            footprint: Arc::new(footprint),
            pins: Arc::new(pins),
            judgement,
            tier,
            micros: self.micros,
            foreseen: None,
            head: self.head,
            spent_at: self.spent_at,
        }
    }
}

pub(crate) fn weigh(
    policies: &Policies,
    action: &Action,
    effect: &Effect,
    tier: Tier,
    spent: &Spent,
    now: Moment,
) -> Judgement {
    let evidence = Evidence { action, effect, tier, spent, now };
    judge(policies.iter().map(|policy| &**policy), &evidence)
}
