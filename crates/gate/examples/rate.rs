//! How many changes a second pass a gate with its journal on this disk, and how long one takes, with a twin and a
//! production that cost nothing.
//!
//! `cargo run --release -p gate --example rate [DIRECTORY]`

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a measurement")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gate::vault::{Credential, Read, Rehearse, Write};
use gate::{
    CommitError, Committed, DecodeError, Gate, Intent, Journal, Observation, Parts, Pending, Rehearsal, Sent, Settings,
    SimulateError, Stale, Stop, Target, TokioHost, Twin, Vault,
};
use model::{
    Access, Action, ActionPolicy, AgentId, Digest, Effect, Evidence, Key, ObjectRef, Opinion, Overtaken, PolicyError,
    Prediction, TargetName,
};

const FOR: Duration = Duration::from_secs(2);

/// Writes to the thing with this name.
struct Null(TargetName);
struct NullTwin;

fn thing(name: &str) -> ObjectRef {
    ObjectRef::global("Thing", name)
}

impl Target for Null {
    type Request = String;
    type Call = String;
    type Response = ();
    type Receipt = ();
    type Twin = NullTwin;

    fn name(&self) -> &TargetName {
        &self.0
    }
    fn decode(&self, request: String) -> Result<String, DecodeError> {
        Ok(request)
    }
    fn describe(&self, agent: &AgentId, call: &String) -> Action {
        Action {
            agent: agent.clone(),
            target: self.0.clone(),
            operation: "write".into(),
            access: Access::Write,
            resources: vec![thing(call)],
            shape: Default::default(),
            reason: None,
            facts: BTreeMap::new(),
            kind: "write Thing".into(),
            payload: Digest::of_bytes(call.as_bytes()),
        }
    }
    fn fork(&self, _: &Pending<String, ()>) -> Result<NullTwin, Stale> {
        Ok(NullTwin)
    }
    async fn rehearse(&self, _: &String, _: &Effect, _: &Credential<Rehearse>) -> Rehearsal<()> {
        Rehearsal::Impossible
    }
    async fn read(&self, _: &Action, _: &String, _: &Credential<Read>) -> Result<(), CommitError<()>> {
        Ok(())
    }
    async fn commit(&self, _: &Intent<String>, _: &Credential<Write>) -> Committed<Self> {
        Ok(((), ()))
    }
    async fn arrived(&self, (): &()) {}
    async fn observe(&self, sent: &Sent<String, ()>, _: &Credential<Read>) -> Observation<()> {
        Observation::Happened {
            effect: Box::new(sent.predicted().clone()),
            overtaken: Overtaken::default(),
            receipt: (),
        }
    }
}

impl Twin for NullTwin {
    type Call = String;
    fn bound(&mut self, call: &String) -> Option<Prediction> {
        let mut prediction = Prediction::nothing();
        prediction.footprint.write(Key::object(&thing(call)));
        Some(prediction)
    }
    fn apply(&mut self, _: &String, _: &Stop) -> Result<Prediction, SimulateError> {
        Err(SimulateError::Beyond("never asked".into()))
    }
}

struct AllowAll;

impl ActionPolicy for AllowAll {
    fn name(&self) -> &str {
        "allow-all"
    }
    fn help(&self) -> &str {
        ""
    }
    fn remedy(&self) -> &str {
        ""
    }
    fn judge(&self, _: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        Ok(Opinion::allow("it is a measurement"))
    }
}

#[tokio::main]
async fn main() {
    for shared in [false, true] {
        for clients in [1, 16, 64] {
            measure(clients, shared).await;
        }
    }
}

/// Each client writes to its own thing again and again, or all to the same.
async fn measure(clients: usize, shared: bool) {
    let directory = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".into())).unwrap();
    let gate = Gate::new(Parts {
        target: Null("null".into()),
        policies: vec![Box::new(AllowAll)],
        journal: Journal::open(directory.path(), 3_600_000).unwrap(),
        vault: Vault::in_memory().unwrap(),
        host: Arc::new(TokioHost::current().unwrap()),
        settings: Settings::default(),
        probe: None,
    });
    let started = Instant::now();
    let client = |n: usize| {
        let gate = gate.clone();
        let thing = if shared { "one".to_owned() } else { format!("thing-{n}") };
        tokio::spawn(async move {
            let (mut passed, mut contended, mut took) = (0_u32, 0_u32, Vec::new());
            while started.elapsed() < FOR {
                let start = Instant::now();
                match gate::pass(&gate, &format!("agent-{n}").into(), thing.clone()).await {
                    Ok(()) => passed += 1,
                    Err(gate::Refusal::Contended { .. }) => contended += 1,
                    Err(other) => println!("{}", other.text()),
                }
                took.push(start.elapsed());
            }
            (passed, contended, took)
        })
    };
    let tasks: Vec<_> = (0..clients).map(client).collect();
    let (mut passed, mut contended, mut took) = (0, 0, Vec::new());
    for task in tasks {
        let (p, c, t) = task.await.unwrap();
        passed += p;
        contended += c;
        took.extend(t);
    }
    let seconds = started.elapsed().as_secs_f64();
    took.sort();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "{clients:3} clients, {} thing: {:6.0} passed a second, {contended} contended, p50 {:?}, p99 {:?}",
        if shared { "the same" } else { "its own " },
        f64::from(passed) / seconds,
        at(0.5),
        at(0.99),
    );
}
