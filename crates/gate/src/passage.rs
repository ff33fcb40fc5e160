//! The heart: one request's way to production.
//!
//! Knows: the order of the stages, and when to start again.
//! Does not know: what happens within any of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::{Access, Action, AgentId, Micros, Verdict};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info, info_span};

use crate::commit::{Carried, carry_out};
use crate::journal::{Draft, Entry, NotAppended};
use crate::permit::{Grant, Permit};
use crate::probe::{Point, Rule};
use crate::target::{CommitError, DecodeError, Rehearsal, Target};
use crate::tiers::{climb, glance, rehearse};
use crate::{Case, CaseId, Gate, Mode, Refusal, approvals};

/// A request, decoded: all that there is of it from here on.
pub(crate) struct Asked<C> {
    pub(crate) id: CaseId,
    pub(crate) number: u64,
    pub(crate) action: Arc<Action>,
    pub(crate) call: Arc<C>,
    pub(crate) micros: Micros,
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
        operation = %action.operation, resource = %action.resource(), tier = Empty, simulate_us = Empty, judge_us = Empty);
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
        note(&case);
        gate.reach(Point::Examined, &asked.id).await;
        if case.foreseen.is_some() && gate.mode() == Mode::Enforce {
            match foreseen(gate, asked, &case).await {
                Some(refusal) => return Err(refusal),
                None => continue, // production disagrees: it has moved on, look again
            }
        }

        // Approve. A grant is for one effect: if the effect has grown since, the person is asked again.
        let class = gate.class_for(&case);
        let permit = match Permit::issue(case, gate.mode(), grant.as_ref(), class, !gate.breaks(Rule::Cover)) {
            Ok(permit) => permit,
            Err(case) if case.judgement.verdict.is_settled() => return Err(denied(gate, asked, *case).await),
            Err(held) => {
                turn = None; // people take their time, and nobody waits behind them
                grant = approvals::ask(gate, &held, asked.number).await?;
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

/// Puts into the log line where it was decided, and what that took.
fn note<C>(case: &Case<C>) {
    let span = Span::current();
    span.record("tier", tracing::field::display(case.tier));
    span.record("simulate_us", case.micros.simulation);
    span.record("judge_us", case.micros.judge);
}

/// A look, on its way. It changes nothing, so its shape decides, and no intent is written.
async fn read<T: Target>(
    gate: &Arc<Gate<T>>,
    asked: &Asked<T::Call>,
    mut grant: Option<Grant>,
) -> Result<T::Response, Refusal<T::Response>> {
    let case = glance(gate, asked);
    note(&case);
    let held = matches!(case.judgement.verdict, Verdict::Hold { .. }) && gate.mode() == Mode::Enforce;
    if matches!(case.judgement.verdict, Verdict::Deny { .. }) && gate.mode() == Mode::Enforce {
        return Err(denied(gate, asked, case).await);
    }
    if held {
        grant = approvals::ask(gate, &case, asked.number).await?;
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

pub(crate) fn unavailable<T: Target>(gate: &Gate<T>, cause: String) -> Refusal<T::Response> {
    Refusal::Unavailable { cause, retry_after_ms: gate.settings.retry_after_ms }
}
