//! Laws of ownership, on documents that proptest makes up.

use proptest::prelude::*;

use super::entries;
use super::set::FieldSet;
use super::walk;
use super::*;
use crate::schema::Resource;

/// What an applier may want of a Deployment: some labels, replicas, some containers with some images and variables.
fn wanted() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec!["x", "y", "z"]);
    let labels = prop::collection::btree_map(text.clone(), text.clone(), 0..3);
    let env = prop::collection::btree_map(text.clone(), text.clone(), 0..3);
    let containers = prop::collection::btree_map(text.clone(), (prop::option::of(text), env), 0..3);
    (labels, prop::option::of(0..3_i64), containers).prop_map(|(labels, replicas, containers)| {
        let mut object = doc!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
        for (key, value) in labels {
            object.set(&["metadata", "labels", key], value);
        }
        if let Some(replicas) = replicas {
            object.set(&["spec", "replicas"], replicas);
        }
        for (name, (image, env)) in containers {
            let mut container = doc!({"name": (name)});
            if let Some(image) = image {
                container.set(&["image"], image);
            }
            for (name, value) in env {
                container.make(&["env"]).array().push(doc!({"name": (name), "value": (value)}));
            }
            object.make(&["spec", "template", "spec", "containers"]).array().push(container);
        }
        object
    })
}

fn deployments(schema: &Schema) -> &Resource {
    schema.resource("apps", "v1", "deployments").unwrap()
}

fn apply(manager: &str, live: Option<&Value>, config: &Value, force: bool) -> Result<Value, String> {
    let schema = Schema::default();
    let now = "2026-01-01T00:00:00Z".into();
    let resource = deployments(&schema);
    let writing = Writing { schema: &schema, resource, manager, subresource: "", unreached: FieldSet::default(), now };
    writing.apply(live, config, force).map_err(|status| status.message)
}

/// The fields that a document sets, but for those that are nobody's.
fn set(document: &Value) -> FieldSet {
    let schema = Schema::default();
    walk::fields(deployments(&schema).ty(), &bare(document)).difference(nobodys())
}

fn owned(object: &Value) -> FieldSet {
    entries::read(object).iter().fold(FieldSet::default(), |all, entry| all.union(&entry.fields))
}

/// A document as it would be kept, its lists in order, for comparing what was reached in two ways.
fn plain(object: &Value) -> Value {
    let mut object = bare(object);
    if let Some(kept) = deployments(&Schema::default()).ty().as_go(&object) {
        object = kept;
    }
    if let Some(containers) = object.find_mut(&["spec", "template", "spec", "containers"]) {
        for container in containers.array() {
            if let Some(env) = container.find_mut(&["env"]) {
                env.array().sort_by_key(Value::to_json);
            }
        }
        containers.array().sort_by_key(Value::to_json);
    }
    object
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn sets_keep_the_laws_of_sets(one in wanted(), two in wanted()) {
        let (one, two) = (set(&one), set(&two));
        prop_assert_eq!(one.union(&two), two.union(&one));
        prop_assert_eq!(one.intersection(&two), two.intersection(&one));
        prop_assert_eq!(one.difference(&two).union(&one.intersection(&two)), one.clone());
        prop_assert!(one.union(&two).contains(&one) && one.contains(&one.intersection(&two)));
        prop_assert!(one.difference(&two).intersection(&two).is_empty());
        prop_assert!(one.without_below(&one).is_empty());
        prop_assert_eq!(FieldSet::read(&one.tree()), one);
    }

    #[test]
    fn applying_twice_is_applying_once(first in wanted(), config in wanted()) {
        let live = apply("one", None, &first, false).unwrap();
        let once = apply("two", Some(&live), &config, true).unwrap();
        prop_assert_eq!(apply("two", Some(&once), &config, false).unwrap(), once);
    }

    #[test]
    fn an_applier_owns_what_it_applies_and_all_owners_own_all_that_was_applied(first in wanted(), config in wanted()) {
        let live = apply("one", None, &first, false).unwrap();
        let both = apply("two", Some(&live), &config, true).unwrap();
        let entry = entries::read(&both).into_iter().find(|entry| entry.manager == "two");
        prop_assert_eq!(entry.map(|entry| entry.fields).unwrap_or_default(), set(&config));
        prop_assert_eq!(owned(&both), set(&first).union(&set(&config)));
    }

    #[test]
    fn nobody_loses_anything_without_force(first in wanted(), config in wanted()) {
        let live = apply("one", None, &first, false).unwrap();
        if let Ok(both) = apply("two", Some(&live), &config, false) {
            let entry = entries::read(&both).into_iter().find(|entry| entry.manager == "one");
            prop_assert_eq!(entry.map(|entry| entry.fields).unwrap_or_default(), set(&first));
        }
    }

    #[test]
    fn who_applies_nothing_any_more_leaves_what_others_applied(first in wanted(), config in wanted()) {
        let live = apply("one", None, &first, false).unwrap();
        if let Ok(both) = apply("two", Some(&live), &config, false) {
            let nothing = doc!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
            let after = apply("two", Some(&both), &nothing, false).unwrap();
            prop_assert_eq!(owned(&after), set(&first));
            prop_assert_eq!(plain(&after), plain(&live));
        }
    }

    #[test]
    fn those_who_do_not_conflict_may_come_in_any_order(first in wanted(), one in wanted(), two in wanted()) {
        let live = apply("base", None, &first, false).unwrap();
        let order = |a: (&str, &Value), b: (&str, &Value)| {
            apply(a.0, Some(&live), a.1, false).and_then(|then| apply(b.0, Some(&then), b.1, false))
        };
        let (here, there) = (order(("one", &one), ("two", &two)), order(("two", &two), ("one", &one)));
        if let (Ok(here), Ok(there)) = (here, there) {
            prop_assert_eq!(plain(&here), plain(&there));
        }
    }

    #[test]
    fn what_an_update_changes_is_its_writers(first in wanted(), next in wanted()) {
        let schema = Schema::default();
        let resource = deployments(&schema);
        let live = apply("one", None, &first, false).unwrap();
        let mut new = next.clone();
        let now = "2026-01-01T00:00:01Z".into();
        let writing =
            Writing { schema: &schema, resource, manager: "two", subresource: "", unreached: FieldSet::default(), now };
        writing.update(Some(&live), &mut new);
        // Nothing is owned that is not there.
        let there = walk::compare(resource.ty(), &writing.empty(), &resource.ty().as_go(&bare(&new)).unwrap_or(bare(&new)));
        if !entries::read(&live).is_empty() {
            prop_assert!(there.written().union(&set(&new)).contains(&owned(&new)), "{:?} {new}", owned(&new));
        }
    }

    #[test]
    fn what_is_not_applied_stays_shared(first in wanted(), replicas in 5..9_i64) {
        let live = apply("one", None, &first, false).unwrap();
        let config = doc!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": (replicas)}});
        let after = apply("two", Some(&live), &config, true).unwrap();
        let path = ["spec", "template"];
        prop_assert!(after.at(&path).same(live.at(&path)) || live.find(&path).is_none());
    }
}
