//! A production small enough to see through: services with replicas, and one request, "delete this replica".
//!
//! Knows: a world with versions, a twin that lags behind it, and a machine whose every step a test takes by hand.
//! Does not know: what is tested with it.

// Each test uses a part of it, from a crate of its own; and clippy takes helpers of tests for production code.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use gate::vault::{Credential, Read, Rehearse, Write};
use gate::{
    CaseId, CommitError, Committed, DecodeError, Gate, Host, Intent, Journal, Mode, Observation, Parts, Pending, Point,
    Probe, Rehearsal, Rule, Sent, Settings, SimulateError, Stale, Stop, Target, Task, Twin, Vault,
};
use model::{
    Access, Action, ActionPolicy, AgentId, Change, Digest, Effect, Evidence, FieldChange, Footprint, Key, Manner,
    Moment, ObjectRef, Opinion, Overtaken, PolicyError, Prediction, Range, Service, TargetName,
};

/// What a replica is: which service it stands behind, and its version.
pub type World = BTreeMap<String, (String, u64)>;

/// How production, the twin or a commit misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    #[default]
    None,
    /// The twin is too old.
    Stale,
    /// The simulation panics.
    Panics,
    /// The simulation never ends by itself.
    Endless,
    /// The decoder panics.
    DecoderPanics,
    /// Production does it and the answer is lost.
    AnswerLost,
    /// The request is lost.
    RequestLost,
    /// Production cannot be reached.
    Unreachable,
    /// Production says no.
    SaysNo,
    /// The connector panics after it has sent.
    CommitPanics,
    /// Nobody can look.
    Unobservable,
}

/// The system behind the gate.
#[derive(Clone)]
pub struct Toy {
    name: TargetName,
    pub world: Arc<Mutex<World>>,
    /// What the twin has last seen of it.
    pub snapshot: Arc<Mutex<World>>,
    pub trouble: Arc<Mutex<Trouble>>,
    /// Everything that production was ever asked to do and did.
    pub done: Arc<Mutex<Vec<String>>>,
    /// Where production keeps what it did, if it is to outlive the process.
    pub file: Option<PathBuf>,
    /// Called within a commit, before and after production acts.
    pub within: Arc<dyn Fn(&'static str) + Send + Sync>,
    /// While it is drawn nobody sees what came of anything.
    pub curtain: Arc<AtomicBool>,
    /// Replicas that a deletion takes along, as a controller would.
    pub surprise: Arc<Mutex<BTreeSet<String>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Toy {
    /// So many services with so many replicas each: `a-1`, `a-2`, `b-1`, ...
    pub fn new(services: &[(&str, usize)]) -> Self {
        let replica = |(service, count): &(&str, usize)| {
            let service = (*service).to_owned();
            (1..=*count).map(move |n| (format!("{service}-{n}"), (service.clone(), 1))).collect::<Vec<_>>()
        };
        let world: World = services.iter().flat_map(replica).collect();
        Self {
            name: "toy".into(),
            snapshot: Arc::new(Mutex::new(world.clone())),
            world: Arc::new(Mutex::new(world)),
            trouble: Arc::default(),
            done: Arc::default(),
            file: None,
            within: Arc::new(|_| {}),
            curtain: Arc::default(),
            surprise: Arc::default(),
        }
    }

    /// The same, under another name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    pub fn trouble(&self, trouble: Trouble) {
        *lock(&self.trouble) = trouble;
    }

    fn is(&self, trouble: Trouble) -> bool {
        *lock(&self.trouble) == trouble
    }

    /// The twin sees production as it is.
    pub fn sync(&self) {
        *lock(&self.snapshot) = lock(&self.world).clone();
    }

    pub fn ready(&self, service: &str) -> usize {
        lock(&self.world).values().filter(|(of, _)| of == service).count()
    }

    pub fn done(&self) -> Vec<String> {
        lock(&self.done).clone()
    }

    fn act(&self, call: &Call) {
        let mut world = lock(&self.world);
        world.remove(&call.delete);
        for replica in lock(&self.surprise).iter() {
            world.remove(replica);
        }
        lock(&self.done).push(call.delete.clone());
        if let Some(path) = &self.file {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            writeln!(file, "{}", call.delete).unwrap();
            file.sync_all().unwrap();
        }
    }
}

/// The decoded request.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Call {
    pub delete: String,
    pub look: bool,
}

/// `delete a-1`, `look a-1`, or something unclear.
pub type Request = String;

#[derive(Debug, Clone, serde::Serialize)]
pub struct Receipt {
    gone: String,
}

fn object(name: &str) -> ObjectRef {
    ObjectRef::namespaced("Replica", "toy", name)
}

impl Target for Toy {
    type Request = Request;
    type Call = Call;
    type Response = String;
    type Receipt = Receipt;
    type Twin = ToyTwin;

    fn name(&self) -> &TargetName {
        &self.name
    }

    fn decode(&self, request: Request) -> Result<Call, DecodeError> {
        assert!(!self.is(Trouble::DecoderPanics), "the decoder panics");
        match request.split_once(' ') {
            Some(("delete", name)) => Ok(Call { delete: name.to_owned(), look: false }),
            Some(("look", name)) => Ok(Call { delete: name.to_owned(), look: true }),
            _ => Err(DecodeError("neither delete nor look".into())),
        }
    }

    fn describe(&self, agent: &AgentId, call: &Call) -> Action {
        Action {
            agent: agent.clone(),
            target: self.name.clone(),
            operation: if call.look { "look" } else { "delete" }.into(),
            access: if call.look { Access::Read } else { Access::Write },
            resources: vec![object(&call.delete)],
            shape: BTreeSet::new(),
            reason: None,
            facts: BTreeMap::new(),
            kind: "delete Replica".into(),
            payload: Digest::of_bytes(call.delete.as_bytes()),
        }
    }

    fn fork(&self, pending: &Pending<Call, Receipt>) -> Result<ToyTwin, Stale> {
        if self.is(Trouble::Stale) {
            return Err(Stale("nothing was heard for 40 s".into()));
        }
        let mut world = lock(&self.snapshot).clone();
        for sent in pending.iter() {
            world.remove(&sent.call().delete);
        }
        Ok(ToyTwin { world, trouble: *lock(&self.trouble) })
    }

    async fn rehearse(&self, _: &Call, _: &Effect, _: &Credential<Rehearse>) -> Rehearsal<String> {
        Rehearsal::Impossible
    }

    async fn read(&self, _: &Action, call: &Call, _: &Credential<Read>) -> Result<String, CommitError<String>> {
        let found = lock(&self.world).contains_key(&call.delete);
        Ok(format!("{} is {}", call.delete, if found { "there" } else { "gone" }))
    }

    async fn commit(&self, intent: &Intent<Call>, credential: &Credential<Write>) -> Committed<Self> {
        let session = credential.session(|secret| Ok::<_, std::convert::Infallible>(secret.len()));
        session.map_err(|error| CommitError::NotSent { cause: error.to_string() })?;
        let call = intent.call();
        (self.within)("before");
        let trouble = *lock(&self.trouble);
        match trouble {
            Trouble::Unreachable => return Err(CommitError::NotSent { cause: "connection refused".into() }),
            Trouble::RequestLost => return Err(CommitError::InDoubt { cause: "connection reset".into() }),
            Trouble::SaysNo => {
                return Err(CommitError::Refused { said: "no".into(), summary: "403 Forbidden".into() });
            }
            _ => {}
        }
        for (object, simulated) in intent.pins() {
            let found = lock(&self.world).get(&object.name).map(|(_, version)| version.to_string());
            if found.as_ref() != Some(simulated) {
                let (object, simulated) = (object.clone(), simulated.clone());
                return Err(CommitError::Moved { object, simulated, found: found.unwrap_or("gone".into()) });
            }
        }
        self.act(call);
        (self.within)("after");
        let trouble = *lock(&self.trouble);
        match trouble {
            Trouble::AnswerLost => return Err(CommitError::InDoubt { cause: "connection reset".into() }),
            Trouble::CommitPanics => panic!("the connector panics"),
            _ => {}
        }
        Ok((format!("{} deleted", call.delete), Receipt { gone: call.delete.clone() }))
    }

    fn told(&self, _: &Action, receipt: &Receipt) -> String {
        format!("{} is gone", receipt.gone)
    }

    async fn arrived(&self, receipt: &Receipt) {
        once().await; // the news takes its time
        lock(&self.snapshot).remove(&receipt.gone);
    }

    async fn observe(&self, sent: &Sent<Call, Receipt>, _: &Credential<Read>) -> Observation<Receipt> {
        let gone = sent.call().delete.clone();
        while self.curtain.load(Ordering::Relaxed) {
            once().await;
        }
        if self.is(Trouble::Unobservable) {
            return Observation::Unsure("nobody answers".into());
        }
        let world = lock(&self.world).clone();
        if world.contains_key(&gone) {
            return Observation::DidNot;
        }
        let mut effect = Effect::none();
        effect.objects.insert(object(&gone), Change::new(Manner::Deleted));
        for (name, predicted) in &sent.predicted().forecast.services {
            let ready = world.values().filter(|(of, _)| of == name).count() as u64;
            let service = Service {
                ready_min: Range::exact(ready),
                ready_after: Range::exact(ready),
                ..Service::steady(predicted.ready_before)
            };
            effect.forecast.services.insert(name.clone(), service);
        }
        Observation::Happened { effect: Box::new(effect), overtaken: Overtaken::default(), receipt: Receipt { gone } }
    }
}

/// A fork.
pub struct ToyTwin {
    world: World,
    trouble: Trouble,
}

impl Twin for ToyTwin {
    type Call = Call;

    fn bound(&mut self, _: &Call) -> Option<Prediction> {
        None
    }

    fn apply(&mut self, call: &Call, stop: &Stop) -> Result<Prediction, SimulateError> {
        assert!(self.trouble != Trouble::Panics, "the twin panics");
        while self.trouble == Trouble::Endless && !stop.is_set() {
            std::thread::yield_now();
        }
        let Some((service, version)) = self.world.get(&call.delete).cloned() else {
            return Err(SimulateError::WouldBeRefused(format!("{} not found", call.delete)));
        };
        let before = self.world.values().filter(|(of, _)| *of == service).count() as u64;
        let after = before - 1;
        let mut prediction = Prediction::nothing();
        let named = Change {
            named: true,
            fields: vec![FieldChange { path: "alive".into(), before: true.into(), after: false.into() }],
            ..Change::new(Manner::Deleted)
        };
        prediction.effect.objects.insert(object(&call.delete), named);
        let outage =
            Service { ready_min: Range::exact(after), ready_after: Range::exact(after), ..Service::steady(before) };
        // Nobody calls a job.
        if service != "job" {
            prediction.effect.forecast.services.insert(service.clone(), outage);
        }
        let mut footprint = Footprint::default();
        footprint.write(Key::object(&object(&call.delete)));
        for (name, _) in self.world.iter().filter(|(_, (of, _))| *of == service) {
            footprint.read(Key::object(&object(name)));
        }
        prediction.footprint = footprint;
        prediction.pins.insert(object(&call.delete), version.to_string());
        Ok(prediction)
    }
}

/// No service may lose its last endpoint.
pub struct Floor;

impl ActionPolicy for Floor {
    fn name(&self) -> &str {
        "floor"
    }
    fn help(&self) -> &str {
        "keeps the last endpoint of a service"
    }
    fn remedy(&self) -> &str {
        "leave one"
    }
    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        if evidence.action.access == Access::Read {
            return Ok(Opinion::allow("it only looks"));
        }
        if evidence.effect.objects.unlisted {
            return Ok(Opinion::hold("nobody knows what would happen"));
        }
        let services = evidence.effect.forecast.services.iter();
        let opinions = services.map(|(name, service)| {
            let text = format!("service {name} would have {} of {}", service.ready_min, service.ready_before);
            service.ready_min.at_least(1).because(text).remedy("leave one")
        });
        Ok(opinions.fold(Opinion::allow("no service is touched"), Opinion::join))
    }
}

/// A policy made of a function.
pub struct Rules<F>(pub &'static str, pub F);

impl<F: Fn(&Evidence<'_>) -> Opinion + Send + Sync> ActionPolicy for Rules<F> {
    fn name(&self) -> &str {
        self.0
    }
    fn help(&self) -> &str {
        "a test's own"
    }
    fn remedy(&self) -> &str {
        "another test"
    }
    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        Ok((self.1)(evidence))
    }
}

/// Holds every change.
pub fn hold_all() -> Box<dyn ActionPolicy> {
    Box::new(Rules("hold-all", |evidence: &Evidence<'_>| match evidence.action.access {
        Access::Read => Opinion::Abstain,
        Access::Write => Opinion::hold("people look at everything here"),
    }))
}

thread_local! {
    /// Whose step it is.
    static TURN: Cell<usize> = const { Cell::new(0) };
}

/// A machine on which nothing moves but by hand.
#[derive(Clone, Default)]
pub struct Hand(Arc<HandInner>);

#[derive(Default)]
struct HandInner {
    now: AtomicU64,
    /// By whose step they were started.
    tasks: Mutex<Vec<(usize, Task)>>,
}

impl Host for Hand {
    fn now(&self) -> Moment {
        Moment(self.0.now.load(Ordering::Relaxed))
    }
    fn micros(&self) -> u64 {
        0
    }
    fn sleep(&self, ms: u64) -> Task {
        let (hand, until) = (self.clone(), self.now().plus_ms(ms));
        Box::pin(std::future::poll_fn(move |_| if hand.now() >= until { Poll::Ready(()) } else { Poll::Pending }))
    }
    fn spawn(&self, task: Task) {
        self.0.tasks.lock().unwrap().push((TURN.get(), task));
    }
    fn think(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

impl Hand {
    pub fn advance(&self, ms: u64) {
        self.0.now.fetch_add(ms, Ordering::Relaxed);
    }

    /// Polls once everything that was started by this one's steps.
    pub fn step_tasks(&self, turn: usize) {
        let mine: Vec<(usize, Task)> = {
            let mut tasks = self.0.tasks.lock().unwrap();
            let (mine, others) = std::mem::take(&mut *tasks).into_iter().partition(|(of, _)| *of == turn);
            *tasks = others;
            mine
        };
        TURN.set(turn);
        for (of, mut task) in mine {
            if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                self.0.tasks.lock().unwrap().push((of, task));
            }
        }
    }

    /// Polls a future, and everything that goes on by itself, until it is done.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = Box::pin(future);
        for _ in 0..200_000 {
            TURN.set(0);
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return done;
            }
            self.step_tasks(0);
            std::thread::sleep(std::time::Duration::from_micros(20));
        }
        panic!("it never ends");
    }

    /// Lets everything that goes on by itself come to rest; looks are repeated as time goes by.
    pub fn settle(&self) {
        for _ in 0..500 {
            self.step_tasks(0);
            if self.0.tasks.lock().unwrap().is_empty() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
    }
}

/// Pending once.
pub fn once() -> impl Future<Output = ()> + Send {
    let mut polled = false;
    std::future::poll_fn(move |_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending })
}

/// Makes every point a step, and puts one rule out of force.
#[derive(Default)]
pub struct Stepping {
    pub broken: Option<Rule>,
}

impl Probe for Stepping {
    fn at(&self, point: Point, _: &CaseId) -> Task {
        match point {
            // What happens between these changes nothing that others see.
            Point::Described | Point::Permitted | Point::Concluded | Point::Observed => Box::pin(async {}),
            _ => Box::pin(once()),
        }
    }
    fn breaks(&self, rule: Rule) -> bool {
        self.broken == Some(rule)
    }
}

/// A gate before a toy.
pub struct Station {
    pub gate: Arc<Gate<Toy>>,
    pub toy: Toy,
    pub hand: Hand,
}

impl Station {
    pub fn new(toy: Toy, policies: Vec<Box<dyn ActionPolicy>>) -> Self {
        Self::with(toy, policies, None, Journal::in_memory(gate::journal::BUDGET_WINDOW_MS).unwrap(), |_| {})
    }

    pub fn with(
        toy: Toy,
        policies: Vec<Box<dyn ActionPolicy>>,
        probe: Option<Arc<dyn Probe>>,
        journal: Journal,
        set: impl FnOnce(&mut Settings),
    ) -> Self {
        let vault = Vault::in_memory().unwrap();
        vault.put(toy.name(), Write, &secrecy::SecretSlice::from(b"hunter2".to_vec())).unwrap();
        Self::in_vault(toy, policies, probe, journal, vault, set)
    }

    pub fn in_vault(
        toy: Toy,
        policies: Vec<Box<dyn ActionPolicy>>,
        probe: Option<Arc<dyn Probe>>,
        journal: Journal,
        vault: Vault,
        set: impl FnOnce(&mut Settings),
    ) -> Self {
        let hand = Hand::default();
        hand.advance(1_000_000);
        let mut settings = Settings { patience_ms: 0, mode: Mode::Enforce, ..Settings::default() };
        set(&mut settings);
        let host = Arc::new(hand.clone());
        let gate = Gate::new(Parts { target: toy.clone(), policies, journal, vault, host, settings, probe });
        Self { gate, toy, hand }
    }

    /// One request, to its end.
    pub fn ask(&self, agent: &str, request: &str) -> Result<String, gate::Refusal<String>> {
        self.hand.run(gate::pass(&self.gate, &agent.into(), request.to_owned()))
    }

    /// What the agent is told, in a line.
    pub fn told(&self, agent: &str, request: &str) -> String {
        match self.ask(agent, request) {
            Ok(response) => response,
            Err(refusal) => refusal.word().to_owned(),
        }
    }

    /// The story of a case, without its times.
    pub fn story(&self, case: &CaseId) -> Vec<String> {
        let archive = gate::Archive::of(self.gate.journal()).unwrap();
        archive.verify().unwrap();
        archive.story(case).unwrap().unwrap().lines.into_iter().map(|line| line.text).collect()
    }
}

/// An agent, as something to poll.
pub type Agent<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

pub fn poll(turn: usize, agent: &mut Agent<'_>) -> bool {
    TURN.set(turn);
    agent.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}
