//! What became of it: after every commit, and above all after every doubt.
//!
//! Knows: when an intent leaves the overlay, how doubt is resolved, and how a restarted gate takes up what a killed one
//! left open. Nothing here ever sends anything again.
//! Does not know: how production is observed.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use model::{Drift, Overtaken};
use tracing::{info, warn};

use crate::gate::resolved;
use crate::journal::{Draft, Entry, NotAppended, Outcome};
use crate::probe::Point;
use crate::target::{Observation, Sent, Target};
use crate::{Gate, Refusal};

/// Doubt is looked into again after a second, then two, and so on up to a minute.
const PAUSE_MS: u64 = 1_000;
const PAUSE_MAX_MS: u64 = 60_000;

/// Takes up every intent that a gate before this one left open: it may or may not have been sent, so it is in doubt,
/// stays in the overlay, and is resolved by looking. Call it before the first action passes.
///
/// # Errors
/// When an intent cannot be read, or the journal not written: nobody can say then what is on its way.
pub async fn resume<T: Target>(gate: &Arc<Gate<T>>) -> Result<usize, Refusal<T::Response>> {
    let unavailable = |cause: String| Refusal::Unavailable { cause, retry_after_ms: gate.settings.retry_after_ms };
    let overlay = gate.overlay().map_err(|error| unavailable(error.to_string()))?;
    let open: Vec<Sent<T::Call, T::Receipt>> = overlay.iter().cloned().collect();
    for sent in &open {
        let known = gate.journal.state().open.get(&sent.seq).is_some_and(|open| open.doubt.is_some());
        if !known {
            let why = "the gate ended between intent and conclusion".to_owned();
            gate.conclude(&sent.case, sent.seq, Outcome::InDoubt { why }, None).await.map_err(unavailable)?;
        }
        info!(case = %sent.case, "in doubt");
        follow(gate, sent.clone());
    }
    Ok(open.len())
}

/// Sees an intent through to its observation. Production takes minutes to settle and the agent does not wait, so this
/// only hands it over.
pub(crate) fn follow<T: Target>(gate: &Arc<Gate<T>>, sent: Sent<T::Call, T::Receipt>) {
    let station = gate.clone();
    gate.host.spawn(Box::pin(async move {
        if CatchPanic::new(see_through(&station, sent)).await.is_none() {
            warn!("observation failed: the intent stays as it is");
        }
    }));
}

async fn see_through<T: Target>(gate: &Arc<Gate<T>>, sent: Sent<T::Call, T::Receipt>) {
    if let Some(receipt) = &sent.receipt {
        arrive(gate, &sent, receipt).await;
    }
    let credential = gate.vault.reader(gate.name());
    let (mut pause_ms, mut tries) = (PAUSE_MS, 0);
    loop {
        let observed = tokio::select! {
            biased;
            observed = gate.target.observe(&sent, &credential) => observed,
            // A person knows.
            () = settled(gate, &sent), if sent.receipt.is_none() => return,
            // What came of it no longer shows in production: later actions have changed all that it was about.
            overtaken = wholly_overtaken(gate, &sent), if sent.receipt.is_some() => {
                log(gate.append(vec![measured(&sent, Drift::void(overtaken))]).await);
                return;
            }
        };
        gate.reach(Point::Observed, &sent.case).await;
        tries += 1;
        match observed {
            Observation::Happened { effect, overtaken: by_others, receipt } => {
                let mut overtaken = gate.journal.state().overtakers(gate.name(), sent.seq, &sent.effect);
                overtaken.add(by_others);
                let drift = Drift::between(&sent.effect, &effect, overtaken);
                info!(case = %sent.case, score = %drift.score(), "observed");
                let measured = measured(&sent, drift);
                if sent.receipt.is_none() {
                    arrive(gate, &sent, &receipt).await;
                    let how = "production shows the change".to_owned();
                    resolve(gate, &sent, vec![measured, resolved(&sent.case, sent.seq, true, how)]).await;
                } else {
                    log(gate.append(vec![measured]).await);
                }
                return;
            }
            Observation::DidNot if sent.receipt.is_none() => {
                let how = "production does not show the change, and nothing is on its way".to_owned();
                resolve(gate, &sent, vec![resolved(&sent.case, sent.seq, false, how)]).await;
                return;
            }
            // Production said that it did it, and it cannot be measured: the case stays without an observation.
            Observation::DidNot => return,
            Observation::Unsure(_) if sent.receipt.is_some() && tries >= gate.settings.observations_max => return,
            // Doubt is looked into for as long as it lasts.
            Observation::Unsure(why) => {
                info!(case = %sent.case, why, "unsure");
                gate.host.sleep(pause_ms).await;
                if sent.receipt.is_none() && is_settled(gate, &sent) {
                    return; // by a person, meanwhile
                }
                pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
            }
        }
    }
}

/// Done when later actions have left nothing of the forecast to observe.
async fn wholly_overtaken<T: Target>(gate: &Gate<T>, sent: &Sent<T::Call, T::Receipt>) -> Overtaken {
    loop {
        gate.host.sleep(PAUSE_MS).await;
        let overtaken = gate.journal.state().overtakers(gate.name(), sent.seq, &sent.effect);
        if overtaken.leaves_nothing_of(&sent.effect) {
            return overtaken;
        }
    }
}

fn measured<C, R>(sent: &Sent<C, R>, drift: Drift) -> Draft {
    let entry = Entry::Observation { intent: sent.seq, kind: sent.action.kind.clone(), drift };
    Draft::new(&sent.case, entry)
}

/// Waits until the twin has seen the change, and only then takes it out of the overlay.
async fn arrive<T: Target>(gate: &Gate<T>, sent: &Sent<T::Call, T::Receipt>, receipt: &T::Receipt) {
    gate.target.arrived(receipt).await;
    gate.reach(Point::Arrived, &sent.case).await;
    if sent.receipt.is_some() {
        gate.journal.state().open.remove(&sent.seq);
    }
}

/// Writes how a doubt ended, unless a person has said so first.
async fn resolve<T: Target>(gate: &Gate<T>, sent: &Sent<T::Call, T::Receipt>, drafts: Vec<Draft>) {
    match gate.resolve(sent.seq, drafts, ()).await {
        Err(NotAppended::Unavailable(error)) => log(Err(error)),
        Ok(()) | Err(NotAppended::Declined(())) => {}
    }
}

fn is_settled<T: Target>(gate: &Gate<T>, sent: &Sent<T::Call, T::Receipt>) -> bool {
    !gate.journal.state().open.contains_key(&sent.seq)
}

/// Done when a person has said what became of a doubt: looking may take longer than that.
async fn settled<T: Target>(gate: &Gate<T>, sent: &Sent<T::Call, T::Receipt>) {
    while !is_settled(gate, sent) {
        gate.host.sleep(PAUSE_MS).await;
    }
}

fn log(written: Result<crate::journal::Seq, String>) {
    if let Err(error) = written {
        tracing::error!(%error, "observation not recorded");
    }
}

/// A future whose panic is an answer: `None`.
pub(crate) struct CatchPanic<F>(Pin<Box<F>>);

impl<F: Future> CatchPanic<F> {
    pub(crate) fn new(future: F) -> Self {
        Self(Box::pin(future))
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.0.as_mut();
        match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    }
}
