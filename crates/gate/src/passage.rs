//! The heart: one request's way to production.
//!
//! Knows: the order of the stages, and when to start again.
//! Does not know: what happens within any of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::{
    Access, Action, AgentId, Decimal, Effect, Evidence, Judgement, Micros, Moment, Prediction, Spent, Tier, Verdict,
    judge,
};
use tokio::sync::{OwnedMutexGuard, oneshot};
use tracing::{Instrument as _, info, info_span};

use crate::gate::{Policies, seal_name};
use crate::host::Host;
use crate::journal::{Draft, Entry, Intended, Live, NotAppended, Outcome};
use crate::permit::{Grant, Intent, Permit, Warrant};
use crate::probe::{Point, Rule};
use crate::reconcile::{CatchPanic, follow};
use crate::target::{CommitError, DecodeError, Pending, Rehearsal, Sent, SimulateError, Stop, Target, Twin};
use crate::{Case, CaseId, Gate, Mode, Refusal, approvals};

/// A request, decoded: all that there is of it from here on.
struct Asked<C> {
    id: CaseId,
    number: u64,
    action: Arc<Action>,
    call: Arc<C>,
    micros: Micros,
}

/// Carries one request to production, or says why it went no further.
///
/// Once an intent is written it is carried out to its end, even if whoever polls this goes away.
///
/// # Errors
/// A [`Refusal`] says what the agent should do next.
pub async fn pass<T: Target>(
    gate: &Arc<Gate<T>>,
    agent: &AgentId,
    request: T::Request,
) -> Result<T::Response, Refusal<T::Response>> {
    // Intercept. From here on there is only what was decoded.
    let (asked, grant) = decode(gate, agent, request)?;
    let Asked { id, action, .. } = &asked;
    let span = info_span!("action", case = %id, agent = %action.agent, target = %action.target,
        operation = %action.operation, resource = %action.resource());
    let done = async {
        let done = match action.access {
            Access::Read => read(gate, &asked, grant).await, // judged by signature, masked on the way back
            Access::Write => write(gate, &asked, grant).await,
        };
        match &done {
            Ok(_) => info!("passed"),
            Err(refusal) => info!(policy = refusal.policy(), "{}", refusal.word()),
        }
        done
    };
    done.instrument(span).await
}

/// A change, on its way.
async fn write<T: Target>(
    gate: &Arc<Gate<T>>,
    asked: &Asked<T::Call>,
    mut grant: Option<Grant>,
) -> Result<T::Response, Refusal<T::Response>> {
    gate.reach(Point::Described, &asked.id).await;
    if let Some((case, cause)) = gate.doubt_about(&asked.action) {
        // Clients repeat what failed. As long as nobody knows whether it happened, it is not done again.
        return Err(Refusal::InDoubt { case, title: asked.action.title(), cause });
    }
    let mut turn = None;
    for attempt in 1..=gate.settings.attempts_max {
        if attempt > 1 && turn.is_none() {
            turn = Some(gate.turnstile.clone().lock_owned().await);
        }
        // Simulate and judge, one tier at a time.
        let case = climb(gate, asked).await?;
        gate.reach(Point::Examined, &asked.id).await;
        if case.foreseen.is_some() && gate.mode() == Mode::Enforce {
            match foreseen(gate, asked, &case).await {
                Some(refusal) => return Err(refusal),
                None => continue, // production disagrees: it has moved on, look again
            }
        }

        // Approve. A grant is for one effect: if the effect has grown since, the person is asked again.
        let permit = match Permit::issue(case, gate.mode(), grant.as_ref(), !gate.breaks(Rule::Cover)) {
            Ok(permit) => permit,
            Err(case) if case.judgement.verdict.is_settled() => return Err(denied(gate, asked, *case).await),
            Err(held) => {
                turn = None; // people take their time, and nobody waits behind them
                grant = Some(approvals::ask(gate, &held, asked.number).await?);
                continue; // production moved on while the person was reading: look again
            }
        };
        gate.reach(Point::Permitted, &asked.id).await;

        // Journal, on disk before a byte goes out and only if no other action got there first; then commit, on
        // condition that production is still what the twin was; then reconcile.
        match carry_out(gate, permit, asked.number, turn.take()).await {
            Carried::Committed(response) => return Ok(response),
            Carried::Overtaken | Carried::Moved => {} // simulate again
            Carried::Refused(said) => return Err(Refusal::Refused { case: asked.id.clone(), said }),
            Carried::NotSent(cause) => return Err(unavailable(gate, cause)),
            Carried::InDoubt(cause) => {
                let (case, title) = (asked.id.clone(), asked.action.title());
                return Err(Refusal::InDoubt { case, title, cause });
            }
        }
    }
    Err(Refusal::Contended { case: asked.id.clone(), retry_after_ms: gate.settings.retry_after_ms })
}

/// A look, on its way. It changes nothing, so its shape decides, and no intent is written.
async fn read<T: Target>(
    gate: &Arc<Gate<T>>,
    asked: &Asked<T::Call>,
    mut grant: Option<Grant>,
) -> Result<T::Response, Refusal<T::Response>> {
    let case = glance(gate, asked);
    let held = matches!(case.judgement.verdict, Verdict::Hold { .. }) && gate.mode() == Mode::Enforce;
    if matches!(case.judgement.verdict, Verdict::Deny { .. }) && gate.mode() == Mode::Enforce {
        return Err(denied(gate, asked, case).await);
    }
    if held {
        grant = Some(approvals::ask(gate, &case, asked.number).await?);
    }
    let spent = grant.filter(|_| held).map(|grant| grant.case);
    let (title, agent) = (asked.action.title(), asked.action.agent.clone());
    let draft = Draft::new(&asked.id, Entry::Read { agent, title, grant: spent.clone() });
    let now = gate.host.now();
    let recorded = gate.journal.append_if(now, vec![draft], move |state| match &spent {
        Some(case) if !state.docket.is_usable(case, now) => Err(()),
        _ => Ok(()),
    });
    // A look that took a grant uses it up, on disk; any other is recorded, but nobody waits for that.
    if held {
        match recorded.await {
            Ok(_) => {}
            Err(NotAppended::Declined(())) => {
                return Err(Refusal::Contended {
                    case: asked.id.clone(),
                    retry_after_ms: gate.settings.retry_after_ms,
                });
            }
            Err(NotAppended::Unavailable(cause)) => return Err(unavailable(gate, cause)),
        }
    }
    let credential = gate.vault.reader(gate.name());
    gate.target.read(&asked.action, &asked.call, &credential).await.map_err(|error| match error {
        CommitError::Refused { said, .. } => Refusal::Refused { case: asked.id.clone(), said },
        other => unavailable(gate, other.to_string()),
    })
}

/// Judges a request and goes no further: for `judge`, `what-if`, and whoever only asks. Nothing is recorded.
///
/// # Errors
/// When there is nothing to judge, or nothing to judge it by.
pub async fn examine<T: Target>(
    gate: &Arc<Gate<T>>,
    agent: &AgentId,
    request: T::Request,
) -> Result<Case<T::Call>, Refusal<T::Response>> {
    let (asked, _) = decode(gate, agent, request)?;
    match asked.action.access {
        Access::Read => Ok(glance(gate, &asked)),
        Access::Write => climb(gate, &asked).await,
    }
}

#[allow(clippy::type_complexity)]
fn decode<T: Target>(
    gate: &Gate<T>,
    agent: &AgentId,
    request: T::Request,
) -> Result<(Asked<T::Call>, Option<Grant>), Refusal<T::Response>> {
    let start = gate.host.micros();
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let call = gate.target.decode(request)?;
        // Who asks, and behind which gate, is not for a target to say: credentials and budgets hang on it.
        let described = gate.target.describe(agent, &call);
        let action = Action { agent: agent.clone(), target: gate.name().clone(), ..described };
        Ok::<_, DecodeError>((call, action))
    }));
    let broken = || Refusal::NotDecoded(DecodeError("the decoder failed on it".into()));
    let (call, action) = decoded.map_err(|_| broken())?.map_err(Refusal::NotDecoded)?;
    let (id, number, grant) = gate.case_for(&action);
    let micros = Micros { decode: Some(gate.host.micros() - start), ..Micros::default() };
    Ok((Asked { id, number, action: Arc::new(action), call: Arc::new(call), micros }, grant))
}

/// Climbs the tiers until one is sure. What no tier is sure of is held for a person.
async fn climb<T: Target>(gate: &Arc<Gate<T>>, asked: &Asked<T::Call>) -> Result<Case<T::Call>, Refusal<T::Response>> {
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
async fn rehearse<T: Target>(gate: &Gate<T>, asked: &Asked<T::Call>, case: &Case<T::Call>) -> Rehearsal<T::Response> {
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
fn glance<T: Target>(gate: &Gate<T>, asked: &Asked<T::Call>) -> Case<T::Call> {
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
    journal: crate::Journal,
    host: Arc<dyn Host>,
    spent: Spent,
    spent_at: u64,
    now: Moment,
    head: crate::journal::Seq,
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

fn weigh(policies: &Policies, action: &Action, effect: &Effect, tier: Tier, spent: &Spent, now: Moment) -> Judgement {
    let evidence = Evidence { action, effect, tier, spent, now };
    judge(policies.iter().map(|policy| &**policy), &evidence)
}

/// The twin says that production would refuse. A disposable place is asked, for production's own words and because
/// the twin may lag: it is the one who is wrong if production would not. `None`: look again.
async fn foreseen<T: Target>(
    gate: &Gate<T>,
    asked: &Asked<T::Call>,
    case: &Case<T::Call>,
) -> Option<Refusal<T::Response>> {
    let refusal = match rehearse(gate, asked, case).await {
        Rehearsal::Agrees | Rehearsal::Differs(_) => return None,
        Rehearsal::Refused(said) => Refusal::Refused { case: asked.id.clone(), said },
        Rehearsal::Impossible => {
            Refusal::Foreseen { case: asked.id.clone(), said: case.foreseen.clone().unwrap_or_default() }
        }
    };
    record(gate, asked, case).await;
    Some(refusal)
}

/// Records a denial. It stands even if it cannot be recorded.
async fn denied<T: Target>(gate: &Gate<T>, asked: &Asked<T::Call>, case: Case<T::Call>) -> Refusal<T::Response> {
    record(gate, asked, &case).await;
    Refusal::Denied {
        case: case.id,
        title: asked.action.title(),
        tier: case.tier,
        why: case.judgement.verdict.why().to_vec(),
        would_pass: case.judgement.verdict.would_pass(),
    }
}

async fn record<T: Target>(gate: &Gate<T>, asked: &Asked<T::Call>, case: &Case<T::Call>) {
    let draft = Draft::new(&case.id, case.entry(asked.number, gate.mode()));
    if let Err(error) = gate.append(vec![draft]).await {
        tracing::error!(%error, "case not recorded");
    }
}

fn unavailable<T: Target>(gate: &Gate<T>, cause: String) -> Refusal<T::Response> {
    Refusal::Unavailable { cause, retry_after_ms: gate.settings.retry_after_ms }
}

/// Another action got there first, or used up the grant, or the budget.
struct Overtaken;

/// Writes the intent, if it still rests on what it was judged by.
async fn intend<T: Target>(
    gate: &Gate<T>,
    permit: Permit<T::Call>,
    number: u64,
) -> Result<Intent<T::Call>, NotAppended<Overtaken>> {
    let entry = permit.case.entry(number, gate.mode());
    let Permit { case, warrant } = permit;
    let Case { id, action, call, effect, told, footprint, pins, head, spent_at, tier, judgement, .. } = case;
    let lost = |error: &dyn std::fmt::Display| NotAppended::Unavailable(error.to_string());
    let bytes = serde_json::to_vec(&*call).map(zeroize::Zeroizing::new).map_err(|error| lost(&error))?;
    let sealed = gate.vault.seal(&bytes, &seal_name(gate.name(), &id)).map_err(|error| lost(&error))?;
    let intended =
        Intended { warrant: warrant.clone(), footprint: (*footprint).clone(), pins: (*pins).clone(), call: sealed };
    let drafts = vec![
        Draft::new(&id, entry),
        Draft::new(&id, Entry::Intent(Box::new(intended))).with(Arc::clone(&call) as Live),
    ];

    let now = gate.host.now();
    let compare = warrant != Warrant::Observed && !gate.breaks(Rule::CompareAndAppend);
    let (policies, acting, weighed, target) = (gate.policies(), action.clone(), effect.clone(), gate.name().clone());
    let still_stands = move |state: &mut crate::journal::State| {
        if compare && state.overtaken(&target, &footprint, head) {
            return Err(Overtaken);
        }
        match &warrant {
            Warrant::Grant { case } if !state.docket.is_usable(case, now) => return Err(Overtaken),
            Warrant::Policies if state.ledger.version() != spent_at => {
                // Only budgets may have moved: weigh the same effect once more, without simulating it again.
                let spent = state.ledger.spent(&acting.agent, &target, now);
                if weigh(&policies, &acting, &weighed, tier, &spent, now).verdict != Verdict::Allow {
                    return Err(Overtaken);
                }
            }
            _ => {}
        }
        Ok(())
    };
    drop(judgement);
    let seq = gate.journal.append_if(now, drafts, still_stands).await?;
    Ok(Intent { seq, case: id, action, call, effect, told, pins })
}

/// How it went, as far as the agent is concerned.
enum Carried<R> {
    Overtaken,
    Committed(R),
    Moved,
    Refused(R),
    NotSent(String),
    InDoubt(String),
}

/// Uses a permit: writes the intent, commits it and sees it through, on its own. The agent may hang up in the middle,
/// and an intent that was written and not carried out would be in doubt for no reason.
///
/// Whoever has the turn gives it back when the intent is written: the next one need not wait for production.
async fn carry_out<T: Target>(
    gate: &Arc<Gate<T>>,
    permit: Permit<T::Call>,
    number: u64,
    turn: Option<OwnedMutexGuard<()>>,
) -> Carried<T::Response> {
    let (answer, answered) = oneshot::channel();
    let station = gate.clone();
    let span = tracing::Span::current();
    let task = async move {
        let id = permit.case.id.clone();
        let intended = intend(&station, permit, number).await;
        drop(turn);
        let carried = match intended {
            Ok(intent) => {
                station.reach(Point::Intended, &id).await;
                commit(&station, intent).await
            }
            Err(NotAppended::Declined(Overtaken)) => Carried::Overtaken,
            Err(NotAppended::Unavailable(cause)) => Carried::NotSent(cause),
        };
        drop(answer.send(carried));
    };
    gate.host.spawn(Box::pin(task.instrument(span)));
    answered.await.unwrap_or_else(|_| Carried::InDoubt("the commit was cut off".into()))
}

async fn commit<T: Target>(gate: &Arc<Gate<T>>, intent: Intent<T::Call>) -> Carried<T::Response> {
    let (seq, id) = (intent.seq, intent.case.clone());
    let credential = gate.vault.writer(&intent);
    let answer = tokio::select! {
        biased;
        answer = CatchPanic::new(gate.target.commit(&intent, &credential)) =>
            answer.unwrap_or_else(|| Err(CommitError::InDoubt { cause: "the connector failed in mid-commit".into() })),
        () = gate.host.sleep(gate.settings.commit_ms) =>
            Err(CommitError::InDoubt { cause: format!("no answer within {} ms", gate.settings.commit_ms) }),
    };
    gate.reach(Point::Answered, &id).await;

    let Intent { action, call, told, pins, .. } = intent;
    let sent = Sent { seq, case: id.clone(), action, call, effect: told, pins, receipt: None };
    let abandoned = |why: String| gate.conclude(&id, seq, Outcome::Abandoned { why }, None);
    match answer {
        Ok((response, receipt)) => {
            let receipt = Arc::new(receipt);
            let written = serde_json::to_value(&*receipt).unwrap_or_default();
            // Nobody waits for this to be on disk: a gate killed here finds the intent open, and looks.
            drop(gate.conclude(&id, seq, Outcome::Committed { receipt: written }, Some(Arc::clone(&receipt) as Live)));
            gate.reach(Point::Concluded, &id).await;
            follow(gate, Sent { receipt: Some(receipt), ..sent });
            Carried::Committed(response)
        }
        Err(moved @ CommitError::Moved { .. }) => match abandoned(moved.to_string()).await {
            Ok(_) => Carried::Moved,
            Err(cause) => Carried::NotSent(cause),
        },
        Err(CommitError::NotSent { cause }) => {
            drop(abandoned(cause.clone()).await);
            Carried::NotSent(cause)
        }
        Err(CommitError::Refused { said, summary }) => {
            drop(gate.conclude(&id, seq, Outcome::Refused { said: summary }, None).await);
            Carried::Refused(said)
        }
        Err(CommitError::InDoubt { cause }) => {
            drop(gate.conclude(&id, seq, Outcome::InDoubt { why: cause.clone() }, None).await);
            gate.reach(Point::Concluded, &id).await;
            follow(gate, sent); // it may have happened: find out, never retry
            Carried::InDoubt(cause)
        }
    }
}
