//! From a permit to production's answer.
//!
//! Knows: that the intent is on disk before a byte goes out, that it is sent once, and that what may have happened is
//! never taken for what did not.
//! Does not know: how it is sent.

use std::sync::Arc;

use model::Verdict;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tracing::Instrument as _;

use crate::gate::seal_name;
use crate::journal::{Draft, Entry, Intended, Live, NotAppended, Outcome, State};
use crate::permit::{Intent, Permit, Warrant};
use crate::probe::{Point, Rule};
use crate::reconcile::{CatchPanic, follow};
use crate::target::{CommitError, Sent, Target};
use crate::tiers::weigh;
use crate::{Case, Gate};

/// How it went, as far as the agent is concerned.
pub(crate) enum Carried<R> {
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
pub(crate) async fn carry_out<T: Target>(
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
    let Case { id, action, call, effect, told, footprint, pins, head, spent_at, tier, .. } = case;
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
    let still_stands = move |state: &mut State| {
        if compare && state.overtaken(&target, &footprint, head) {
            return Err(Overtaken);
        }
        match &warrant {
            Warrant::Grant { case } if !state.docket.is_usable(case, now) => return Err(Overtaken),
            Warrant::Class { case } if !state.docket.classes.is_usable(case, now) => return Err(Overtaken),
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
    let seq = gate.journal.append_if(now, drafts, still_stands).await?;
    Ok(Intent { seq, case: id, action, call, effect, told, pins })
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
            let told = gate.target.told(&sent.action, &receipt);
            let outcome = Outcome::Committed { receipt: written, told };
            // Nobody waits for this to be on disk: a gate killed here finds the intent open, and looks.
            drop(gate.conclude(&id, seq, outcome, Some(Arc::clone(&receipt) as Live)));
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
