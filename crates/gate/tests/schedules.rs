//! Every interleaving of a few agents.
//!
//! Each agent is a future that a test polls by hand; every place where it gives way is a step, and a schedule says
//! whose step is next. So "two actions at once" is not a matter of luck here. Each test is run again with one rule out of
//! force, and has to find schedules that end in the disaster which the rule prevents.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod toy;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use gate::{Journal, Person, Refusal, Rule};
use model::ActionPolicy;
use toy::{Agent, Floor, Station, Stepping, Toy, hold_all, poll};

/// What came of one schedule.
struct End {
    ready: Vec<usize>,
    passed: usize,
}

/// Runs `agents` under the schedule with this number: its digits, in base `agents`, say whose step is next; then all run
/// to their end in turn.
fn run(station: &Station, agents: Vec<Agent<'_>>, number: usize, steps: u32) {
    let count = agents.len();
    let mut agents: Vec<Option<Agent<'_>>> = agents.into_iter().map(Some).collect();
    let step = |turn: usize, agents: &mut Vec<Option<Agent<'_>>>| {
        station.hand.step_tasks(turn);
        if agents[turn].as_mut().is_some_and(|agent| poll(turn, agent)) {
            agents[turn] = None;
        }
    };
    let mut rest = number;
    for _ in 0..steps {
        step(rest % count, &mut agents);
        rest /= count;
    }
    for turn in 0..10_000 * count {
        step(turn % count, &mut agents);
        if turn % count == 0 && agents.iter().all(Option::is_none) {
            return;
        }
    }
    panic!("schedule {number} never ends");
}

/// Walks all schedules: with every rule in force none may end in an outage. With one out of force, the number of the
/// first that does.
fn first_outage(
    agents: usize,
    steps: u32,
    broken: Option<Rule>,
    play: impl Fn(Option<Rule>, usize) -> End,
) -> Option<usize> {
    (0..agents.pow(steps)).find(|number| play(broken, *number).ready.contains(&0))
}

fn station(services: &[(&str, usize)], policies: Vec<Box<dyn ActionPolicy>>, broken: Option<Rule>) -> Station {
    let journal = Journal::in_memory(gate::journal::BUDGET_WINDOW_MS).unwrap();
    Station::with(Toy::new(services), policies, Some(Arc::new(Stepping { broken })), journal, |_| {})
}

/// Each agent deletes one replica of the same service, which needs one.
fn race(agents: usize, steps: u32) -> impl Fn(Option<Rule>, usize) -> End {
    move |broken, number| {
        let station = station(&[("a", agents)], vec![Box::new(Floor)], broken);
        let passed = Cell::new(0);
        let delete = |n: usize| -> Agent<'_> {
            let (station, passed) = (&station, &passed);
            Box::pin(async move {
                let done = gate::pass(&station.gate, &format!("agent-{n}").into(), format!("delete a-{n}")).await;
                match done {
                    Ok(_) => passed.set(passed.get() + 1),
                    Err(Refusal::Denied { .. }) => {}
                    Err(other) => panic!("schedule {number}: {}", other.text()),
                }
            })
        };
        run(&station, (1..=agents).map(delete).collect(), number, steps);
        let end = End { ready: vec![station.toy.ready("a")], passed: passed.get() };
        if broken.is_none() {
            assert_eq!((end.passed, end.ready[0]), (agents - 1, 1), "schedule {number}");
        }
        end
    }
}

#[test]
fn of_two_agents_that_each_delete_one_of_two_replicas_exactly_one_passes() {
    assert_eq!(first_outage(2, 12, None, race(2, 12)), None);
}

#[test]
fn of_three_agents_that_each_delete_one_of_three_replicas_exactly_two_pass() {
    assert_eq!(first_outage(3, 8, None, race(3, 8)), None);
}

#[test]
fn without_compare_and_append_two_agents_can_make_an_outage() {
    assert!(first_outage(2, 12, Some(Rule::CompareAndAppend), race(2, 12)).is_some());
}

#[test]
fn without_the_overlay_two_agents_can_make_an_outage() {
    assert!(first_outage(2, 12, Some(Rule::Overlay), race(2, 12)).is_some());
}

/// Each agent asks to delete one replica of the same service. A person approves whatever leaves one, and denies the
/// rest.
fn approved(steps: u32) -> impl Fn(Option<Rule>, usize) -> End {
    move |broken, number| {
        let station = station(&[("a", 2)], vec![hold_all()], broken);
        let passed = Cell::new(0);
        let delete = |n: usize| -> Agent<'_> {
            let (station, passed) = (&station, &passed);
            Box::pin(async move {
                for _ in 0..20 {
                    let agent = format!("agent-{n}").into();
                    match gate::pass(&station.gate, &agent, format!("delete a-{n}")).await {
                        Ok(_) => return passed.set(passed.get() + 1),
                        Err(Refusal::Held { case, .. }) => decide(station, &case).await,
                        Err(Refusal::Rejected { .. }) => return,
                        Err(other) => panic!("schedule {number}: {}", other.text()),
                    }
                }
                panic!("schedule {number}: agent {n} waits for ever");
            })
        };
        run(&station, (1..=2).map(delete).collect(), number, steps);
        End { ready: vec![station.toy.ready("a")], passed: passed.get() }
    }
}

async fn decide(station: &Station, case: &gate::CaseId) {
    let alice = Person::named("alice");
    let pending = station.gate.pending_cases();
    let Some(held) = pending.iter().find(|held| held.case == *case) else { return };
    let leaves_one = held.ruling.effect.forecast.services.values().all(|service| service.ready_after.low() > 0);
    toy::once().await; // reading takes time
    let decided = match leaves_one {
        true => station.gate.approve(case, &alice, held.shown, "").await,
        false => station.gate.deny(case, &alice, "the last one").await,
    };
    // Whatever went wrong, the agent asks again.
    drop(decided);
}

#[test]
fn a_grant_for_an_effect_that_has_grown_is_void_and_the_person_is_asked_again() {
    assert_eq!(first_outage(2, 12, None, approved(12)), None);
}

#[test]
fn if_grants_covered_whatever_comes_two_approvals_could_make_an_outage() {
    assert!(first_outage(2, 12, Some(Rule::Cover), approved(12)).is_some());
}

#[test]
fn agents_on_different_services_never_wait_for_each_other() {
    let steps = 10;
    for number in 0..2_usize.pow(steps) {
        let station = station(&[("a", 2), ("b", 2)], vec![Box::new(Floor)], None);
        let looks = RefCell::new(Vec::new());
        let delete = |name: &'static str| -> Agent<'_> {
            let (station, looks) = (&station, &looks);
            Box::pin(async move {
                let done = gate::pass(&station.gate, &"agent".into(), format!("delete {name}-1")).await;
                looks.borrow_mut().push(done.is_ok());
            })
        };
        run(&station, vec![delete("a"), delete("b")], number, steps);
        assert_eq!(*looks.borrow(), [true, true], "schedule {number}");
        // Had one waited, its case would have been judged twice.
        let latest = gate::Archive::of(station.gate.journal()).unwrap().latest(10).unwrap();
        for summary in latest {
            let story = station.story(&summary.case);
            assert_eq!(story.iter().filter(|line| line.contains("asked to")).count(), 1, "schedule {number}");
        }
    }
}
