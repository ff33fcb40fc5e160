//! What an agent, and a person, see of the passage.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod toy;

use std::sync::Arc;

use gate::{CaseId, Journal, Mode, Person, Refusal, Task, VoteError};
use model::{Action, ActionPolicy, Approval, Evidence, Opinion};
use toy::{Floor, Rules, Station, Toy, Trouble, hold_all};

const HOUR_MS: u64 = 3_600_000;

fn floor() -> Station {
    Station::new(Toy::new(&[("a", 3), ("b", 3)]), vec![Box::new(Floor)])
}

fn held() -> Station {
    Station::new(Toy::new(&[("a", 3), ("b", 3)]), vec![hold_all()])
}

/// The case that an agent is told of.
fn case_of(station: &Station, agent: &str, request: &str) -> CaseId {
    station.ask(agent, request).unwrap_err().case().unwrap().clone()
}

fn approve(station: &Station, case: &CaseId, person: &Person) -> Result<(), VoteError> {
    let pending = station.gate.pending_cases();
    let shown = pending.iter().find(|held| held.case == *case).map(|held| held.shown).unwrap_or_default();
    station.hand.run(station.gate.approve(case, person, shown, "looks fine"))
}

#[test]
fn an_allowed_change_is_made_once_and_told_as_a_story() {
    let station = floor();
    assert_eq!(station.told("bot", "delete a-1"), "a-1 deleted");
    station.hand.settle();
    assert_eq!(station.toy.done(), ["a-1"]);
    let story = station.story(&CaseId::of_number(0));
    assert_eq!(
        story,
        [
            "bot asked to delete Replica/toy/a-1 on toy",
            "would: service a: 3 ready now, at the worst 2, in the end 2",
            "would: delete Replica/toy/a-1",
            "would: set Replica/toy/a-1 alive from true to false",
            "allowed, tier simulation",
            "intent written, allowed by the policies",
            "production did it: a-1 is gone",
            "observed: 3 of 3 as predicted",
        ]
    );
}

#[test]
fn a_denial_says_what_why_which_rule_what_would_pass_and_where_to_look() {
    let station = Station::new(Toy::new(&[("a", 1)]), vec![Box::new(Floor)]);
    let refusal = station.ask("bot", "delete a-1").unwrap_err();
    let case = refusal.case().unwrap();
    assert_eq!(
        refusal.text(),
        format!(
            "delete Replica/toy/a-1 is denied: service a would have 0 of 1 (policy floor, tier simulation)\n\
             Would pass: leave one. Details: lazaret show {case}"
        )
    );
    assert!(station.toy.done().is_empty());
}

#[test]
fn a_held_change_waits_and_after_approval_goes_through_once_and_only_once() {
    let station = held();
    let case = case_of(&station, "bot", "delete a-1");
    assert_eq!(case_of(&station, "bot", "delete a-1"), case, "a retry waits in the same case");
    assert_eq!(station.gate.pending_cases().len(), 1);
    approve(&station, &case, &Person::named("alice")).unwrap();
    assert_eq!(station.told("bot", "delete a-1"), "a-1 deleted");
    station.hand.settle();

    station.toy.world.lock().unwrap().insert("a-1".into(), ("a".into(), 1));
    station.toy.sync();
    assert_eq!(station.told("bot", "delete a-1"), "held", "the grant was used");
    assert_eq!(station.toy.done(), ["a-1"]);
    let story = station.story(&case);
    assert!(story.contains(&"alice approved: \"looks fine\"".to_owned()), "{story:?}");
    assert!(story.contains(&format!("intent written, approved in case {case}")), "{story:?}");
}

#[test]
fn a_grant_is_for_the_agent_and_the_bytes_that_were_approved() {
    let station = held();
    let case = case_of(&station, "bot", "delete a-1");
    approve(&station, &case, &Person::named("alice")).unwrap();
    assert_eq!(station.told("other", "delete a-1"), "held");
    assert_eq!(station.told("bot", "delete a-2"), "held");
    assert!(station.toy.done().is_empty());
}

#[test]
fn if_production_changes_so_that_more_would_be_lost_the_person_is_asked_again() {
    let station = held();
    let case = case_of(&station, "bot", "delete a-1");
    approve(&station, &case, &Person::named("alice")).unwrap();
    station.toy.world.lock().unwrap().remove("a-2");
    station.toy.sync();
    assert_eq!(case_of(&station, "bot", "delete a-1"), case, "it is the same case");
    let pending = station.gate.pending_cases();
    assert!(pending[0].votes.is_empty(), "and the vote is void");
    approve(&station, &case, &Person::named("alice")).unwrap();
    assert_eq!(station.told("bot", "delete a-1"), "a-1 deleted");
}

#[test]
fn if_production_changes_so_that_less_would_be_lost_the_grant_holds() {
    let station = held();
    let case = case_of(&station, "bot", "delete a-1");
    approve(&station, &case, &Person::named("alice")).unwrap();
    station.toy.world.lock().unwrap().insert("a-4".into(), ("a".into(), 1));
    station.toy.sync();
    assert_eq!(station.told("bot", "delete a-1"), "a-1 deleted");
}

#[test]
fn whoever_approves_must_have_seen_the_effect_that_is_now_pending() {
    let station = held();
    let case = case_of(&station, "bot", "delete a-1");
    let seen = station.gate.pending_cases()[0].shown;
    station.toy.world.lock().unwrap().remove("a-2");
    station.toy.sync();
    case_of(&station, "bot", "delete a-1");
    let vote = station.hand.run(station.gate.approve(&case, &Person::named("alice"), seen, ""));
    assert_eq!(vote, Err(VoteError::Changed(case)));
}

#[test]
fn an_agent_cannot_approve_itself_nor_one_person_count_twice_nor_a_role_be_missing() {
    let two_of_sre = |_: &Evidence<'_>| Opinion::hold("two people look at this").approved_by(Approval::of(2, ["sre"]));
    let station = Station::new(Toy::new(&[("a", 3)]), vec![Box::new(Rules("two-people", two_of_sre))]);
    let case = case_of(&station, "bot", "delete a-1");
    let sre = |name: &str| Person::named(name).with_role("sre");
    assert_eq!(approve(&station, &case, &sre("bot")), Err(VoteError::Oneself("bot".into())));
    assert_eq!(
        approve(&station, &case, &Person::named("eve").with_role("intern")),
        Err(VoteError::NoRole("eve".into(), "sre".into()))
    );
    approve(&station, &case, &sre("alice")).unwrap();
    assert_eq!(approve(&station, &case, &sre("alice")), Err(VoteError::Twice("alice".into())));
    assert_eq!(station.told("bot", "delete a-1"), "held", "one of two is not enough");
    approve(&station, &case, &sre("bob")).unwrap();
    assert_eq!(station.told("bot", "delete a-1"), "a-1 deleted");
    assert_eq!(approve(&station, &case, &sre("carol")), Err(VoteError::NotPending(case)));
}

#[test]
fn a_persons_no_is_remembered_when_the_agent_asks_again() {
    let station = held();
    let case = case_of(&station, "bot", "delete a-1");
    station.hand.run(station.gate.deny(&case, &Person::named("alice"), "not today")).unwrap();
    let refusal = station.ask("bot", "delete a-1").unwrap_err();
    assert!(refusal.text().contains("is denied by alice: not today"), "{}", refusal.text());
    assert!(station.gate.pending_cases().is_empty());
    station.hand.advance(2 * HOUR_MS);
    assert_eq!(station.told("bot", "delete a-1"), "held", "tomorrow it may be asked again");
}

#[test]
fn a_grant_expires() {
    let station = held();
    let case = case_of(&station, "bot", "delete a-1");
    approve(&station, &case, &Person::named("alice")).unwrap();
    station.hand.advance(2 * HOUR_MS);
    assert_eq!(station.told("bot", "delete a-1"), "held");
}

#[test]
fn an_agent_that_waits_goes_on_as_soon_as_a_person_has_agreed() {
    let journal = Journal::in_memory(HOUR_MS).unwrap();
    let station = Station::with(Toy::new(&[("a", 3)]), vec![hold_all()], None, journal, |settings| {
        settings.patience_ms = 60_000;
    });
    let agent = async {
        gate::pass(&station.gate, &"bot".into(), "delete a-1".to_owned()).await.map_err(|refusal| refusal.text())
    };
    let person = async {
        while station.gate.pending_cases().is_empty() {
            toy::once().await;
        }
        let held = station.gate.pending_cases().remove(0);
        station.gate.approve(&held.case, &Person::named("alice"), held.shown, "").await.unwrap();
    };
    let both = async { tokio::join!(agent, person) };
    assert_eq!(station.hand.run(both).0, Ok("a-1 deleted".to_owned()));
}

#[test]
fn whatever_goes_wrong_before_the_intent_nothing_is_forwarded() {
    for (trouble, told) in [
        (Trouble::Stale, "stale"),
        (Trouble::Panics, "held"),
        (Trouble::DecoderPanics, "not decoded"),
        (Trouble::Unreachable, "unavailable"),
    ] {
        let station = floor();
        station.toy.trouble(trouble);
        assert_eq!(station.told("bot", "delete a-1"), told, "{trouble:?}");
        assert!(station.toy.done().is_empty(), "{trouble:?}");
        assert!(station.gate.in_doubt().is_empty(), "{trouble:?}");
        station.toy.trouble(Trouble::None);
        if told != "held" {
            assert_eq!(station.told("bot", "delete a-1"), "a-1 deleted", "{trouble:?} passes");
        }
    }
    let station = floor();
    assert_eq!(station.told("bot", "drop everything"), "not decoded");
}

#[test]
fn a_policy_that_panics_holds() {
    let panics: Box<dyn ActionPolicy> = Box::new(Rules("broken", |_: &Evidence<'_>| panic!("a bug")));
    let station = Station::new(Toy::new(&[("a", 3)]), vec![Box::new(Floor), panics]);
    let refusal = station.ask("bot", "delete a-1").unwrap_err();
    assert!(refusal.text().contains("the policy panicked (policy broken)"), "{}", refusal.text());
}

#[test]
fn without_any_policy_everything_is_held() {
    let station = Station::new(Toy::new(&[("a", 3)]), Vec::new());
    let refusal = station.ask("bot", "delete a-1").unwrap_err();
    assert!(refusal.text().contains("no policy covers this action"), "{}", refusal.text());
    assert_eq!(station.told("bot", "look a-1"), "held");
}

#[test]
fn a_lost_answer_is_in_doubt_and_resolved_by_looking_never_by_sending_again() {
    for (trouble, fate, done) in [
        (Trouble::AnswerLost, "it happened: production shows the change", 1),
        (Trouble::CommitPanics, "it happened: production shows the change", 1),
        (Trouble::RequestLost, "it did not happen: production does not show the change, and nothing is on its way", 0),
    ] {
        let station = floor();
        station.toy.trouble(trouble);
        let refusal = station.ask("bot", "delete a-1").unwrap_err();
        assert!(matches!(refusal, Refusal::InDoubt { .. }), "{trouble:?}: {}", refusal.text());
        let case = refusal.case().unwrap().clone();
        station.toy.trouble(Trouble::None);
        station.hand.settle();
        assert_eq!(station.toy.done().len(), done, "{trouble:?}");
        assert!(station.story(&case).contains(&fate.to_owned()), "{trouble:?}: {:?}", station.story(&case));
        assert!(station.gate.in_doubt().is_empty(), "{trouble:?}");
    }
}

#[test]
fn what_is_in_doubt_counts_as_done_until_somebody_knows() {
    let station = Station::new(Toy::new(&[("a", 2)]), vec![Box::new(Floor)]);
    station.toy.trouble(Trouble::RequestLost);
    assert_eq!(station.told("bot", "delete a-1"), "in doubt");
    station.toy.trouble(Trouble::Unobservable);
    assert_eq!(station.told("other", "delete a-2"), "denied", "a-1 may be gone");
    assert_eq!(station.gate.in_doubt().len(), 1);
    station.toy.trouble(Trouble::None);
    station.hand.advance(60_000);
    station.hand.settle();
    assert_eq!(station.told("other", "delete a-2"), "a-2 deleted");
}

#[test]
fn a_person_can_settle_a_doubt_that_looking_cannot() {
    for happened in [true, false] {
        let station = Station::new(Toy::new(&[("a", 3)]), vec![Box::new(Floor)]);
        station.toy.trouble(Trouble::RequestLost);
        let case = case_of(&station, "bot", "delete a-1");
        station.toy.trouble(Trouble::Unobservable);
        station.hand.settle();
        let alice = Person::named("alice");
        station.hand.run(station.gate.settle(&case, &alice, happened, "I looked")).unwrap();
        assert!(station.gate.in_doubt().is_empty());
        let again = station.hand.run(station.gate.settle(&case, &alice, happened, "I looked"));
        assert_eq!(again, Err(VoteError::NotInDoubt(case.clone())));
        station.toy.trouble(Trouble::None);
        station.hand.advance(60_000);
        station.hand.settle();
        let says = format!("it {}: alice says so: I looked", if happened { "happened" } else { "did not happen" });
        assert_eq!(station.story(&case).last(), Some(&says));
    }
}

#[test]
fn under_a_real_runtime_a_simulation_that_never_ends_is_held_and_others_go_on() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let vault = gate::Vault::in_memory().unwrap();
        let toy = Toy::new(&[("a", 3)]);
        let secret = secrecy::SecretSlice::from(b"x".to_vec());
        vault.put(gate::Target::name(&toy), gate::vault::Write, &secret).unwrap();
        let gate = gate::Gate::new(gate::Parts {
            target: toy.clone(),
            policies: vec![Box::new(Floor)],
            journal: Journal::open(directory.path(), HOUR_MS).unwrap(),
            vault,
            host: Arc::new(gate::TokioHost::current().unwrap()),
            settings: gate::Settings { simulate_ms: 20, patience_ms: 1, ..gate::Settings::default() },
            probe: None,
        });
        assert_eq!(gate::resume(&gate).await.unwrap(), 0);
        toy.trouble(Trouble::Endless);
        let held = gate::pass(&gate, &"bot".into(), "delete a-1".to_owned()).await.unwrap_err();
        assert!(matches!(held, Refusal::Held { .. }), "{}", held.text());
        let shown = gate.pending_cases().remove(0);
        assert!(shown.ruling.effect.is_unknown());
        toy.trouble(Trouble::None);
        // The one that never ended was told to stop, and gave its place back.
        let both = [("one", "delete a-2"), ("two", "look a-1")].map(|(agent, request)| {
            let gate = gate.clone();
            tokio::spawn(async move { gate::pass(&gate, &agent.into(), request.to_owned()).await.unwrap() })
        });
        let [one, two] = both;
        assert_eq!((one.await.unwrap(), two.await.unwrap()), ("a-2 deleted".into(), "a-1 is there".into()));
    });
}

#[test]
fn productions_own_no_reaches_the_agent_and_the_record() {
    let station = floor();
    station.toy.trouble(Trouble::SaysNo);
    let refusal = station.ask("bot", "delete a-1").unwrap_err();
    assert!(matches!(&refusal, Refusal::Refused { said, .. } if said == "no"));
    let story = station.story(refusal.case().unwrap());
    assert_eq!(story.last().unwrap(), "production refused it: \"403 Forbidden\"");
}

#[test]
fn what_production_would_refuse_by_itself_is_not_sent() {
    let station = floor();
    let refusal = station.ask("bot", "delete nothing").unwrap_err();
    assert!(matches!(&refusal, Refusal::Foreseen { said, .. } if said == "nothing not found"));
    assert!(station.toy.done().is_empty());
}

#[test]
fn a_production_that_keeps_moving_ends_in_contention_and_one_that_stops_in_a_commit() {
    let station = floor();
    // The twin never hears of the new version.
    station.toy.world.lock().unwrap().insert("a-1".into(), ("a".into(), 2));
    assert_eq!(station.told("bot", "delete a-1"), "contended");
    assert!(station.toy.done().is_empty());
    station.toy.sync();
    assert_eq!(station.told("bot", "delete a-1"), "a-1 deleted");
}

#[test]
fn a_budget_counts_small_actions_together_and_refunds_what_came_to_nothing() {
    let three = |evidence: &Evidence<'_>| {
        let spent = evidence.spent.agent.with(evidence.effect);
        spent.deleted.at_most(2).because(format!("{} deleted in the last hour", spent.deleted))
    };
    let station = Station::new(Toy::new(&[("a", 9)]), vec![Box::new(Rules("three", three))]);
    station.toy.trouble(Trouble::SaysNo);
    assert_eq!(station.told("bot", "delete a-1"), "refused");
    station.toy.trouble(Trouble::None);
    assert_eq!(station.told("bot", "delete a-1"), "a-1 deleted");
    assert_eq!(station.told("bot", "delete a-2"), "a-2 deleted");
    station.hand.settle();
    assert_eq!(station.told("bot", "delete a-3"), "denied");
    assert_eq!(station.told("other", "delete a-3"), "a-3 deleted", "another agent has its own");
    station.hand.advance(2 * HOUR_MS);
    assert_eq!(station.told("bot", "delete a-4"), "a-4 deleted", "an hour later it starts again");
}

#[test]
fn a_gate_that_observes_forwards_and_records_what_it_would_have_decided() {
    let journal = Journal::in_memory(HOUR_MS).unwrap();
    let station = Station::with(Toy::new(&[("a", 1)]), vec![Box::new(Floor)], None, journal, |settings| {
        settings.mode = Mode::Observe;
    });
    assert_eq!(station.told("bot", "delete a-1"), "a-1 deleted");
    let story = station.story(&CaseId::of_number(0));
    assert!(story.contains(&"would be denied, tier simulation".to_owned()), "{story:?}");
    assert!(story.contains(&"intent written, as this gate only observes".to_owned()), "{story:?}");

    station.toy.world.lock().unwrap().insert("a-1".into(), ("a".into(), 1));
    station.toy.sync();
    station.hand.settle();
    station.hand.run(station.gate.set_mode(&Person::named("alice"), Mode::Enforce)).unwrap();
    station.toy.sync();
    assert_eq!(station.told("bot", "delete a-1"), "denied");
}

#[test]
fn a_look_opens_no_intent_and_a_held_look_passes_once() {
    let station = floor();
    assert_eq!(station.told("bot", "look a-1"), "a-1 is there");
    assert_eq!(station.story(&CaseId::of_number(0)), ["bot read: look Replica/toy/a-1"]);

    let nosy = |_: &Evidence<'_>| Opinion::hold("somebody should know");
    let station = Station::new(Toy::new(&[("a", 1)]), vec![Box::new(Rules("nosy", nosy))]);
    let case = case_of(&station, "bot", "look a-1");
    approve(&station, &case, &Person::named("alice")).unwrap();
    assert_eq!(station.told("bot", "look a-1"), "a-1 is there");
    assert_eq!(station.told("bot", "look a-1"), "held");
}

#[test]
fn an_agent_that_hangs_up_in_mid_commit_leaves_nothing_undone() {
    struct Slow;
    impl gate::Probe for Slow {
        fn at(&self, point: gate::Point, _: &CaseId) -> Task {
            match point {
                gate::Point::Answered => Box::pin(toy::once()),
                _ => Box::pin(async {}),
            }
        }
    }
    let journal = Journal::in_memory(HOUR_MS).unwrap();
    let toy = Toy::new(&[("a", 3)]);
    let station = Station::with(toy, vec![Box::new(Floor)], Some(Arc::new(Slow)), journal, |_| {});
    {
        let agent = "bot".into();
        let mut agent: toy::Agent<'_> = Box::pin(async {
            drop(gate::pass(&station.gate, &agent, "delete a-1".to_owned()).await);
        });
        assert!(!toy::poll(0, &mut agent), "the commit is on its way");
    }
    station.hand.settle();
    assert_eq!(station.toy.done(), ["a-1"]);
    assert!(station.story(&CaseId::of_number(0)).contains(&"observed: 3 of 3 as predicted".to_owned()));
}

#[test]
fn two_gates_share_a_journal_and_nothing_else() {
    let journal = Journal::in_memory(HOUR_MS).unwrap();
    let gate = |name: &str| {
        let toy = Toy::new(&[("a", 2)]).named(name);
        Station::with(toy, vec![Box::new(Floor)], None, journal.clone(), |_| {})
    };
    let (east, west) = (gate("east"), gate("west"));
    east.toy.trouble(Trouble::RequestLost);
    assert_eq!(east.told("bot", "delete a-1"), "in doubt");
    assert_eq!(west.told("bot", "delete a-1"), "a-1 deleted", "what is in doubt in the east is not in the west");
    east.hand.run(east.gate.set_mode(&Person::named("alice"), Mode::Observe)).unwrap();
    assert_eq!((east.gate.mode(), west.gate.mode()), (Mode::Observe, Mode::Enforce));
    assert_eq!((east.gate.in_doubt().len(), west.gate.in_doubt().len()), (1, 0));
    let cases: Vec<String> =
        gate::Archive::of(&journal).unwrap().latest(9).unwrap().into_iter().map(|s| s.target).collect();
    assert_eq!(cases, ["west", "east"]);
}

#[test]
fn wherever_an_agent_hangs_up_nothing_is_left_in_between() {
    for polls in 0..60 {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), HOUR_MS).unwrap();
        let probe = Arc::new(toy::Stepping::default());
        let station = Station::with(Toy::new(&[("a", 3)]), vec![Box::new(Floor)], Some(probe), journal, |_| {});
        {
            let agent = "bot".into();
            let mut agent: toy::Agent<'_> = Box::pin(async {
                drop(gate::pass(&station.gate, &agent, "delete a-1".to_owned()).await);
            });
            for _ in 0..polls {
                if toy::poll(0, &mut agent) {
                    break;
                }
                station.hand.step_tasks(0);
                std::thread::sleep(std::time::Duration::from_micros(50));
            }
        }
        station.hand.settle();
        let latest = gate::Archive::of(station.gate.journal()).unwrap().latest(1).unwrap();
        let fates: Vec<&str> = latest.iter().map(|summary| summary.fate.as_str()).collect();
        assert!(matches!(fates[..], [] | ["observed"]), "hung up after {polls} polls: {fates:?}");
        assert_eq!(station.toy.done().len(), fates.len(), "hung up after {polls} polls");
    }
}

#[test]
fn what_is_in_doubt_is_not_done_again_because_the_client_repeats_it() {
    let station = floor();
    station.toy.trouble(Trouble::RequestLost);
    let case = case_of(&station, "bot", "delete a-1");
    station.toy.trouble(Trouble::Unobservable);
    let again = station.ask("bot", "delete a-1").unwrap_err();
    assert!(matches!(&again, Refusal::InDoubt { .. }), "{}", again.text());
    assert_eq!(again.case(), Some(&case));
    assert!(station.toy.done().is_empty());
}

#[test]
fn a_twin_that_is_often_wrong_is_believed_less_until_what_passed_is_held() {
    let half = |evidence: &Evidence<'_>| {
        let services = evidence.effect.forecast.services.values();
        let opinions = services.map(|service| service.ready_min.at_least(18).because("ready"));
        opinions.fold(Opinion::allow("nothing is touched"), Opinion::join)
    };
    let station = Station::new(Toy::new(&[("a", 20), ("c", 40)]), vec![Box::new(Rules("half", half))]);
    assert_eq!(station.told("bot", "delete a-1"), "a-1 deleted");
    station.hand.settle();
    // Every deletion takes another replica along that the twin does not know of.
    for n in (2..40).step_by(2) {
        let more = format!("c-{}", n + 1);
        station.toy.surprise.lock().unwrap().insert(more);
        station.told("bot", &format!("delete c-{n}"));
        station.hand.settle();
        station.toy.sync();
    }
    let scores = station.gate.scores();
    assert!(scores["delete Replica"].right < model::Decimal::from_millis(700), "{scores:?}");
    assert_eq!(station.told("bot", "delete a-2"), "held");
}

#[test]
fn what_a_later_action_has_changed_is_held_against_no_forecast_and_the_record_says_so() {
    let station = Station::new(Toy::new(&[("a", 9), ("b", 9)]), vec![Box::new(Floor)]);
    let draw = |drawn| station.toy.curtain.store(drawn, std::sync::atomic::Ordering::Relaxed);
    draw(true);
    let case = |n| CaseId::of_number(n);
    for request in ["delete a-1", "delete a-2", "delete b-1"] {
        station.ask("bot", request).unwrap();
    }
    // What came to nothing has changed nothing: it overtakes nobody.
    station.toy.trouble(Trouble::SaysNo);
    station.ask("bot", "delete b-2").unwrap_err();
    station.toy.trouble(Trouble::None);
    draw(false);
    station.hand.settle();

    let observed = |n| -> Vec<String> {
        let story = station.story(&case(n));
        story.into_iter().skip_while(|line| !line.starts_with("production did it")).skip(1).collect()
    };
    let overtaken = format!("not observed, as overtaken by case {}: service a", case(1));
    assert_eq!(observed(0), ["observed: 1 of 1 as predicted".to_owned(), overtaken]);
    assert_eq!(observed(1), ["observed: 3 of 3 as predicted"]);
    assert_eq!(observed(2), ["observed: 3 of 3 as predicted"]);
    assert_eq!(station.gate.scores()["delete Replica"].right, model::Decimal::ONE);
}

#[test]
fn a_twin_that_is_wrong_is_found_out_by_the_last_of_many_quick_actions() {
    let station = Station::new(Toy::new(&[("a", 9)]), vec![Box::new(Floor)]);
    station.toy.curtain.store(true, std::sync::atomic::Ordering::Relaxed);
    station.toy.surprise.lock().unwrap().insert("a-9".into());
    for n in 1..4 {
        station.ask("bot", &format!("delete a-{n}")).unwrap();
    }
    station.toy.curtain.store(false, std::sync::atomic::Ordering::Relaxed);
    station.hand.settle();
    let story = station.story(&CaseId::of_number(2));
    assert!(story.contains(&"service a readyAfter: predicted 6, observed 5".to_owned()), "{story:?}");
    assert!(station.gate.scores()["delete Replica"].right < model::Decimal::ONE);
}

#[test]
fn two_agents_with_different_names_have_different_identities() {
    // What a grant is bound to: the stated reason is not part of it, the agent and every byte are.
    let station = floor();
    let describe = |agent: &str, request: &str| -> Action {
        use gate::Target as _;
        let call = station.toy.decode(request.to_owned()).unwrap();
        station.toy.describe(&agent.into(), &call)
    };
    let one = describe("bot", "delete a-1");
    let reasoned = Action { reason: Some("because I say so".into()), ..one.clone() };
    assert_eq!(one.identity(), reasoned.identity());
    assert_ne!(one.identity(), describe("other", "delete a-1").identity());
    assert_ne!(one.identity(), describe("bot", "delete a-2").identity());
}
