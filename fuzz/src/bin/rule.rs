//! A site's own rules: read, and asked about effects. Whatever one says, what nobody knows is not allowed by it, and what it
//! says of a range it says of every number in it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use model::{
    Access, Action, ActionPolicy, Among, Change, Digest, Effect, Evidence, Manner, Moment, ObjectRef, Range, Service,
    Spent, Tier, Verdict, judge,
};
use policies::{Rule, SiteRule};

fn action() -> Action {
    Action {
        agent: "bot".into(),
        target: "prod".into(),
        operation: "scale".into(),
        access: Access::Write,
        resources: vec![ObjectRef::namespaced("Deployment", "shop", "cart")],
        shape: Default::default(),
        reason: None,
        facts: BTreeMap::from([("subresource".to_owned(), "scale".to_owned())]),
        kind: "patch Deployment".into(),
        payload: Digest::of(&()),
    }
}

fn effect(ready_min: Range<u64>, lost: Among<ObjectRef>) -> Effect {
    let mut effect = Effect::none();
    let service = Service { ready_min, ready_after: ready_min, ..Service::steady(3) };
    effect.forecast.services.insert("shop/cart".into(), service);
    effect.forecast.volumes_lost = lost;
    let change = Change { named: true, ..Change::new(Manner::Changed) };
    effect.objects.insert(ObjectRef::namespaced("Deployment", "shop", "cart"), change);
    effect
}

fn main() -> ExitCode {
    let (action, spent) = (action(), Spent::default());
    let volume = || ObjectRef::global("PersistentVolume", "a");
    let doubtful = effect(Range::between(3, 1), Among::at_most([volume()]));
    let exact = |ready: u64, lost: bool| {
        effect(Range::exact(ready), if lost { Among::exactly([volume()]) } else { Among::none() })
    };
    let certain: Vec<Effect> = (1..=3).flat_map(|ready| [exact(ready, true), exact(ready, false)]).collect();
    let unknown = Effect::unknown("nothing was read");
    fuzz::fuzz("rule", |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        let rule = Rule {
            name: "site".to_owned(),
            help: "h".to_owned(),
            remedy: "r".to_owned(),
            params: BTreeMap::from([("floor".to_owned(), 2.into())]),
            scope: Default::default(),
            when: None,
            require: text.to_owned(),
            otherwise: Default::default(),
            because: None,
            approval: Default::default(),
        };
        let rule = match SiteRule::new(rule) {
            Ok(rule) => rule,
            Err(error) => return format!("{:.80}", error.why.split(": ").skip(1).collect::<String>()),
        };
        let say = |effect: &Effect| {
            let evidence = Evidence { action: &action, effect, tier: Tier::Simulation, spent: &spent, now: Moment(0) };
            judge([&rule as &dyn ActionPolicy], &evidence).verdict
        };
        assert!(say(&unknown) != Verdict::Allow, "{text} allows what nobody knows");
        let said = say(&doubtful);
        if said.is_settled() {
            for effect in &certain {
                let sure = say(effect);
                assert_eq!(said.name(), sure.name(), "{text} is {said:?} of a range, and {sure:?} within it");
            }
        }
        format!("{} {:.60}", said.name(), said.why().first().map_or("", |because| because.text.as_str()))
    })
}
