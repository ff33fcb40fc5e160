//! What each rule says of an effect, one line a case.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    Access, Action, ActionPolicy, AgentId, Among, Budget, Change, Decimal, Digest, Effect, Evidence, FieldChange, Flow,
    Hazard, HazardKind, Load, Manner, Moment, ObjectRef, Operation, Opinion, Privilege, Range, Service, Shape, Spent,
    TargetName, Tier, Touched,
};
use proptest::prelude::*;

use super::*;

fn action(shape: &[Shape]) -> Action {
    Action {
        agent: AgentId::from("bot"),
        target: TargetName::from("prod"),
        operation: Operation::from("exec"),
        access: Access::Write,
        resources: vec![ObjectRef::namespaced("Deployment", "shop", "cart")],
        shape: shape.iter().copied().collect(),
        reason: None,
        facts: BTreeMap::new(),
        kind: "patch Deployment".into(),
        payload: Digest::of(&()),
    }
}

fn say(rule: &dyn ActionPolicy, action: &Action, effect: &Effect, spent: &Spent) -> Opinion {
    let evidence = Evidence { action, effect, tier: Tier::Simulation, spent, now: Moment(0) };
    rule.judge(&evidence).unwrap()
}

/// The opinion's name and reason, as one line.
fn of_effect(rule: &dyn ActionPolicy, effect: &Effect) -> String {
    let opinion = say(rule, &action(&[]), effect, &Spent::default());
    let because = opinion.why().map_or(String::new(), |why| format!(": {}", why.text));
    let remedy =
        opinion.why().and_then(|why| why.remedy.clone()).map_or(String::new(), |remedy| format!(" [{remedy}]"));
    format!("{}{because}{remedy}", opinion.name())
}

fn service(before: u64, min: u64, after: u64, load: Option<(u64, u64)>) -> Effect {
    let mut effect = Effect::none();
    let load = load.map(|(gets, each)| Load::new(Range::exact(Decimal::from(gets)), Range::exact(Decimal::from(each))));
    let service =
        Service { ready_min: Range::exact(min), ready_after: Range::exact(after), load, ..Service::steady(before) };
    effect.forecast.services.insert("shop/cart".into(), service);
    effect
}

#[test]
fn a_service_may_be_short_for_a_moment_if_its_budget_says_so() {
    let short = |within_budget, seconds, min, after| {
        let mut effect = service(2, min, after, Some((150, 100)));
        let service = effect.forecast.services.get_mut("shop/cart").unwrap();
        service.within_budget = within_budget;
        service.below_seconds = Range::exact(Decimal::whole(seconds));
        of_effect(&AvailabilityFloor::default(), &effect).split(':').next().unwrap().to_owned()
    };
    assert_eq!(short(true, 5, 1, 2), "allow");
    assert_eq!(short(false, 5, 1, 2), "deny", "nobody said that one may be missing");
    assert_eq!(short(true, 500, 1, 2), "deny", "it is no moment");
    assert_eq!(short(true, 5, 0, 2), "deny", "nothing is left");
    assert_eq!(short(true, 5, 1, 1), "deny", "it does not come back");
}

#[test]
fn a_service_keeps_what_its_load_needs() {
    let floor = AvailabilityFloor::default();
    let cases = [
        (service(3, 3, 3, None), "allow: no service would lose an endpoint"),
        (service(3, 2, 3, None), "allow: service shop/cart would have 2 of 3 endpoints"),
        (service(3, 0, 0, None), "deny: service shop/cart would have 0 of 3 endpoints [replicas >= 2]"),
        (service(1, 0, 1, None), "deny: service shop/cart would have 0 of 1 endpoints [replicas >= 1]"),
        (
            service(12, 4, 4, Some((900, 100))),
            "deny: service shop/cart would have 4 of 12 endpoints for 900 requests a second, of which one endpoint serves 100 [replicas >= 9]",
        ),
        (
            service(12, 11, 11, Some((700, 100))),
            "allow: service shop/cart would have 11 of 12 endpoints for 700 requests a second, of which one endpoint serves 100",
        ),
        (
            service(2, 0, 0, Some((0, 60))),
            "allow: service shop/cart would have 0 of 2 endpoints, and nobody asks it for anything",
        ),
    ];
    for (effect, want) in cases {
        assert_eq!(of_effect(&floor, &effect), want);
    }
}

#[test]
fn a_range_that_reaches_below_the_floor_is_held_and_not_denied() {
    let mut effect = service(4, 4, 4, None);
    let service = effect.forecast.services.get_mut("shop/cart").unwrap();
    service.ready_min = Range::around(3, 3, 1);
    assert!(of_effect(&AvailabilityFloor::default(), &effect).starts_with("hold: "));
}

#[test]
fn taking_a_service_away_waits_for_a_person_and_breaking_one_that_stays_is_denied() {
    let taken = |load| {
        let mut effect = service(3, 0, 0, load);
        effect.forecast.services.get_mut("shop/cart").unwrap().removed = true;
        effect
    };
    let mut both = taken(None);
    both.forecast.services.extend([("shop/web".into(), service(2, 0, 0, None).forecast.services["shop/cart"].clone())]);
    let cases = [
        (taken(None), "hold: service shop/cart would be gone, with its 3 endpoints"),
        (taken(Some((120, 100))), "hold: service shop/cart would be gone, with its 3 endpoints"),
        (
            taken(Some((0, 100))),
            "allow: service shop/cart would have 0 of 3 endpoints, and nobody asks it for anything",
        ),
        (both, "deny: service shop/web would have 0 of 2 endpoints [replicas >= 1]"),
    ];
    for (effect, want) in cases {
        assert_eq!(of_effect(&AvailabilityFloor::default(), &effect), want);
    }
}

#[test]
fn each_rule_says_what_it_found() {
    let claim = ObjectRef::global("PersistentVolume", "pv-1");
    let with = |change: &dyn Fn(&mut Effect)| {
        let mut effect = Effect::none();
        change(&mut effect);
        effect
    };
    let cases: Vec<(Box<dyn ActionPolicy>, Effect, &str)> = vec![
        (Box::new(DataLoss), Effect::none(), "abstain"),
        (
            Box::new(DataLoss),
            with(&|effect| effect.forecast.volumes_lost = Among::exactly([claim.clone()])),
            "hold: the data of PersistentVolume/pv-1 would be lost for good [a reclaim policy that retains, or a fresh snapshot]",
        ),
        (
            Box::new(DisruptionBudget),
            with(&|effect| {
                let budget = Budget {
                    allowed_before: 1,
                    allowed_after: Range::exact(0),
                    needed: Range::exact(3),
                    violated: Range::exact(2),
                };
                effect.forecast.budgets.insert(ObjectRef::namespaced("PodDisruptionBudget", "shop", "cart"), budget);
            }),
            "deny: PodDisruptionBudget/shop/cart allows 1 disruptions, and 2 more would be caused [the same through the eviction API]",
        ),
        (
            Box::new(Capacity),
            with(&|effect| effect.forecast.pods_unschedulable = Range::exact(3)),
            "hold: 3 replicas would find no place to run",
        ),
        (
            Box::new(Capacity),
            with(&|effect| {
                effect.forecast.pods_unschedulable = Range::exact(3);
                effect.forecast.pods_content = 3;
            }),
            "abstain",
        ),
        (
            Box::new(Reach),
            with(&|effect| {
                effect.forecast.reach.opened = Among::exactly([Flow {
                    from: "anywhere".into(),
                    to: "Deployment/shop/cards".into(),
                    on: "tcp/5432".into(),
                    outside: true,
                    foreign: true,
                }]);
            }),
            "hold: anywhere would reach Deployment/shop/cards on tcp/5432",
        ),
        (
            Box::new(Reach),
            with(&|effect| {
                effect.forecast.reach.opened = Among::exactly([Flow {
                    from: "Deployment/shop/metrics".into(),
                    to: "Deployment/shop/cards".into(),
                    on: "tcp/5432".into(),
                    outside: false,
                    foreign: false,
                }]);
            }),
            "abstain",
        ),
        (
            Box::new(Protected::default()),
            with(&|effect| {
                let mut change = Change::new(Manner::Deleted);
                change.facts.insert("idle".into(), true.into());
                effect.objects.insert(ObjectRef::global("Node", "node-06"), change);
            }),
            "abstain",
        ),
        (
            Box::new(Capacity),
            with(&|effect| {
                effect.forecast.preempted = Among::exactly([ObjectRef::namespaced("Pod", "shop", "cart-1")])
            }),
            "deny: Pod/shop/cart-1 would be thrown out to make room",
        ),
        (
            Box::new(Privileges),
            with(&|effect| {
                let privilege = Privilege {
                    subject: "ServiceAccount/shop/cart".into(),
                    can: "get secrets".into(),
                    within: "everywhere".into(),
                    sweeping: true,
                };
                effect.forecast.privilege.gained = Among::exactly([privilege]);
            }),
            "deny: ServiceAccount/shop/cart could get secrets (everywhere) [a role without it]",
        ),
        (
            Box::new(Guards),
            with(&|effect| {
                effect.forecast.guards_removed =
                    Among::exactly([ObjectRef::namespaced("NetworkPolicy", "shop", "cards")])
            }),
            "hold: NetworkPolicy/shop/cards would no longer guard what it guards",
        ),
        (
            Box::new(LatentDanger),
            with(&|effect| {
                effect.forecast.hazards = BTreeSet::from([Hazard {
                    kind: HazardKind::CannotStart,
                    object: ObjectRef::namespaced("Deployment", "shop", "cart"),
                    because: "its pods need ConfigMap/shop/cart, which is deleted".into(),
                    sure: true,
                }]);
            }),
            "hold: Deployment/shop/cart is in danger: its pods need ConfigMap/shop/cart, which is deleted",
        ),
        (
            Box::new(BlastRadius::default()),
            with(&|effect| effect.forecast.blast.deleted = Touched { touched: Range::exact(21), of: 4000 }),
            "hold: it would touch 21 objects deleted, limit 20 [the same in smaller parts]",
        ),
        (
            Box::new(BlastRadius::default()),
            with(&|effect| effect.forecast.blast.nodes = Touched { touched: Range::exact(3), of: 6 }),
            "hold: it would touch 3 of 6 machines [the same in smaller parts]",
        ),
        (
            Box::new(Protected::default()),
            with(&|effect| {
                let change = Change { named: true, ..Change::new(Manner::Changed) };
                effect.objects.insert(ObjectRef::namespaced("ConfigMap", "kube-system", "coredns"), change);
            }),
            "hold: ConfigMap/kube-system/coredns is protected",
        ),
        (
            Box::new(Certainty),
            with(&|effect| effect.forecast.uncertain = BTreeSet::from(["a webhook may change it".into()])),
            "hold: the twin is not sure: a webhook may change it",
        ),
    ];
    for (rule, effect, want) in cases {
        assert_eq!(of_effect(&*rule, &effect), want);
    }
}

#[test]
fn the_shape_of_a_request_decides_what_needs_no_simulation() {
    let cases: [(&[Shape], Access, &str); 7] = [
        (&[], Access::Read, "allow"),
        (&[], Access::Write, "abstain"),
        (&[Shape::SecretRead], Access::Read, "allow"),
        (&[Shape::Session], Access::Write, "deny"),
        (&[Shape::Impersonation, Shape::DryRun], Access::Write, "deny"),
        (&[Shape::OutputRead], Access::Read, "deny"),
        (&[Shape::DryRun], Access::Write, "allow"),
    ];
    for (shape, access, want) in cases {
        let action = Action { access, ..action(shape) };
        assert_eq!(say(&Signature::default(), &action, &Effect::none(), &Spent::default()).name(), want, "{shape:?}");
    }
}

#[test]
fn steps_that_are_each_allowed_are_held_once_they_add_up() {
    let mut spent = Spent::default();
    let rule = SessionBudget::default();
    let mut said = Vec::new();
    for before in (2..=6).rev() {
        let effect = service(before, before - 1, before - 1, None);
        said.push(say(&rule, &action(&[]), &effect, &spent).name());
        spent.agent.add(&effect);
    }
    assert_eq!(said, ["abstain", "abstain", "abstain", "hold", "hold"]);
}

#[test]
fn a_machine_taken_out_of_work_again_and_again_is_one_machine() {
    let takes = |nodes: &[&str]| {
        let mut effect = Effect::none();
        effect.forecast.machines_lost = nodes.iter().map(|name| ObjectRef::global("Node", *name)).collect();
        effect.forecast.blast.nodes = Touched { touched: Range::exact(1), of: 3 };
        effect
    };
    let (rule, mut spent) = (SessionBudget::default(), Spent::default());
    let mut say = |effect: &Effect| {
        let said = say(&rule, &action(&[]), effect, &spent);
        spent.agent.add(effect);
        said.why().map_or_else(|| said.name().to_owned(), |why| why.text.clone())
    };
    for _ in 0..10 {
        assert_eq!(say(&takes(&["a"])), "abstain");
        assert_eq!(say(&takes(&[])), "abstain", "giving it back takes nothing");
    }
    assert_eq!(say(&takes(&["b", "c"])), "abstain");
    assert_eq!(say(&takes(&["d"])), "in this session 4 machines would be taken out of work, limit 3");
    assert_eq!(say(&takes(&[])), "abstain", "what is over the limit may still be given back");
}

#[test]
fn no_rule_about_effects_allows_what_nobody_could_foresee() {
    let (action, spent) = (action(&[]), Spent::default());
    let effect = Effect::unknown("the twin has not seen this kind");
    for rule in builtin() {
        let opinion = say(&*rule, &action, &effect, &spent);
        assert!(!matches!(opinion, Opinion::Allow(_) | Opinion::Deny(_)), "{}: {opinion:?}", rule.name());
    }
}

#[test]
fn every_rule_has_a_name_of_its_own_a_help_and_a_remedy() {
    let rules = builtin();
    let names: BTreeSet<&str> = rules.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), rules.len());
    for rule in &rules {
        assert!(rule.help().ends_with('.') && rule.remedy().ends_with('.'), "{}", rule.name());
    }
}

proptest! {
    /// Fewer endpoints never look better.
    #[test]
    fn losing_more_endpoints_is_never_judged_milder(before in 1_u64..20, lost in 0_u64..20, more in 0_u64..20, load in proptest::option::of((0_u64..2000, 1_u64..200))) {
        let strictness = |lost: u64| {
            let left = before.saturating_sub(lost);
            let opinion = say(&AvailabilityFloor::default(), &action(&[]), &service(before, left, left, load), &Spent::default());
            ["abstain", "allow", "hold", "deny"].iter().position(|name| *name == opinion.name())
        };
        prop_assert!(strictness(lost) <= strictness(lost + more));
    }
}

#[test]
fn what_would_pass_is_said_in_the_terms_of_what_was_asked() {
    let asked = |manner, field: Option<&str>| {
        let mut effect = service(3, 0, 0, None);
        let field = field.map(|path| FieldChange { path: path.to_owned(), before: 3.into(), after: 0.into() });
        let change = Change { named: true, fields: field.into_iter().collect(), ..Change::new(manner) };
        effect.objects.insert("Deployment/shop/cart".parse().unwrap(), change);
        of_effect(&AvailabilityFloor::default(), &effect).split_once('[').unwrap().1.to_owned()
    };
    assert_eq!(asked(Manner::Changed, Some("spec.replicas")), "replicas >= 2]");
    assert_eq!(asked(Manner::Changed, Some("spec.paused")), "service shop/cart keeps 2 ready endpoints]");
    assert_eq!(asked(Manner::Deleted, None), "service shop/cart keeps 2 ready endpoints]");
}

#[test]
fn who_fails_those_who_ask_it_is_held_and_who_goes_on_failing_is_denied() {
    let failing = |before: i64, after: i64, stays: bool, sent: i64| {
        let mut effect = service(3, 2, 3, Some((250, 100)));
        let load = effect.forecast.services.get_mut("shop/cart").unwrap().load.as_mut().unwrap();
        load.error_share = Range::exact(Decimal::from_millis(after)).into();
        load.error_share_before = Some(Decimal::from_millis(before));
        load.amplification = Range::exact(Decimal::from_millis(sent)).into();
        load.failing_at_end = Some(stays);
        of_effect(&ErrorBudget::default(), &effect)
    };
    assert_eq!(failing(0, 10, false, 1000), "allow: no service would fail those who ask it");
    assert_eq!(failing(0, 50, false, 1000), "hold: service shop/cart would fail 5 % of its requests for a while");
    assert_eq!(
        failing(0, 800, true, 3500),
        "deny: service shop/cart would fail 80 % of its requests, each sent 3.5 times, and would not recover by itself"
    );
    assert_eq!(failing(800, 800, true, 3500), "allow: no service would fail those who ask it", "it failed before");
}
