//! What an effect looks like in JSON, and when one lies within another.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use model::{
    Among, Change, Decimal, Drift, Effect, FieldChange, Footprint, Forecast, Hazard, HazardKind, Judgement, Load,
    Manner, Micros, ObjectRef, Overtaken, Range, Reversibility, Ruling, Service, Tier, Touched, Verdict, Voice,
    Workload,
};
use serde_json::json;

/// The scale to zero that `interfaces.md` shows.
fn scaled_to_zero() -> Effect {
    let mut effect = Effect::none();
    let named = Change {
        named: true,
        fields: vec![FieldChange { path: "spec.replicas".into(), before: 3.into(), after: 0.into() }],
        ..Change::new(Manner::Changed)
    };
    effect.objects.insert(ObjectRef::namespaced("Deployment", "shop", "cart"), named);
    for name in ["cart-1", "cart-2", "cart-3"] {
        effect.objects.insert(ObjectRef::namespaced("Pod", "shop", name), pod(Manner::Deleted));
    }
    let service = Service {
        ready_min: Range::exact(0),
        ready_after: Range::exact(0),
        below_seconds: Range::exact(Decimal::whole(568)),
        ..Service::steady(3)
    };
    effect.forecast.services.insert("shop/cart".into(), service);
    let workload = Workload {
        wanted_before: 3,
        wanted_after: Range::exact(0),
        ready_before: 3,
        ready_min: Range::exact(0),
        ready_after: Range::exact(0),
        stateful: false,
        quorum: None,
    };
    effect.forecast.workloads.insert(ObjectRef::namespaced("Deployment", "shop", "cart"), workload);
    Effect {
        forecast: Forecast {
            horizon_seconds: Decimal::whole(600),
            settled_seconds: Range::exact(Decimal::from_millis(31_500)),
            fidelity: Decimal::from_millis(980),
            ..effect.forecast
        },
        ..effect
    }
}

fn pod(manner: Manner) -> Change {
    Change { replica_of: Some(ObjectRef::namespaced("Deployment", "shop", "cart")), ..Change::new(manner) }
}

fn changed(change: impl FnOnce(&mut Effect)) -> Effect {
    let mut effect = scaled_to_zero();
    change(&mut effect);
    effect
}

#[test]
fn a_verdict_is_written_as_the_interface_promises() {
    let voice = Voice {
        name: "availability-floor".into(),
        opinion: "deny".into(),
        because: "service shop/cart would have 0 of 3 endpoints".into(),
        would_pass: Some("replicas >= 2".into()),
    };
    let abstains = Voice { name: "cost".into(), opinion: "abstain".into(), ..voice.clone() };
    let because = model::Because { remedy: Some("replicas >= 2".into()), ..model::Because::new("x") };
    let judgement = Judgement { verdict: Verdict::Deny { why: vec![because] }, voices: vec![voice, abstains] };
    let micros =
        Micros { decode: Some(12), constraints: Some(40), simulation: Some(810), judge: Some(30), rehearsal: None };
    let ruling = Ruling::new("a1", &judgement, Tier::Simulation, micros, scaled_to_zero());
    let written = serde_json::to_value(&ruling).unwrap();

    let promised = json!({
        "id": "a1", "verdict": "deny", "tier": "simulation",
        "micros": {"decode": 12, "constraints": 40, "simulation": 810, "judge": 30},
        "wouldPass": "replicas >= 2",
    });
    for (key, value) in promised.as_object().unwrap() {
        assert_eq!(&written[key], value, "{key}");
    }
    assert_eq!(written["policies"].as_array().unwrap().len(), 1, "who abstains is not listed");
    assert_eq!(written["policies"][0]["because"], "service shop/cart would have 0 of 3 endpoints");
    assert_eq!(
        written["effect"]["objects"]["deleted"],
        json!(["Pod/shop/cart-1", "Pod/shop/cart-2", "Pod/shop/cart-3"])
    );
    assert_eq!(written["effect"]["objects"]["changed"], json!(["Deployment/shop/cart"]));
    assert_eq!(written["effect"]["objects"]["created"], json!([]));
    let forecast = &written["effect"]["forecast"];
    for (key, value) in json!({
        "horizonSeconds": 600.0, "settledSeconds": 31.5, "settled": true, "fidelity": 0.98, "reversibility": "reversible",
        "podsUnschedulable": 0, "podsContent": 0, "volumesLost": [], "machinesLost": [], "claimsDeleted": [],
        "cost": {"perHourBefore": 0.0, "perHourAfter": 0.0},
        "reach": {"opened": [], "closed": []}, "privilege": {"gained": [], "lost": []},
    })
    .as_object()
    .unwrap()
    {
        assert_eq!(&forecast[key], value, "{key}");
    }
    let service = &forecast["services"]["shop/cart"];
    assert_eq!((&service["readyBefore"], &service["readyMin"]), (&json!(3), &json!(0)));
    assert_eq!((&service["readyAfter"], &service["belowSeconds"]), (&json!(0), &json!(568.0)));
    assert!(service.get("readyMinRange").is_none(), "what is certain is a plain number");
    let workload = &forecast["workloads"]["Deployment/shop/cart"];
    assert_eq!((&workload["wantedBefore"], &workload["wantedAfter"]), (&json!(3), &json!(0)));

    assert_eq!(serde_json::from_value::<Ruling>(written).unwrap(), ruling, "and is read back as it was");
}

#[test]
fn doubt_is_written_beside_the_expected_number_and_read_back() {
    let effect = changed(|effect| {
        let service = effect.forecast.services.get_mut("shop/cart").unwrap();
        service.ready_min = Range::around(2, 1, 0);
        service.ready_after = Range::between(3, 1);
        service.below_seconds = Range::unknown();
        effect.forecast.volumes_lost = Among::at_most([ObjectRef::global("PersistentVolume", "pv-1")]);
        effect.forecast.secrets_exposed = Among::unknown();
    });
    let written = serde_json::to_value(&effect).unwrap();
    let service = &written["forecast"]["services"]["shop/cart"];
    assert_eq!((&service["readyMin"], &service["readyMinRange"]), (&json!(1), &json!([2, 0])));
    assert_eq!((service.get("readyAfter"), &service["readyAfterRange"]), (None, &json!([3, 1])));
    assert_eq!(service["belowSecondsRange"], json!([0.0, null]), "an end that nobody knows is null");
    assert_eq!(written["forecast"]["volumesLostPossible"], json!(["PersistentVolume/pv-1"]));
    assert_eq!(written["forecast"]["secretsExposedUnlisted"], json!(true));
    assert_eq!(serde_json::from_value::<Effect>(written).unwrap(), effect);
    let unknown = Effect::unknown("nobody looked");
    assert_eq!(serde_json::from_value::<Effect>(serde_json::to_value(&unknown).unwrap()).unwrap(), unknown);
}

#[test]
fn a_journal_from_before_a_field_existed_is_still_read() {
    let old: Effect = serde_json::from_value(json!({"objects": {"deleted": ["Pod/a/b"]}, "forecast": {}})).unwrap();
    assert_eq!(old.objects.count(Manner::Deleted), Range::exact(1));
}

#[test]
fn an_effect_covers_itself_and_whatever_hurts_less() {
    let seen = scaled_to_zero();
    assert!(seen.covers(&seen));
    let less = [
        changed(|e| {
            e.objects.touched.remove(&ObjectRef::namespaced("Pod", "shop", "cart-1"));
        }),
        changed(|e| e.forecast.services.get_mut("shop/cart").unwrap().ready_min = Range::exact(1)),
        changed(|e| {
            e.forecast.services.get_mut("shop/cart").unwrap().below_seconds = Range::exact(Decimal::whole(600))
        }),
        changed(|e| {
            e.forecast.services.insert("shop/other".into(), Service::steady(5));
        }),
        changed(|e| e.forecast.settled_seconds = Range::exact(Decimal::whole(99))),
        // Another pod stands where cart-1 stood: which replica goes is chance.
        changed(|e| {
            e.objects.touched.remove(&ObjectRef::namespaced("Pod", "shop", "cart-1"));
            e.objects.insert(ObjectRef::namespaced("Pod", "shop", "cart-9"), pod(Manner::Deleted));
        }),
    ];
    for (which, effect) in less.iter().enumerate() {
        assert!(seen.covers(effect), "number {which} hurts no more than was seen");
    }
}

#[test]
fn an_effect_does_not_cover_what_hurts_more_or_what_nobody_saw() {
    let seen = scaled_to_zero();
    let volume = ObjectRef::global("PersistentVolume", "pv-1");
    let hazard = Hazard {
        kind: HazardKind::CannotStart,
        object: ObjectRef::namespaced("Deployment", "shop", "cart"),
        because: "its settings are gone".into(),
        sure: true,
    };
    let more: Vec<(&str, Effect)> = vec![
        (
            "one more replica",
            changed(|e| e.objects.insert(ObjectRef::namespaced("Pod", "shop", "cart-4"), pod(Manner::Deleted))),
        ),
        (
            "another object",
            changed(|e| e.objects.insert(ObjectRef::namespaced("Secret", "shop", "db"), Change::new(Manner::Changed))),
        ),
        (
            "the same object, deleted",
            changed(|e| {
                e.objects.insert(ObjectRef::namespaced("Deployment", "shop", "cart"), Change::new(Manner::Deleted));
            }),
        ),
        (
            "another value",
            changed(|e| {
                let change = e.objects.touched.get_mut(&ObjectRef::namespaced("Deployment", "shop", "cart")).unwrap();
                change.fields[0].after = 1.into();
            }),
        ),
        ("things nobody can name", changed(|e| e.objects.unlisted = true)),
        (
            "another service",
            changed(|e| {
                e.forecast
                    .services
                    .insert("shop/pay".into(), Service { ready_min: Range::exact(0), ..Service::steady(2) });
            }),
        ),
        ("a volume", changed(|e| e.forecast.volumes_lost = Among::exactly([volume.clone()]))),
        ("perhaps a volume", changed(|e| e.forecast.volumes_lost = Among::at_most([volume.clone()]))),
        ("more pods without a place", changed(|e| e.forecast.pods_unschedulable = Range::exact(1))),
        ("perhaps more pods without a place", changed(|e| e.forecast.pods_unschedulable = Range::around(0, 0, 1))),
        ("no way back", changed(|e| e.forecast.reversibility = Reversibility::Irreversible)),
        ("no end in sight", changed(|e| e.forecast.settled = false)),
        ("far more cost", changed(|e| e.forecast.cost.per_hour_after = Range::exact(Decimal::whole(50)))),
        ("a danger", changed(|e| assert!(e.forecast.hazards.insert(hazard)))),
        ("less certainty", changed(|e| assert!(e.forecast.uncertain.insert("a webhook may change it".into())))),
        ("anything", Effect::unknown("?")),
    ];
    for (what, effect) in &more {
        assert!(!seen.covers(effect), "{what} was not seen");
        assert!(effect.covers(effect), "{what}");
    }
}

#[test]
fn a_widened_effect_covers_the_one_it_was_and_complete_doubt_is_never_sure() {
    let effect = scaled_to_zero();
    let before = |doubt| effect.clone().widened(Decimal::from_millis(doubt));
    assert_eq!(before(0), effect);
    for doubt in [20, 200, 600, 1000] {
        assert!(before(doubt).covers(&effect), "{doubt}");
    }
    assert!(!effect.covers(&before(600)), "a person who saw a sure forecast did not see a doubtful one");
    let service = &before(1000).forecast.services["shop/cart"];
    assert_eq!((service.ready_min.low(), service.ready_min.high()), (0, 3));
}

#[test]
fn utilisation_says_how_much_is_asked_of_whoever_is_left() {
    let load = Load::new(Range::exact(Decimal::whole(120)), Range::exact(Decimal::whole(50)));
    let service = Service { ready_min: Range::around(3, 3, 2), load: Some(load), ..Service::steady(3) };
    let used = service.utilisation().unwrap();
    assert_eq!((used.best, used.worst), (Decimal::from_millis(800), Decimal::from_millis(1200)));
    let gone = Service { ready_min: Range::exact(0), ..service.clone() };
    assert_eq!(gone.utilisation().unwrap().best, Decimal::MOST, "nobody is left to ask");
    let idle = Load { requests_per_second: Range::exact(Decimal::ZERO), ..service.load.clone().unwrap() };
    assert_eq!(Service { load: Some(idle), ..gone }.utilisation().unwrap().worst, Decimal::ZERO);
    assert!(Service::steady(3).utilisation().is_none(), "nobody knows its load");
}

#[test]
fn a_little_doubt_about_a_small_change_stays_little_in_a_large_system() {
    let mut effect = scaled_to_zero();
    let touched = |of| Touched { touched: Range::exact(3), of };
    (effect.forecast.blast.objects, effect.forecast.blast.deleted) = (touched(150_000), touched(150_000));
    let widened = effect.widened(Decimal::from_millis(50));
    assert_eq!(widened.forecast.blast.deleted.touched.high(), 3, "{:?}", widened.forecast.blast);
    assert_eq!(widened.forecast.pods_unschedulable, Range::exact(0));
}

#[test]
fn drift_counts_what_came_out_differently_and_what_nobody_watched_is_neither() {
    let predicted = scaled_to_zero();
    let observed = changed(|e| {
        e.forecast.services.get_mut("shop/cart").unwrap().ready_after = Range::exact(1);
        drop(e.objects.touched.remove(&ObjectRef::namespaced("Pod", "shop", "cart-1")));
    });
    let drift = |observed: &Effect| Drift::between(&predicted, observed, Overtaken::default());
    assert_eq!(drift(&observed).wrong.len(), 1, "{:?}", drift(&observed));
    assert_eq!(drift(&observed).wrong[0].what, "service shop/cart readyAfter");
    assert_eq!(drift(&predicted).score(), Decimal::ONE);
    assert_eq!(drift(&Effect::none()).wrong.len(), 1, "the deployment did not change");
}

#[test]
fn what_a_later_action_has_changed_speaks_neither_for_a_forecast_nor_against_it() {
    let predicted = scaled_to_zero();
    let observed = changed(|e| e.forecast.services.get_mut("shop/cart").unwrap().ready_after = Range::exact(3));
    let touching = |object: ObjectRef| {
        let mut footprint = Footprint::default();
        footprint.write(&object);
        footprint
    };
    let cart = touching(ObjectRef::namespaced("Deployment", "shop", "cart"));

    let mut overtaken = Overtaken::default();
    overtaken.by_action(&predicted, &Effect::none(), &touching(ObjectRef::global("Node", "n-1")), "case 2");
    assert!(overtaken.is_empty(), "it touches nothing of this");
    overtaken.by_action(&predicted, &Effect::none(), &cart, "case 3");
    assert!(!overtaken.leaves_nothing_of(&predicted), "the service is still held to its forecast");
    assert_eq!(Drift::between(&predicted, &observed, overtaken.clone()).wrong.len(), 1);
    overtaken.by_action(&predicted, &predicted, &cart, "case 4");
    assert!(overtaken.leaves_nothing_of(&predicted));
    let drift = Drift::between(&predicted, &observed, overtaken);
    assert_eq!((drift.compared, drift.wrong.len()), (0, 0), "{drift:?}");
    let told: Vec<&str> = drift.overtaken.told().into_keys().collect();
    assert_eq!(told, ["case 3", "case 4"], "each part by whoever was first");
    assert_eq!(serde_json::from_str::<Drift>(&serde_json::to_string(&drift).unwrap()).unwrap(), drift);
}

#[test]
fn a_digest_does_not_depend_on_how_json_is_spelled() {
    let one: serde_json::Value = serde_json::from_str(r#"{"b": [1, 2.5], "a": {"y": null, "x": "ü\n"}}"#).unwrap();
    let two: serde_json::Value = serde_json::from_str(r#"{"a":{"x":"\u00fc\n","y":null},"b":[1,2.5]}"#).unwrap();
    assert_eq!(model::canonical_json(&one), model::canonical_json(&two));
    assert_eq!(model::canonical_json(&one), r#"{"a":{"x":"ü\n","y":null},"b":[1,2.5]}"#);
    assert_eq!(model::Digest::of(&one), model::Digest::of(&two));
    // The value that `printf '{}' | sha256sum` prints.
    let empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(model::Digest::of(&json!({})).to_string(), empty);
}

#[test]
fn a_summary_says_the_worst_first_and_names_no_more_than_a_person_reads() {
    let effect = changed(|e| {
        e.forecast.volumes_lost =
            Among::exactly((0..9).map(|n| ObjectRef::global("PersistentVolume", format!("pv-{n}"))));
        e.forecast.reversibility = Reversibility::Irreversible;
    });
    let lines = effect.summary();
    assert_eq!(lines[0], "cannot be taken back");
    assert!(
        lines[1].starts_with("lose the data of PersistentVolume/pv-0,") && lines[1].ends_with("and 4 more"),
        "{lines:?}"
    );
    assert!(lines.contains(&"set Deployment/shop/cart spec.replicas from 3 to 0".to_owned()), "{lines:?}");
    assert!(Effect::none().summary().is_empty());
}
