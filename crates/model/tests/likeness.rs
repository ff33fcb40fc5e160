//! When an effect is like one that was shown.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use model::{Bound, Change, Decimal, Effect, FieldChange, Likeness, Manner, ObjectRef, Range, Service};

fn written(name: &str, path: &str, after: i64) -> Effect {
    let field = FieldChange { path: path.into(), before: 3.into(), after: after.into() };
    let change = Change { named: true, fields: vec![field], ..Change::new(Manner::Changed) };
    let mut effect = Effect::none();
    effect.objects.insert(ObjectRef::namespaced("Deployment", "shop", name), change);
    effect
}

fn like() -> Likeness {
    Likeness::default()
}

#[test]
fn another_name_of_the_same_sort_with_the_same_written_to_it_is_like_it() {
    let shown = written("web", "spec.replicas", 4);
    assert!(like().covers(&shown, &written("cart", "spec.replicas", 4)));
    assert!(!like().covers(&shown, &written("web", "spec.replicas", 5)), "something else is written");
    assert!(!like().covers(&shown, &written("web", "spec.paused", 4)), "to another field");
    let mut more = written("cart", "spec.replicas", 4);
    more.objects.insert(ObjectRef::namespaced("Secret", "shop", "keys"), Change::new(Manner::Deleted));
    assert!(!like().covers(&shown, &more), "another sort of object is touched");
    let mut elsewhere = Effect::none();
    for (_, change) in shown.objects.touched.clone() {
        elsewhere.objects.insert(ObjectRef::namespaced("Deployment", "bank", "web"), change);
    }
    assert!(!like().covers(&shown, &elsewhere), "in another namespace");
}

#[test]
fn a_bound_widens_what_may_be_written_to_its_field_only() {
    let bound = Bound::Between(Decimal::from(4), Decimal::from(6));
    let like = Likeness { fields: [("spec.replicas".to_owned(), bound)].into(), objects_max: None };
    let shown = written("web", "spec.replicas", 4);
    for (path, after, covered) in [("spec.replicas", 6, true), ("spec.replicas", 7, false), ("spec.other", 5, false)] {
        assert_eq!(like.covers(&shown, &written("web", path, after)), covered, "{path} = {after}");
    }
}

#[test]
fn what_was_not_seen_to_suffer_may_not_suffer() {
    let shown = written("web", "spec.replicas", 4);
    let mut worse = written("web", "spec.replicas", 4);
    worse.forecast.services.insert("shop/web".into(), Service { ready_min: Range::exact(0), ..Service::steady(3) });
    assert!(!like().covers(&shown, &worse));
    assert!(like().covers(&worse, &shown), "better than shown is within");
}

#[test]
fn what_changes_nothing_that_can_be_named_is_like_nothing() {
    // A credential is made: for whom, no object shows.
    let minted = Effect::none();
    assert!(!Likeness::applies_to(&minted) && !like().covers(&minted, &minted));
    assert!(!like().covers(&written("web", "spec.replicas", 4), &minted));
    assert!(!Likeness::applies_to(&Effect::unknown("nothing was read")));
}
