//! What may be concluded from what is not known, and what may not.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use arcstr::ArcStr as Text;

use crate::{Env, Meter, Type};

fn env() -> Env {
    let range = || Type::Opaque("range");
    Env::new().with_doubt().with("r", range()).with("s", range()).with("l", Type::list(Type::Int))
}

fn run(source: &str, r: (f64, f64), s: (f64, f64), list: &Value) -> Result<Value, Error> {
    let program = env().compile(source).unwrap_or_else(|error| panic!("{source}\n{error}"));
    let range = |(low, high)| Value::Range(Bounds::new(low, high));
    let variables: BTreeMap<Text, Value> =
        BTreeMap::from([("r".into(), range(r)), ("s".into(), range(s)), ("l".into(), list.clone())]);
    program.eval(&variables, &mut Meter::default())
}

fn partial(sure: &[i64], possible: &[i64], unlisted: bool) -> Value {
    let ints = |list: &[i64]| list.iter().map(|number| Value::Int(*number)).collect();
    Value::Partial(Arc::new(Partial { sure: ints(sure), possible: ints(possible), unlisted }))
}

/// Yes, no, or not known.
fn told(source: &str, list: &Value) -> Option<bool> {
    match run(source, (2.0, 4.0), (3.0, f64::INFINITY), list) {
        Ok(Value::Bool(truth)) => Some(truth),
        Err(Error::Unknown(_)) => None,
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn a_comparison_has_an_answer_only_if_every_number_that_it_can_be_gives_the_same() {
    let list = Value::list([]);
    for (source, answer) in [
        ("r <= 4", Some(true)),
        ("r < 4", None),
        ("r > 4", Some(false)),
        ("5 > r", Some(true)),
        ("r == 3", None),
        ("r == 5", Some(false)),
        ("r != 5", Some(true)),
        ("r >= 1.5", Some(true)),
        ("r < s", None),
        ("s <= 1000", None),
        ("s >= 3", Some(true)),
        ("r + 1 <= 5", Some(true)),
        ("r - 5 < 0", Some(true)),
        ("r * 2 >= 4 && s / r >= 0.75", Some(true)),
        ("s * 0 == 0", Some(true)),
        ("1 / (r - 3) > 0", None),
    ] {
        assert_eq!(told(source, &list), answer, "{source}");
    }
}

#[test]
fn not_knowing_cannot_be_negated_into_knowing_and_is_hidden_by_what_decides_anyway() {
    let list = Value::list([]);
    for (source, answer) in [
        ("!(r < 4)", None),
        ("r < 4 || true", Some(true)),
        ("r < 4 && false", Some(false)),
        ("r < 4 ? true : true", None),
        ("[r < 4].size() == 1", None),
        ("[1, 5].all(x, r < x)", Some(false)),
        ("[5, 3].exists(x, r < x)", Some(true)),
    ] {
        assert_eq!(told(source, &list), answer, "{source}");
    }
}

#[test]
fn a_list_that_may_hold_more_says_so_where_it_matters() {
    for (list, source, answer) in [
        (partial(&[1], &[9], false), "l.all(x, x < 5)", None),
        (partial(&[1], &[2], false), "l.all(x, x < 5)", Some(true)),
        (partial(&[7], &[2], false), "l.all(x, x < 5)", Some(false)),
        (partial(&[1], &[], true), "l.all(x, x < 5)", None),
        (partial(&[7], &[], true), "l.exists(x, x > 5)", Some(true)),
        (partial(&[1], &[7], false), "l.exists(x, x > 5)", None),
        (partial(&[1], &[2], false), "l.exists(x, x > 5)", Some(false)),
        (partial(&[1], &[2], false), "l.count() <= 2 && l.count() >= 1", Some(true)),
        (partial(&[1], &[2], false), "l.count() == 1", None),
        (partial(&[1], &[2], true), "l.count() <= 1000", None),
        (partial(&[1], &[2], false), "1 in l", Some(true)),
        (partial(&[1], &[2], false), "2 in l", None),
        (partial(&[1], &[2], false), "3 in l", Some(false)),
        (partial(&[1], &[], true), "3 in l", None),
        (partial(&[1], &[2], false), "l.size() == 1", None),
        (partial(&[1], &[2], false), "l == [1]", None),
        (partial(&[1], &[2], false), "l.filter(x, x > 5).size() == 0", None),
        (partial(&[1], &[2], false), "l.exists_one(x, x == 1)", None),
        (partial(&[1], &[2], false), "(l + [3]).size() == 2", None),
        (partial(&[1], &[2], false), "l[0] == 1", None),
    ] {
        assert_eq!(told(source, &list), answer, "{source} of {list:?}");
    }
}

#[test]
fn kubernetes_expressions_have_none_of_this() {
    let env = Env::new().with("l", Type::list(Type::Int)).with("d", Type::Dyn);
    let why = env.compile("l.count() > 1").unwrap_err().to_string();
    assert!(why.contains("undeclared reference to 'count'"), "{why}");
    // With only Kubernetes' overloads the sum can be nothing but a whole number.
    assert!(env.compile("d + 1").unwrap().ty().is(&Type::Int));
}

/// Sums and differences of two numbers, and truths about them.
fn truths() -> impl Strategy<Value = String> {
    let number = prop_oneof![Just("r".to_owned()), Just("s".to_owned()), (0..9_i32).prop_map(|n| n.to_string())];
    let sums = (number.clone(), prop_oneof![Just("+"), Just("-"), Just("*")], number.clone())
        .prop_map(|(one, operator, two)| format!("({one} {operator} {two})"));
    let term = prop_oneof![number, sums]
        .prop_filter("of two plain numbers nothing is in doubt", |term| term.contains('r') || term.contains('s'));
    let operator = prop_oneof![Just("<"), Just("<="), Just(">"), Just(">="), Just("=="), Just("!=")];
    let leaf = (term, operator, -3..20_i32).prop_map(|(term, operator, limit)| format!("{term} {operator} {limit}"));
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| format!("!({one})")),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one}) && ({two})")),
            (inner.clone(), inner).prop_map(|(one, two)| format!("({one}) || ({two})")),
        ]
    })
}

proptest! {
    /// The law that all else rests on: what is concluded from bounds is so for every number within them.
    #[test]
    fn what_is_said_of_a_range_is_true_of_every_number_in_it(
        source in truths(), r in 0..8_i32, more in 0..4_i32, s in 0..8_i32, yet in 0..4_i32,
    ) {
        let list = Value::list([]);
        let ends = |low: i32, more: i32| (f64::from(low), f64::from(low + more));
        let Ok(said) = run(&source, ends(r, more), ends(s, yet), &list) else { return Ok(()) };
        for one in r..=r + more {
            for two in s..=s + yet {
                let exact = run(&source, ends(one, 0), ends(two, 0), &list);
                prop_assert_eq!(exact.ok().and_then(|it| it.as_bool()), said.as_bool(), "{} with {} and {}", source, one, two);
            }
        }
    }
}
