//! What a site's own rule says, and what it cannot be made to say.

use std::collections::BTreeMap;

use model::{
    Access, Action, ActionPolicy, AgentId, Among, Change, Digest, Effect, Evidence, Manner, Moment, ObjectRef,
    Operation, Opinion, Range, Service, Spent, TargetName, Tier,
};
use serde_json::json;

use super::*;
use crate::AvailabilityFloor;

fn action() -> Action {
    Action {
        agent: AgentId::from("deploy-bot"),
        target: TargetName::from("prod-eu"),
        operation: Operation::from("scale"),
        access: Access::Write,
        resources: vec![ObjectRef::namespaced("Deployment", "shop", "cart")],
        shape: Default::default(),
        reason: None,
        facts: BTreeMap::new(),
        kind: "patch Deployment".into(),
        payload: Digest::of(&()),
    }
}

fn rule(rest: serde_json::Value) -> Result<SiteRule, RuleError> {
    let mut rule = json!({"name": "site", "help": "Keeps it well.", "remedy": "Ask for less.", "require": "true"});
    rule.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    SiteRule::new(serde_json::from_value(rule).unwrap())
}

fn say(rule: &dyn ActionPolicy, effect: &Effect, tier: Tier, at: &str) -> Opinion {
    let now = at.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let now = Moment(u64::try_from(now).unwrap());
    rule.judge(&Evidence { action: &action(), effect, tier, spent: &Spent::default(), now }).unwrap()
}

/// The opinion's name and reason, as one line.
fn told(rest: serde_json::Value, effect: &Effect) -> String {
    let opinion = say(&rule(rest).unwrap(), effect, Tier::Simulation, "2026-11-24T12:00:00Z");
    let because = opinion.why().map_or(String::new(), |why| format!(": {}", why.text));
    format!("{}{because}", opinion.name())
}

fn service(before: u64, ready_min: Range<u64>) -> Effect {
    let mut effect = Effect::none();
    let service = Service { ready_min, ready_after: ready_min, ..Service::steady(before) };
    effect.forecast.services.insert("shop/cart".into(), service);
    let mut change = Change::new(Manner::Changed);
    change.named = true;
    change.labels.insert("tier".into(), "front".into());
    effect.objects.insert(ObjectRef::namespaced("Deployment", "shop", "cart"), change);
    effect
}

#[test]
fn the_range_chooses_between_allow_deny_and_hold() {
    let floor = || {
        json!({"require": "forecast.services.all(name, forecast.services[name].readyMin >= params.floor)",
        "params": {"floor": 2}, "because": "'fewer than ' + string(params.floor)"})
    };
    assert_eq!(told(floor(), &service(3, Range::exact(2))), "allow: Keeps it well.");
    assert_eq!(told(floor(), &service(3, Range::exact(1))), "deny: fewer than 2");
    assert_eq!(
        told(floor(), &service(3, Range::between(3, 1))),
        "hold: fewer than 2; it is not known whether 1..3 >= 2"
    );
    assert_eq!(told(floor(), &Effect::none()), "allow: Keeps it well.");
}

#[test]
fn not_knowing_cannot_slip_through() {
    let mut effect = service(3, Range::unknown());
    effect.forecast.volumes_lost = Among::at_most([ObjectRef::global("PersistentVolume", "a")]);
    for require in [
        "!forecast.services.exists(name, forecast.services[name].readyMin < 1)",
        "forecast.services['shop/cart'].readyMin - forecast.services['shop/cart'].readyAfter < 1",
        "forecast.volumesLost.size() == 0",
        "forecast.volumesLost.all(v, v.name == 'b')",
        "!(forecast.volumesLost.count() > 0)",
        "forecast.services['shop/cart'].readyMin < 2 ? true : true",
    ] {
        let said = told(json!({"require": require}), &effect);
        assert!(said.starts_with("hold:"), "{require}: {said}");
    }
    let nobody_knows = told(json!({"require": "objects.all(o, true)"}), &Effect::unknown("nothing was read"));
    assert_eq!(nobody_knows, "hold: what it would touch is not known");
}

#[test]
fn a_rule_speaks_where_it_is_meant_to() {
    let effect = service(3, Range::exact(0));
    let said =
        |scope: serde_json::Value, when: &str| told(json!({"scope": scope, "when": when, "require": "false"}), &effect);
    assert_eq!(said(json!({}), "true"), "deny: it has to be so that false");
    assert_eq!(
        said(json!({"agents": ["deploy-*"], "targets": ["prod-*"], "operations": ["scale"]}), "true"),
        "deny: it has to be so that false"
    );
    assert_eq!(said(json!({"agents": ["*-admin"]}), "true"), "abstain");
    assert_eq!(said(json!({"namespaces": ["sh*p"]}), "true"), "deny: it has to be so that false");
    assert_eq!(said(json!({"namespaces": ["billing"]}), "true"), "abstain");
    assert_eq!(said(json!({}), "objects.exists(o, o.labels[?'tier'].orValue('') == 'back')"), "abstain");
    assert_eq!(
        said(json!({}), "objects.exists(o, o.object.kind == 'Deployment' && o.named)"),
        "deny: it has to be so that false"
    );
}

#[test]
fn where_it_may_not_even_speak_it_denies_nothing() {
    let effect = service(3, Range::between(3, 0));
    let when = "forecast.services['shop/cart'].readyMin < 1";
    assert!(told(json!({"when": when, "require": "false"}), &effect).starts_with("hold:"));
    assert_eq!(told(json!({"when": when, "require": "true"}), &effect), "allow: Keeps it well.");
}

#[test]
fn a_rule_may_leave_it_to_a_person_and_say_to_whom() {
    let rule =
        rule(json!({"require": "false", "otherwise": "hold", "approval": [{"count": 2, "roles": ["dba"]}]})).unwrap();
    let Opinion::Hold(because) = say(&rule, &Effect::none(), Tier::Simulation, "2026-11-24T12:00:00Z") else {
        panic!()
    };
    assert_eq!(because.approval, Approval::of(2, ["dba"]));
    assert_eq!(because.remedy.as_deref(), Some("Ask for less."));
}

#[test]
fn a_freeze_is_a_rule_about_the_time() {
    let weekdays = "now.getDayOfWeek('Europe/Vienna') in [1, 2, 3, 4] && now.getHours('Europe/Vienna') >= 9 \
        && now.getHours('Europe/Vienna') < 17";
    let rule = rule(json!({"require": weekdays, "otherwise": "hold"})).unwrap();
    let at = |at| say(&rule, &Effect::none(), Tier::Signature, at).name();
    assert_eq!(at("2026-11-24T08:30:00Z"), "allow", "half past nine in Vienna in winter");
    assert_eq!(at("2026-07-14T06:59:00Z"), "hold", "a minute to nine in summer");
    assert_eq!(at("2026-11-27T10:00:00Z"), "hold", "a Friday");
}

#[test]
fn what_is_wrong_with_a_rule_is_said_before_it_is_in_force() {
    for (part, source, why) in [
        ("require", "forecast.servces.size() > 0", "undefined field 'servces'"),
        ("require", "forecast.settled + 1", "no matching overload"),
        ("require", "action.agent", "it gives string, and has to give bool"),
        ("when", "sessoin == 1", "undeclared reference to 'sessoin'"),
        ("because", "1", "it gives int, and has to give string"),
    ] {
        let error = rule(json!({part: source})).unwrap_err();
        assert!(error.part == part && error.why.contains(why), "{error}");
    }
    assert_eq!(rule(json!({"name": "Not A Name"})).unwrap_err().part, "name");
}

#[test]
fn a_rule_that_fails_or_never_ends_gives_no_opinion() {
    let effect = service(3, Range::exact(3));
    let many = "[1,2,3,4,5,6,7,8,9,10]";
    let slow = format!(
        "{many}.all(a, {many}.all(b, {many}.all(c, {many}.all(d, {many}.all(e, {many}.all(f, a + b + c + d + e + f > 0))))))"
    );
    for (require, why) in [
        ("forecast.services['gone/away'].readyMin > 0", "no such key"),
        ("1 / 0 == 1", "division by zero"),
        ("params.floor > 1", "no such key"),
        (slow.as_str(), "cost limit exceeded"),
    ] {
        let rule = rule(json!({"require": require})).unwrap();
        let evidence = Evidence {
            action: &action(),
            effect: &effect,
            tier: Tier::Simulation,
            spent: &Spent::default(),
            now: Moment(0),
        };
        let error = rule.judge(&evidence).unwrap_err();
        assert!(error.to_string().contains(why), "{require}: {error}");
    }
}

#[test]
fn bounds_never_settle_a_rule_about_consequences_and_looks_are_none_of_its_business() {
    let effect = service(3, Range::exact(3));
    let foresees = rule(json!({"require": "objects.size() < 10"})).unwrap();
    let asks = rule(json!({"require": "action.agent != 'root'"})).unwrap();
    let at = |rule: &SiteRule, tier| say(rule, &effect, tier, "2026-11-24T12:00:00Z").name();
    assert_eq!(at(&foresees, Tier::Constraints), "hold");
    assert_eq!(at(&foresees, Tier::Simulation), "allow");
    assert_eq!(at(&asks, Tier::Constraints), "allow");
    let look = Action { access: Access::Read, ..action() };
    let evidence =
        Evidence { action: &look, effect: &effect, tier: Tier::Signature, spent: &Spent::default(), now: Moment(0) };
    assert_eq!(foresees.judge(&evidence).unwrap().name(), "abstain");
}

#[test]
fn an_exception_ends_applies_only_where_it_surely_does_and_is_told() {
    let exceptions = |rest: serde_json::Value| -> Vec<Exception> {
        let mut exception = json!({"rule": "availability-floor", "why": "the old shop is closed", "by": "kim",
            "until": "2026-12-01T00:00:00Z"});
        exception.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        vec![serde_json::from_value(exception).unwrap()]
    };
    let floor = |rest| Excepted::from(Box::new(AvailabilityFloor::default()), &exceptions(rest)).unwrap();
    let effect = service(3, Range::exact(0));
    let at = |rest, at, tier| say(&*floor(rest), &effect, tier, at);
    let before = "2026-11-24T12:00:00Z";

    let Opinion::Allow(because) = at(json!({}), before, Tier::Simulation) else { panic!() };
    assert!(
        because.text.ends_with("; excepted by kim until 2026-12-01T00:00:00Z: the old shop is closed"),
        "{because}"
    );
    assert_eq!(at(json!({}), "2026-12-01T00:00:00Z", Tier::Simulation).name(), "deny");
    assert_eq!(at(json!({}), before, Tier::Constraints).name(), "hold", "bounds do not show what it is for");
    assert_eq!(at(json!({"scope": {"namespaces": ["billing"]}}), before, Tier::Simulation).name(), "deny");
    assert_eq!(at(json!({"scope": {"namespaces": ["shop"]}}), before, Tier::Simulation).name(), "allow");
    assert_eq!(at(json!({"when": "forecast.services.size() > 1"}), before, Tier::Simulation).name(), "deny");
    assert_eq!(at(json!({"rule": "another"}), before, Tier::Simulation).name(), "deny");

    let mut elsewhere = effect.clone();
    elsewhere.objects.insert(ObjectRef::global("Node", "a"), Change::new(Manner::Changed));
    let scoped = floor(json!({"scope": {"namespaces": ["shop"]}}));
    assert_eq!(
        say(&*scoped, &elsewhere, Tier::Simulation, before).name(),
        "deny",
        "it touches more than the namespace"
    );
}

#[test]
fn a_star_stands_for_any_letters() {
    for (pattern, name, fits) in [
        ("*", "", true),
        ("prod-*", "prod-eu", true),
        ("prod-*", "a-prod-eu", false),
        ("*-prod-*", "a-prod-eu", true),
        ("a*a", "a", false),
        ("a*b*c", "axxbyc", true),
        ("a*b*c", "axxbyd", false),
        ("exact", "exactly", false),
    ] {
        assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
    }
}
