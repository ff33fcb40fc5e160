//! What people agree to once for many actions, and how far that goes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod toy;

use gate::{CaseId, Person, Refusal, Terms, VoteError};
use model::{Approval, Evidence, Likeness, Moment, Opinion};
use toy::{Rules, Station, Toy, hold_all};

const HOUR_MS: u64 = 3_600_000;

fn station() -> Station {
    Station::new(Toy::new(&[("job", 6), ("a", 3)]), vec![hold_all()])
}

fn terms(uses_max: u64) -> Terms {
    Terms { likeness: Likeness::default(), uses_max, until: Moment(HOUR_MS) }
}

fn case_of(station: &Station, agent: &str, request: &str) -> CaseId {
    station.ask(agent, request).unwrap_err().case().unwrap().clone()
}

fn agree(station: &Station, case: &CaseId, person: &Person, terms: Terms) -> Result<(), VoteError> {
    let pending = station.gate.pending_cases();
    let shown = pending.iter().find(|held| held.case == *case).map(|held| held.shown).unwrap_or_default();
    station.hand.run(station.gate.approve_class(case, person, shown, "clean up", terms))
}

/// Whether the agent gets it done without asking anybody.
fn passes(station: &Station, agent: &str, request: &str) -> bool {
    match station.ask(agent, request) {
        Ok(_) => true,
        Err(Refusal::Held { .. }) => false,
        Err(other) => panic!("{}", other.text()),
    }
}

fn granted(uses_max: u64) -> (Station, CaseId) {
    let station = station();
    let case = case_of(&station, "bot", "delete job-1");
    agree(&station, &case, &Person::named("alice"), terms(uses_max)).unwrap();
    (station, case)
}

#[test]
fn effects_like_the_one_that_was_shown_pass_and_cite_the_case() {
    let (station, case) = granted(5);
    assert!(passes(&station, "bot", "delete job-1"), "the one that was shown");
    assert!(passes(&station, "bot", "delete job-2"), "another of the same kind in the same place");
    station.hand.settle();
    let latest = gate::Archive::of(station.gate.journal()).unwrap().latest(1).unwrap();
    let other = latest[0].case.clone();
    let story = station.story(&other);
    assert!(story.contains(&format!("intent written, as effects like it were approved in case {case}")), "{story:?}");
    let approved = station.story(&case);
    assert!(
        approved.iter().any(|line| line == "alice approved it, and effects like it 5 times: \"clean up\""),
        "{approved:?}"
    );
}

#[test]
fn what_hurts_more_or_elsewhere_or_comes_from_another_is_asked_again() {
    let (station, _) = granted(5);
    assert!(!passes(&station, "bot", "delete a-1"), "a service loses an endpoint, and nobody saw that");
    assert!(!passes(&station, "eve", "delete job-2"), "it was agreed for the bot");
    assert!(passes(&station, "bot", "delete job-2"));
}

#[test]
fn it_is_good_for_so_many_uses_and_for_so_long() {
    let (station, _) = granted(2);
    assert_eq!(station.gate.classes()[0].uses, 0);
    assert!(passes(&station, "bot", "delete job-2") && passes(&station, "bot", "delete job-3"));
    assert!(!passes(&station, "bot", "delete job-4"), "it was agreed for two");
    assert!(station.gate.classes().is_empty(), "nothing is left of it");

    let (station, _) = granted(9);
    station.hand.advance(HOUR_MS + 1);
    assert!(!passes(&station, "bot", "delete job-2"), "the hour is over");
}

#[test]
fn a_person_takes_it_back() {
    let (station, case) = granted(5);
    assert!(passes(&station, "bot", "delete job-2"));
    station.hand.run(station.gate.revoke(&case, &Person::named("bob"), "enough")).unwrap();
    assert!(!passes(&station, "bot", "delete job-3"));
    let again = station.hand.run(station.gate.revoke(&case, &Person::named("bob"), ""));
    assert_eq!(again, Err(VoteError::NoClass(case.clone())));
    assert!(station.story(&case).iter().any(|line| line.starts_with("bob took back")));
}

#[test]
fn it_stands_in_for_no_more_people_and_no_other_rules_than_agreed() {
    let two = Rules("two", |evidence: &Evidence<'_>| {
        let opinion = Opinion::hold("two people look at this");
        // Of the last ones somebody else wants to hear.
        let late = evidence.action.resources.iter().any(|object| object.name == "job-6");
        opinion.approved_by(Approval::of(if late { 3 } else { 2 }, ["sre"]))
    });
    let other = Rules("other", |evidence: &Evidence<'_>| {
        let odd = evidence.action.resources.iter().any(|object| object.name == "job-5");
        if odd { Opinion::hold("and this one for another reason") } else { Opinion::Abstain }
    });
    let station = Station::new(Toy::new(&[("job", 6)]), vec![Box::new(two), Box::new(other)]);
    let sre = |name: &str| Person::named(name).with_role("sre");
    let case = case_of(&station, "bot", "delete job-1");
    agree(&station, &case, &sre("alice"), terms(5)).unwrap();
    assert!(station.gate.classes().is_empty(), "one of two has agreed");
    assert!(!passes(&station, "bot", "delete job-2"));
    agree(&station, &case, &sre("bob"), terms(5)).unwrap();
    assert!(passes(&station, "bot", "delete job-2"));
    assert!(!passes(&station, "bot", "delete job-5"), "another rule holds it");
    assert!(!passes(&station, "bot", "delete job-6"), "three would have to agree");
}

#[test]
fn two_who_agree_on_different_terms_agree_to_one_action_only() {
    let two = Rules("two", |_: &Evidence<'_>| Opinion::hold("two").approved_by(Approval::of(2, ["sre"])));
    let station = Station::new(Toy::new(&[("job", 6)]), vec![Box::new(two)]);
    let sre = |name: &str| Person::named(name).with_role("sre");
    let case = case_of(&station, "bot", "delete job-1");
    agree(&station, &case, &sre("alice"), terms(5)).unwrap();
    agree(&station, &case, &sre("bob"), terms(50)).unwrap();
    assert!(station.gate.classes().is_empty());
    assert!(passes(&station, "bot", "delete job-1"));
    assert!(!passes(&station, "bot", "delete job-2"));
}

#[test]
fn a_look_is_like_nothing() {
    let held = Rules("look", |_: &Evidence<'_>| Opinion::hold("even looks are asked about"));
    let station = Station::new(Toy::new(&[("job", 6)]), vec![Box::new(held)]);
    let case = case_of(&station, "bot", "look job-1");
    assert_eq!(agree(&station, &case, &Person::named("alice"), terms(5)), Err(VoteError::Unlike(case.clone())));
    let write = case_of(&station, "bot", "delete job-1");
    agree(&station, &write, &Person::named("alice"), terms(5)).unwrap();
    assert!(!passes(&station, "bot", "look job-2"), "what was agreed for changes is not for looks");
}

#[test]
fn who_waits_goes_on_when_effects_like_its_own_are_approved() {
    let station = station();
    let mine = case_of(&station, "bot", "delete job-2");
    let other = case_of(&station, "bot", "delete job-1");
    agree(&station, &other, &Person::named("alice"), terms(5)).unwrap();
    assert!(passes(&station, "bot", "delete job-2"));
    assert!(station.gate.pending_cases().iter().all(|held| held.case != mine), "nobody needs to look at it any more");
}

#[test]
fn it_survives_the_death_of_the_gate() {
    let (station, case) = granted(3);
    assert!(passes(&station, "bot", "delete job-2"));
    station.hand.settle();
    let rows = gate::Archive::of(station.gate.journal()).unwrap().classes(Moment(1)).unwrap();
    let [class] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((&class.case, class.uses, class.terms.uses_max), (&case, 1, 3));
}
