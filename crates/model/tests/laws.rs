//! What ranges, sets with doubt, opinions and footprints obey, for all of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::collections::BTreeSet;

use model::{
    Action, ActionPolicy, Among, Approval, Decimal, Effect, Evidence, Finding, Footprint, Key, Moment, ObjectRef,
    Opinion, PolicyError, Range, Spent, Tier, Verdict, judge,
};
use proptest::prelude::*;

/// Every range within 0..=7, either way round.
fn ranges() -> impl Iterator<Item = Range<u64>> {
    (0..8).flat_map(|best| (0..8).map(move |worst| Range::between(best, worst)))
}

#[test]
fn a_wider_range_never_allows_or_denies_what_a_narrower_one_inside_it_would_not() {
    for wide in ranges() {
        for narrow in ranges().filter(|narrow| wide.covers(narrow)) {
            for limit in 0..8 {
                for compare in [Range::at_most, Range::at_least] {
                    let (of_wide, of_narrow) = (compare(&wide, limit), compare(&narrow, limit));
                    assert!(
                        of_wide == Finding::Unsure || of_wide == of_narrow,
                        "{wide:?} is {of_wide:?} and {narrow:?} within it is {of_narrow:?}, limit {limit}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_follows_from_a_wider_range_joined_with_any_other_opinion_is_never_surer() {
    let others = [Opinion::Abstain, Opinion::allow("o"), Opinion::hold("o"), Opinion::deny("o")];
    for wide in ranges() {
        for narrow in ranges().filter(|narrow| wide.covers(narrow)) {
            for (limit, other) in (0..8).flat_map(|limit| others.iter().map(move |other| (limit, other))) {
                let follows = |range: &Range<u64>| range.at_most(limit).because("r").join(other.clone()).name();
                let (wide, narrow) = (follows(&wide), follows(&narrow));
                assert!(wide == narrow || wide == "hold", "{wide} where {narrow} follows from the narrower");
            }
        }
    }
}

#[test]
fn the_way_round_in_which_a_range_is_written_does_not_matter_to_a_limit() {
    for range in ranges() {
        let turned = Range::between(range.worst, range.best);
        for limit in 0..8 {
            assert_eq!(range.at_most(limit), turned.at_most(limit));
            assert_eq!(range.at_least(limit), turned.at_least(limit));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn widening_covers_what_it_widens_grows_with_the_doubt_and_ends_in_not_knowing(
        best in 0_u64..100, worst in 0_u64..100, less in 0_i64..=1_000_000, more in 0_i64..=1_000_000,
    ) {
        let (less, more) = (less.min(more), less.max(more));
        let range = Range::between(best, worst);
        let widened = |doubt| range.widened(Decimal::from_micros(doubt), 0, 200);
        prop_assert_eq!(widened(0), range);
        prop_assert!(widened(less).covers(&range));
        prop_assert!(widened(more).covers(&widened(less)));
        prop_assert!(widened(1_000_000).covers(&Range::between(0, 200)));
        prop_assert_eq!(widened(more).best <= widened(more).worst, best <= worst);
    }

    #[test]
    fn what_a_set_covers_it_also_bounds_and_counts(
        sure in prop::collection::btree_set(0_u8..6, 0..4), possible in prop::collection::btree_set(0_u8..6, 0..4),
        drawn in prop::collection::btree_set(0_u8..6, 0..6),
    ) {
        let set = Among { sure: sure.clone(), possible: possible.clone(), unlisted: false };
        // Any set that comes true within it.
        let mut real: BTreeSet<u8> = sure.clone();
        real.extend(possible.intersection(&drawn));
        let real = Among::exactly(real);
        prop_assert!(set.covers(&real) && set.bounds(&real));
        prop_assert!(set.count().covers(&real.count()));
        prop_assert!(Among::unknown().covers(&set) && Among::unknown().bounds(&set));
        prop_assert!(!set.bounds(&Among::unknown()));
    }

    #[test]
    fn footprints_overlap_alike_from_both_sides_and_only_if_somebody_writes(
        keys in prop::collection::vec((0_u8..3, 0_u8..3, 0_u8..3, any::<bool>(), any::<bool>()), 0..12),
    ) {
        // Zero stands for "any".
        let part = |n: u8| (n > 0).then(|| n.to_string());
        let (mut a, mut b) = (Footprint::default(), Footprint::default());
        for (kind, namespace, name, first, write) in keys {
            let key = Key { kind: part(kind), namespace: part(namespace), name: part(name) };
            let footprint = if first { &mut a } else { &mut b };
            if write { footprint.write(key) } else { footprint.read(key) }
        }
        prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
        let naive = |x: &BTreeSet<Key>, y: &BTreeSet<Key>| x.iter().any(|x| y.iter().any(|y| x.meets(y)));
        let expected = naive(&a.writes, &b.writes) || naive(&a.writes, &b.reads) || naive(&a.reads, &b.writes);
        prop_assert_eq!(a.overlaps(&b), expected);
    }

    #[test]
    fn an_object_is_read_back_as_it_was_written(kind in "[A-Z][a-z/%2F]{1,6}", space in prop::option::of("[a-z/%5]{1,6}"), name in "[a-z./%2F5]{1,8}") {
        let object = ObjectRef::new(kind, space.as_deref(), name);
        prop_assert_eq!(object.to_string().parse::<ObjectRef>().unwrap(), object);
    }

    #[test]
    fn a_decimal_survives_json(micros in -1_000_000_000_000_000_i64..1_000_000_000_000_000) {
        let number = Decimal::from_micros(micros);
        let text = serde_json::to_string(&number).unwrap();
        prop_assert_eq!(serde_json::from_str::<Decimal>(&text).unwrap(), number);
    }
}

/// A policy that always says the same, or breaks.
struct Says(&'static str, Result<Opinion, &'static str>);

impl ActionPolicy for Says {
    fn name(&self) -> &str {
        self.0
    }
    fn help(&self) -> &str {
        ""
    }
    fn remedy(&self) -> &str {
        ""
    }
    fn judge(&self, _: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        match &self.1 {
            Ok(opinion) => Ok(opinion.clone()),
            Err("panic") => std::panic::resume_unwind(Box::new("a bug")),
            Err(why) => Err(PolicyError((*why).to_owned())),
        }
    }
}

fn verdict(effect: &Effect, policies: &[Says]) -> Verdict {
    let action = Action {
        agent: "bot".into(),
        target: "prod".into(),
        operation: "delete".into(),
        access: model::Access::Write,
        resources: Vec::new(),
        shape: BTreeSet::new(),
        reason: None,
        facts: Default::default(),
        kind: "delete".into(),
        payload: Default::default(),
    };
    let (spent, tier, now) = (Spent::default(), Tier::Simulation, Moment(0));
    let evidence = Evidence { action: &action, effect, tier, spent: &spent, now };
    judge(policies.iter().map(|policy| policy as &dyn ActionPolicy), &evidence).verdict
}

#[test]
fn the_strictest_opinion_wins_and_silence_failure_and_ignorance_hold() {
    let allow = || Says("a", Ok(Opinion::allow("fine")));
    let abstain = || Says("s", Ok(Opinion::Abstain));
    let hold = || Says("h", Ok(Opinion::hold("look").approved_by(Approval::of(2, ["sre"]))));
    let deny = || Says("d", Ok(Opinion::deny("no").remedy("less")));
    let none = Effect::none();
    assert_eq!(verdict(&none, &[]).name(), "hold");
    assert_eq!(verdict(&none, &[abstain()]).name(), "hold");
    assert_eq!(verdict(&none, &[abstain(), allow()]).name(), "allow");
    assert_eq!(verdict(&none, &[allow(), Says("e", Err("no data"))]).name(), "hold");
    assert_eq!(verdict(&none, &[allow(), Says("e", Err("panic"))]).name(), "hold");
    assert_eq!(verdict(&none, &[Says("e", Err("panic")), deny(), hold()]).name(), "deny");
    assert_eq!(verdict(&Effect::unknown("?"), &[allow()]).name(), "hold");
    assert_eq!(verdict(&Effect::unknown("?"), &[deny()]).name(), "deny", "a shape may be denied unseen");

    let denied = verdict(&none, &[hold(), deny()]);
    assert_eq!((denied.why().len(), denied.would_pass().as_deref()), (1, Some("less")));
    let Verdict::Hold { approval, why } =
        verdict(&none, &[hold(), Says("i", Ok(Opinion::hold("too").approved_by(Approval::of(1, ["dba"]))))])
    else {
        unreachable!()
    };
    assert_eq!((approval.quorums().len(), why.len()), (2, 2), "whoever holds is asked for its people");
    assert_eq!(why.iter().map(|why| why.policy.as_str()).collect::<Vec<_>>(), ["h", "i"]);
}

#[test]
fn the_join_of_opinions_is_associative_and_a_stricter_one_is_never_lost() {
    let all = [Opinion::Abstain, Opinion::allow("x"), Opinion::hold("x"), Opinion::deny("x")];
    for number in 0..64 {
        let (a, b, c) = (all[number / 16].clone(), all[number / 4 % 4].clone(), all[number % 4].clone());
        assert_eq!(a.clone().join(b.clone()).join(c.clone()), a.clone().join(b.clone().join(c.clone())));
        assert_eq!(a.clone().join(b.clone()), b.clone().join(a.clone()), "with equal reasons the order is nothing");
        assert!(a.clone().join(b.clone()) >= b);
    }
}
